"""What docs/how-to/install.md says of an operating system without POSIX, as far as Linux can show it."""

from __future__ import annotations

import subprocess  # noqa: S404 - a new interpreter, without modules that are imported already
import sys

import pytest

WITHOUT_POSIX = """
import asyncio, multiprocessing, shutil, subprocess, sys, tempfile  # they import what there is on each system

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nowhere())
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules.pop(name, None)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code where the modules that only POSIX has cannot be imported."""
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", WITHOUT_POSIX + code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("room", ["htpoort", "htpoort.notices", "htpoort.transport", "htpoort.simulator"])
def test_rooms_that_need_no_posix(room: str) -> None:
    """The core, notices, transport and simulator import no module that only POSIX has."""
    assert (0, "") == (run(f"import {room}").returncode, run(f"import {room}").stderr)


def test_commands_that_need_no_posix() -> None:
    """`parse` reads an envelope without a module that only POSIX has."""
    done = run("""
sys.argv = ["htpoort", "parse", "[V=DMS4.NL][A=NL123456789.02.05][K=K1][S=0]", "--json"]
from htpoort.cli import main
main()
""")

    assert (0, True) == (done.returncode, '"reference": "K1"' in done.stdout), done.stderr


def test_the_ledger_needs_posix() -> None:
    """The ledger locks its file with `fcntl`, so ledger, agent and their commands do not run on Windows."""
    assert "No module named 'fcntl'" in run("import htpoort.ledger").stderr
