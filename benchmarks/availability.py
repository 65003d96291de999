"""
Ask what to do now, with 10 to 10,000 stored notices about one system.

Each notice has three texts, the last of which delays the end, and in the first world a fourth one that ends it. A
hundred moments are asked in turn, spread over the time of all notices, with all that is known and with what was known
then.
"""

from __future__ import annotations

import functools
import gc
import itertools
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
from harness import Case, Goal, arguments, ratios, report

from htpoort.notices import (
    Access,
    AdviceKind,
    Availability,
    Behaviour,
    EndKind,
    Notice,
    NoticeKind,
    NoticeName,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
)

SIZES: Final = (10, 10_000)
ASKED: Final = 100
CALLS: Final = 5
FIRST: Final = datetime(2026, 1, 6, 21, tzinfo=UTC)
APART: Final = timedelta(hours=7)
KINDS: Final = {
    "all ended": {"ended": True, "complete": True},
    "none ended": {"ended": False, "complete": True},
    "none understood": {"ended": False, "complete": False},
}
NAMES: Final = (NoticeName(name="DMS Import", system="DMS"),)


def rows(start: datetime, hours: int, end_kind: EndKind) -> tuple[ServiceWindow, ...]:
    """State what a notice states of a system: files are rejected, pages are unavailable."""
    return tuple(
        ServiceWindow(
            system="DMS Import",
            access=access,
            start=start,
            end=start + timedelta(hours=hours),
            end_kind=end_kind,
            behaviour=behaviour,
            recovery=Recovery.RESUBMIT,
        )
        for access, behaviour in ((Access.FILE, Behaviour.REJECTED), (Access.ONLINE, Behaviour.UNAVAILABLE))
    )


def notice(number: int, *, ended: bool, complete: bool) -> Notice:
    """Make a notice, seven hours after the one before it."""
    start = (FIRST + number * APART).replace(tzinfo=None)
    stated = [
        (start - timedelta(days=12), NoticeState.ANNOUNCED, rows(start + timedelta(hours=1), 3, EndKind.FINAL)),
        (start - timedelta(days=5), NoticeState.ANNOUNCED, rows(start, 4, EndKind.FINAL)),
        (start + timedelta(hours=3), NoticeState.DELAYED, rows(start, 5, EndKind.EXPECTED)),
    ]
    if ended:
        stated.append((start + timedelta(hours=5), NoticeState.ENDED, rows(start, 5, EndKind.FINAL)))
    texts = (Revision(known=known, state=state, windows=windows, complete=complete) for known, state, windows in stated)
    return Notice(kind=NoticeKind.PLANNED, zone="UTC", references=(f"W{number}",), revisions=tuple(texts))


@attrs.frozen
class World:
    """The notices of one kind, and the moments that are asked."""

    availability: Availability
    moments: tuple[datetime, ...]


@functools.cache
def world(kind: str, size: int) -> World:
    """Make so many notices, once, outside of what is measured."""
    notices = (notice(number, **KINDS[kind]) for number in range(size))
    moments = (FIRST + APART * size * number / ASKED for number in range(ASKED))
    return World(Availability(notices, NAMES), tuple(moments))


def ask(of: World) -> None:
    """Ask at a hundred moments, with all that is known."""
    for moment in of.moments:
        of.availability.what_now("DMS", at=moment)


def ask_as_known(of: World) -> None:
    """Ask at a hundred moments, with what was known then."""
    for moment in of.moments:
        of.availability.what_now("DMS", at=moment, known_at=moment)


WHAT: Final[dict[str, Callable[[World], None]]] = {"what_now": ask, "what_now, known then": ask_as_known}
CASES: Final = {
    Case(f"{what}, {kind}: {size:,} notices", "", f"{what}, {kind}", ours=True): (function, kind, size)
    for what, function in WHAT.items()
    for kind in KINDS
    for size in SIZES
}


def check() -> None:
    """Make sure that every size gives the right answers."""
    for kind, size in itertools.product(KINDS, SIZES):
        of = world(kind, size)
        assert len(of.moments) == ASKED
        last = FIRST + (size - 1) * APART
        asked = (last - timedelta(days=400), last + timedelta(hours=4), last + timedelta(hours=6))
        found = [of.availability.what_now("DMS", at=at).advice for at in asked]
        after = AdviceKind.SEND if kind == "all ended" else AdviceKind.HOLD
        assert found[1:] == [AdviceKind.HOLD, after], (kind, size, found)
        assert size > SIZES[0] or found[0] is AdviceKind.SEND


def measured(rounds: int) -> dict[str, list[float]]:
    """
    Measure all cases in this process, which has made every world before, in turn and again and again.

    Args:
        rounds: How often.

    Returns:
        For each case the lowest time of each round, in nanoseconds of the processor, for all moments together.
    """
    found: dict[str, list[float]] = {case.name: [] for case in CASES}
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        for case, (function, kind, size) in CASES.items():
            of = world(kind, size)
            each: list[int] = []
            for _ in range(CALLS):
                begin = time.process_time_ns()
                function(of)
                each.append(time.process_time_ns() - begin)
            found[case.name].append(float(min(each)))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return found


def main() -> None:
    """Measure, compare, print."""
    options = arguments(__doc__ or "")
    check()
    times = measured(25 if options.rigorous else 5)
    goals = [
        Goal(
            f"{what}, {kind}, 10,000 notices / 10",
            f"{what}, {kind}: 10,000 notices",
            f"{what}, {kind}: 10 notices",
            2.0,
        )
        for what in WHAT
        for kind in KINDS
    ]
    report(
        "H. Notices about service windows",
        times,
        ratios(times, goals),
        packages=("htpoort", "attrs"),
        cases=CASES,
        more={"asked in one call": ASKED},
        path=options.json,
    )


if __name__ == "__main__":
    main()
