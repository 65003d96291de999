"""
Use every public name of htpoort as its users do, for mypy --strict and pyright strict to judge.

It runs, too: `main` is called by the test beside it. What a checker infers is written down with `assert_type`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import assert_type

from hypothesis.strategies import SearchStrategy

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    QUIET_DAYS,
    RETRY_SCHEDULE,
    Correlation,
    CutoverPlan,
    Decision,
    DeclarationSystem,
    Difference,
    Directory,
    EnvelopeError,
    Event,
    HtpoortError,
    InputError,
    Layout,
    LedgerError,
    Mark,
    Move,
    MovePreview,
    MoveProgress,
    MoveStage,
    NextStep,
    Objection,
    OldSystemFacts,
    Outcome,
    Part,
    PartyId,
    PartyTotals,
    Payload,
    Problem,
    Quarantined,
    Reason,
    Received,
    Routed,
    Router,
    RoutingEnvelope,
    SendError,
    SendFailure,
    SentLookup,
    SentRecord,
    SettingChange,
    State,
    Submission,
    SwitchOff,
    SystemSettings,
    Totals,
    TransferEncoding,
    UnknownError,
    automatic_reference,
    build,
    correlate,
    day_of,
    decide,
    decide_switch_off,
    differences,
    move_progress,
    preview_moves,
    read,
    read_payload,
    retry_delay,
)
from htpoort.testing import strategies as draw


def envelopes() -> None:
    """Build, read and answer an envelope."""
    envelope = RoutingEnvelope(sender="NL123456789.02.05", addressee="DMS4.NL", reference="22096222734662", s="0")
    assert_type(envelope.sender, str)
    assert_type(envelope.notes, tuple[Problem, ...])
    assert_type(envelope.render(), str)
    assert_type(envelope.reply(), RoutingEnvelope)
    assert_type(RoutingEnvelope.parse(str(envelope)), RoutingEnvelope)
    assert_type(RoutingEnvelope.parse(str(envelope), strict=True), RoutingEnvelope)
    assert_type(RoutingEnvelope.find("Out of office"), RoutingEnvelope | None)


def parties() -> None:
    """Read and compare parties."""
    party = PartyId.parse("NL123456789.02.05")
    assert_type(PartyId(country="NL", number="123456789", groups=("02", "05")), PartyId)
    assert_type(party.groups, tuple[str, ...])
    assert_type(party.covers("NL123456789") and party.covers(party), bool)


def directories() -> None:
    """Look systems up, and add some."""
    assert_type(AGS, DeclarationSystem)
    assert_type(AGS.mark, Mark)
    assert_type(DMS.reply_ids, frozenset[str])
    assert_type(HTPOORT.systems, tuple[DeclarationSystem, ...])
    assert_type(HTPOORT.system("DMS"), DeclarationSystem)
    assert_type(HTPOORT.by_mailbox("dms@htpoort.nl"), DeclarationSystem)
    assert_type(HTPOORT.by_process_id("DMS4.NL"), DeclarationSystem)
    assert_type(HTPOORT.answering_from("dms@htpoort.nl"), DeclarationSystem | None)
    assert_type(HTPOORT.answering_as("DMS4.NL"), DeclarationSystem | None)
    own = DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL", mark=Mark.FIELD)
    assert_type(HTPOORT.add(own), Directory)
    assert_type(Directory.from_toml(""), Directory)
    assert_type(Directory.from_table({"systems": {}}), Directory)
    for system in HTPOORT:
        assert_type(system, DeclarationSystem)


def messages() -> Submission:
    """Build a declaration's message, and read a reply's."""
    encoding: TransferEncoding = "base64"
    sub = build(
        system=DMS,
        party=PartyId.parse("NL123456789.02.05"),
        mailbox="edi@forwarder.example",
        reference=automatic_reference("NL123456789.02.05", b"<MetaData/>"),
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, tzinfo=UTC),
        message_id="<1@forwarder.example>",
        layout="attachment",
        transfer_encoding=encoding,
    )
    assert_type(sub, Submission)
    assert_type(sub.data, bytes)
    assert_type(sub.envelope, RoutingEnvelope)
    received = read(sub.data)
    assert_type(received, Received)
    assert_type(received.mailbox, str | None)
    assert_type(received.envelope, RoutingEnvelope | None)
    assert_type(received.problems, tuple[Problem, ...])
    assert_type(received.body, bytes)
    assert_type(received.payload, Payload)
    assert_type(read_payload(sub.data).octets, bytes | None)
    for part in received.payload.parts:
        assert_type(part, Part)
        assert_type(part.content_type, str)
    return sub


def one(reference: str) -> SentRecord | None:
    """Look a reference up where each is used once."""
    return SentRecord(system="DMS", party="NL123456789.02.05", reference=reference) if reference else None


def several(reference: str) -> Iterable[SentRecord]:
    """Look a reference up where parties share some."""
    return [SentRecord(system="DMS", party="NL123456789.02.05", reference=reference)]


def lazily(reference: str) -> Iterator[SentRecord]:
    """Look a reference up row by row."""
    yield from several(reference)


def describe(found: Routed | Quarantined) -> str:
    """Describe a verdict; the two results differ by their class."""
    if isinstance(found, Routed):
        assert_type(found.system, DeclarationSystem)
        assert_type(found.party, PartyId)
        assert_type(found.correlation, Correlation)
        assert_type(found.envelope, RoutingEnvelope)
        return f"{found.system.name} {found.party} {found.reference} {found.correlation.value} {found.mailbox}"
    assert_type(found, Quarantined)
    assert_type(found.reason, Reason)
    assert_type(found.mailbox, str | None)
    assert_type(found.envelope, RoutingEnvelope | None)
    return f"{found.reason.value}: {found.problems[0].message}"


def matched(found: Routed | Quarantined) -> str:
    """Describe a verdict by pattern."""
    match found:
        case Routed(correlation=Correlation.MATCHED):
            return "matched"
        case Routed():
            return "routed"
        case Quarantined(reason=Reason.UNKNOWN_PROCESS):
            return "unknown process"
        case Quarantined():
            return "quarantined"


def routers() -> list[str]:
    """Route with each kind of record, parties of each kind."""
    subject = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
    told = [
        describe(Router(parties=["NL123456789.02.05"], sent=sent).route(mailbox="dms@htpoort.nl", subject=subject))
        for sent in (None, one, several, lazily)
    ]
    router = Router(directory=HTPOORT, parties=(PartyId.parse("NL1"),), size_limit=1_000_000)
    assert_type(router.parties, tuple[PartyId, ...])
    assert_type(router.route_message(b"", mail_from=None), Routed | Quarantined)
    strange = subject.replace("DMS4.NL", "X.NL")
    return [
        *told,
        matched(router.route(mailbox="dms@htpoort.nl", subject=strange)),
        describe(router.route_message(b"")),
    ]


def errors() -> list[HtpoortError]:
    """Catch each kind of error, and use its data."""
    caught: list[HtpoortError] = []
    try:
        RoutingEnvelope.parse("Out of office")
    except EnvelopeError as error:
        assert_type(error.text, str)
        assert_type(error.problems[0].start, int)
        caught.append(error)
    try:
        PartyId.parse("x")
    except InputError as error:
        assert_type(error.problems, tuple[Problem, ...])
        caught.append(error)
    try:
        HTPOORT.system("NCTS")
    except UnknownError as error:
        assert_type(error.key, str)
        assert_type(error.known, tuple[str, ...])
        caught.append(error)
    unsent = SendError("dms@htpoort.nl", SendFailure.DEFERRED, 451, "4.3.0 later")
    assert_type(unsent.code, int | None)
    assert_type(unsent.kind, SendFailure)
    assert_type(unsent.retryable, bool)
    unwritten = LedgerError("htpoort.db", "written", "Wait.", retryable=True)
    assert_type(unwritten.location + unwritten.operation + unwritten.advice, str)
    return [*caught, unsent, unwritten]


def moves() -> None:
    """Ask which party uses which system, and when."""
    plan = CutoverPlan.from_csv("party,system,since\nNL123456789.02.05,DMS,2026-12-01\n")
    assert_type(plan.system_for("NL123456789.02.05", on=date(2026, 12, 1), kind="import"), DeclarationSystem)
    assert_type(plan.moves_of("NL123456789.02.05"), tuple[Move, ...])
    assert_type(plan.parties(), tuple[PartyId, ...])


def settings_of(system: DeclarationSystem) -> dict[str, str]:
    """Describe how a system is reached."""
    return {"mailbox": system.mailbox}


def a_move() -> None:
    """Preview a move, follow it, and ask whether the old system may be switched off."""
    plan = CutoverPlan.from_csv("party,system,since\nNL123456789.02.05,DMS,2026-12-01\n")
    totals: Totals = {("AGS", "NL123456789.02.05"): PartyTotals(sent=2, open=1)}
    settings: SystemSettings = settings_of
    now = datetime(2026, 12, 2, 12, tzinfo=UTC)
    assert_type(day_of(now), date)
    previews = preview_moves(plan, on=date(2026, 12, 1), parties=plan.parties(), totals=totals, settings=settings)
    assert_type(previews, tuple[MovePreview, ...])
    assert_type(previews[0].changes, tuple[SettingChange, ...])
    progress = move_progress(plan, old_system=AGS, at=now, parties=plan.parties(), totals=totals, quiet_days=QUIET_DAYS)
    assert_type(progress, tuple[MoveProgress, ...])
    assert_type(progress[0].stage, MoveStage)
    facts = OldSystemFacts(
        system="AGS",
        at=now,
        parties=plan.parties(),
        totals=totals,
        open=1,
        undelivered=0,
        last_reply=None,
        quarantined=0,
        known=True,
    )
    assert_type(decide_switch_off(plan, facts), SwitchOff)
    assert_type(differences(b"", b""), tuple[Difference, ...])


def an_exchange() -> None:
    """Ask the table what an event does, and when the next attempt is."""
    decision = decide(State.SENDING, Event.ACCEPTED)
    assert_type(decision, Decision)
    assert_type(decision.next_step, NextStep)
    overridden: list[Objection] = [Objection.OTHER_PARTY]
    assert_type(overridden[0], Objection)
    outcomes: tuple[Outcome, ...] = tuple(Outcome)
    assert_type(outcomes[0], Outcome)
    assert_type(retry_delay(1, schedule=RETRY_SCHEDULE), timedelta | None)


def a_correlation(routed: Routed, lookup: SentLookup, layout: Layout) -> Layout:
    """Compare a routed reply with what was sent."""
    records = lookup(routed.reference)
    if records is not None and not isinstance(records, SentRecord):
        assert_type(correlate(routed, records), Routed | Quarantined)
    return layout


def strategies() -> None:
    """Draw values of each type."""
    assert_type(draw.references(min_length=29), SearchStrategy[str])
    assert_type(draw.party_ids(max_length=35), SearchStrategy[PartyId])
    assert_type(draw.routing_envelopes(references=draw.references()), SearchStrategy[RoutingEnvelope])
    assert_type(draw.declaration_systems(published=False), SearchStrategy[DeclarationSystem])
    assert_type(draw.submissions(max_length=9), SearchStrategy[Submission])
    setup = draw.RouterSetup(parties=["NL123456789.02.05"], sent=[])
    assert_type(setup.router(), Router)
    assert_type(draw.router_setups(min_parties=2), SearchStrategy[draw.RouterSetup])
    assert_type(draw.reply_messages(setup=setup, reasons=[Reason.NO_ENVELOPE]), SearchStrategy[draw.ReplyMessage])
    assert_type(draw.verdict(setup.router().route_message(b"")), draw.RoutedTo | draw.QuarantinedFor)


def main() -> list[str]:
    """Run all of the above."""
    envelopes()
    parties()
    directories()
    moves()
    a_move()
    an_exchange()
    strategies()
    return [messages().rcpt_to, *routers(), *(type(error).__name__ for error in errors())]
