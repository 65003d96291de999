"""
Upgrading a ledger that an earlier version has filled: nothing is lost, and a failure changes nothing.

These tests write the second schema themselves, because so far only the first one exists.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess  # noqa: S404 - the tests are about other processes
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from htpoort import InputError, LedgerError, Router, State, Submission
from htpoort.ledger import Ledger, QuarantineState, _schema

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]

FIRST, SECOND = "v1", "v2"
PARTY = "NL123456789.02.05"
LEASE = timedelta(minutes=2)
TABLES = ("exchanges", "messages", "replies", "quarantine", "events", "fetched")
SECOND_SCHEMA = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "v2", "v1"

def upgrade():
    op.add_column("htpoort_exchanges", sa.Column("priority", sa.Integer, nullable=False, server_default="1"))
    op.create_index("htpoort_events_detail", "htpoort_events", ["detail"])
    op.drop_index("htpoort_replies_owner", "htpoort_replies")
    op.create_index("htpoort_exchanges_changed", "htpoort_exchanges", ["changed"])
"""
KILLED = """
import os, pathlib, signal, sys
import sqlalchemy as sa
from htpoort.ledger import Ledger, _schema

_schema.MIGRATIONS, _schema.SCHEMA = pathlib.Path(sys.argv[2]), "v2"

def end(connection, cursor, statement, parameters, context, many):
    if "DROP INDEX" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

sa.event.listen(sa.Engine, "after_cursor_execute", end)
Ledger.open(sys.argv[1])
"""


def microseconds(at: datetime) -> int:
    """Convert a moment to the number that the ledger stores."""
    return round(at.timestamp()) * 1_000_000


def add(connection: sa.Connection, table: str, **values: object) -> None:
    """Add a row by plain SQL, as the first version stores it."""
    columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    connection.execute(sa.text(f"INSERT INTO htpoort_{table} ({columns}) VALUES ({places})"), values)  # noqa: S608 - names of this file


def fill(connection: sa.Connection, noon: datetime, declaration: Make) -> None:
    """Add exchanges in several states, replies, events, quarantined messages and a fetched mail."""
    at = microseconds(noon)
    contents = [declaration(f"K{number}").data for number in range(1, 6)]
    contents += [b"a reply of long ago", b"another reply of long ago", b"held", b"discarded"]
    for raw in contents:
        add(connection, "messages", raw=raw)
    states = ("answered", "accepted", "queued", "unknown", "sending", "closed")
    for number, state in enumerate(states, 1):
        built = declaration(f"K{number}")
        sending = {"owner": "dead", "lease": at} if state == "sending" else {}
        add(
            connection,
            "exchanges",
            system="DMS",
            party=PARTY,
            party_key=PARTY.lower(),
            reference=f"K{number}",
            business_reference=f"LRN{number}",
            state=state,
            attempts=0 if state == "queued" else 1,
            due=at,
            mail_from=built.mail_from,
            rcpt_to=built.rcpt_to,
            message_id=built.message_id,
            created=at + number,
            changed=at,
            message=None if state == "closed" else number,
            begun=0 if state == "queued" else 2,
            early=False,
            **sending,
        )
        add(connection, "events", at=at, exchange=number, event="queued", state="queued", detail="")
    for reference, exchange, delivered in (("K1", 1, at), ("K9", None, None)):
        add(
            connection,
            "replies",
            exchange=exchange,
            system="DMS",
            mailbox="dms@htpoort.nl",
            process_id="DMS4.NL",
            party=PARTY,
            reference=reference,
            correlation="matched" if exchange else "unknown-reference",
            body_sha256=hashlib.sha256(b"<Response/>\r\n").hexdigest(),
            copies=1,
            received=at,
            delivered=delivered,
            attempts=1,
            due=at,
            message=6 if exchange else 7,
        )
    add(connection, "events", at=at, reply=2, event="reply-received", detail="unknown-reference")
    for message, state in ((8, "held"), (9, "discarded")):
        add(
            connection,
            "quarantine",
            received=at,
            reason="no-envelope",
            problems='["There is no envelope."]',
            state=state,
            copies=1,
            message_sha256=hashlib.sha256(state.encode()).hexdigest(),
            message=message,
        )
    add(connection, "fetched", account="edi@pop.forwarder.example:995", uidl="7", at=at)


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """Return a folder of migrations in which the second schema follows the first."""
    folder = tmp_path / "migrations"
    shutil.copytree(_schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "v2_second.py").write_text(SECOND_SCHEMA)
    return folder


