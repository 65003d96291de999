"""
Rehearse a move: play a plan against the simulator, and judge where each reply went.

Never does: touch a ledger or a server that is in use, or judge by what it tests: neither router nor plan is asked.
"""

from __future__ import annotations

import itertools
import operator
import tempfile
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from htpoort._words import ascii_lower
from htpoort.cutover import CutoverPlan
from htpoort.cutover.moves import ZONE, kind_key
from htpoort.directory import AGS, Directory
from htpoort.errors import InputError, Problem
from htpoort.message import Submission, build
from htpoort.party import PartyId
from htpoort.routing import Router, SentLookup
from htpoort.simulator._judging import Came, Declared, Place, Rehearsal, Where, judged, went_where
from htpoort.simulator._rehearsing import MAILBOX, Exchanging
from htpoort.simulator.answers import OTHER_PARTY
from htpoort.simulator.faults import AnswerFault
from htpoort.simulator.scenarios import Answer, Kind, Scenario, Script

__all__ = ["SCRIPT", "Came", "Declared", "Place", "Rehearsal", "Where", "rehearse"]

_DAY: Final = timedelta(days=1)

SCRIPT: Final = Script(
    scenarios=(
        Scenario(
            name="every system answers twice, late, out of order, and wrongly",
            answers=(
                Answer(fault=AnswerFault.DUPLICATE),
                Answer(kind=Kind.CONTROL, after=timedelta(hours=2), fault=AnswerFault.OUT_OF_ORDER),
                Answer(kind=Kind.RELEASE, after=3 * _DAY),
                Answer(kind=Kind.RELEASE, after=4 * _DAY, fault=AnswerFault.OTHER_SYSTEM),
                Answer(kind=Kind.RELEASE, after=4 * _DAY, fault=AnswerFault.WRONG_PROCESS_ID),
                Answer(kind=Kind.RELEASE, after=4 * _DAY, fault=AnswerFault.OTHER_PARTY),
                # Of a kind that did not come before: else it would be a copy, which is delivered once.
                Answer(kind=Kind.REJECTION, after=30 * _DAY),
                Answer(kind=Kind.CONTROL, after=30 * _DAY, fault=AnswerFault.OTHER_K),
            ),
        ),
    )
)
"""How the gateway answers where nobody says it: two months of the worst that has a right outcome."""

_HOURS: Final = ((-1, time(23, 30)), (0, time(0, 30)), (1, time(12)))
"""When declarations are sent, by the day of a move: at both sides of its midnight, and at noon of the next day."""

_FIRST: Final = date(2000, 1, 1)
_LAST: Final = date(2099, 12, 31)

_EDIFACT: Final = b"UNB+UNOC:3+REHEARSAL+DMS.NL+261201:0030+1'\r\n"
_XML: Final = b'<MetaData xmlns="urn:wco:datamodel:WCO:DMS.Declaration:1"/>\r\n'

Routing = Callable[[Directory, tuple[PartyId, ...], SentLookup], Router]
"""Makes the router of a rehearsal, of the systems, the parties, and the ledger's look-up of what was sent."""


def _router(directory: Directory, parties: tuple[PartyId, ...], sent: SentLookup) -> Router:
    return Router(directory=directory, parties=parties, sent=sent)


