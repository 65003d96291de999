"""A ledger moved or replaced while an agent has it open: no other process touches the files in its place."""

from __future__ import annotations

import fcntl
import json
import logging
import resource
import signal
import sqlite3
import subprocess  # noqa: S404 - the tests are about other processes
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from command_options import build_options

from htpoort import LedgerError, Submission
from htpoort.ledger import Ledger

Clock = Callable[..., datetime]
Make = Callable[..., Submission]

COMMAND: Final = (sys.executable, "-m", "htpoort")
CONFIG: Final = (
    'parties = ["NL123456789.02.05"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
    '[[smtp]]\nhostname = "forwarder.example"\nmailboxes = ["edi@forwarder.example"]\nport = 0\n'
)
FAMILY: Final = ("htpoort.db", "htpoort.db-wal", "htpoort.db-shm")
ADVICE: Final = (
    "An agent has another file open, which used to be {}: it was moved, replaced or deleted. Nothing was touched. "
    "Put that file back, or stop the agent and compare both files; then try again."
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a ledger that does not exist yet."""
    return tmp_path / "htpoort.db"


@contextmanager
def agent(path: Path, *, record: bool = True) -> Generator[subprocess.Popen[str]]:
    """Run an agent in another process; with record=False one of an older version, which records nothing."""
    forget = "" if record else f"os.truncate({str(path.with_name('htpoort.db-agent'))!r}, 0)"
    code = (
        "import os, sys\n"
        "from htpoort.ledger import Ledger\n"
        f"with Ledger.open('sqlite:///{path}') as ledger, ledger.agent_lock():\n"
        f"    {forget}\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with started(sys.executable, "-c", code) as process:
        yield process


@contextmanager
def started(*command: str, folder: Path | None = None) -> Generator[subprocess.Popen[str]]:
    """Start a process that prints a line when it is ready; kill it at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:  # noqa: S603 - our own
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def copied(path: Path) -> Path:
    """Back a ledger up as run.md describes."""
    copy = path.with_name("copy.db")
    with sqlite3.connect(path) as old, sqlite3.connect(copy) as new:
        old.backup(new)
    old.close()
    new.close()
    return copy


def contents(path: Path) -> dict[str, tuple[int, bytes]]:
    """Read each file of a ledger except the index, which is rebuilt; with its inode."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return {file.name: (file.stat().st_ino, file.read_bytes()) for file in files if file.exists()}


def references(path: Path) -> list[str]:
    """List the K of each exchange in a ledger."""
    with Ledger.open(f"sqlite:///{path}", create=False) as ledger:
        return [exchange.reference for exchange in ledger.exchanges.listed()]


class TestCommands:
    """`htpoort run` and the other commands, each in its own process."""

    @staticmethod
    def run(folder: Path, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit code, and its output or, if that is empty, its error."""
        started = [*COMMAND, *arguments]
        ran = subprocess.run(started, cwd=folder, input="<x/>", capture_output=True, text=True, check=False)  # noqa: S603 - ours
        return ran.returncode, ran.stdout or ran.stderr

    @pytest.mark.parametrize(("command", "replaced"), [("status", True), ("queue", False), ("run", True)])
    def test_beside_an_agent(self, tmp_path: Path, path: Path, command: str, *, replaced: bool) -> None:
        """While the file is replaced or missing, a command refuses; once the file is back, nothing is lost."""
        (tmp_path / "htpoort.toml").write_text(CONFIG)
        arguments = {"queue": build_options(reference="K2")}.get(command, [])
        with started(*COMMAND, "run", folder=tmp_path) as running:
            self.run(tmp_path, "queue", *build_options(reference="K1"))
            old = path.with_name("old.db")
            copy = copied(path)
            path.rename(old)
            if replaced:
                copy.rename(path)
            before = contents(path)
            refused = self.run(tmp_path, command, *arguments)
            after = contents(path)
            old.rename(path)
            queued = self.run(tmp_path, "queue", *build_options(reference="K3"))[0]
            # Kill it, as a power cut would: it writes nothing at the end.
            running.send_signal(signal.SIGKILL)
            running.wait()
        status = json.loads(self.run(tmp_path, "status", "--json")[1])

        advice = ADVICE.format(path.resolve())
        assert (1, True) == (refused[0], advice in refused[1])
        assert before == after
        assert (0, ["K1", "K3"], {"queued": 2}) == (queued, references(path), status["exchanges"]["DMS"])


class TestOpening:
    """Each way to open a ledger checks the file before SQLite opens it."""

    @pytest.mark.parametrize("create", [True, False])
    @pytest.mark.parametrize("replaced", [True, False])
    def test_a_replaced_file(
        self, path: Path, clock: Clock, declaration: Make, *, create: bool, replaced: bool
    ) -> None:
        """The refusal is retryable, and no file is created, changed or deleted."""
        with agent(path):
            with Ledger.open(f"sqlite:///{path}") as ledger:
                ledger.exchanges.queue(declaration("K1"), at=clock())
            copy = copied(path)
            path.rename(path.with_name("old.db"))
            if replaced:
                copy.rename(path)
            before = {file.name: file.stat().st_ino for file in path.parent.iterdir()}
            with pytest.raises(LedgerError) as caught:
                Ledger.open(f"sqlite:///{path}", create=create)
            after = {file.name: file.stat().st_ino for file in path.parent.iterdir()}
            path.with_name("old.db").rename(path)

            assert ("opened", ADVICE.format(path), True) == (
                caught.value.operation,
                caught.value.advice,
                caught.value.retryable,
            )
            assert (before, ["K1"]) == (after, references(path))

    def test_through_a_symbolic_link(self, path: Path, tmp_path: Path) -> None:
        """A link to the ledger leads to the same lock."""
        link = tmp_path / "link.db"
        link.symlink_to(path)
        with agent(path):
            path.rename(tmp_path / "old.db")
            with pytest.raises(LedgerError) as caught:
                Ledger.open(f"sqlite:///{link}")

        assert (ADVICE.format(link), False) == (caught.value.advice, path.exists())

    def test_in_the_process_of_the_agent(self, path: Path) -> None:
        """The agent's own process may open the ledger a second time, and gets the same refusal."""
        url = f"sqlite:///{path}"
        with Ledger.open(url) as first, first.agent_lock():
            Ledger.open(url).close()
            path.rename(path.with_name("old.db"))
            with pytest.raises(LedgerError) as caught:
                Ledger.open(url)
            path.with_name("old.db").rename(path)
            # Neither check has cost the agent its lock.
            with Ledger.open(url) as second, pytest.raises(LedgerError, match="Another agent"), second.agent_lock():
                pass

        assert ADVICE.format(path) == caught.value.advice

    def test_moved_with_its_log_and_lock(self, path: Path, clock: Clock, declaration: Make) -> None:
        """A file moved with its log and lock stays the agent's ledger; a new one can be created in the old place."""
        away = path.with_name("away")
        away.mkdir()
        with agent(path):
            with Ledger.open(f"sqlite:///{path}") as ledger:
                ledger.exchanges.queue(declaration("K1"), at=clock())
            for name in (*FAMILY, "htpoort.db-agent"):
                path.with_name(name).rename(away / name)
            with Ledger.open(f"sqlite:///{path}") as other:
                new = other.new

            assert (True, ["K1"]) == (new, references(away / path.name))


class TestNotRefused:
    """Only a living agent that has another file open makes the ledger refuse."""

    def test_a_dead_agent(self, path: Path) -> None:
        """The record in a dead agent's lock file does not count: a copy can replace the ledger."""
        with agent(path) as process:
            process.kill()
            process.wait()
            copy = copied(path)
            for name in FAMILY:
                path.with_name(name).unlink(missing_ok=True)
            copy.rename(path)

        assert [] == references(path)
        with Ledger.open(f"sqlite:///{path}") as ledger, ledger.agent_lock():
            assert [] == references(path)

    def test_an_agent_without_a_record(self, path: Path) -> None:
        """An agent of an older version leaves its lock file empty; the ledger then opens without the check."""
        with agent(path, record=False):
            assert [] == references(path)

    def test_an_agent_at_work(self, path: Path) -> None:
        """Other processes read and write beside an agent, and a second agent is refused."""
        with agent(path):
            with Ledger.open(f"sqlite:///{path}") as ledger, pytest.raises(LedgerError) as caught, ledger.agent_lock():
                pass

            assert [] == references(path)
        assert "Another agent is using this ledger; stop it, or use PostgreSQL to run several." == caught.value.advice

    def test_an_agent_that_starts_during_checks(self, path: Path) -> None:
        """A process that checks the lock continuously does not keep an agent from starting."""
        lock = path.with_name("htpoort.db-agent")
        code = (
            "import fcntl\n"
            f"file = open({str(lock)!r})\n"
            "print('ready', flush=True)\n"
            "while True:\n"
            f"    try: fcntl.flock(file, {fcntl.LOCK_SH | fcntl.LOCK_NB})\n"
            "    except BlockingIOError: pass\n"
            f"    fcntl.flock(file, {fcntl.LOCK_UN})\n"
        )
        with Ledger.open(f"sqlite:///{path}") as ledger:
            with ledger.agent_lock():
                pass
            with started(sys.executable, "-c", code):
                for _ in range(300):
                    with ledger.agent_lock():
                        pass

    def test_a_full_disk(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """An agent that cannot record its open file starts, logs a warning and clears the old record."""
        lock = path.with_name("htpoort.db-agent")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with Ledger.open(f"sqlite:///{path}") as ledger:
            lock.write_text("1 2\n")
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            try:
                with ledger.agent_lock():
                    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
                    listed = references(path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

        warning = (
            f"{lock} cannot be written: File too large. If the ledger is replaced, other processes will not notice."
        )
        assert ([], "") == (listed, lock.read_text())
        assert [("htpoort.ledger", logging.WARNING, warning)] == caplog.record_tuples
