"""
Look up, route and report for 1 to 10,000 parties that move, per message and per party.

A provider's plan and router are asked for a hundred parties in turn, spread over all of them, so that the
memory of a large plan counts as it does in use. A plan of one party is asked for that one a hundred times.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import attrs
from harness import Case, Goal, arguments, in_rounds, is_child, one_round, ratios, report

from htpoort import (
    AGS,
    DMS,
    CutoverPlan,
    Move,
    PartyId,
    PartyTotals,
    Routed,
    Router,
    SentRecord,
    move_progress,
    preview_moves,
)

SIZES: Final = (1, 100, 10_000)
ASKED: Final = 100
DAY: Final = date(2026, 12, 1)
NOON: Final = datetime(2026, 12, 10, 12, tzinfo=UTC)
BODY: Final = b"<Response><ID>22096222734662</ID></Response>\r\n" * 400


@attrs.frozen
class World:
    """A provider with so many parties, each with a move of all kinds, one of a kind, and a roll-back."""

    plan: CutoverPlan
    router: Router
    parties: tuple[PartyId, ...]
    asked: tuple[str, ...]
    replies: tuple[bytes, ...]
    totals: dict[tuple[str, str], PartyTotals]


def world(size: int) -> World:
    """Make a provider."""
    names = [f"NL{number:09}.02.05" for number in range(size)]
    moves = [
        Move(party=name, system=system, since=DAY + timedelta(days=days), kind=kind)
        for name in names
        for system, days, kind in (("DMS", 0, None), ("DMS", -30, "import"), ("AGS", 40, None))
    ]
    asked = tuple((names[:: max(1, size // ASKED)] * ASKED)[:ASKED])
    sent = {f"K{name[2:11]}": SentRecord(system="DMS", party=name, reference=f"K{name[2:11]}") for name in names}
    head = "From: dms@htpoort.nl\r\nSubject: [V= DMS4.NL][A= {}][K=K{}][S=0]\r\n\r\n"
    busy = PartyTotals(sent=9, open=2, oldest=NOON, replies=7, last_reply=NOON)
    return World(
        plan=CutoverPlan(moves=moves),
        router=Router(parties=names, sent=sent.get),
        parties=tuple(map(PartyId.parse, asked)),
        asked=asked,
        replies=tuple(head.format(name, name[2:11]).encode() + BODY for name in asked),
        totals={(name.lower(), system): busy for name in names for system in ("AGS", "DMS")},
    )


def look_up(of: World) -> None:
    """Ask for the system of a hundred declarations."""
    for party in of.asked:
        of.plan.system_for(party, on=DAY, kind="import")


def route(of: World) -> None:
    """Route a hundred replies of 20 KB."""
    for raw in of.replies:
        of.router.route_message(raw)


def sum_up(of: World) -> None:
    """Report the progress of a hundred parties."""
    move_progress(of.plan, old_system=AGS, at=NOON, parties=of.parties, totals=of.totals)


def foresee(of: World) -> None:
    """Report what a day changes for a hundred parties."""
    preview_moves(of.plan, on=DAY, parties=of.parties, totals=of.totals)


WHAT: Final[dict[str, Callable[[World], None]]] = {
    "CutoverPlan.system_for": look_up,
    "Router.route_message": route,
    "progress": sum_up,
    "coming": foresee,
}
CASES: Final = tuple(
    Case(f"{what}: {size:,} parties", f"{function.__name__}(worlds[{size}])", what, ours=True)
    for what, function in WHAT.items()
    for size in SIZES
)


def check(worlds: dict[int, World]) -> None:
    """Make sure that every size gives the right answers."""
    for of in worlds.values():
        assert len(of.asked) == len(of.replies) == ASKED
        assert of.plan.system_for(of.asked[-1], on=DAY - timedelta(days=1)) is AGS
        assert of.plan.system_for(of.asked[-1], on=DAY - timedelta(days=1), kind="import") is DMS
        for name, raw in zip(of.asked, of.replies, strict=True):
            found = of.router.route_message(raw)
            assert isinstance(found, Routed)
            assert (found.system, str(found.party)) == (DMS, name)
        assert len(preview_moves(of.plan, on=DAY, parties=of.parties, totals=of.totals)) == ASKED


def main() -> None:
    """Measure, compare, print."""
    worlds = {size: world(size) for size in SIZES}
    if is_child():
        functions = {function.__name__: function for function in WHAT.values()}
        one_round(CASES, {**functions, "worlds": worlds})
        return
    options = arguments(__doc__ or "")
    check(worlds)
    times = in_rounds(25 if options.rigorous else 5)
    goals = [Goal(f"{what}, 10,000 parties / 1", f"{what}: 10,000 parties", f"{what}: 1 parties", 1.2) for what in WHAT]
    report(
        "G. Parties that move",
        times,
        ratios(times, goals),
        packages=("htpoort", "attrs", "pyperf"),
        cases=CASES,
        more={"asked in one call": ASKED},
        path=options.json,
    )


if __name__ == "__main__":
    main()
