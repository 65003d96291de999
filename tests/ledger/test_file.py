"""The file of a SQLite ledger: the file counts, not its name; and only its owner can open it."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess  # noqa: S404 - the test is about another process and its umask
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from htpoort import LedgerError, Submission
from htpoort.ledger import Ledger
from htpoort.ledger._sqlite import SqliteFile

Clock = Callable[..., datetime]
Make = Callable[..., Submission]

NAMES = ("htpoort.db", "htpoort.db-wal", "htpoort.db-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a ledger that does not exist yet."""
    return tmp_path / "htpoort.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with Ledger.open(f"sqlite:///{path}") as opened:
        yield opened


def refusal(operation: Callable[[], object]) -> tuple[bool, str]:
    """Run an operation that must fail; return whether the error is retryable, and its advice."""
    with pytest.raises(LedgerError) as caught:
        operation()
    return caught.value.retryable, caught.value.advice


class TestReplaced:
    """A write fails if the ledger's name no longer refers to the open file, with which the write would be lost."""

    def test_while_it_is_opened(self, path: Path) -> None:
        """A file that takes the ledger's place while SQLite opens it is noticed before anything is written."""
        Ledger.open(f"sqlite:///{path}").close()
        copy = path.with_name("copy.db")
        copy.write_bytes(path.read_bytes())
        file = SqliteFile(make_url(f"sqlite:///{path}"), "htpoort.db", create=False)

        def replace(connection: sqlite3.Connection, _record: object) -> None:
            # SQLite opens the file at the first read.
            connection.execute("SELECT count(*) FROM sqlite_master").close()
            copy.rename(path)

        sa.event.listen(file.engine, "connect", replace, insert=True)
        retryable, advice = refusal(file.engine.connect)

        assert (True, True) == (retryable, advice.startswith(f"{path} is not the file that was opened: it was moved,"))

    @pytest.mark.parametrize("name", NAMES)
    def test_a_deleted_file(self, ledger: Ledger, path: Path, clock: Clock, declaration: Make, name: str) -> None:
        """If a file of the open database is deleted, nothing is written, and the error names the file."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        gone = path.with_name(name)
        gone.unlink()
        retryable, advice = refusal(lambda: ledger.exchanges.queue(declaration("K2"), at=clock()))

        assert (True, True) == (retryable, advice.startswith(f"{gone} is not the file that was opened: it was moved,"))
        assert gone.exists() is False

    def test_another_ledger_in_its_place(
        self, ledger: Ledger, path: Path, tmp_path: Path, clock: Clock, declaration: Make
    ) -> None:
        """If another ledger replaces the file, as when a copy is put back, reads and writes fail and change nothing."""
        with Ledger.open(f"sqlite:///{tmp_path / 'other.db'}") as other:
            other.exchanges.queue(declaration("K9"), at=clock())
        (tmp_path / "other.db").rename(path)
        before = path.read_bytes()
        refused = [
            refusal(lambda: ledger.exchanges.queue(declaration("K1"), at=clock()))[0],
            refusal(ledger.status)[0],
            refusal(lambda: list(ledger.exchanges.listed()))[0],
        ]

        assert [True, True, True] == refused
        assert before == path.read_bytes()

    def test_claims_nothing(self, ledger: Ledger, path: Path, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """While the file is away nothing is claimed, as no outcome could be recorded; once it is back, claims work."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        lease = clock(2) - clock(0)

        def claim() -> list[str]:
            taken = ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=clock(), lease=lease).result()
            return [exchange.reference for exchange in taken]

        away = tmp_path / "away"
        away.mkdir()
        for name in NAMES:
            path.with_name(name).rename(away / name)
        retryable, _advice = refusal(claim)
        for name in NAMES:
            (away / name).rename(path.with_name(name))

        assert (True, ["K1"]) == (retryable, claim())

    def test_during_a_transaction(self, ledger: Ledger, path: Path, clock: Clock, declaration: Make) -> None:
        """If the file is replaced during a transaction, what was committed into the old file is not acknowledged."""
        began, go_on = threading.Event(), threading.Event()

        def hold(_connection: sa.Connection) -> None:
            began.set()
            go_on.wait()

        held = ledger.write_soon(hold)
        began.wait()
        path.rename(path.with_name("moved.db"))
        go_on.set()

        assert (True, True) == (
            refusal(held.result)[0],
            refusal(lambda: ledger.exchanges.queue(declaration("K1"), at=clock()))[0],
        )

    def test_a_folder_that_is_replaced(self, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """A folder that replaces the ledger's folder is noticed, and no new ledger is created in it."""
        folder = tmp_path / "folder"
        folder.mkdir()
        with Ledger.open(f"sqlite:///{folder / 'htpoort.db'}") as ledger:
            folder.rename(tmp_path / "old")
            folder.mkdir()
            retryable, _advice = refusal(lambda: ledger.exchanges.queue(declaration("K1"), at=clock()))
            # Use more readers than open connections, so that the ledger opens new ones.
            with ledger._connections.engine.connect(), pytest.raises(LedgerError):
                ledger.status()

            assert (True, []) == (retryable, list(folder.iterdir()))

    def test_a_link_that_points_elsewhere(self, path: Path, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """A changed symbolic link leads other processes to another file, so nothing is written to the first one."""
        link = tmp_path / "link.db"
        link.symlink_to(path)
        Ledger.open(f"sqlite:///{tmp_path / 'second.db'}").close()
        with Ledger.open(f"sqlite:///{link}") as ledger:
            ledger.exchanges.queue(declaration("K1"), at=clock())
            link.unlink()
            link.symlink_to(tmp_path / "second.db")
            retryable, advice = refusal(lambda: ledger.exchanges.queue(declaration("K2"), at=clock()))

        assert (True, True) == (retryable, advice.startswith(f"{link} is not the file"))

    def test_a_process_that_changes_its_folder(
        self, tmp_path: Path, clock: Clock, declaration: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relative path keeps meaning the file that was opened, also for a new connection."""
        monkeypatch.chdir(tmp_path)
        with Ledger.open("sqlite:///htpoort.db") as ledger:
            ledger.exchanges.queue(declaration("K1"), at=clock())
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
            with ledger._connections.engine.connect() as connection, connection.begin():
                assert (
                    1 == ledger.status().exchanges["DMS", ledger.exchanges.queue(declaration("K1"), at=clock()).state]
                )

        assert [] == list((tmp_path / "elsewhere").iterdir())

    def test_harmless_changes(self, ledger: Ledger, path: Path, clock: Clock, declaration: Make) -> None:
        """A backup, another reader or a later hard link of the same file does not stop the ledger."""
        with sqlite3.connect(path) as reader, sqlite3.connect(path.with_name("copy.db")) as copy:
            reader.backup(copy)
        reader.close()
        copy.close()
        os.link(path, path.with_name("snapshot.db"))
        ledger.exchanges.queue(declaration("K1"), at=clock())
        with ledger._connections.engine.connect() as connection, connection.begin():
            references = [exchange.reference for exchange in ledger.exchanges.listed()]

        assert ["K1"] == references


class TestSecondName:
    """Two names of one ledger are one ledger, for one agent."""

    def test_a_symbolic_link(self, path: Path, tmp_path: Path) -> None:
        """An agent on a link is refused while another agent works on the file itself, and the other way round."""
        (tmp_path / "elsewhere").mkdir()
        link = tmp_path / "elsewhere" / "link.db"
        link.symlink_to(path)
        with Ledger.open(f"sqlite:///{path}") as first, Ledger.open(f"sqlite:///{link}") as second:
            for holder, other in ((first, second), (second, first)):
                with holder.agent_lock(), pytest.raises(LedgerError, match="Another agent"), other.agent_lock():
                    pass

        assert ["link.db"] == [file.name for file in link.parent.iterdir()]

    def test_a_linked_folder(self, tmp_path: Path) -> None:
        """An agent is also refused if a link leads to the folder of the ledger."""
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        urls = [f"sqlite:///{tmp_path / folder / 'htpoort.db'}" for folder in ("real", "link")]
        with (
            Ledger.open(urls[0]) as first,
            Ledger.open(urls[1]) as second,
            first.agent_lock(),
            pytest.raises(LedgerError, match="Another agent"),
            second.agent_lock(),
        ):
            pass

    def test_a_hard_link(self, ledger: Ledger, path: Path, tmp_path: Path) -> None:
        """A file with two hard links is refused: SQLite would keep a log for each name and damage the file."""
        del ledger
        os.link(path, tmp_path / "second.db")
        with pytest.raises(LedgerError, match="a hard link") as caught:
            Ledger.open(f"sqlite:///{tmp_path / 'second.db'}")

        assert not caught.value.retryable

    def test_a_deleted_lock_file(self, path: Path, clock: Clock, declaration: Make) -> None:
        """An agent whose lock file is deleted locks a new one; if another agent was quicker, it writes no more."""
        url, lock = f"sqlite:///{path}", path.with_name("htpoort.db-agent")
        with Ledger.open(url) as first, Ledger.open(url) as second, first.agent_lock():
            lock.unlink()
            first.exchanges.queue(declaration("K1"), at=clock())
            with pytest.raises(LedgerError, match="Another agent"), second.agent_lock():
                pass
            lock.unlink()
            with second.agent_lock():
                refused = refusal(lambda: first.exchanges.queue(declaration("K2"), at=clock()))
            first.exchanges.queue(declaration("K3"), at=clock())

            assert (False, "Another agent is using this ledger; stop it, or use PostgreSQL to run several.") == refused
            assert ["K1", "K3"] == [exchange.reference for exchange in first.exchanges.listed()]


class TestRights:
    """A ledger holds declarations and replies: only its owner can read it."""

    @pytest.mark.parametrize("umask", ["0o000", "0o022", "0o277"])
    def test_a_new_ledger(self, path: Path, umask: str) -> None:
        """Each file of a new ledger has mode 0600, whatever the umask."""
        code = (
            f"import os, stat, pathlib; os.umask({umask})\n"
            "from htpoort.ledger import Ledger\n"
            f"with Ledger.open('sqlite:///{path}') as ledger, ledger.agent_lock():\n"
            f"    for file in sorted(pathlib.Path({str(path.parent)!r}).iterdir()):\n"
            "        print(file.name, oct(stat.S_IMODE(file.stat().st_mode)))\n"
        )
        output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own interpreter

        assert ["htpoort.db 0o600", "htpoort.db-agent 0o600", "htpoort.db-shm 0o600", "htpoort.db-wal 0o600"] == (
            output.splitlines()
        )

    def test_a_group_with_access(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """An existing ledger keeps its mode; its lock file gets the same mode, and no warning is logged."""
        Ledger.open(f"sqlite:///{path}").close()
        path.chmod(0o660)
        with Ledger.open(f"sqlite:///{path}") as ledger, ledger.agent_lock():
            rights = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

        assert ({*rights}, {0o660}) == ({*NAMES, "htpoort.db-agent"}, {*rights.values()})
        assert [] == caplog.records

    def test_a_ledger_that_every_user_can_read(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """An agent works on a ledger that every user of the machine can open, and logs how to close it."""
        Ledger.open(f"sqlite:///{path}").close()
        path.chmod(0o644)
        with Ledger.open(f"sqlite:///{path}") as ledger, ledger.agent_lock():
            pass

        sentence = f"Every user of this machine can open {path}; run: chmod 600 {path}*"
        assert [("htpoort.ledger", logging.WARNING, sentence)] == caplog.record_tuples

    def test_a_folder_that_is_missing(self, tmp_path: Path) -> None:
        """The error names the file that cannot be created, and the reason."""
        target = tmp_path / "absent" / "htpoort.db"
        (tmp_path / "link.db").symlink_to(target)
        with pytest.raises(LedgerError) as caught:
            Ledger.open(f"sqlite:///{tmp_path / 'link.db'}")

        advice = (
            f"{target} cannot be created: No such file or directory. Check the owner and the permissions of its folder."
        )
        assert advice == caught.value.advice


class TestDump:
    """A database rescued with `sqlite3 .dump` has lost the application ID of a ledger."""

    def test_the_advice_restores_it(self, path: Path, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """The database is refused; the command in the error makes it a ledger again, with all its content."""
        with Ledger.open(f"sqlite:///{path}") as ledger:
            ledger.exchanges.queue(declaration("K1"), at=clock())
        rescued = tmp_path / "rescued.db"
        with sqlite3.connect(path) as old, sqlite3.connect(rescued) as new:
            new.executescript("\n".join(old.iterdump()))
        old.close()
        new.close()
        advice = refusal(lambda: Ledger.open(f"sqlite:///{rescued}"))[1]
        with sqlite3.connect(rescued) as new:
            new.execute("PRAGMA application_id=1752461423")
        new.close()
        with Ledger.open(f"sqlite:///{rescued}") as again:
            references = [exchange.reference for exchange in again.exchanges.listed()]

        assert advice.endswith("run: sqlite3 FILE 'PRAGMA application_id=1752461423'")
        assert ["K1"] == references


def test_a_list_not_read_to_its_end(path: Path, clock: Clock, declaration: Make) -> None:
    """A list that outlives its ledger keeps the file open only as long as the list exists."""
    with Ledger.open(f"sqlite:///{path}") as ledger:
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        listed = ledger.exchanges.listed()
        assert "K1" == next(listed).reference
    del listed

    opened = [link(fd) for fd in Path("/proc/self/fd").iterdir()]
    assert [] == [name for name in opened if name.startswith(str(path))]


def link(fd: Path) -> str:
    """Return the path of a descriptor; empty if it is closed by now, as is the one that listed the folder."""
    try:
        return str(fd.readlink())
    except FileNotFoundError:
        return ""
