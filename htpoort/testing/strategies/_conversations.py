"""
Draw a declaration and everything that comes back on it, over days.

Never does: send, wait or store.
"""

from __future__ import annotations

import operator
from collections.abc import Collection
from datetime import timedelta
from typing import Final

import attrs
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from htpoort.message import Submission
from htpoort.party import PartyId
from htpoort.routing import Correlation, Reason, SentRecord
from htpoort.testing.strategies._outcomes import (
    Conversation,
    Label,
    Outcome,
    ReplyMessage,
    RouterSetup,
    TimedReply,
)
from htpoort.testing.strategies._replies import forgiven, message
from htpoort.testing.strategies._scenes import answering, check, router_setups
from htpoort.testing.strategies._values import SENDABLE, bounds, references, submissions

_TRACE: Final = b"Received: from mx2.gateway.example by mx.forwarder.example; Mon, 02 Nov 2026 09:07:00 +0100\r\n"

# What a conversation on one declaration cannot show: it would be about another one.
_ABOUT_IT: Final = tuple(reason for reason in Reason if reason not in {Reason.OTHER_SYSTEM, Reason.OTHER_PARTY})


@st.composite
def conversations(  # noqa: PLR0913 - one for each thing that may be asked for
    draw: st.DrawFn,
    *,
    setup: RouterSetup | None = None,
    labels: Collection[Label] = tuple(Label),
    min_replies: int = 0,
    max_replies: int = 6,
    min_delay: timedelta = timedelta(0),
    max_delay: timedelta = timedelta(days=3),
) -> Conversation:
    """
    Draw conversations: a declaration, and replies with what must become of each.

    Customs sends many messages on one declaration, over days. Here they come late, out of order and twice, with forged
    ones between them, and some with a K of their own. ``conversations(labels=[Label.GENUINE], min_replies=2)`` draws
    those without anything odd in a message.

    Args:
        setup: What your router is told before the declaration is sent; any where not given. Where it looks up
            nothing that was sent, it looks up the declaration neither.
        labels: The kinds of reply.
        min_replies: Replies, copies too; at least 0.
        max_replies: At most 50.
        min_delay: From the declaration to a reply, at least 0.
        max_delay: At most 365 days.

    Returns:
        Conversations; they shrink to no reply and no delay.

    Raises:
        InvalidArgument: There is no such number, delay or label, or no party of *setup* has an ID that `build` takes;
            raised when the first one is drawn.
    """
    bounds("replies", min_replies, max_replies, lowest=0, highest=50)
    if not timedelta(0) <= min_delay <= max_delay <= timedelta(days=365):
        problem = f"min_delay={min_delay}, max_delay={max_delay}: give 0 <= min_delay <= max_delay <= 365 days."
        raise InvalidArgument(problem)
    if setup is None:
        drawn = draw(router_setups())
        setup = attrs.evolve(drawn, sent=drawn.sent or ())
    kinds = check(setup, labels)
    submission, party = _declared(draw, setup=setup)
    record = SentRecord(system=submission.system, party=str(party), reference=submission.envelope.reference)
    if setup.sent is not None:
        setup = attrs.evolve(setup, sent=(*setup.sent, record))
    replies: list[tuple[timedelta, int, ReplyMessage]] = []
    for _ in range(draw(st.integers(min_replies, max_replies))):
        after = draw(st.timedeltas(min_delay, max_delay))
        earlier = [(number, reply) for _, number, reply in replies if reply.label is not Label.FORGED]
        if earlier and draw(st.integers(0, 3)) == 3:  # noqa: PLR2004 - one of four
            number, reply = draw(st.sampled_from(earlier))
            replies.append((after, number, _again(draw, reply)))
        else:
            number = len(replies)
            replies.append((after, number, _about(draw, setup, submission, party, kinds, number)))
    return Conversation(submission=submission, party=party, setup=setup, replies=_timed(replies))


def _timed(replies: list[tuple[timedelta, int, ReplyMessage]]) -> tuple[TimedReply, ...]:
    """Put replies in the order in which they come, and say what must become of each."""
    timed: list[TimedReply] = []
    seen: set[int] = set()
    for after, number, reply in sorted(replies, key=operator.itemgetter(0)):
        outcome = Outcome.COPY if number in seen else Outcome.DELIVERED
        if reply.label is Label.FORGED:
            outcome = Outcome.QUARANTINED
        seen.add(number)
        timed.append(TimedReply(after=after, number=number, outcome=outcome, message=reply))
    return tuple(timed)


def _declared(draw: st.DrawFn, *, setup: RouterSetup) -> tuple[Submission, PartyId]:
    """Draw a declaration of one of the router's parties, under a K that it never used."""
    able = [party for party in setup.parties if len(str(party)) <= SENDABLE]
    if not able:
        problem = f"setup: no party has an ID of at most {SENDABLE} characters, which is what is sent."
        raise InvalidArgument(problem)
    party = draw(st.sampled_from(able))
    unused = references().filter(lambda text: not setup.own(party, text))
    systems = st.sampled_from(setup.directory.systems)
    return draw(submissions(systems=systems, parties=st.just(party), references=unused)), party


def _about(  # noqa: PLR0913, PLR0917 - what is known of one reply
    draw: st.DrawFn,
    setup: RouterSetup,
    submission: Submission,
    party: PartyId,
    kinds: list[Label],
    number: int,
) -> ReplyMessage:
    """Draw a reply on a declaration; its number stands in the body, so that no other one is a copy of it."""
    reference, correlation = submission.envelope.reference, Correlation.MATCHED
    if draw(st.integers(0, 7)) == 7:  # noqa: PLR2004 - one of eight
        # Whether later messages repeat the K of the request is unknown.
        reference = draw(references().filter(lambda text: not setup.lookup(text)))
        correlation = Correlation.UNKNOWN_REFERENCE
    if setup.sent is None:
        correlation = Correlation.NOT_CHECKED
    answer = answering(
        draw,
        setup=setup,
        system=setup.directory.system(submission.system),
        party=party,
        reference=reference,
        correlation=correlation,
        bodies=st.just(f"<Response><!-- synthetic, number {number} --></Response>\r\n".encode()),
    )
    label = draw(st.sampled_from(kinds))
    names = draw(forgiven(label=label, size_limit=setup.size_limit, short=True))
    return message(draw, answer=answer, label=label, names=names, reasons=_ABOUT_IT)


def _again(draw: st.DrawFn, reply: ReplyMessage) -> ReplyMessage:
    """Draw a copy: the same octets, or the same body behind one header line more."""
    trace = draw(st.sampled_from([b"", _TRACE]))
    return attrs.evolve(reply, raw=trace + reply.raw)


st.register_type_strategy(Conversation, lambda _kind: conversations())