async def rehearse(
    plan: CutoverPlan, *, parties: Iterable[PartyId] = (), script: Script = SCRIPT, router: Routing = _router
) -> Rehearsal:
    """
    Play a plan against the simulator, in simulated time and with a ledger of its own.

    Each party of the plan declares before, on and after the day of each of its moves, for each kind that the
    plan tells apart; so does one party that does not move. On the middle one of all days the agent is stopped
    and started again, so that what was sent before is known from the ledger alone. An answer for another party
    comes twice: for a stranger, and for another one of those that declare.

    Args:
        plan: Who moves, and when.
        parties: All parties of the program; the first that does not move declares too, and a stand-in
            where there is none.
        script: How the gateway answers, and what it does wrong.
        router: Makes the router that is tested; the one that every agent has where not given.

    Returns:
        Each declaration and each reply, with where it went and where it belongs.

    Raises:
        InputError: The plan has no move, or one on a day before 2000 or after 2099.
        LedgerError: The ledger of the rehearsal cannot be written.
        OSError: Loopback cannot be listened on, or there is no place for a temporary folder.
    """
    _refuse(plan)
    moving = plan.parties()
    everybody = (*moving, _one_that_stays(moving, parties))
    declared = _declared(plan, everybody)
    days = sorted({move.since for move in plan.moves})
    middle = datetime.combine(days[len(days) // 2], time(), ZoneInfo(ZONE))
    with tempfile.TemporaryDirectory(prefix="htpoort-") as folder:
        exchanging = Exchanging(
            url=f"sqlite:///{Path(folder, 'rehearsal.db')}",
            router=lambda ledger: router(plan.directory, everybody, ledger.sent),
            directory=plan.directory,
            parties=everybody,
            script=script,
            start=declared[0].at,
        )
        async with exchanging:
            await _play(exchanging, declared, middle, plan.directory)
            held = await exchanging.quarantine()
    taken = {one.envelope.reference: one.system.name for one in exchanging.gateway.received}
    told = tuple(attrs.evolve(one, taken_by=taken.get(one.reference)) for one in declared)
    went = went_where(exchanging.delivered, held)
    sent = sorted((*exchanging.gateway.sent, *exchanging.astray), key=operator.attrgetter("at"))
    return Rehearsal(
        declarations=told,
        replies=judged(plan, {one.reference: one for one in told}, everybody, sent, went),
        restarted=middle,
    )


def _refuse(plan: CutoverPlan) -> None:
    """Refuse what cannot be played; tells all."""
    problems = [
        Problem("cutover.day", f"{move}: only days from {_FIRST} to {_LAST} can be rehearsed.")
        for move in plan.moves
        if not _FIRST <= move.since <= _LAST
    ]
    if not plan.moves:
        problems.append(Problem("cutover.empty", "The plan has no move, so there is nothing to rehearse."))
    if problems:
        raise InputError("", tuple(problems))


def _one_that_stays(moving: Iterable[PartyId], parties: Iterable[PartyId]) -> PartyId:
    """Find a party that does not move, or a stand-in, which is not the stranger of the simulator's answers."""
    taken = {ascii_lower(str(party)) for party in moving}
    others = (party for party in parties if ascii_lower(str(party)) not in taken)
    names = (f"NL123456789.{number}.05" for number in itertools.count(98))
    stand_ins = (PartyId.parse(name) for name in names if ascii_lower(name) not in {*taken, ascii_lower(OTHER_PARTY)})
    return next(itertools.chain(others, stand_ins))


# ── what is declared ─────────────────────────────────────────────────────────


def _declared(plan: CutoverPlan, parties: Iterable[PartyId]) -> tuple[Declared, ...]:
    """Say what is declared, in the order of the moments; the numbers of the references are in that order."""
    zone = ZoneInfo(ZONE)
    moments = {
        (datetime.combine(day + away * _DAY, hour, zone), at, kind or "", party)
        for at, party in enumerate(parties)
        for kind in plan.kinds_of(party)
        for day in _days(plan, party, kind)
        for away, hour in _HOURS
    }
    return tuple(
        Declared(
            at=at,
            party=party,
            kind=kind or None,
            reference=f"REHEARSAL{number:06}",
            chosen=plan.system_for(party, on=at, kind=kind or None).name,
        )
        for number, (at, _, kind, party) in enumerate(sorted(moments, key=operator.itemgetter(0, 1, 2)), start=1)
    )


def _days(plan: CutoverPlan, party: PartyId, kind: str | None) -> Iterable[date]:
    """Give the days on which something changes for a party; for one that does not move, those of the others."""
    own = plan.moves_of(party)
    kinds = {None, kind_key(kind)}
    return (move.since for move in own or plan.moves if not own or kind_key(move.kind) in kinds)


def _built(declared: Declared, directory: Directory) -> Submission:
    system = directory.system(declared.chosen)
    return build(
        system=system,
        party=str(declared.party),
        mailbox=MAILBOX,
        reference=declared.reference,
        payload=_EDIFACT if system.process_id == AGS.process_id else _XML,
        date=declared.at,
        message_id=f"<{declared.reference}@forwarder.example>",
        directory=directory,
    )


async def _play(exchanging: Exchanging, declared: Iterable[Declared], middle: datetime, directory: Directory) -> None:
    """Send each declaration at its moment, start the agent again in the middle, and wait for the last reply."""
    at: dict[datetime, list[Submission]] = {}
    for one in declared:
        at.setdefault(one.at, []).append(_built(one, directory))
    for moment in sorted({*at, middle}):
        await exchanging.pass_to(moment)
        if moment == middle:
            await exchanging.restart()
        await exchanging.send(at.get(moment, ()))
    await exchanging.play_out()
