"""
Turn what is told of a move into plain facts, the same for a person and for a program.

Never does: print, or look at a party that was not asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from htpoort.cli._facts import Facts
from htpoort.cli._records import moment
from htpoort.cutover import Coming, Progress, coming, progress
from htpoort.cutover.moves import day_of
from htpoort.cutover.shadow import differences
from htpoort.exchange import State
from htpoort.party import PartyId

if TYPE_CHECKING:
    from htpoort.config import AgentConfig, CutoverConfig
    from htpoort.ledger import Exchange, Ledger, Shadow, Status

COMING: Final = ("party", "kind", "before", "after", "open", "oldest", "oldest_days", "changes", "untested")
"""The columns of a preview."""
SHADOWS: Final = ("party", "reference", "system", "shadow_system", "what", "sent", "shadow")
"""The columns of the differences of shadows."""

_OVER: Final = (State.ANSWERED, State.CLOSED)
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OTHER: Final = "look whether it is the right one: where it never worked with it, a person has to decide."
_HELD: Final = "in quarantine may be of it; release or discard each: htpoort quarantine list."


def previewed(  # noqa: PLR0913 - one argument for each thing that is told of
    settings: AgentConfig,
    cutover: CutoverConfig,
    ledger: Ledger,
    *,
    on: date,
    at: datetime,
    parties: Iterable[PartyId],
) -> list[Facts]:
    """
    Tell which parties move on a day, and what that means.

    Args:
        settings: What the systems are compared by.
        cutover: Says who moves.
        ledger: Knows what is open, and what was done before.
        on: The day.
        at: Now.
        parties: Whom to tell about.
    """
    moving = [party for party in parties if cutover.plan.moves_of(party)]
    found = coming(
        cutover.plan, on=on, parties=moving, standings=ledger.standings(moving), settings=settings.settings_of
    )
    return [_coming(one, at) for one in found]


def _coming(found: Coming, at: datetime) -> Facts:
    oldest = found.left.oldest
    return {
        "party": str(found.party),
        "kind": found.kind,
        "before": found.before.name,
        "after": found.after.name,
        "open": found.left.open,
        "oldest": moment(oldest),
        "oldest_days": None if oldest is None else (at - oldest).days,
        "changes": [{"what": one.what, "before": one.before, "after": one.after} for one in found.changes],
        "untested": list(found.untested),
    }


def coming_cells(facts: Facts) -> Facts:
    """Write a line of a preview for a table: what changes and what is untested as texts."""
    changes = "; ".join(f"{one['what']}: {one['before']} -> {one['after']}" for one in facts["changes"])
    return {**facts, "changes": changes, "untested": " ".join(facts["untested"])}


def gone(cutover: CutoverConfig, ledger: Ledger, *, at: datetime, parties: Iterable[PartyId]) -> list[Progress]:
    """
    Tell how far parties have moved.

    Args:
        cutover: Says who moves, and what is left.
        ledger: Knows what is open, and what came last.
        at: Now.
        parties: Whom to tell about.
    """
    asked = tuple(parties)
    return list(
        progress(
            cutover.plan,
            leaving=cutover.leaving,
            at=at,
            parties=asked,
            standings=ledger.standings(asked),
            quiet_days=cutover.quiet_days,
        )
    )


def party(found: Progress) -> Facts:
    """Tell how far a party has moved."""
    return {
        "party": str(found.party),
        "stage": found.stage.value,
        "now": [{"kind": kind, "system": system.name} for kind, system in found.now.items()],
        "open": found.left.open,
        "oldest": moment(found.left.oldest),
        "last_reply": {name: moment(standing.last_reply) for name, standing in found.standings.items()},
        "waits_for": list(found.waits_for),
    }


def party_columns(systems: Iterable[str]) -> tuple[str, ...]:
    """Name the columns of a list of parties: one for the last reply of each system."""
    return ("party", "stage", "now", "open", "oldest", *(f"last reply of {name}" for name in systems), "waits_for")


def party_cells(facts: Facts) -> Facts:
    """Write a line of a list of parties for a table."""
    now = "; ".join(one["system"] if one["kind"] is None else f"{one['kind']}: {one['system']}" for one in facts["now"])
    plain = {name: facts[name] for name in ("party", "stage", "open", "oldest")}
    last: Mapping[str, str | None] = facts["last_reply"]
    replies = {f"last reply of {name}": at for name, at in last.items()}
    return {**plain, "now": now, **replies, "waits_for": " ".join(facts["waits_for"])}


def leaving(cutover: CutoverConfig, ledger: Ledger, *, at: datetime, found: Iterable[Progress]) -> Facts:
    """
    Tell whether the system that is left may be switched off.

    Args:
        cutover: Says which one that is.
        ledger: Asked as a whole: it may hold what is of no party of the configuration any more.
        at: Now.
        found: How far each party has moved.
    """
    told, name, days, status = list(found), cutover.leaving.name, cutover.quiet_days, ledger.status()
    last = ledger.last_reply(name, after=at - timedelta(days=days))
    waiting = sum(bool(one.waits_for) for one in told)
    all_open = sum(
        number for (system, state), number in status.exchanges.items() if system == name and state not in _OVER
    )
    strangers = all_open - sum(one.left.open for one in told)
    undelivered = status.undelivered.get(name, 0)
    waits = [
        *([f"{waiting} of {len(told)} parties wait for something."] if waiting else []),
        *([f"{strangers} declarations of parties that are not in the file are open."] if strangers > 0 else []),
        *([f"{undelivered} of its replies wait for delivery."] if undelivered else []),
        *([f"The last reply of {name} came on {day_of(last).isoformat()}, less than {days} days ago."] if last else []),
        # Whose they are cannot be told, or they would not be there.
        *([f"{status.quarantined} messages {_HELD}"] if status.quarantined else []),
        # Silence says nothing where nobody has listened.
        *([f"This ledger holds nothing of {name}; {_OTHER}"] if not _knows(ledger, name, status) else []),
    ]
    return {"leaving": name, "may_be_switched_off": not waits, "waits_for": waits}


def _knows(ledger: Ledger, name: str, status: Status) -> bool:
    """Tell whether a ledger holds anything of a system."""
    return any(system == name for system, _ in status.exchanges) or ledger.last_reply(name, after=_EVER) is not None


def compared(found: Iterable[Shadow]) -> Iterator[Facts]:
    """Tell in what each shadow differs from what was queued, one by one as they are read."""
    for one in found:
        those = [
            {"what": each.what, "sent": each.sent, "shadow": each.shadow} for each in differences(one.sent, one.raw)
        ]
        yield {**_compared(one.exchange, one.system), "differences": those}


def _compared(exchange: Exchange, shadow: str) -> Facts:
    return {
        "party": exchange.party,
        "reference": exchange.reference,
        "system": exchange.system,
        "shadow_system": shadow,
    }


def shadow_lines(found: Iterable[Facts]) -> Iterator[Facts]:
    """Write a line for each difference; one that is empty for a shadow that differs in nothing."""
    for facts in found:
        own = {name: value for name, value in facts.items() if name != "differences"}
        for each in facts["differences"] or [{"what": None, "sent": None, "shadow": None}]:
            yield {**own, **each}