@pytest.fixture
def old(url: str, clock: Clock, declaration: Make, migrations: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a filled ledger of the first schema, for a version that knows the second one."""
    with Ledger.open(url) as ledger:
        ledger.write_soon(fill, clock(), declaration).result()
    monkeypatch.setattr(_schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(_schema, "SCHEMA", SECOND)
    return url


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Query the database by plain SQL."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(sa.text(sql))]
    engine.dispose()
    return rows


def indexes(url: str) -> list[tuple[Any, ...]]:
    """List the indexes as the database describes them."""
    if url.startswith("sqlite"):
        return query(url, "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name")
    return query(url, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname")


def everything(url: str) -> list[Any]:
    """Read version, indexes and every row."""
    rows = [query(url, f"SELECT * FROM htpoort_{table} ORDER BY 1, 2") for table in TABLES]  # noqa: S608 - names of this file
    return [version(url), indexes(url), *rows]


def version(url: str) -> str:
    """Return the version of the tables."""
    ((number,),) = query(url, "SELECT version_num FROM htpoort_version")
    return str(number)


class TestContent:
    """Every row of the old version is in the new one, and the agent continues from it."""

    @pytest.fixture
    def ledger(self, old: str) -> Iterator[Ledger]:
        """Open the old ledger by this version."""
        with Ledger.open(old) as opened:
            yield opened

    def test_upgraded_once(self, old: str) -> None:
        """The first opening upgrades; the second one changes nothing."""
        before = version(old)
        Ledger.open(old).close()
        once = everything(old)
        Ledger.open(old).close()

        assert (FIRST, SECOND, once) == (before, version(old), everything(old))

    def test_every_row_stays(self, old: str) -> None:
        """Upgrading changes no row."""
        before = everything(old)
        Ledger.open(old).close()
        exchanges, *others = everything(old)[2:]

        assert before[2:] == [[row[:-1] for row in exchanges], *others]

    def test_exchanges(self, ledger: Ledger, clock: Clock) -> None:
        """Each exchange keeps its state, times and business reference, and its K is known as sent."""
        exchange = ledger.exchanges.find("K4", party="nl123456789.02.05")
        states = {each.reference: each.state.value for each in ledger.exchanges.listed()}

        assert exchange is not None
        assert (4, "LRN4", State.UNKNOWN, 1, clock()) == (
            exchange.key,
            exchange.business_reference,
            exchange.state,
            exchange.attempts,
            exchange.due,
        )
        assert {
            "K1": "answered",
            "K2": "accepted",
            "K3": "queued",
            "K4": "unknown",
            "K5": "sending",
            "K6": "closed",
        } == states
        assert [("DMS", PARTY, "K6")] == [(sent.system, sent.party, sent.reference) for sent in ledger.sent("K6")]

    def test_status(self, ledger: Ledger, clock: Clock) -> None:
        """The status counts the old rows."""
        status = ledger.status()
        states = (State.ANSWERED, State.ACCEPTED, State.QUEUED, State.UNKNOWN, State.SENDING, State.CLOSED)

        assert dict.fromkeys((("DMS", state) for state in states), 1) == status.exchanges
        assert {"DMS": clock() + timedelta(microseconds=2)} == status.oldest
        assert ({"DMS": 1}, 1) == (status.undelivered, status.quarantined)

    def test_stories(self, ledger: Ledger, clock: Clock) -> None:
        """The log continues, also that of a reply to a K that was never sent."""
        ledger.exchanges.resolve_as_sent("K4", at=clock(1))
        (settled,), (alone,) = ledger.story("K4"), ledger.story("K9")

        assert ["queued", "resolved-as-sent"] == [entry.event for entry in settled.entries]
        assert (None, ["reply-received"]) == (alone.exchange, [entry.event for entry in alone.entries])

    def test_waiting_work_continues(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """Queued messages are claimed octet for octet, waiting replies too; what was being sent becomes unknown."""
        claim = ledger.exchanges.claim_soon(("DMS",), owner="a", most=9, at=clock(1), lease=LEASE)
        waiting = ledger.replies.claim_soon("DMS", owner="a", most=9, at=clock(1), lease=LEASE)
        lost = ledger.exchanges.expire_soon(at=clock(1))

        assert [("K3", 1, declaration("K3").data)] == [
            (claimed.reference, claimed.attempt, claimed.raw) for claimed in claim.result()
        ]
        assert [("K9", 2, b"another reply of long ago")] == [
            (reply.reference, reply.attempts, reply.raw) for reply in waiting.result()
        ]
        assert ["K5"] == [exchange.reference for exchange in lost.result()]

    def test_replies_to_old_exchanges(self, ledger: Ledger, router: Router, clock: Clock, reply: Write) -> None:
        """A reply to an old K answers it; a copy of an old reply is recognised."""
        first = ledger.replies.take_in(router, reply("K2"), mail_from=None, at=clock(1))
        again = ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(1))
        answered = ledger.exchanges.find("K2", party=PARTY)

        assert (False, True, 1) == (first.repeated, again.repeated, again.key)
        assert State.ANSWERED is (answered and answered.state)

    def test_a_k_stays_used(self, ledger: Ledger, clock: Clock, declaration: Make) -> None:
        """A K stays used even if its message was pruned before the upgrade."""
        with pytest.raises(InputError):
            ledger.exchanges.queue(declaration("K6"), at=clock(1))

    def test_quarantine_and_fetched_mails(self, ledger: Ledger) -> None:
        """Quarantined messages and fetched mails are kept."""
        assert [(QuarantineState.HELD, b"held"), (QuarantineState.DISCARDED, b"discarded")] == [
            (held.state, raw) for held, raw in ledger.quarantine.messages(None)
        ]
        assert {"7"} == set(ledger.fetched.known("edi@pop.forwarder.example:995"))


class TestFailing:
    """An upgrade happens whole or not at all; a failure leaves a usable ledger of the old version."""

    def test_a_failing_step(self, old: str) -> None:
        """If the last step fails, the first one is undone too; once the cause is gone, the upgrade succeeds."""
        engine = sa.create_engine(old)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE INDEX htpoort_exchanges_changed ON htpoort_events (at)"))
        before = everything(old)
        with pytest.raises(LedgerError):
            Ledger.open(old)
        after = everything(old)
        with engine.begin() as connection:
            connection.execute(sa.text("DROP INDEX htpoort_exchanges_changed"))
        engine.dispose()
        Ledger.open(old).close()

        assert (FIRST, before, SECOND) == (before[0], after, version(old))

    def test_a_killed_process(self, old: str, migrations: Path) -> None:
        """A process killed between two steps leaves no partial upgrade; the next process upgrades."""
        before = everything(old)
        killed = subprocess.run([sys.executable, "-c", KILLED, old, str(migrations)], check=False)  # noqa: S603 - our own interpreter
        after = everything(old)
        Ledger.open(old).close()

        assert (-signal.SIGKILL, before, SECOND) == (killed.returncode, after, version(old))

    @pytest.mark.parametrize("url", ["sqlite"], indirect=True)
    def test_a_full_disk(self, old: str) -> None:
        """Without room for the new indexes the error is retryable; with room the upgrade succeeds."""

        def limit(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA max_page_count=1").close()  # no more than the file has

        before = everything(old)
        sa.event.listen(sa.Engine, "connect", limit)
        try:
            with pytest.raises(LedgerError, match="disk is full") as caught:
                Ledger.open(old)
        finally:
            sa.event.remove(sa.Engine, "connect", limit)
        after = everything(old)
        Ledger.open(old).close()

        assert (True, before, SECOND) == (caught.value.retryable, after, version(old))

    def test_agents_that_start_together_upgrade_once(self, old: str) -> None:
        """Eight callers that open an old ledger at the same time all get it."""
        opened: list[Ledger] = []
        threads = [threading.Thread(target=lambda: opened.append(Ledger.open(old))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ledger in opened:
            ledger.close()

        assert (8, SECOND) == (len(opened), version(old))


def test_the_migrations_build_the_indexes(url: str) -> None:
    """A ledger that was upgraded has the very indexes that the code declares, with their conditions."""
    Ledger.open(url).close()
    upgraded = indexes(url)
    engine = sa.create_engine(url)
    _schema.metadata.drop_all(engine)
    _schema.metadata.create_all(engine)
    engine.dispose()

    assert indexes(url) == upgraded
    assert 5 == sum("WHERE" in str(definition) for _, definition in upgraded)
