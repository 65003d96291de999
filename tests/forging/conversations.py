"""Draw a declaration and all replies to it, over days."""

from __future__ import annotations

import operator
from collections.abc import Collection
from datetime import timedelta
from typing import Final

import attrs
from forging.messages import drawn_message, toleration_names
from forging.results import Conversation, Label, LabelledReply, Outcome, TimedReply
from forging.scenes import check, scene_of
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from htpoort import Correlation, PartyId, Reason, SentRecord, Submission
from htpoort.testing.strategies import RouterSetup, references, router_setups, submissions
from htpoort.testing.strategies._values import SENDABLE, bounds

_TRACE: Final = b"Received: from mx2.gateway.example by mx.forwarder.example; Mon, 02 Nov 2026 09:07:00 +0100\r\n"

# The reasons that a conversation on one declaration can show; these two need another declaration.
_ABOUT_IT: Final = tuple(reason for reason in Reason if reason not in {Reason.OTHER_SYSTEM, Reason.OTHER_PARTY})


@st.composite
def conversations(  # noqa: PLR0913 - one for each thing that a caller may choose
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
    Draw conversations: a declaration, and replies with what must happen to each.

    Customs sends many messages on one declaration, over days. Here they arrive late, out of order and twice, with
    forged ones in between, and some have a K that was never sent.

    Args:
        setup: What the router knows before the declaration is sent; any setup by default. If it does not look up what
            was sent, it does not look up the declaration either.
        labels: The kinds of reply.
        min_replies: Replies, copies included; at least 0.
        max_replies: At most 50.
        min_delay: From the declaration to a reply, at least 0.
        max_delay: At most 365 days.

    Returns:
        Conversations; they shrink to no reply and no delay.

    Raises:
        InvalidArgument: No conversation has this number, delay or label, or no party of *setup* has an ID that `build`
            accepts; raised when the first value is drawn.
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
    replies: list[tuple[timedelta, int, LabelledReply]] = []
    for _ in range(draw(st.integers(min_replies, max_replies))):
        after = draw(st.timedeltas(min_delay, max_delay))
        earlier = [(number, reply) for _, number, reply in replies if reply.label is not Label.FORGED]
        if earlier and draw(st.integers(0, 3)) == 3:
            number, reply = draw(st.sampled_from(earlier))
            replies.append((after, number, _copy(draw, reply)))
        else:
            number = len(replies)
            replies.append((after, number, _about(draw, setup, submission, party, kinds, number)))
    return Conversation(submission=submission, party=party, setup=setup, replies=_timed(replies))


def _timed(replies: list[tuple[timedelta, int, LabelledReply]]) -> tuple[TimedReply, ...]:
    """Sort replies by their arrival, and add what must happen to each."""
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
    """Draw a declaration of one of the router's parties, with a K that the party never used."""
    able = [party for party in setup.parties if len(str(party)) <= SENDABLE]
    if not able:
        problem = f"setup: no party has an ID of at most {SENDABLE} characters, the longest that is sent."
        raise InvalidArgument(problem)
    party = draw(st.sampled_from(able))
    unused = references().filter(lambda text: not setup.own(party, text))
    systems = st.sampled_from(setup.directory.systems)
    return draw(submissions(systems=systems, parties=st.just(party), references=unused)), party


def _about(  # noqa: PLR0913, PLR0917 - all that is known of one reply
    draw: st.DrawFn,
    setup: RouterSetup,
    submission: Submission,
    party: PartyId,
    kinds: list[Label],
    number: int,
) -> LabelledReply:
    """Draw a reply on a declaration; the body has its number, so that no other reply is a copy of it."""
    reference, correlation = submission.envelope.reference, Correlation.MATCHED
    if draw(st.integers(0, 7)) == 7:
        # We do not know whether later messages repeat the K of the request.
        reference = draw(references().filter(lambda text: not setup.lookup(text)))
        correlation = Correlation.UNKNOWN_REFERENCE
    if setup.sent is None:
        correlation = Correlation.NOT_CHECKED
    reply = scene_of(
        draw,
        setup=setup,
        system=setup.directory.system(submission.system),
        party=party,
        reference=reference,
        correlation=correlation,
        bodies=st.just(f"<Response><!-- synthetic, number {number} --></Response>\r\n".encode()),
    )
    label = draw(st.sampled_from(kinds))
    names = draw(toleration_names(label=label, size_limit=setup.size_limit, short=True))
    return drawn_message(draw, reply=reply, label=label, names=names, reasons=_ABOUT_IT)


def _copy(draw: st.DrawFn, reply: LabelledReply) -> LabelledReply:
    """Draw a copy: the same octets, or the same message below one more header line."""
    trace = draw(st.sampled_from([b"", _TRACE]))
    return attrs.evolve(reply, raw=trace + reply.raw)
