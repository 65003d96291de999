"""What an installation can lack: a module, a file of data, a command, an entry point."""

from __future__ import annotations

import subprocess  # noqa: S404 - commands are processes
import sys
from pathlib import Path

import htpoort

IMPORT_ALL = """
import importlib, pkgutil
import hypothesis, htpoort  # in this order: it imports our entry point

for module in pkgutil.walk_packages(htpoort.__path__, "htpoort."):
    importlib.import_module(module.name)
    print(module.name)
"""
NEW_LEDGER = """
from htpoort.ledger import Ledger

with Ledger.open("sqlite:///htpoort.db") as ledger:
    print(ledger.new, ledger.status().exchanges)
"""
FROM_TYPE = """
from hypothesis import find, strategies as st
from htpoort import PartyId

print(type(find(st.from_type(PartyId), lambda _: True)).__name__)
"""


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Run a command in a folder of its own; return its exit code, and its output with its errors."""
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def test_every_module_imports(tmp_path: Path) -> None:
    """No module is left out, and none needs a library that `htpoort[all]` does not bring."""
    code, output = run(tmp_path, sys.executable, "-c", IMPORT_ALL)

    assert 0 == code, output
    rooms = {name.split(".")[1] for name in output.split()}
    assert {
        "agent",
        "cli",
        "config",
        "core",
        "delivery",
        "ledger",
        "live",
        "report",
        "simulator",
        "testing",
        "transport",
    } <= rooms


def test_a_new_ledger_gets_its_tables(tmp_path: Path) -> None:
    """The files that make the tables are there: no import names them."""
    assert (0, "True {}\n") == run(tmp_path, sys.executable, "-c", NEW_LEDGER)


def test_the_command(tmp_path: Path) -> None:
    """The command `htpoort` is installed, and its demonstration goes from a declaration to its replies."""
    code, output = run(tmp_path, str(Path(sys.executable).with_name("htpoort")), "demo")

    assert (0, "Everything went where it belongs.") == (code, output.splitlines()[-1])


def test_a_report(tmp_path: Path) -> None:
    """The templates and the style of pages are there: no import names them."""
    (tmp_path / "htpoort.toml").write_text(
        'parties = ["NL123456789.02.05"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n', encoding="utf-8"
    )
    run(tmp_path, sys.executable, "-c", NEW_LEDGER)
    code, output = run(tmp_path, str(Path(sys.executable).with_name("htpoort")), "report", "--html", "report.html")

    assert (0, "Wrote report.html.\n") == (code, output)
    assert ":root {" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_types_for_hypothesis(tmp_path: Path) -> None:
    """Hypothesis finds the strategies of the core's types by an entry point."""
    assert (0, "PartyId\n") == run(tmp_path, sys.executable, "-c", FROM_TYPE)


def test_fixtures_for_pytest(tmp_path: Path) -> None:
    """The fixtures come with the package, by an entry point of pytest."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # no settings of a project around it
    code, output = run(tmp_path, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--fixtures", "-q")

    assert (0, True) == (code, "htp_gateway" in output)


def test_the_marker_for_type_checkers() -> None:
    """The package tells type checkers that it is typed."""
    assert (Path(htpoort.__file__).parent / "py.typed").exists()
