"""
Play the plan of a configuration against the simulator, and tell what went where.

Never does: open the configured ledger, or connect to a configured server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Generator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from htpoort.cli import _show
from htpoort.cli._facts import Facts
from htpoort.cli._opened import cutover_of
from htpoort.config import read_ledger
from htpoort.simulator import Script
from htpoort.simulator.rehearsal import SCRIPT, Came, Declared, Place, Rehearsal, Where, rehearse

_COLUMNS: Final = ("sent", "party", "kind", "K", "to", "replies to process", "after a move", "in quarantine", "right")


def played(path: Path, scenario: Path | None) -> Rehearsal:
    """
    Rehearse the move of a configuration.

    Args:
        path: The configuration.
        scenario: How the gateway answers; None for the worst that there is.

    Returns:
        What went where.

    Raises:
        InputError: The configuration or the scenario cannot be taken, or nobody moves.
        LedgerError: The ledger of the rehearsal cannot be written.
        OSError: Loopback cannot be listened on, or there is no place for a temporary folder.
    """
    settings = read_ledger(path)
    script = SCRIPT if scenario is None else Script.read(scenario)
    cutover = cutover_of(settings, path)
    with _quiet():
        return asyncio.run(rehearse(cutover.plan, parties=settings.parties, script=script))


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep the agent's warnings away: that messages go to quarantine is what is rehearsed."""
    log = logging.getLogger("htpoort.agent")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def summary(found: Rehearsal) -> Facts:
    """Count what went where."""
    went = Counter(place.where for one in found.replies for place in one.went)
    return {
        "declarations": len(found.declarations),
        "not_taken": _not_taken(found),
        "replies": len(found.replies),
        "to_a_process": went[Where.PROCESS],
        "in_quarantine": went[Where.QUARANTINE],
        "refused": went[Where.REFUSED],
        "lost": went[Where.NOWHERE],
        "after_a_move": sum(one.after_move for one in found.replies),
        "agent_restarted": _minute(found.restarted),
        "wrong": len(found.wrong),
    }


def facts(found: Rehearsal) -> Facts:
    """Tell it for `--json`."""
    return {
        "right": found.right,
        "silent": list(found.silent),
        "summary": summary(found),
        "declarations": [_declared(one) for one in found.declarations],
        "replies": [_came(one) for one in found.replies],
    }


def show(found: Rehearsal) -> None:
    """Print what became of each declaration, then everything that is wrong, then the sum."""
    replies: dict[str, list[Came]] = {one.reference: [] for one in found.declarations}
    for one in found.replies:
        replies[one.declaration.reference].append(one)
    _show.table("What went where", _COLUMNS, [_row(one, replies[one.reference]) for one in found.declarations])
    wrong = [one for one in found.replies if not one.right]
    if wrong:
        _show.table("Wrong", ("came", "K", "answer", "belongs", "went"), map(_wrong, wrong))
    _show.rows(summary(found))
    for line in _came_to(found):
        _show.line(line)


def _came_to(found: Rehearsal) -> Iterable[str]:
    """Say in a line or two what it came to."""
    missing = _not_taken(found)
    refused = f"{missing} declaration{' was' if missing == 1 else 's were'} not taken" if missing else ""
    if found.wrong:
        yield "SOMETHING WENT ELSEWHERE; see above."
    if not found.replies:
        yield "NOTHING WAS ANSWERED, so nothing was rehearsed."
    elif found.silent:
        its = "its part was" if len(found.silent) == 1 else "their parts were"
        silent = f"{' and '.join(found.silent)} ANSWERED NOTHING, so {its} not rehearsed."
        yield f"{refused}, and {silent}" if refused else silent
    elif not found.wrong:
        what = f"that was taken went where it belongs; {refused}" if refused else "went where it belongs"
        yield f"Everything {what}."


def _not_taken(found: Rehearsal) -> int:
    return sum(one.taken_by is None for one in found.declarations)


def _row(declared: Declared, replies: list[Came]) -> tuple[object, ...]:
    places = [place for one in replies for place in one.went]
    processes = Counter(place.name for place in places if place.where is Where.PROCESS)
    reasons = Counter(place.name for place in places if place.where is Where.QUARANTINE)
    return (
        _minute(declared.at),
        declared.party,
        declared.kind,
        declared.reference,
        declared.taken_by or f"not taken by {declared.chosen}",
        _counted(processes),
        sum(one.after_move for one in replies),
        _counted(reasons),
        "yes" if declared.right and all(one.right for one in replies) else "NO",
    )


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(names.items()))


def _wrong(one: Came) -> tuple[object, ...]:
    went = "; ".join(map(str, one.went))
    return _minute(one.at), one.declaration.reference, one.fault or one.kind, one.belongs, went


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _declared(one: Declared) -> Facts:
    return {
        "sent": one.at.isoformat(),
        "party": str(one.party),
        "kind": one.kind,
        "reference": one.reference,
        "system": one.chosen,
        "taken_by": one.taken_by,
        "right": one.right,
    }


def _came(one: Came) -> Facts:
    return {
        "came": one.at.isoformat(),
        "reference": one.declaration.reference,
        "party": str(one.declaration.party),
        "kind": one.kind.value,
        "fault": None if one.fault is None else one.fault.value,
        "times": one.times,
        "after_move": one.after_move,
        "belongs": _place(one.belongs),
        "went": [_place(place) for place in one.went],
        "right": one.right,
    }


def _place(place: Place) -> Facts:
    process = place.where is Where.PROCESS
    return {
        "where": place.where.value,
        "system": place.name if process else None,
        "party": place.party if process else None,
        "correlation": place.correlation if process else None,
        "reason": place.name if place.where is Where.QUARANTINE else None,
    }
