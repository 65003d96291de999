"""
Follow a move: how far each party has come, and whether the old system may be switched off.

Only the parties that are asked for are read, so the report of one declarant shows nothing of another. The decision to
switch a system off needs the whole ledger, and counts without names what belongs to anyone else.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final, final

import attrs

from htpoort.core.cutover.moves import day_of
from htpoort.core.cutover.plan import CutoverPlan
from htpoort.core.directory import DeclarationSystem
from htpoort.core.party import PartyId
from htpoort.core.text import ascii_lower

__all__ = [
    "QUIET_DAYS",
    "MoveProgress",
    "MoveStage",
    "OldSystemFacts",
    "PartyTotals",
    "SwitchOff",
    "Totals",
    "decide_switch_off",
    "move_progress",
]

QUIET_DAYS: Final = 150
"""
Days without a reply after which no more is expected.

An export declaration of AGS without a confirmation of exit is invalidated after 150 days, with reminders after 30
and 120 (*field*). The latest reply of any other kind is unknown.
"""


@final
@attrs.frozen(kw_only=True)
class PartyTotals:
    """
    Counts of what a ledger holds for one party and one system.

    Args:
        sent: The party's declarations that the system's mail server took, or may have taken.
        open: Its declarations of all kinds that are neither answered nor closed. Those that are queued or were refused
            by the mail server count too.
        oldest: When the oldest open declaration was queued, aware; None if none is open.
        replies: Replies of the system to the party, without copies.
        last_reply: When the last of those first came, aware; None if none came.
    """

    sent: int = 0
    open: int = 0
    oldest: datetime | None = None
    replies: int = 0
    last_reply: datetime | None = None


Totals = Mapping[tuple[str, str], PartyTotals]
"""By V in lower case and the name of the system. A pair that is missing has sent and received nothing."""

_NOTHING: Final = PartyTotals()


def totals_of(totals: Totals, party: PartyId, system: DeclarationSystem) -> PartyTotals:
    """Look up one party and one system."""
    return totals.get((ascii_lower(str(party)), system.name), _NOTHING)


class MoveStage(enum.Enum):
    """How far a party has come."""

    NOT_YET = "not-yet"
    """All its declarations go to the old system."""
    MOVING = "moving"
    """Some kinds still go there or did until lately, some declarations are open there, or a reply came lately."""
    MOVED = "moved"
    """No declaration went there and no new reply came for the quiet period, and none is open there."""


@final
@attrs.frozen(kw_only=True)
class MoveProgress:
    """
    How far a party has moved away from a system.

    Args:
        party: V.
        stage: Not yet, moving or moved.
        now: The system of each kind of declaration today; the key None is for all other kinds.
        at_old_system: What the ledger holds of the party and the old system.
        totals: The same for each system of the plan's directory, by its name.
        waits_for: Sentences, each a reason why the old system may not be switched off for this party; empty if it may.
    """

    party: PartyId
    stage: MoveStage
    now: Mapping[str | None, DeclarationSystem]
    at_old_system: PartyTotals
    totals: Mapping[str, PartyTotals]
    waits_for: tuple[str, ...]


def move_progress(  # noqa: PLR0913 - one argument for each thing that decides
    plan: CutoverPlan,
    *,
    old_system: DeclarationSystem,
    at: datetime,
    parties: Iterable[PartyId],
    totals: Totals,
    quiet_days: int = QUIET_DAYS,
) -> tuple[MoveProgress, ...]:
    """
    Describe how far parties have moved away from a system.

    This is each party's own part. Copies of replies, the quarantine, and other parties count only for the ledger as a
    whole: `decide_switch_off` decides with those.

    Args:
        plan: Which party uses which system, and when.
        old_system: The system that is to be switched off one day; looked up by name in the plan's directory.
        at: Now, aware.
        parties: The parties to report; no other party is read.
        totals: What the ledger holds of them: `Ledger.party_totals`.
        quiet_days: Days without a reply of *old_system*, and without a kind that goes there by the plan, before it
            may be switched off.

    Returns:
        One value for each party.

    Raises:
        InputError: *at* is naive.
        UnknownError: The plan's directory has no system of that name.
    """
    today = day_of(at)
    # Systems are compared by identity below, and a copy or another directory's system is not the plan's.
    old_system = plan.directory.system(old_system.name)
    return tuple(_progress(plan, old_system, at, today, party, totals, quiet_days) for party in parties)


@final
@attrs.frozen(kw_only=True)
class OldSystemFacts:
    """
    What a whole ledger knows of the old system, read at one moment: `Ledger.old_system_facts`.

    Args:
        system: The name of the system.
        at: When it was read, aware.
        quiet_days: Days without a reply after which no more is expected.
        parties: All parties that the program declares for.
        totals: What the ledger holds of those parties.
        open: The system's exchanges, of any party, that are neither answered nor closed.
        undelivered: Its replies, of any party, that wait for delivery.
        last_reply: When its last reply came, copies and all parties included, aware; None if none came within
            *quiet_days*.
        quarantined: Messages in quarantine, of any sender, that are neither released nor discarded.
        known: Whether the ledger holds any exchange or any reply of the system.
    """

    system: str
    at: datetime
    quiet_days: int = QUIET_DAYS
    parties: tuple[PartyId, ...]
    totals: Totals
    open: int
    undelivered: int
    last_reply: datetime | None
    quarantined: int
    known: bool


@final
@attrs.frozen(kw_only=True)
class SwitchOff:
    """
    The answer whether the old system may be switched off.

    Args:
        system: The name of the old system.
        waits_for: Sentences, each a reason why it may not be switched off yet; empty if it may.
        progress: How far each party has moved.
    """

    system: str
    waits_for: tuple[str, ...]
    progress: tuple[MoveProgress, ...]

    @property
    def may_be_switched_off(self) -> bool:
        """Whether nothing in the plan or the ledger speaks against it."""
        return not self.waits_for


def decide_switch_off(plan: CutoverPlan, facts: OldSystemFacts) -> SwitchOff:
    """
    Decide whether the old system may be switched off.

    It may not while a party still uses it or has a declaration open there, while a reply may still come or waits for
    delivery, or while a message in quarantine may be one of its replies. A ledger that holds nothing of the system
    cannot answer: silence means nothing if the ledger never listened.

    Args:
        plan: Which party uses which system, and when.
        facts: What the ledger knows: ``ledger.old_system_facts("AGS", parties=parties, at=now)``.

    Returns:
        The answer, with its reasons and each party's progress.

    Raises:
        InputError: *facts.at* is naive.
        UnknownError: The plan's directory has no system of that name.
    """
    asked = tuple({ascii_lower(str(party)): party for party in facts.parties}.values())
    progress = move_progress(
        plan,
        old_system=plan.directory.system(facts.system),
        at=facts.at,
        parties=asked,
        totals=facts.totals,
        quiet_days=facts.quiet_days,
    )
    waits_for = (*_reasons_of_plan(plan, facts.system, progress), *_reasons(facts, progress))
    return SwitchOff(system=facts.system, waits_for=waits_for, progress=progress)


def _reasons_of_plan(plan: CutoverPlan, name: str, progress: tuple[MoveProgress, ...]) -> list[str]:
    """List the reasons that lie with the parties."""
    reasons: list[str] = []
    if waiting := sum(bool(each.waits_for) for each in progress):
        reasons.append(f"Parties that may still need {name}: {waiting} of {len(progress)}; each has its reasons.")
    asked = {ascii_lower(str(each.party)) for each in progress}
    if missing := [str(party) for party in plan.parties() if ascii_lower(str(party)) not in asked]:
        # Nothing is known of these, and the plan says that they use the system or did.
        reasons.append(f"Parties of the plan were left out: {', '.join(missing)}.")
    return reasons


def _reasons(facts: OldSystemFacts, progress: tuple[MoveProgress, ...]) -> list[str]:
    """List the reasons that lie with the ledger as a whole."""
    name, reasons = facts.system, list[str]()
    if (others := facts.open - sum(each.at_old_system.open for each in progress)) > 0:
        reasons.append(f"Open declarations of parties that are not configured: {others}.")
    if facts.undelivered:
        reasons.append(f"Replies of {name} that wait for delivery: {facts.undelivered}.")
    if facts.last_reply is not None:
        last = day_of(facts.last_reply).isoformat()
        reasons.append(f"The last reply of {name} came on {last}, less than {facts.quiet_days} days ago.")
    if facts.quarantined:
        # Their system is unknown, or they would not be in quarantine.
        reasons.append(f"Messages in quarantine that may be from {name}: {facts.quarantined}; release or discard each.")
    if not facts.known:
        reasons.append(
            f"This ledger holds nothing of {name}; check that it is the right ledger. If it never worked with {name}, "
            "it cannot answer."
        )
    return reasons


def _progress(  # noqa: PLR0913, PLR0917 - one argument for each thing that decides
    plan: CutoverPlan,
    old_system: DeclarationSystem,
    at: datetime,
    today: date,
    party: PartyId,
    totals: Totals,
    quiet_days: int,
) -> MoveProgress:
    now = {kind: plan.system_for(party, on=today, kind=kind) for kind in plan.kinds_of(party)}
    at_old_system = totals_of(totals, party, old_system)
    uses = [kind for kind, system in now.items() if system is old_system]
    waits = [f"{_named(kind)} still go to {old_system.name}." for kind in uses]
    waits += [
        f"{_named(move.kind)} go to {old_system.name} again from {move.since.isoformat()}."
        for move in plan.moves_of(party)
        if move.since > today and ascii_lower(move.system) == ascii_lower(old_system.name)
    ]
    if at_old_system.open and at_old_system.oldest is not None:
        oldest = day_of(at_old_system.oldest).isoformat()
        waits.append(f"Declarations that are open there: {at_old_system.open}, the oldest from {oldest}.")
    # Whole days, as a number: a timedelta cannot hold every number of them.
    if at_old_system.last_reply is not None and (at - at_old_system.last_reply).days < quiet_days:
        last = day_of(at_old_system.last_reply).isoformat()
        waits.append(f"The last reply of {old_system.name} came on {last}, less than {quiet_days} days ago.")
    elif not uses and (since := _left_on(plan, party, old_system, today)) and (today - since).days < quiet_days:
        # Silence means little while answers may still be on their way.
        waits.append(
            f"Its last move away from {old_system.name} was on {since.isoformat()}, less than {quiet_days} days ago."
        )
    all_there = len(uses) == len(now)
    return MoveProgress(
        party=party,
        stage=MoveStage.NOT_YET if all_there else MoveStage.MOVING if waits else MoveStage.MOVED,
        now=now,
        at_old_system=at_old_system,
        totals={system.name: totals_of(totals, party, system) for system in plan.directory},
        waits_for=tuple(waits),
    )


def _left_on(plan: CutoverPlan, party: PartyId, old_system: DeclarationSystem, today: date) -> date | None:
    """Find the first day on which the last kind that went to a system went elsewhere; None if none ever did."""
    days = [
        move.since
        for kind in plan.kinds_of(party)
        for move in plan.moves_of(party)
        # The first day of the calendar has none before it.
        if date.min < move.since <= today
        and plan.system_for(party, on=move.since - timedelta(days=1), kind=kind) is old_system
        and plan.system_for(party, on=move.since, kind=kind) is not old_system
    ]
    return max(days, default=None)


def _named(kind: str | None) -> str:
    return "Declarations" if kind is None else f"Declarations of the kind {kind}"
