"""A move from one system to another loses no reply, and brings none to the wrong process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter

import attrs
from hypothesis import given, strategies as st

from htpoort import (
    AGS,
    DMS,
    CutoverPlan,
    DeclarationSystem,
    Move,
    PartyId,
    Quarantined,
    Reason,
    Routed,
    Router,
    SentRecord,
    build,
    read,
)

PARTIES = tuple(f"NL123456789.{number:02}.05" for number in range(1, 6))
KINDS = ("import", "export", None)
CASES = (str, str.upper, str.title)
START = datetime(2026, 10, 1, tzinfo=UTC)  # the end of summer time lies in the days that follow
SYSTEMS = {"AGS": AGS, "DMS": DMS}
OTHER = {"AGS": DMS, "DMS": AGS}

hours = st.integers(0, 120 * 24)
moves = st.builds(
    Move,
    party=st.sampled_from(PARTIES),
    system=st.sampled_from(["AGS", "DMS"]),
    since=st.integers(0, 120).map(lambda days: date(2026, 10, 1) + timedelta(days=days)),
    kind=st.sampled_from(KINDS),
)
plans = st.lists(moves, max_size=12, unique_by=lambda move: (move.party, move.kind, move.since)).map(
    lambda moves: CutoverPlan(moves=moves)
)


@attrs.frozen
class Answer:
    """One message that comes in after a declaration: in how many hours, how often, and what is wrong with it."""

    delay: int
    copies: int
    fault: str


@attrs.frozen
class Conversation:
    """One declaration, when it was sent, and what came back."""

    party: str
    kind: str | None
    case: Callable[[str], str]
    hour: int
    answers: tuple[Answer, ...]


FAULTS = {
    "none": None,
    "the other system answers": Reason.OTHER_SYSTEM,
    "the other mailbox": Reason.MAILBOX_PROCESS_DISAGREE,
    "another party": Reason.OTHER_PARTY,
    "a stranger": Reason.UNKNOWN_ADDRESSEE,
}
answers = st.builds(Answer, st.integers(0, 60 * 24), st.integers(1, 3), st.sampled_from(sorted(FAULTS)))
conversations = st.builds(
    Conversation,
    st.sampled_from(PARTIES[:-1]),
    st.sampled_from(KINDS),
    st.sampled_from(CASES),
    hours,
    st.lists(answers, max_size=3).map(tuple),
)
CONVERSATIONS = st.lists(conversations, min_size=10, max_size=10)
"""Ten in each example, so that the long profile has a hundred thousand."""


def used(moves: Iterable[Move], party: str, day: date, kind: str | None) -> str:
    """Say which system a party uses: the newest move of the kind that has begun, or else of all kinds, or else AGS."""
    begun = [move for move in moves if str(move.party) == party and move.since <= day]
    own = [move for move in begun if kind is not None and move.kind == kind]
    general = [move for move in begun if move.kind is None]
    chosen = own or general
    return max(chosen, key=lambda move: move.since).system if chosen else "AGS"


def amsterdam(moment: datetime) -> date:
    """Give the day in Amsterdam, by the rule: an hour before UTC's midnight, two before 25 October 2026, 01:00 UTC."""
    summer = moment < datetime(2026, 10, 25, 1, tzinfo=UTC)
    return (moment + timedelta(hours=2 if summer else 1)).date()


def message(system: DeclarationSystem, party: str, reference: str, fault: str) -> bytes:
    """Write a reply, with what is wrong with it."""
    if fault == "the other system answers":
        system = OTHER[system.name]
    mailbox = OTHER[system.name].mailbox if fault == "the other mailbox" else system.mailbox
    addressee = {"another party": PARTIES[-1], "a stranger": "NL987654321.01.05"}.get(fault, party)
    subject = f"[V= {system.process_id}][A= {addressee}][K={reference}][S=0]"
    return f"From: {mailbox}\r\nSubject: {subject}\r\n\r\nsynthetic\r\n".encode()


class TestNoReplyIsLostInAMove:
    """Every reply reaches exactly the process that its K was sent to, or is quarantined with the right reason."""

    @given(plans, CONVERSATIONS)
    def test_every_reply(self, plan: CutoverPlan, drawn: list[Conversation]) -> None:
        """Whatever moves, rolls back, comes late, twice or out of order."""
        sent: dict[str, SentRecord] = {}
        router = Router(parties=PARTIES, sent=sent.get)
        coming: list[tuple[int, str, DeclarationSystem, Conversation, str]] = []
        for number, one in enumerate(drawn):
            moment = START + timedelta(hours=one.hour)
            system = plan.system_for(one.party, on=moment, kind=None if one.kind is None else one.case(one.kind))
            assert used(plan.moves, one.party, amsterdam(moment), one.kind) == system.name
            made = build(
                system=system,
                party=one.party,
                mailbox="edi@forwarder.example",
                reference=f"K{number}",
                payload=b"<MetaData/>\r\n",
                date=moment,
                message_id=f"<{number}@forwarder.example>",
            )
            envelope = read(made.data).envelope
            assert envelope is not None
            assert (envelope.addressee, made.rcpt_to) == (system.process_id, system.mailbox)
            sent[f"K{number}"] = SentRecord(system=system.name, party=one.party, reference=f"K{number}")
            for answer in one.answers:
                at = one.hour + answer.delay
                coming += [(at, f"K{number}", system, one, answer.fault)] * answer.copies

        for _, reference, system, one, fault in sorted(coming, key=itemgetter(0, 1)):
            found = router.route_message(message(system, one.party, reference, fault))
            if FAULTS[fault] is None:
                assert isinstance(found, Routed)
                assert (system, PartyId.parse(one.party), reference) == (found.system, found.party, found.reference)
            else:
                assert isinstance(found, Quarantined)
                assert FAULTS[fault] is found.reason
