"""
Tell what a move changes, what it leaves open, and how far it has come.

Never does: look at a party that was not asked for; what one declarant reads holds nothing of another.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final, final

import attrs

from htpoort._words import ascii_lower
from htpoort.cutover.moves import day_of
from htpoort.cutover.plan import CutoverPlan
from htpoort.directory import DeclarationSystem
from htpoort.party import PartyId

__all__ = ["Change", "Coming", "Progress", "Stage", "Standing", "StandingOf", "coming", "progress"]

QUIET_DAYS: Final = 30
"""Days without a reply after which nothing more is expected; how late replies can come is unknown."""


@final
@attrs.frozen(kw_only=True)
class Standing:
    """
    Say how a party stands with a system, as the ledger knows it.

    Args:
        sent: Its declarations that the system's mail server took, or may have taken.
        open: Its declarations of all kinds that are neither answered nor closed; those that are queued, and those
            that the mail server refused, are among them.
        oldest: When the oldest of those was queued, aware; None where none is open.
        replies: Replies of the system to it, without copies.
        last_reply: When the last of those first came, aware; None where there is none.
    """

    sent: int = 0
    open: int = 0
    oldest: datetime | None = None
    replies: int = 0
    last_reply: datetime | None = None


StandingOf = Mapping[tuple[str, str], Standing]
"""By V in lower case and the name of the system; what is not there has sent and received nothing."""

_NOTHING: Final = Standing()


@final
@attrs.frozen(kw_only=True)
class Change:
    """
    Say one setting that a move changes.

    Args:
        what: Its name, as ``mailbox``.
        before: With the system that is left.
        after: With the system that is moved to.
    """

    what: str
    before: str
    after: str


@final
@attrs.frozen(kw_only=True)
class Coming:
    """
    Tell what a day changes for a party.

    Args:
        party: V, which stays.
        kind: The kind of declaration; None for all that have no move of their own.
        before: The system of the day before.
        after: The system from that day.
        left: How the party stands with *before*, all its kinds together: what that took, it answers itself. Where
            several kinds move, the numbers are the same for each; do not add them up.
        changes: Settings that differ.
        untested: Sentences, each about something that has never been done with *after*.
    """

    party: PartyId
    kind: str | None
    before: DeclarationSystem
    after: DeclarationSystem
    left: Standing
    changes: tuple[Change, ...]
    untested: tuple[str, ...]


Settings = Callable[[DeclarationSystem], Mapping[str, str]]
"""Gives the settings of a system by their names, as a configuration has them."""


def coming(
    plan: CutoverPlan,
    *,
    on: date | datetime,
    parties: Iterable[PartyId],
    standings: StandingOf,
    settings: Settings | None = None,
) -> tuple[Coming, ...]:
    """
    Tell which parties move on a day, and what that means.

    Args:
        plan: Says when.
        on: The day in Europe/Amsterdam, or an aware datetime of it.
        parties: Whom to tell about; nobody else is looked at.
        standings: What the ledger knows of them.
        settings: More settings of a system than its mailbox and process ID, its mail server for example.
            A setting that is empty counts as missing.

    Returns:
        One value for each party and kind that moves that day, in the order of *parties*.

    Raises:
        InputError: *on* is a naive datetime.
    """
    day = day_of(on)
    found: list[Coming] = []
    for party in parties:
        for kind in plan.kinds_of(party):
            before = plan.system_for(party, on=day - timedelta(days=1), kind=kind)
            after = plan.system_for(party, on=day, kind=kind)
            if before is after:
                continue
            old, new = _settings(before, settings), _settings(after, settings)
            found.append(
                Coming(
                    party=party,
                    kind=kind,
                    before=before,
                    after=after,
                    left=_standing(standings, party, before),
                    changes=tuple(
                        Change(what=what, before=old.get(what, ""), after=new.get(what, ""))
                        for what in {**old, **new}
                        if old.get(what, "") != new.get(what, "")
                    ),
                    untested=_untested(party, after, _standing(standings, party, after), new),
                )
            )
    return tuple(found)


def _standing(standings: StandingOf, party: PartyId, system: DeclarationSystem) -> Standing:
    return standings.get((ascii_lower(str(party)), system.name), _NOTHING)


def _settings(system: DeclarationSystem, more: Settings | None) -> dict[str, str]:
    own = {
        "mailbox": system.mailbox,
        "process ID": system.process_id,
        "replies as": ", ".join(sorted(system.reply_ids)),
    }
    return own if more is None else own | dict(more(system))


def _untested(
    party: PartyId, system: DeclarationSystem, standing: Standing, settings: Mapping[str, str]
) -> tuple[str, ...]:
    """Say what has never been done; a first time on the day of the move is a bad time."""
    found: list[str] = []
    if not standing.sent:
        found.append(f"{party} has never sent to {system.name}.")
    if not standing.replies:
        found.append(f"{party} has never had a reply of {system.name}.")
    found += [f"{system.name} has no {what}." for what, value in settings.items() if not value]
    return tuple(found)


class Stage(enum.Enum):
    """Tell how far a party has come."""

    NOT_YET = "not-yet"
    """All its declarations go to the system that is left."""
    MOVING = "moving"
    """Some kinds still go there or did until lately, or something is open there, or a reply of it came not long ago."""
    MOVED = "moved"
    """For the days that were set nothing went there and no reply that is new came, and nothing is open there."""


@final
@attrs.frozen(kw_only=True)
class Progress:
    """
    Tell how far a party has moved away from a system.

    Args:
        party: V.
        stage: Not yet, moving or moved.
        now: The system of each kind today; the kind None stands for all others.
        left: How it stands with the system that is left.
        standings: How it stands with each system, by name.
        waits_for: Sentences, each a reason why the old system may not be switched off for this party; empty
            where it may.
    """

    party: PartyId
    stage: Stage
    now: Mapping[str | None, DeclarationSystem]
    left: Standing
    standings: Mapping[str, Standing]
    waits_for: tuple[str, ...]


def progress(  # noqa: PLR0913 - one argument for each thing that decides
    plan: CutoverPlan,
    *,
    leaving: DeclarationSystem,
    at: datetime,
    parties: Iterable[PartyId],
    standings: StandingOf,
    quiet_days: int = QUIET_DAYS,
) -> tuple[Progress, ...]:
    """
    Tell how far parties have moved away from a system.

    That is the part of each party. Copies of replies, the quarantine, and parties that are not asked for are the
    part of the whole ledger: see `Ledger.last_reply` and `Ledger.status`.

    Args:
        plan: Says who uses what, and when.
        leaving: The system that is to be switched off one day; found in the plan's directory by its name.
        at: Now, aware.
        parties: Whom to tell about; nobody else is looked at.
        standings: What the ledger knows of them.
        quiet_days: Days without a reply of *leaving*, and without a kind that goes there by the plan, before it
            may be switched off.

    Returns:
        One value for each party. While any of them waits for anything, *leaving* may not be switched off.

    Raises:
        InputError: *at* is naive.
        UnknownError: The directory of the plan has no system of that name.
    """
    today = day_of(at)
    # Systems are told apart by identity below, and a copy or another directory's own is not the plan's.
    leaving = plan.directory.system(leaving.name)
    return tuple(_progress(plan, leaving, at, today, party, standings, quiet_days) for party in parties)


def _progress(  # noqa: PLR0913, PLR0917 - one argument for each thing that decides
    plan: CutoverPlan,
    leaving: DeclarationSystem,
    at: datetime,
    today: date,
    party: PartyId,
    standings: StandingOf,
    quiet_days: int,
) -> Progress:
    now = {kind: plan.system_for(party, on=today, kind=kind) for kind in plan.kinds_of(party)}
    left = _standing(standings, party, leaving)
    uses = [kind for kind, system in now.items() if system is leaving]
    waits = [f"{_named(kind)} still go to {leaving.name}." for kind in uses]
    waits += [
        f"{_named(move.kind)} go to {leaving.name} again from {move.since.isoformat()}."
        for move in plan.moves_of(party)
        if move.since > today and ascii_lower(move.system) == ascii_lower(leaving.name)
    ]
    if left.open and left.oldest is not None:
        waits.append(
            f"{left.open} of its declarations are open there, the oldest of {day_of(left.oldest).isoformat()}."
        )
    # Whole days, as a number: a timedelta cannot hold every number of them.
    if left.last_reply is not None and (at - left.last_reply).days < quiet_days:
        last = day_of(left.last_reply).isoformat()
        waits.append(f"The last reply of {leaving.name} came on {last}, less than {quiet_days} days ago.")
    elif not uses and (since := _left_on(plan, party, leaving, today)) and (today - since).days < quiet_days:
        # That nothing came means little as long as answers may still be on their way.
        waits.append(
            f"Its last move away from {leaving.name} was on {since.isoformat()}, less than {quiet_days} days ago."
        )
    all_there = len(uses) == len(now)
    return Progress(
        party=party,
        stage=Stage.NOT_YET if all_there else Stage.MOVING if waits else Stage.MOVED,
        now=now,
        left=left,
        standings={system.name: _standing(standings, party, system) for system in plan.directory},
        waits_for=tuple(waits),
    )


def _left_on(plan: CutoverPlan, party: PartyId, leaving: DeclarationSystem, today: date) -> date | None:
    """Give the first day on which the last kind that went to a system went elsewhere; None if none ever did."""
    found = [
        move.since
        for kind in plan.kinds_of(party)
        for move in plan.moves_of(party)
        # The first day of the calendar has none before it.
        if date.min < move.since <= today
        and plan.system_for(party, on=move.since - timedelta(days=1), kind=kind) is leaving
        and plan.system_for(party, on=move.since, kind=kind) is not leaving
    ]
    return max(found, default=None)


def _named(kind: str | None) -> str:
    return "Declarations" if kind is None else f"Declarations of the kind {kind}"
