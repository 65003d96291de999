"""What a command loads before it does its work, and what every command answers to."""

from __future__ import annotations

import json
import operator
import os
import subprocess  # noqa: S404 - what a command loads is only seen in a process of its own
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest

from htpoort.cli import _app
from htpoort.ledger import Ledger

Run = Callable[..., Any]

PARTY: Final = "NL123456789.02.05"
SUBJECT: Final = f"[V=DMS4.NL][A={PARTY}][K=K9][S=0]"
DECLARATION: Final = ("--system", "DMS", "--party", PARTY, "--mailbox", "edi@forwarder.example", "--reference", "K1")
ROUTE: Final = ("route", "--party", PARTY, "--mailbox", "dms@htpoort.nl", "--subject", SUBJECT)

# Runs a command as `htpoort` does, and writes the modules that were loaded by then into a file.
LISTING: Final = """
import json, sys
from htpoort.cli import main
file, *sys.argv[1:] = sys.argv[1:]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
open(file, "w").write(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., set[str]]:
    """Run a command in a process of its own, beside a configuration and a ledger, and list what it loaded."""
    (tmp_path / "htpoort.toml").write_text(
        f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
        '[[outbox]]\nserver = "127.0.0.1"\nsecurity = "plain"\n'
        '[[smtp]]\nhostname = "mail.forwarder.example"\nport = 2525\nmailboxes = ["edi@forwarder.example"]\n'
        '[[delivery]]\nsystem = "DMS"\nmaildir = "replies"\n'
    )
    (tmp_path / "declaration.xml").write_bytes(b"<Declaration/>")
    Ledger.open(f"sqlite:///{tmp_path}/htpoort.db").close()

    def run(*arguments: str) -> set[str]:
        command = [sys.executable, "-c", LISTING, "modules.json", *arguments]
        # Measuring coverage loads modules of its own into each process.
        env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=env)  # noqa: S603 - our own code
        return set(json.loads((tmp_path / "modules.json").read_text()))

    return run


@pytest.mark.parametrize(
    "arguments", [("parse", SUBJECT), ROUTE, ("--help",), ("-h",), ("--version",)], ids=operator.itemgetter(0)
)
def test_loads_neither_a_database_nor_a_server(loaded: Callable[..., set[str]], arguments: tuple[str, ...]) -> None:
    """What needs no ledger loads no SQLAlchemy; nor asyncio, nor anything that sends or receives."""
    found = loaded(*arguments)

    assert "htpoort.core.envelope" in found
    assert set() == found & {
        "aiosmtpd",
        "aiosmtplib",
        "alembic",
        "asyncio",
        "htpoort.agent",
        "htpoort.ledger",
        "htpoort.simulator",
        "htpoort.transport",
        "pydantic",
        "rich",
        "sqlalchemy",
    }


@pytest.mark.parametrize("command", ["status", "queue"])
def test_a_ledger_of_today_is_opened_without_what_is_not_needed(loaded: Callable[..., set[str]], command: str) -> None:
    """A command on a ledger loads no worker of the agent, and no server; nor what upgrades a ledger."""
    found = loaded("status") if command == "status" else loaded("queue", "declaration.xml", *DECLARATION)

    assert {"htpoort.config.file", "sqlalchemy"} <= found
    assert set() == found & {
        "aiosmtpd",
        "alembic",
        "email_validator",
        "htpoort.agent.agent",
        "htpoort.simulator",
        "htpoort.transport.receiver",
        "psycopg",
        "pydantic",
        "sqlalchemy.dialects.postgresql",
    }


def test_the_list_of_commands_has_the_first_line_of_each_help(htpoort: Run) -> None:
    """`htpoort --help` describes each command in the words of the command's own help, and in full."""
    everything = " ".join(htpoort("--help").text.split())
    for name, (_, summary) in _app.COMMANDS.items():
        of_its_own = " ".join(htpoort(name, "--help").text.split())

        assert f"{name} {summary}" in everything
        assert f" {summary} " in of_its_own


@pytest.mark.parametrize("command", [(), ("status",), ("quarantine",), ("quarantine", "list")], ids=" ".join)
def test_every_command_has_a_short_option_for_its_help(htpoort: Run, command: tuple[str, ...]) -> None:
    """-h is --help."""
    short, long = htpoort(*command, "-h"), htpoort(*command, "--help")

    assert (0, long.out) == (short.code, short.out)
    assert "-h, --help" in long.text


async def test_the_version_is_that_of_the_installed_package(process: Run) -> None:
    """--version prints the name and the version on one line, and ends with 0."""
    done = await process("--version")

    assert (0, f"htpoort {version('htpoort')}\n", "") == (done.code, done.text, done.err)
