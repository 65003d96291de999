"""The file of a SQLite ledger: the file itself counts, not its name; and it is its owner's alone."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess  # noqa: S404 - another process and its umask are what it is about
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from htpoort import LedgerError, Submission
from htpoort.ledger import Ledger

Clock = Callable[..., datetime]
Make = Callable[..., Submission]

NAMES = ("htpoort.db", "htpoort.db-wal", "htpoort.db-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a ledger that is still to be made."""
    return tmp_path / "htpoort.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with Ledger.open(f"sqlite:///{path}") as opened:
        yield opened


def refusal(future_of: Callable[[], object]) -> tuple[bool, str]:
    """Run what must fail; gives whether the error is retryable, and its advice."""
    with pytest.raises(LedgerError) as caught:
        future_of()
    return caught.value.retryable, caught.value.advice


class TestReplaced:
    """What is written to a file that its name no longer means would be lost with it, so it fails."""

    @pytest.mark.parametrize("name", NAMES)
    def test_a_file_that_is_gone(self, ledger: Ledger, path: Path, clock: Clock, declaration: Make, name: str) -> None:
        """A file of the open database that is deleted: nothing is written, and the error names the file."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        gone = path.with_name(name)
        gone.unlink()
        retryable, advice = refusal(lambda: ledger.exchanges.queue(declaration("K2"), at=clock()))

        assert (True, True) == (retryable, advice.startswith(f"{gone} is not the file that was opened: it was moved,"))
        assert gone.exists() is False

    def test_another_ledger_in_its_place(
        self, ledger: Ledger, path: Path, tmp_path: Path, clock: Clock, declaration: Make
    ) -> None:
        """A ledger that is moved over it, as when a copy is put back: reads and writes fail, and it is not touched."""
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

    def test_no_claim(self, ledger: Ledger, path: Path, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """Nothing is given out to be sent, as what was sent could not be recorded; once the file is back, it is."""
        ledger.exchanges.queue(declaration("K1"), at=clock())
        lease = clock(2) - clock(0)

        def claim() -> list[str]:
            taken = ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=clock(), lease=lease).result()
            return [one.reference for one in taken]

        away = tmp_path / "away"
        away.mkdir()
        for name in NAMES:
            path.with_name(name).rename(away / name)
        retryable, _advice = refusal(claim)
        for name in NAMES:
            (away / name).rename(path.with_name(name))

        assert (True, ["K1"]) == (retryable, claim())

    def test_while_it_is_written(self, ledger: Ledger, path: Path, clock: Clock, declaration: Make) -> None:
        """A file that is replaced during a transaction: what was committed into the old one is not acknowledged."""
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
        """The folder is moved away and another is there: noticed, and no new ledger is made in the other one."""
        folder = tmp_path / "folder"
        folder.mkdir()
        with Ledger.open(f"sqlite:///{folder / 'htpoort.db'}") as ledger:
            folder.rename(tmp_path / "old")
            folder.mkdir()
            retryable, _advice = refusal(lambda: ledger.exchanges.queue(declaration("K1"), at=clock()))
            # More readers than connections that are open, so that new ones are made.
            with ledger._connections.engine.connect(), pytest.raises(LedgerError):
                ledger.status()

            assert (True, []) == (retryable, list(folder.iterdir()))

    def test_a_link_that_points_elsewhere(self, path: Path, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """A symbolic link that is changed means another file: others queue there, so nothing is written here."""
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
        """A relative path means the file that it meant when it was opened, also for a new connection."""
        monkeypatch.chdir(tmp_path)
        with Ledger.open("sqlite:///htpoort.db") as ledger:
            ledger.exchanges.queue(declaration("K1"), at=clock())
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
            with ledger._connections.engine.connect() as one, one.begin():
                assert (
                    1 == ledger.status().exchanges["DMS", ledger.exchanges.queue(declaration("K1"), at=clock()).state]
                )

        assert [] == list((tmp_path / "elsewhere").iterdir())

    def test_what_happens_beside_it(self, ledger: Ledger, path: Path, clock: Clock, declaration: Make) -> None:
        """The same file goes on, whatever else happens beside it: a backup, a reader, a hard link made later."""
        with sqlite3.connect(path) as reader, sqlite3.connect(path.with_name("copy.db")) as copy:
            reader.backup(copy)
        reader.close()
        copy.close()
        os.link(path, path.with_name("snapshot.db"))
        ledger.exchanges.queue(declaration("K1"), at=clock())
        with ledger._connections.engine.connect() as one, one.begin():
            found = [exchange.reference for exchange in ledger.exchanges.listed()]

        assert ["K1"] == found


class TestSecondName:
    """Two names of one ledger are one ledger: one agent."""

    def test_a_symbolic_link(self, path: Path, tmp_path: Path) -> None:
        """An agent that was given a link is refused while another works on the file itself, and the other way round."""
        (tmp_path / "elsewhere").mkdir()
        link = tmp_path / "elsewhere" / "link.db"
        link.symlink_to(path)
        with Ledger.open(f"sqlite:///{path}") as first, Ledger.open(f"sqlite:///{link}") as second:
            for one, other in ((first, second), (second, first)):
                with one.agent_lock(), pytest.raises(LedgerError, match="Another agent"), other.agent_lock():
                    pass

        assert ["link.db"] == [found.name for found in link.parent.iterdir()]

    def test_a_linked_folder(self, tmp_path: Path) -> None:
        """The same through a link to the folder."""
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
        """A file with two names of the same rank is refused: SQLite keeps a log for each, and damages the file."""
        del ledger
        os.link(path, tmp_path / "second.db")
        with pytest.raises(LedgerError, match="a hard link") as caught:
            Ledger.open(f"sqlite:///{tmp_path / 'second.db'}")

        assert not caught.value.retryable

    def test_a_lock_that_is_removed(self, path: Path, clock: Clock, declaration: Make) -> None:
        """An agent whose lock file is deleted takes it anew; where another agent was quicker, it writes no more."""
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
            assert ["K1", "K3"] == [one.reference for one in first.exchanges.listed()]


class TestRights:
    """A ledger holds declarations and replies: its owner alone reads it."""

    @pytest.mark.parametrize("umask", ["0o000", "0o022", "0o277"])
    def test_a_new_ledger(self, path: Path, umask: str) -> None:
        """Each of its files is 0600, whatever the umask."""
        code = (
            f"import os, stat, pathlib; os.umask({umask})\n"
            "from htpoort.ledger import Ledger\n"
            f"with Ledger.open('sqlite:///{path}') as ledger, ledger.agent_lock():\n"
            f"    for file in sorted(pathlib.Path({str(path.parent)!r}).iterdir()):\n"
            "        print(file.name, oct(stat.S_IMODE(file.stat().st_mode)))\n"
        )
        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own interpreter

        assert ["htpoort.db 0o600", "htpoort.db-agent 0o600", "htpoort.db-shm 0o600", "htpoort.db-wal 0o600"] == (
            told.splitlines()
        )

    def test_a_group_that_was_let_in(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The rights of a ledger that is there stay; its lock gets the same, and no one is warned."""
        Ledger.open(f"sqlite:///{path}").close()
        path.chmod(0o660)
        with Ledger.open(f"sqlite:///{path}") as ledger, ledger.agent_lock():
            rights = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}

        assert ({*rights}, {0o660}) == ({*NAMES, "htpoort.db-agent"}, {*rights.values()})
        assert [] == caplog.records

    def test_a_ledger_that_all_can_read(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """An agent on a ledger that is open to every user of the machine works, and says how to close it."""
        Ledger.open(f"sqlite:///{path}").close()
        path.chmod(0o644)
        with Ledger.open(f"sqlite:///{path}") as ledger, ledger.agent_lock():
            pass

        sentence = f"Every user of this machine can open {path}; run: chmod 600 {path}*"
        assert [("htpoort.ledger", logging.WARNING, sentence)] == caplog.record_tuples

    def test_a_folder_that_is_closed(self, tmp_path: Path) -> None:
        """A file that cannot be made is named, with the reason."""
        target = tmp_path / "absent" / "htpoort.db"
        (tmp_path / "link.db").symlink_to(target)
        with pytest.raises(LedgerError) as caught:
            Ledger.open(f"sqlite:///{tmp_path / 'link.db'}")

        advice = (
            f"{target} cannot be created: No such file or directory. Check the owner and the permissions of its folder."
        )
        assert advice == caught.value.advice


class TestDump:
    """What `sqlite3 .dump` rescues has lost the mark of a ledger."""

    def test_says_how_to_set_it(self, path: Path, tmp_path: Path, clock: Clock, declaration: Make) -> None:
        """It is refused as it is; the command that the error names makes it a ledger again, with all that was in it."""
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
            found = [one.reference for one in again.exchanges.listed()]

        assert advice.endswith("run: sqlite3 FILE 'PRAGMA application_id=1752461423'")
        assert ["K1"] == found


def test_a_list_that_is_not_read_to_its_end(path: Path, clock: Clock, declaration: Make) -> None:
    """A list that outlives its ledger keeps the file open only as long as the list itself is there."""
    with Ledger.open(f"sqlite:///{path}") as ledger:
        for reference in ("K1", "K2"):
            ledger.exchanges.queue(declaration(reference), at=clock())
        listed = ledger.exchanges.listed()
        assert "K1" == next(listed).reference
    del listed

    opened = [link(fd) for fd in Path("/proc/self/fd").iterdir()]
    assert [] == [name for name in opened if name.startswith(str(path))]


def link(fd: Path) -> str:
    """Give what a descriptor is of; one that listing the folder had needed is gone by now."""
    try:
        return str(fd.readlink())
    except FileNotFoundError:
        return ""
