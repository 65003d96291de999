"""Play a plan against the simulator, in simulated time and with a ledger of its own."""

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

from htpoort.core.cutover import CutoverPlan
from htpoort.core.cutover.moves import ZONE, kind_key
from htpoort.core.directory import AGS, Directory
from htpoort.core.errors import InputError, Problem
from htpoort.core.message import Submission, build
from htpoort.core.party import PartyId
from htpoort.core.routing import Router, SentLookup
from htpoort.core.text import ascii_lower
from htpoort.rehearsal._run import MAILBOX, RehearsalRun
from htpoort.rehearsal._verdicts import Rehearsal, RehearsedDeclaration, arrivals, verdicts
from htpoort.simulator.faults import ReplyFault
from htpoort.simulator.replies import OTHER_PARTY
from htpoort.simulator.scenarios import ReplyKind, Scenario, ScriptedReply
from htpoort.simulator.script import Script

_DAY: Final = timedelta(days=1)

SCRIPT: Final = Script(
    scenarios=(
        Scenario(
            name="every system replies twice, late, out of order, and wrongly",
            replies=(
                ScriptedReply(fault=ReplyFault.DUPLICATE),
                ScriptedReply(kind=ReplyKind.CONTROL, after=timedelta(hours=2), fault=ReplyFault.OUT_OF_ORDER),
                ScriptedReply(kind=ReplyKind.RELEASE, after=3 * _DAY),
                ScriptedReply(kind=ReplyKind.RELEASE, after=4 * _DAY, fault=ReplyFault.OTHER_SYSTEM),
                ScriptedReply(kind=ReplyKind.RELEASE, after=4 * _DAY, fault=ReplyFault.WRONG_PROCESS_ID),
                ScriptedReply(kind=ReplyKind.RELEASE, after=4 * _DAY, fault=ReplyFault.OTHER_PARTY),
                # Of a kind that was not sent before; otherwise it would be a copy, which is delivered once.
                ScriptedReply(kind=ReplyKind.REJECTION, after=30 * _DAY),
                ScriptedReply(kind=ReplyKind.CONTROL, after=30 * _DAY, fault=ReplyFault.OTHER_K),
            ),
        ),
    )
)
"""The default script of the gateway: for a month, every fault that a reply can have and still have one right place."""

_HOURS: Final = ((-1, time(23, 30)), (0, time(0, 30)), (1, time(12)))
"""When declarations are sent, by the day of a move: just before and after its midnight, and at noon of the next day."""

_FIRST: Final = date(2000, 1, 1)
_LAST: Final = date(2099, 12, 31)

_EDIFACT: Final = b"UNB+UNOC:3+REHEARSAL+DMS.NL+261201:0030+1'\r\n"
_XML: Final = b'<MetaData xmlns="urn:wco:datamodel:WCO:DMS.Declaration:1"/>\r\n'

RouterFactory = Callable[[Directory, tuple[PartyId, ...], SentLookup], Router]
"""Makes the router of a rehearsal from the systems, the parties, and the ledger's look-up of what was sent."""


def _router(directory: Directory, parties: tuple[PartyId, ...], _sent: SentLookup) -> Router:
    # As every agent has it: the ledger compares with what was sent.
    return Router(directory=directory, parties=parties)


