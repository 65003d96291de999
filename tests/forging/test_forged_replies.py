"""Rule 4 on thousands of replies: genuine and tolerated ones are routed, forged ones quarantined with their reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from forging import (
    FORGED,
    TOLERATED,
    Conversation,
    Label,
    LabelledReply,
    Outcome,
    conversations,
    labelled_replies,
)
from forging.messages import drawn_message
from forging.scenes import Scene, scene
from hypothesis import Phase, given, settings, strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.vendor.pretty import pretty
from strategies import PARTY, SETUP, draws_exactly, simplest

from htpoort import (
    HTPOORT,
    Correlation,
    Outcome as Sent,
    Quarantined,
    Reason,
    Routed,
    SentRecord,
    read,
)
from htpoort.ledger import Ledger
from htpoort.testing.strategies import QuarantinedFor, RoutedTo, RouterSetup, router_setups, verdict

OF_MESSAGES = [reason for reason in Reason if reason is not Reason.FOREIGN_FILE]
"""Why a message may be in quarantine; a file is not drawn here."""


def routed(message: LabelledReply) -> Routed | Quarantined:
    """Route a message with the setup that it was written for."""
    return message.setup.router().route_message(message.raw, message.mail_from)


@st.composite
def answers(draw: st.DrawFn, *names: str) -> tuple[Scene, LabelledReply]:
    """Draw a scene, and its message with some tolerated forms or none."""
    setup = attrs.evolve(draw(router_setups()), size_limit=150_000)
    answer = scene(draw, setup=setup, bodies=st.just(b"<Response/>\r\n"))
    label = Label.TOLERATED if names else Label.GENUINE
    return answer, drawn_message(draw, reply=answer, label=label, names=names, reasons=())


def strict(answer: Scene) -> set[tuple[str | None, bytes]]:
    """Write a genuine reply in both of its forms, from a mailbox and by SMTP."""
    return {
        (
            mail_from,
            f"From: {answer.system.mailbox}\r\nTo: edi@forwarder.example\r\n"
            f"Subject: [V={blank}{answer.process_id}][A={blank}{answer.party}][K={answer.reference}][S=0]\r\n"
            "Date: Mon, 02 Nov 2026 09:05:07 +0100\r\nMessage-ID: <1@gateway.example>\r\nMIME-Version: 1.0\r\n"
            "\r\n<Response/>\r\n".encode(),
        )
        for mail_from in (None, answer.system.mailbox)
        for blank in ("", " ")
    }


class TestReplies:
    """Genuine and tolerated replies are routed where they belong; forged ones are quarantined with their reason."""

    @given(labelled_replies(labels=[Label.GENUINE]))
    def test_genuine(self, message: LabelledReply) -> None:
        """Everything genuine routes, and the reader forgives nothing in it but the blanks of the official form."""
        received = read(message.raw)

        assert message.expected == verdict(routed(message))
        assert isinstance(message.expected, RoutedTo)
        assert () == message.changes == received.problems
        assert received.envelope is not None
        assert {note.code for note in received.envelope.notes} <= {"envelope.blank"}

    @given(labelled_replies(labels=[Label.TOLERATED]))
    def test_tolerated(self, message: LabelledReply) -> None:
        """Everything tolerated routes, to the same system and party and under the same K."""
        assert message.expected == verdict(routed(message))
        assert isinstance(message.expected, RoutedTo)
        assert set() < set(message.changes) <= set(TOLERATED)

    @given(labelled_replies(labels=[Label.FORGED]))
    def test_forged(self, message: LabelledReply) -> None:
        """Everything forged is quarantined, with the expected reason."""
        assert message.expected == verdict(routed(message))
        assert QuarantinedFor(reason=FORGED[message.changes[-1]]) == message.expected
        assert set(message.changes[:-1]) <= set(TOLERATED)

    @given(labelled_replies(labels=[Label.FORGED], reasons=[Reason.OTHER_PARTY]))
    def test_for_one_reason(self, message: LabelledReply) -> None:
        """For one reason and without a setup, setups are drawn with which it is possible."""
        assert QuarantinedFor(reason=Reason.OTHER_PARTY) == verdict(routed(message)) == message.expected

    @given(labelled_replies(setup=SETUP))
    def test_for_a_router_of_yours(self, message: LabelledReply) -> None:
        """With a given setup all of this holds too, and it is the setup of each message."""
        assert SETUP is message.setup
        assert message.expected == verdict(routed(message))

    def test_every_reason_can_be_had(self) -> None:
        """There is a forgery for each reason of the router."""
        assert set(OF_MESSAGES) == set(FORGED.values())

    def test_each_label_is_drawn(self) -> None:
        """Without an argument, each kind of reply is drawn."""
        assert draws_exactly(labelled_replies(), lambda message: [message.label], set(Label))

    def test_each_reason_is_drawn(self) -> None:
        """Among forged replies, each reason is drawn."""
        asked = labelled_replies(labels=[Label.FORGED])

        assert draws_exactly(
            asked, lambda message: [getattr(verdict(routed(message)), "reason", None)], set(OF_MESSAGES)
        )

    @pytest.mark.parametrize("reason", OF_MESSAGES)
    def test_each_forgery_is_drawn(self, reason: Reason) -> None:
        """Every forgery for a reason is drawn when that reason is asked for."""
        names = {name for name, own in FORGED.items() if own is reason}
        asked = labelled_replies(setup=SETUP, labels=[Label.FORGED], reasons=[reason])

        assert draws_exactly(asked, lambda message: message.changes[-1:], names)

    @pytest.mark.parametrize("name", TOLERATED)
    @settings(max_examples=20)  # for each of twenty
    @given(st.data())
    def test_each_toleration_shows(self, name: str, data: st.DataObject) -> None:
        """A message in which one thing is tolerated differs from every genuine one, in its octets or its MAIL FROM."""
        answer, found = data.draw(answers(name))

        assert (found.mail_from, found.raw) not in strict(answer)

    @given(answers())
    def test_genuine_is_strict(self, drawn: tuple[Scene, LabelledReply]) -> None:
        """Genuine replies have the two forms that tolerated ones are compared with."""
        answer, found = drawn

        assert (found.mail_from, found.raw) in strict(answer)

    def test_each_toleration_is_drawn(self) -> None:
        """Everything that is tolerated is drawn."""
        asked = labelled_replies(setup=SETUP, labels=[Label.TOLERATED])

        assert draws_exactly(asked, lambda message: message.changes, set(TOLERATED))

    def test_each_correlation_is_drawn(self) -> None:
        """Replies are about what was sent, about something else, and for routers that look nothing up."""
        asked = labelled_replies(labels=[Label.GENUINE])
        by_routers = {Correlation.MATCHED, Correlation.UNKNOWN_REFERENCE, Correlation.NOT_CHECKED}

        assert draws_exactly(asked, lambda message: [getattr(message.expected, "correlation", None)], by_routers)

    def test_without_what_was_sent(self) -> None:
        """For a router without a look-up, no forgery is drawn that only a look-up shows."""
        alone = RouterSetup(parties=[PARTY])
        asked = labelled_replies(setup=alone, labels=[Label.FORGED], reasons=[Reason.OTHER_PARTY, Reason.OTHER_SYSTEM])
        with pytest.raises(InvalidArgument, match="OTHER_PARTY, OTHER_SYSTEM"):
            simplest(asked)

    def test_a_large_router(self) -> None:
        """For a router with a limit of 50 MiB, no message beyond it is drawn."""
        asked = labelled_replies(setup=RouterSetup(parties=[PARTY]), labels=[Label.FORGED], reasons=[Reason.TOO_LARGE])

        assert ("size.header",) == simplest(asked).changes

    def test_simplest(self) -> None:
        """A failing example shrinks to a genuine reply, a forged one to the forgery alone."""
        genuine = simplest(labelled_replies())
        forged = simplest(labelled_replies(labels=[Label.FORGED]))

        assert (Label.GENUINE, HTPOORT, b"") == (genuine.label, genuine.setup.directory, read(genuine.raw).body)
        assert 1 == len(forged.changes)

    def test_body(self) -> None:
        """Bodies have the sizes that were asked for."""
        asked = labelled_replies(labels=[Label.GENUINE], min_length=70, max_length=80)
        short = simplest(asked, lambda message: len(read(message.raw).body) > 75)

        assert 76 <= len(read(short.raw).body) <= 80

    def test_naive_router(self) -> None:
        """A router that takes the first mailbox of From is detected, by the simplest message that shows it."""

        def naive(message: LabelledReply) -> bool:
            header = re.search(rb"^From:.*?([\w.]+@[\w.]+)", message.raw, re.MULTILINE)
            return header is not None and header[1] in {b"ags@htpoort.nl", b"dms@htpoort.nl"}

        asked = labelled_replies(setup=SETUP, labels=[Label.FORGED], reasons=[Reason.AMBIGUOUS_FROM])
        found = simplest(asked, naive)

        assert ("from.address-as-name",) == found.changes
        assert b"From: dms@htpoort.nl <evil@trader.example>" == found.raw.partition(b"\r\n")[0]


class TestConversations:
    """A declaration, and what must happen to each reply."""

    @settings(max_examples=40)  # each with a ledger of its own
    @given(conversations())
    def test_in_a_ledger(self, conversation: Conversation) -> None:
        """A ledger that takes in the replies in order keeps each, and recognises the copies and nothing else."""
        router = conversation.setup.router()
        begun = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
        with TemporaryDirectory() as folder, Ledger.open(f"sqlite:///{folder}/htpoort.db") as ledger:
            exchanges, system = ledger.exchanges, conversation.submission.system
            exchanges.queue(conversation.submission, at=begun)
            lease = timedelta(minutes=1)
            (sent,) = exchanges.claim_soon([system], owner="a", most=1, at=begun, lease=lease).result()
            exchanges.settle_soon(sent, Sent.ACCEPTED, at=begun).result()
            for reply in conversation.replies:
                message = reply.message
                stored = ledger.replies.take_in(
                    router, message.raw, mail_from=message.mail_from, at=begun + reply.after
                )
                assert message.expected == verdict(stored.routing)
                if reply.outcome is not Outcome.QUARANTINED:
                    assert (reply.outcome is Outcome.COPY) is stored.repeated

    @settings(max_examples=30)  # with several replies each
    @given(conversations(min_replies=2, max_replies=4, min_delay=timedelta(hours=1), max_delay=timedelta(days=1)))
    def test_times(self, conversation: Conversation) -> None:
        """Replies are in the order of their arrival, as many and as late as asked for."""
        delays = [reply.after for reply in conversation.replies]

        assert sorted(delays) == delays
        assert 2 <= len(delays) <= 4
        assert all(timedelta(hours=1) <= delay <= timedelta(days=1) for delay in delays)

    @settings(max_examples=30)  # with several replies each
    @given(conversations())
    def test_what_was_sent(self, conversation: Conversation) -> None:
        """The router knows of the declaration, and the party has used its K for nothing else."""
        envelope = conversation.submission.envelope
        record = SentRecord(
            system=conversation.submission.system, party=str(conversation.party), reference=envelope.reference
        )

        assert (record,) == conversation.setup.own(conversation.party, envelope.reference)
        assert str(conversation.party) == envelope.sender

    @settings(max_examples=30)  # with several replies each
    @given(conversations(setup=RouterSetup(parties=["NL123456789.02.05"])))
    def test_a_router_without_a_record(self, conversation: Conversation) -> None:
        """A setup without a look-up stays unchanged, and its router gives what is expected."""
        router = RouterSetup(parties=["NL123456789.02.05"]).router()

        assert conversation.setup.sent is None
        for reply in conversation.replies:
            assert reply.message.expected == verdict(router.route_message(reply.message.raw, reply.message.mail_from))

    @settings(max_examples=30)  # with several replies each
    @given(conversations(labels=[Label.GENUINE, Label.TOLERATED]))
    def test_nothing_forged(self, conversation: Conversation) -> None:
        """Without forgeries, each reply is delivered when it first arrives, and is a copy after that."""
        numbers = [reply.number for reply in conversation.replies]
        firsts = [number not in numbers[:at] for at, number in enumerate(numbers)]

        assert firsts == [reply.outcome is Outcome.DELIVERED for reply in conversation.replies]
        assert {Outcome.DELIVERED, Outcome.COPY} >= {reply.outcome for reply in conversation.replies}

    def test_each_outcome_is_drawn(self) -> None:
        """Replies are delivered, copies, and quarantined."""
        assert draws_exactly(conversations(), lambda found: [reply.outcome for reply in found.replies], set(Outcome))

    def test_out_of_order(self) -> None:
        """Replies also arrive in another order than Customs wrote them in."""
        found = simplest(
            conversations(),
            lambda drawn: [reply.number for reply in drawn.replies] != sorted(reply.number for reply in drawn.replies),
        )

        assert 2 == len(found.replies)

    def test_own_references(self) -> None:
        """Some replies have a new K, which was never sent."""

        def has_own(conversation: Conversation) -> bool:
            return any(
                isinstance(reply.message.expected, RoutedTo)
                and reply.message.expected.correlation is Correlation.UNKNOWN_REFERENCE
                for reply in conversation.replies
            )

        assert simplest(conversations(), has_own, Phase.generate)

    def test_simplest(self) -> None:
        """A failing example shrinks to a declaration to AGS without a reply."""
        found = simplest(conversations())

        assert ("AGS", ()) == (found.submission.system, found.replies)


class TestArguments:
    """An impossible argument is refused when the first value is drawn, with Hypothesis' own error."""

    @pytest.mark.parametrize(
        ("make", "text"),
        [
            (lambda: labelled_replies(max_length=10_001), "max_length=10001"),
            (lambda: labelled_replies(labels=[]), "labels is empty"),
            (lambda: labelled_replies(labels=[Label.FORGED], reasons=[]), "quarantined for nothing"),
            (lambda: labelled_replies(setup=RouterSetup(parties=[PARTY], size_limit=100)), "at least 131072 octets"),
            (
                lambda: labelled_replies(setup=RouterSetup(parties=[PARTY], directory=type(HTPOORT)(()))),
                "directory is empty",
            ),
            (lambda: conversations(min_replies=2, max_replies=1), "min_replies=2"),
            (lambda: conversations(min_delay=timedelta(-1)), "min_delay=-1 day"),
            (lambda: conversations(labels=[]), "labels is empty"),
            (lambda: conversations(setup=RouterSetup(parties=["NL1." + ".".join(["0" * 16] * 3)])), "35 characters"),
        ],
    )
    def test_impossible(self, make: Callable[[], st.SearchStrategy[Any]], text: str) -> None:
        """Making the strategy raises nothing; drawing from it names the argument."""
        strategy = make()
        with pytest.raises(InvalidArgument, match=text):
            simplest(strategy)

    def test_repr_of_a_long_message(self) -> None:
        """A message of 200,000 octets does not fill the screen."""
        asked = labelled_replies(setup=SETUP, labels=[Label.FORGED], reasons=[Reason.TOO_LARGE])
        long = simplest(asked, lambda message: message.changes[-1] == "size.message")

        assert 200_001 == len(long.raw)
        for shown in (repr(long), pretty(long)):
            assert len(shown) < 5_000
            assert "[and 198001 octets more]" in shown
