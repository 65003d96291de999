"""Wherever a process is killed while a delivered release is taken back, the order is there whole, or not at all."""

from __future__ import annotations

import signal
import subprocess  # noqa: S404 - the tests are about other processes
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from databases import new_database, new_ledger

from htpoort import DMS, Objection, Outcome, PartyId, Router, State, Submission
from htpoort.ledger import Ledger, QuarantineState

Make = Callable[..., Submission]
Write = Callable[..., bytes]

NOON: Final = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
LEASE: Final = timedelta(minutes=2)
RIGHT, WRONG = "NL123456789.02.05", "NL123456789.03.05"
KILLED: Final = """
import os, signal, sys
from datetime import datetime
import sqlalchemy as sa
from htpoort import DMS, Objection, PartyId
from htpoort.ledger import Ledger

url, statement, noon, party = sys.argv[1], int(sys.argv[2]), datetime.fromisoformat(sys.argv[3]), sys.argv[4]
counted = 0

def count(*_):
    global counted
    counted += 1
    if counted == statement:
        os.kill(os.getpid(), signal.SIGKILL)

with Ledger.open(url) as ledger:
    ledger.quarantine.get(1)
    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    sa.event.listen(sa.Engine, "commit", count)
    ledger.quarantine.withdraw(1, at=noon, reason="it was for the other one", delivered=True)
    ledger.quarantine.release(
        1, system=DMS, party=PartyId.parse(party), despite=[Objection.OTHER_SYSTEM], reason="by telephone", at=noon
    )
"""
POINTS: Final = range(1, 60)
"""Statements and commits before which the process is killed, until one is not."""


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], str]]:
    """Return a function that gives the URL of a new ledger on a database."""
    if request.param == "sqlite":
        yield lambda number: new_ledger(tmp_path / f"{number}.db")
        return
    server: str = request.getfixturevalue("server")
    yield lambda _: new_database(server)


def misled(url: str, declaration: Make, reply: Write) -> None:
    """Let both parties send K1, and release and deliver the reply to one of them to the other one."""
    with Ledger.open(url) as ledger:
        for party in (RIGHT, WRONG):
            ledger.exchanges.queue(declaration("K1", party=party), at=NOON)
        for claimed in ledger.exchanges.claim(["DMS"], owner="a", most=2, at=NOON, lease=LEASE):
            ledger.exchanges.settle(claimed, Outcome.ACCEPTED, at=NOON)
        raw = reply("K1", mailbox="dms@htpoort.nl", process_id="DMS.NL")
        ledger.replies.take_in(Router(parties=[RIGHT, WRONG]), raw, mail_from=None, at=NOON)
        override: dict[str, Any] = {
            "despite": [Objection.OTHER_PARTY, Objection.OTHER_SYSTEM],
            "reason": "by telephone",
        }
        wrong = PartyId.parse(WRONG)
        key = ledger.quarantine.release(1, system=DMS, party=wrong, at=NOON, **override).key
        ledger.replies.claim("DMS", owner="a", most=9, at=NOON, lease=LEASE)
        ledger.replies.mark_delivered(key, at=NOON)


def seen(ledger: Ledger) -> tuple[QuarantineState, dict[str, State], list[tuple[str, bool]]]:
    """Read the state of the message, of both exchanges, and which replies there are."""
    states = {exchange.party: exchange.state for exchange in ledger.exchanges.listed()}
    replies = [(stored.party, stored.delivered is not None) for stored in ledger.replies.listed()]
    return ledger.quarantine.get(1).state, states, replies


@pytest.mark.long
def test_killed(new_url: Callable[[int], str], declaration: Make, reply: Write) -> None:
    """What is there is one of three states, never a mixture; and the rest of the order can be given."""
    whole = [
        (QuarantineState.RELEASED, {RIGHT: State.ACCEPTED, WRONG: State.ANSWERED}, [(WRONG, True)]),
        (QuarantineState.HELD, {RIGHT: State.ACCEPTED, WRONG: State.ACCEPTED}, []),
        (QuarantineState.RELEASED, {RIGHT: State.ANSWERED, WRONG: State.ACCEPTED}, [(RIGHT, False)]),
    ]
    endings: list[int] = []
    steps: list[int] = []
    for point in POINTS:
        url = new_url(point)
        misled(url, declaration, reply)
        command = [sys.executable, "-c", KILLED, url, str(point), NOON.isoformat(), RIGHT]
        endings.append(subprocess.run(command, check=False, capture_output=True).returncode)  # noqa: S603 - our own
        with Ledger.open(url) as ledger:
            steps.append(whole.index(seen(ledger)))
            if steps[-1] == 0:
                ledger.quarantine.withdraw(1, at=NOON, reason="once more", delivered=True)
            if steps[-1] < 2:
                order: dict[str, Any] = {"despite": [Objection.OTHER_SYSTEM], "reason": "once more"}
                ledger.quarantine.release(1, system=DMS, party=PartyId.parse(RIGHT), at=NOON, **order)
            claims = ledger.replies.claim("DMS", owner="b", most=9, at=NOON, lease=LEASE)
            events = [entry.event for entry in ledger.quarantine.log(1)]

            assert [(RIGHT, "K1")] == [(claimed.party, claimed.reference) for claimed in claims]
            assert ["quarantined", "released", "delivered", "delivery-withdrawn", "released"] == events
            assert whole[2] == seen(ledger)
        if endings[-1] == 0:
            break

    assert {0, -signal.SIGKILL} == set(endings)
    assert sorted(steps) == steps
    assert {0, 1, 2} == set(steps)
