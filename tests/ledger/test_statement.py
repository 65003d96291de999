"""Statements that bypass SQLAlchemy give the same rows and the same errors, on each kind of database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import psycopg
import pytest
import sqlalchemy as sa
from databases import new_database

from htpoort import InputError, LedgerError
from htpoort.ledger import Ledger, _schema
from htpoort.ledger._statement import InsertIfNew, Statement

Clock = Callable[..., datetime]

MAILS = _schema.fetched
REMEMBER = Statement(sa.insert(MAILS), ["account", "uidl", "at"])
MOVE = Statement(
    sa.update(MAILS).where(MAILS.c.account == sa.bindparam("whose"), MAILS.c.uidl != "u1").values(at=sa.bindparam("to"))
)
FIND = Statement(sa.select(MAILS.c.uidl, MAILS.c.at).where(MAILS.c.account == sa.bindparam("whose")))
NOON = 1_793_620_800_000_000  # microseconds from 1970 to noon of 2 November 2026, UTC


def test_writes_and_finds(ledger: Ledger, clock: Clock) -> None:
    """Parameters and literal values are written by their types; rows are read as the driver returns them."""

    def operation(connection: sa.Connection) -> tuple[int, list[tuple[object, ...]]]:
        REMEMBER.write_many(connection, [{"account": "a", "uidl": uidl, "at": clock()} for uidl in ("u1", "u2", "u3")])
        moved = MOVE.write(connection, {"whose": "a", "to": clock(1)})
        return moved, sorted(FIND.rows(connection, {"whose": "a"}))

    later = NOON + 60_000_000
    assert (2, [("u1", NOON), ("u2", later), ("u3", later)]) == ledger.write_soon(operation).result()


def test_sqlalchemy_reads_the_same_moment(ledger: Ledger, clock: Clock) -> None:
    """SQLAlchemy reads a moment that bypassed it as the same moment."""

    def operation(connection: sa.Connection) -> datetime:
        REMEMBER.write(connection, {"account": "a", "uidl": "u1", "at": clock(7)})
        return connection.execute(sa.select(MAILS.c.at)).scalar_one()

    assert clock(7) == ledger.write_soon(operation).result()


def test_only_the_first_insert_returns_a_key(ledger: Ledger) -> None:
    """The first row gets a key; an equal row gets none and does not change the first."""
    message = {
        "received": datetime.fromisoformat("2026-11-02T12:00:00Z"),
        "reason": "no-envelope",
        "problems": ["one"],
        "mailbox": None,
        "subject": None,
        "state": "held",
        "copies": 1,
        "message_sha256": "abc",
    }
    insert = InsertIfNew(_schema.quarantine)

    def operation(connection: sa.Connection) -> list[int | None]:
        return [insert(connection, message | {"message_sha256": content}, b"x") for content in ("abc", "abc", "def")]

    first, again, other = ledger.write_soon(operation).result()
    assert again is None
    assert [("abc", ["one"], None), ("def", ["one"], None)] == [
        ledger.write_soon(lambda connection, key=key: _held(connection, key)).result() for key in (first, other)
    ]


def _held(connection: sa.Connection, key: int) -> tuple[object, ...]:
    table = _schema.quarantine
    query = sa.select(table.c.message_sha256, table.c.problems, table.c.subject).where(table.c.id == key)
    return tuple(connection.execute(query).one())


def test_an_error_shows_no_values(ledger: Ledger, clock: Clock) -> None:
    """If the database refuses a row, the LedgerError shows none of its values; the next row is written."""
    row = {"account": "a", "uidl": "PAYLOAD", "at": clock()}
    with pytest.raises(LedgerError) as caught:
        ledger.write_soon(REMEMBER.write_many, [row, row]).result()
    ledger.write_soon(REMEMBER.write, row).result()

    assert "PAYLOAD" not in f"{caught.value} {caught.value!r}"
    assert [("PAYLOAD", NOON)] == ledger.write_soon(FIND.rows, {"whose": "a"}).result()


def test_a_naive_moment(ledger: Ledger) -> None:
    """A time without a zone is refused, by a prepared statement and by one that SQLAlchemy runs."""
    naive = datetime.fromisoformat("2026-11-02T12:00:00")
    with pytest.raises(InputError) as prepared:
        ledger.write_soon(REMEMBER.write, {"account": "a", "uidl": "u1", "at": naive}).result()
    with pytest.raises(InputError) as usual:
        ledger.last_reply("DMS", after=naive)

    message = "time is 2026-11-02T12:00:00, without a time zone; give an aware datetime."
    assert [message] * 2 == [error.value.problems[0].message for error in (prepared, usual)]


def test_a_server_that_is_lost(server: str, clock: Clock) -> None:
    """A connection lost before a statement is reported as lost, and is not used again."""
    row = {"account": "a", "uidl": "u1", "at": clock()}

    def cut_off(connection: sa.Connection) -> None:
        number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with psycopg.connect(server) as other:
            # Waits until that backend is gone, 20 seconds at most.
            other.execute("SELECT pg_terminate_backend(%s, 20000)", (number,))
        REMEMBER.write(connection, row)

    with Ledger.open(new_database(server)) as ledger:
        with pytest.raises(LedgerError, match="The server") as caught:
            ledger.write_soon(cut_off).result()
        ledger.write_soon(REMEMBER.write, row).result()

    assert caught.value.retryable