async def rehearse(
    plan: CutoverPlan, *, parties: Iterable[PartyId] = (), script: Script = SCRIPT, router: RouterFactory = _router
) -> Rehearsal:
    """
    Play a plan against the simulator, in simulated time and with a ledger of its own.

    Each party of the plan declares before, on and after the day of each of its moves, for each kind that the
    plan distinguishes; so does one party that does not move. On the middle day the agent is restarted, so that
    it knows earlier declarations from the ledger alone. A reply to another party is sent twice: once to a party
    that the agent does not have, and once to another party that declares.

    Args:
        plan: Which party moves, and when.
        parties: All parties of the program. The first that does not move declares too; if there is none, a
            made-up party does.
        script: How the gateway replies, and its faults.
        router: Makes the router that is tested; by default the one that every agent has.

    Returns:
        Each declaration and each reply, with where it arrived and where it belongs.

    Raises:
        InputError: The plan has no move, or one on a day before 2000 or after 2099.
        LedgerError: The ledger of the rehearsal cannot be written.
        OSError: Loopback cannot be listened on, or no temporary folder can be made.
    """
    _refuse(plan)
    moving = plan.parties()
    declaring = (*moving, _one_that_stays(moving, parties))
    declared = _declared(plan, declaring)
    days = sorted({move.since for move in plan.moves})
    middle = datetime.combine(days[len(days) // 2], time(), ZoneInfo(ZONE))
    with tempfile.TemporaryDirectory(prefix="htpoort-") as folder:
        run = RehearsalRun(
            url=f"sqlite:///{Path(folder, 'rehearsal.db')}",
            router=lambda ledger: router(plan.directory, declaring, ledger.sent),
            directory=plan.directory,
            parties=declaring,
            script=script,
            start=declared[0].at,
        )
        async with run:
            await _play(run, declared, middle, plan.directory)
            held = await run.quarantine()
    accepted = {one.envelope.reference: one.system.name for one in run.gateway.received}
    declarations = tuple(attrs.evolve(one, accepted_by=accepted.get(one.reference)) for one in declared)
    places = arrivals(run.delivered, held)
    sent = sorted((*run.gateway.sent, *run.misaddressed), key=operator.attrgetter("at"))
    return Rehearsal(
        declarations=declarations,
        replies=verdicts(plan, {one.reference: one for one in declarations}, declaring, sent, places, mailbox=MAILBOX),
        restarted=middle,
    )


def _refuse(plan: CutoverPlan) -> None:
    """Refuse a plan that cannot be played; report every problem."""
    problems = [
        Problem("cutover.day", f"{move}: a rehearsal takes days from {_FIRST} to {_LAST} only.")
        for move in plan.moves
        if not _FIRST <= move.since <= _LAST
    ]
    if not plan.moves:
        problems.append(Problem("cutover.empty", "The plan has no move, so there is nothing to rehearse; add one."))
    if problems:
        raise InputError("", tuple(problems))


def _one_that_stays(moving: Iterable[PartyId], parties: Iterable[PartyId]) -> PartyId:
    """Find a party that does not move, or make one up, other than the stranger in the simulator's replies."""
    taken = {ascii_lower(str(party)) for party in moving}
    others = (party for party in parties if ascii_lower(str(party)) not in taken)
    names = (f"NL123456789.{number}.05" for number in itertools.count(98))
    stand_ins = (PartyId.parse(name) for name in names if ascii_lower(name) not in {*taken, ascii_lower(OTHER_PARTY)})
    return next(itertools.chain(others, stand_ins))


# ── the declarations ─────────────────────────────────────────────────────────


def _declared(plan: CutoverPlan, parties: Iterable[PartyId]) -> tuple[RehearsedDeclaration, ...]:
    """List the declarations in the order of their moments; their references are numbered in that order."""
    zone = ZoneInfo(ZONE)
    moments = {
        (datetime.combine(day + away * _DAY, hour, zone), at, kind or "", party)
        for at, party in enumerate(parties)
        for kind in plan.kinds_of(party)
        for day in _days(plan, party, kind)
        for away, hour in _HOURS
    }
    return tuple(
        RehearsedDeclaration(
            at=at,
            party=party,
            kind=kind or None,
            reference=f"REHEARSAL{number:06}",
            planned=plan.system_for(party, on=at, kind=kind or None).name,
        )
        for number, (at, _, kind, party) in enumerate(sorted(moments, key=operator.itemgetter(0, 1, 2)), start=1)
    )


def _days(plan: CutoverPlan, party: PartyId, kind: str | None) -> Iterable[date]:
    """List the days on which something changes for a party; for one that does not move, those of the others."""
    own = plan.moves_of(party)
    kinds = {None, kind_key(kind)}
    return (move.since for move in own or plan.moves if not own or kind_key(move.kind) in kinds)


def _built(declared: RehearsedDeclaration, directory: Directory) -> Submission:
    system = directory.system(declared.planned)
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


async def _play(
    run: RehearsalRun, declared: Iterable[RehearsedDeclaration], middle: datetime, directory: Directory
) -> None:
    """Send each declaration at its moment, restart the agent in the middle, and wait for the last reply."""
    at: dict[datetime, list[Submission]] = {}
    for one in declared:
        at.setdefault(one.at, []).append(_built(one, directory))
    for moment in sorted({*at, middle}):
        await run.pass_to(moment)
        if moment == middle:
            await run.restart()
        await run.send(at.get(moment, ()))
    await run.play_to_end()
