"""Wherever a process is killed between hold and let go, each declaration is sent once, and none in the window."""

from __future__ import annotations

import signal
import subprocess  # noqa: S404 - the tests are about other processes
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from databases import new_ledger

from htpoort import Outcome, State, Submission
from htpoort.ledger import Ledger, NoticeForm

Make = Callable[..., Submission]

OPENS = datetime(2026, 11, 2, 19, 0, tzinfo=UTC)
CLOSES = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
LEASE = timedelta(minutes=2)
NOTICE = """
zone = "UTC"
references = ["N1"]
[[windows]]
system = "DMS"
access = "file"
start = "2026-11-02T19:00"
end = "2026-11-02T22:00"
behaviour = "rejected"
"""
KILLED = """
import os, signal, sys
from datetime import datetime, timedelta
import sqlalchemy as sa
from htpoort.ledger import Ledger

url, statement, opens, closes = sys.argv[1], int(sys.argv[2]), *map(datetime.fromisoformat, sys.argv[3:])
counted = 0

def count(*_):
    global counted
    counted += 1
    if counted == statement:
        os.kill(os.getpid(), signal.SIGKILL)

with Ledger.open(url) as ledger:
    ledger.windows.review(["DMS"], at=opens)
    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    sa.event.listen(sa.Engine, "commit", count)
    ledger.windows.hold(["DMS"], at=opens)
    for _ in range(2):
        ledger.windows.let_go("DMS", at=closes, most=1, by=closes + timedelta(minutes=10))
"""
POINTS = range(1, 40, 3)
"""Statements and commits before which the process is killed; it has fewer than the last of them."""


@pytest.mark.parametrize("point", POINTS)
def test_killed(tmp_path: Path, declaration: Make, point: int) -> None:
    """The next agent holds what must wait, lets go of all after the window, and sends each declaration once."""
    url = new_ledger(tmp_path / "htpoort.db")
    with Ledger.open(url) as ledger:
        for number in range(3):
            ledger.exchanges.queue(declaration(f"K{number}"), at=OPENS - timedelta(hours=1))
        ledger.notices.add(NOTICE, at=OPENS - timedelta(hours=1), form=NoticeForm.OWN)
    command = [sys.executable, "-c", KILLED, url, str(point), OPENS.isoformat(), CLOSES.isoformat()]
    ended = subprocess.run(command, check=False).returncode  # noqa: S603 - our own

    sent: Counter[str] = Counter()
    with Ledger.open(url) as ledger:
        in_window = ledger.exchanges.claim(["DMS"], owner="b", most=9, at=OPENS, lease=LEASE)
        if ledger.windows.review(["DMS"], at=OPENS).to_hold:
            ledger.windows.hold(["DMS"], at=OPENS)
        for system in ledger.windows.review(["DMS"], at=CLOSES).to_release:
            ledger.windows.let_go(system, at=CLOSES)
        for each in ledger.exchanges.claim(["DMS"], owner="b", most=9, at=CLOSES, lease=LEASE):
            sent[each.reference] += 1
            ledger.exchanges.settle(each, Outcome.ACCEPTED, at=CLOSES)
        left = ledger.windows.held()

    assert ended in {0, -signal.SIGKILL}
    assert [] == in_window
    assert {"K0": 1, "K1": 1, "K2": 1} == sent
    assert () == left


KILLED_ORDER: Final = """
import os, signal, sys
from datetime import datetime
import sqlalchemy as sa
from htpoort.ledger import Ledger

url, statement, opens = sys.argv[1], int(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
counted = 0

def count(*_):
    global counted
    counted += 1
    if counted == statement:
        os.kill(os.getpid(), signal.SIGKILL)

with Ledger.open(url) as ledger:
    ledger.windows.review(["DMS"], at=opens)
    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    sa.event.listen(sa.Engine, "commit", count)
    ledger.windows.exempt("N1", "K1", reason="it works", at=opens)
    print("done", flush=True)
"""
ORDER_POINTS = range(1, 20)
"""As above: the order has fewer than the last of them."""


def test_killed_while_one_is_let_go(tmp_path: Path, declaration: Make) -> None:
    """The order is there whole or not at all; given again it is obeyed, and the others stay held."""
    endings: list[int] = []
    for point in ORDER_POINTS:
        url = new_ledger(tmp_path / f"{point}.db")
        with Ledger.open(url) as ledger:
            for number in range(3):
                ledger.exchanges.queue(declaration(f"K{number}"), at=OPENS - timedelta(hours=1))
            ledger.notices.add(NOTICE, at=OPENS - timedelta(hours=1), form=NoticeForm.OWN)
            ledger.windows.hold(["DMS"], at=OPENS)
        command = [sys.executable, "-c", KILLED_ORDER, url, str(point), OPENS.isoformat()]
        endings.append(subprocess.run(command, check=False, capture_output=True).returncode)  # noqa: S603 - our own

        with Ledger.open(url) as ledger:
            (before,) = [each.state for each in ledger.exchanges.listed() if each.reference == "K1"]
            order = ledger.windows.exempt("N1", "K1", reason="it works", at=OPENS)
            claims = ledger.exchanges.claim(["DMS"], owner="b", most=9, at=OPENS, lease=LEASE)

        assert order.repeated == (before is State.QUEUED)
        assert ["K1"] == [each.reference for each in claims]
    assert {0, -signal.SIGKILL} == set(endings)
