"""The strategies for users: what is genuine routes, what is forged is quarantined for the reason foretold."""

from __future__ import annotations

import os
import re
import string
import subprocess  # noqa: S404 - what an import registers is only seen in a process of its own
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import Phase, find, given, settings, strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.vendor.pretty import pretty

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    Correlation,
    DeclarationSystem,
    InputError,
    PartyId,
    Quarantined,
    Reason,
    Routed,
    RoutingEnvelope,
    SentRecord,
    Submission,
    read,
)
from htpoort.exchange import Outcome as Sent
from htpoort.ledger import Ledger
from htpoort.testing import strategies
from htpoort.testing.strategies import (
    FORGED,
    TOLERATED,
    Conversation,
    Label,
    Outcome,
    QuarantinedFor,
    ReplyMessage,
    RoutedTo,
    RouterSetup,
    conversations,
    declaration_systems,
    party_ids,
    references,
    reply_messages,
    router_setups,
    routing_envelopes,
    said,
    submissions,
)
from htpoort.testing.strategies._replies import message
from htpoort.testing.strategies._scenes import Scene, scene

T = TypeVar("T")

PARTY, OTHER = "NL123456789.02.05", "NL123456789.03.05"
NCTS = DeclarationSystem(
    name="NCTS", mailbox="ncts@customs.example", process_id="NCTS.NL", reply_ids=frozenset({"DVA.NL"})
)
SETUP = RouterSetup(
    directory=HTPOORT.add(NCTS),
    parties=[PARTY, OTHER],
    sent=[
        SentRecord(system="DMS", party=PARTY, reference="K1"),
        SentRecord(system="AGS", party=OTHER, reference="K2"),
    ],
    size_limit=200_000,
)
"""What every forgery can be done with."""


def drawn(strategy: st.SearchStrategy[T], condition: Callable[[T], bool] = lambda _: True, *phases: Phase) -> T:
    """Draw a value that meets a condition, the simplest one unless told otherwise; the same each time."""
    chosen = settings(max_examples=3_000, database=None, deadline=None, phases=phases or (Phase.generate, Phase.shrink))
    return find(strategy, condition, settings=chosen, random=Random(2))  # noqa: S311 - of no secret


def all_drawn(strategy: st.SearchStrategy[T], show: Callable[[T], Iterable[object]], wanted: set[Any]) -> bool:
    """Say whether all that is wanted is shown by one of the values drawn, and nothing is shown but that."""
    seen: set[object] = set()

    def complete(value: T) -> bool:
        seen.update(show(value))
        return seen >= wanted

    drawn(strategy, complete, Phase.generate)
    return seen == wanted


def routed(message: ReplyMessage) -> Routed | Quarantined:
    """Give a message to a router that is told what the message was written for."""
    return message.setup.router().route_message(message.raw, message.mail_from)


@st.composite
def answers(draw: st.DrawFn, *names: str) -> tuple[Scene, ReplyMessage]:
    """Draw a message with some things tolerated in it, or with none, and what it answers."""
    setup = attrs.evolve(draw(router_setups()), size_limit=150_000)
    answer = scene(draw, setup=setup, bodies=st.just(b"<Response/>\r\n"))
    label = Label.TOLERATED if names else Label.GENUINE
    return answer, message(draw, answer=answer, label=label, names=names, reasons=())


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


class TestReplyMessages:
    """What is genuine or tolerated is routed where it belongs; what is forged is quarantined as foretold."""

    @given(reply_messages(labels=[Label.GENUINE]))
    def test_genuine(self, message: ReplyMessage) -> None:
        """Everything genuine routes, and the reader forgives nothing in it but the blanks of the official form."""
        received = read(message.raw)

        assert message.expected == said(routed(message))
        assert isinstance(message.expected, RoutedTo)
        assert () == message.done == received.problems
        assert received.envelope is not None
        assert {note.code for note in received.envelope.notes} <= {"envelope.blank"}

    @given(reply_messages(labels=[Label.TOLERATED]))
    def test_tolerated(self, message: ReplyMessage) -> None:
        """Everything tolerated routes, to the same system and party and under the same K."""
        assert message.expected == said(routed(message))
        assert isinstance(message.expected, RoutedTo)
        assert set() < set(message.done) <= set(TOLERATED)

    @given(reply_messages(labels=[Label.FORGED]))
    def test_forged(self, message: ReplyMessage) -> None:
        """Everything forged is quarantined, with the reason foretold."""
        assert message.expected == said(routed(message))
        assert QuarantinedFor(reason=FORGED[message.done[-1]]) == message.expected
        assert set(message.done[:-1]) <= set(TOLERATED)

    @given(reply_messages(labels=[Label.FORGED], reasons=[Reason.OTHER_PARTY]))
    def test_for_one_reason(self, message: ReplyMessage) -> None:
        """Where a reason is asked for and no setup is given, setups are drawn in which it can be had."""
        assert QuarantinedFor(reason=Reason.OTHER_PARTY) == said(routed(message)) == message.expected

    @given(reply_messages(setup=SETUP))
    def test_for_a_router_of_yours(self, message: ReplyMessage) -> None:
        """With a setup that is given all of this holds too, and it is the setup of each message."""
        assert SETUP is message.setup
        assert message.expected == said(routed(message))

    def test_every_reason_can_be_had(self) -> None:
        """Each reason of the router is one that some message is forged for."""
        assert set(Reason) == set(FORGED.values())

    def test_each_label_is_drawn(self) -> None:
        """Whoever asks for nothing gets each kind of reply."""
        assert all_drawn(reply_messages(), lambda message: [message.label], set(Label))

    def test_each_reason_is_drawn(self) -> None:
        """Whoever asks for forged replies gets each reason."""
        asked = reply_messages(labels=[Label.FORGED])

        assert all_drawn(asked, lambda message: [getattr(said(routed(message)), "reason", None)], set(Reason))

    @pytest.mark.parametrize("reason", Reason)
    def test_each_forgery_is_drawn(self, reason: Reason) -> None:
        """Every forgery for a reason is drawn by who asks for the reason."""
        names = {name for name, own in FORGED.items() if own is reason}
        asked = reply_messages(setup=SETUP, labels=[Label.FORGED], reasons=[reason])

        assert all_drawn(asked, lambda message: message.done[-1:], names)

    @pytest.mark.parametrize("name", TOLERATED)
    @given(st.data())
    def test_each_toleration_shows(self, name: str, data: st.DataObject) -> None:
        """A message in which one thing is tolerated differs from every genuine one, in its octets or its MAIL FROM."""
        answer, found = data.draw(answers(name))

        assert (found.mail_from, found.raw) not in strict(answer)

    @given(answers())
    def test_genuine_is_strict(self, drawn: tuple[Scene, ReplyMessage]) -> None:
        """What the tolerated ones are held against is what the genuine ones are."""
        answer, found = drawn

        assert (found.mail_from, found.raw) in strict(answer)

    def test_each_toleration_is_drawn(self) -> None:
        """Everything that is tolerated is drawn."""
        asked = reply_messages(setup=SETUP, labels=[Label.TOLERATED])

        assert all_drawn(asked, lambda message: message.done, set(TOLERATED))

    def test_each_correlation_is_drawn(self) -> None:
        """Replies are about what was sent, about something else, and for routers that look nothing up."""
        asked = reply_messages(labels=[Label.GENUINE])
        by_routers = {Correlation.MATCHED, Correlation.UNKNOWN_REFERENCE, Correlation.NOT_CHECKED}

        assert all_drawn(asked, lambda message: [getattr(message.expected, "correlation", None)], by_routers)

    def test_without_what_was_sent(self) -> None:
        """For a router that does not look up what was sent nothing is forged that it could not see."""
        alone = RouterSetup(parties=[PARTY])
        asked = reply_messages(setup=alone, labels=[Label.FORGED], reasons=[Reason.OTHER_PARTY, Reason.OTHER_SYSTEM])
        with pytest.raises(InvalidArgument, match="OTHER_PARTY, OTHER_SYSTEM"):
            drawn(asked)

    def test_a_large_router(self) -> None:
        """For a router that takes 50 MiB no message is forged that is longer."""
        asked = reply_messages(setup=RouterSetup(parties=[PARTY]), labels=[Label.FORGED], reasons=[Reason.TOO_LARGE])

        assert ("size.header",) == drawn(asked).done

    def test_simplest(self) -> None:
        """A failing example shrinks to a genuine reply, a forged one to the forgery alone."""
        genuine = drawn(reply_messages())
        forged = drawn(reply_messages(labels=[Label.FORGED]))

        assert (Label.GENUINE, HTPOORT, b"") == (genuine.label, genuine.setup.directory, read(genuine.raw).body)
        assert 1 == len(forged.done)

    def test_body(self) -> None:
        """Bodies have the sizes that were asked for."""
        asked = reply_messages(labels=[Label.GENUINE], min_length=70, max_length=80)
        short = drawn(asked, lambda message: len(read(message.raw).body) > 75)

        assert 76 <= len(read(short.raw).body) <= 80

    def test_naive_router(self) -> None:
        """A router that takes the first mailbox of From is found out, by the simplest message that shows it."""

        def naive(message: ReplyMessage) -> bool:
            header = re.search(rb"^From:.*?([\w.]+@[\w.]+)", message.raw, re.MULTILINE)
            return header is not None and header[1] in {b"ags@htpoort.nl", b"dms@htpoort.nl"}

        asked = reply_messages(setup=SETUP, labels=[Label.FORGED], reasons=[Reason.AMBIGUOUS_FROM])
        found = drawn(asked, naive)

        assert ("from.address-as-name",) == found.done
        assert b"From: dms@htpoort.nl <evil@trader.example>" == found.raw.partition(b"\r\n")[0]


class TestConversations:
    """A declaration, and what must become of everything that comes back on it."""

    @settings(max_examples=60)  # each with a ledger of its own
    @given(conversations())
    def test_in_a_ledger(self, conversation: Conversation) -> None:
        """A ledger that takes the replies in as they come keeps each, and finds the copies and nothing else."""
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
                assert message.expected == said(stored.found)
                if reply.outcome is not Outcome.QUARANTINED:
                    assert (reply.outcome is Outcome.COPY) is stored.repeated

    @given(conversations(min_replies=2, max_replies=4, min_delay=timedelta(hours=1), max_delay=timedelta(days=1)))
    def test_times(self, conversation: Conversation) -> None:
        """Replies stand in the order in which they come, as many and as late as was asked for."""
        delays = [reply.after for reply in conversation.replies]

        assert sorted(delays) == delays
        assert 2 <= len(delays) <= 4
        assert all(timedelta(hours=1) <= delay <= timedelta(days=1) for delay in delays)

    @given(conversations())
    def test_what_was_sent(self, conversation: Conversation) -> None:
        """The router knows of the declaration, and the party has used its K for nothing else."""
        envelope = conversation.submission.envelope
        record = SentRecord(
            system=conversation.submission.system, party=str(conversation.party), reference=envelope.reference
        )

        assert (record,) == conversation.setup.own(conversation.party, envelope.reference)
        assert str(conversation.party) == envelope.sender

    @given(conversations(setup=RouterSetup(parties=["NL123456789.02.05"])))
    def test_a_router_without_a_record(self, conversation: Conversation) -> None:
        """A setup that looks up nothing that was sent stays as it was given, and its router says what is expected."""
        router = RouterSetup(parties=["NL123456789.02.05"]).router()

        assert conversation.setup.sent is None
        for reply in conversation.replies:
            assert reply.message.expected == said(router.route_message(reply.message.raw, reply.message.mail_from))

    @given(conversations(labels=[Label.GENUINE, Label.TOLERATED]))
    def test_nothing_forged(self, conversation: Conversation) -> None:
        """Where nothing is forged, each reply is delivered when it comes first, and is a copy after that."""
        numbers = [reply.number for reply in conversation.replies]
        firsts = [number not in numbers[:at] for at, number in enumerate(numbers)]

        assert firsts == [reply.outcome is Outcome.DELIVERED for reply in conversation.replies]
        assert {Outcome.DELIVERED, Outcome.COPY} >= {reply.outcome for reply in conversation.replies}

    def test_each_outcome_is_drawn(self) -> None:
        """Replies are delivered, copies, and quarantined."""
        assert all_drawn(conversations(), lambda found: [reply.outcome for reply in found.replies], set(Outcome))

    def test_out_of_order(self) -> None:
        """Replies also come in another order than Customs wrote them in."""
        found = drawn(
            conversations(),
            lambda drawn: [reply.number for reply in drawn.replies] != sorted(reply.number for reply in drawn.replies),
        )

        assert 2 == len(found.replies)

    def test_own_references(self) -> None:
        """Some replies have a K of their own, which was never sent."""

        def has_own(conversation: Conversation) -> bool:
            return any(
                isinstance(reply.message.expected, RoutedTo)
                and reply.message.expected.correlation is Correlation.UNKNOWN_REFERENCE
                for reply in conversation.replies
            )

        assert drawn(conversations(), has_own, Phase.generate)

    def test_simplest(self) -> None:
        """A failing example shrinks to a declaration to AGS without a reply."""
        simplest = drawn(conversations())

        assert ("AGS", ()) == (simplest.submission.system, simplest.replies)


class TestValues:
    """Each value is one that the library takes, of the size that was asked for, and each size is drawn."""

    @given(references(), references(min_length=29), references(max_length=1))
    def test_references(self, any_length: str, long: str, short: str) -> None:
        """A K has 1 to 35 letters and digits, or as many as were asked for."""
        for text, least, most in ((any_length, 1, 35), (long, 29, 35), (short, 1, 1)):
            assert least <= len(text) <= most
            assert set(text) <= set(string.ascii_letters + string.digits)

    @given(party_ids(max_length=35), party_ids(country="NL", min_digits=9, max_digits=9, min_groups=2, max_groups=2))
    def test_party_ids(self, sendable: PartyId, official: PartyId) -> None:
        """A party ID keeps to the parts that were asked for, and to the length of the whole."""
        assert len(str(sendable)) <= 35
        assert ("NL", 9, 2) == (official.country, len(official.number), len(official.groups))

    @given(party_ids(max_length=21, min_groups=3, min_group_length=2, max_group_length=4))
    def test_tight_party_ids(self, party: PartyId) -> None:
        """Also where hardly anything fits."""
        assert 3 <= len(party.groups) <= 6
        assert len(str(party)) <= 21
        assert all(2 <= len(group) <= 4 for group in party.groups)

    @pytest.mark.parametrize("length", [3, 4, 20, 35, 100, 153])
    def test_every_length_of_a_party_id(self, length: int) -> None:
        """There are short ones and long ones: two letters, a digit, and up to eight groups of sixteen."""
        asked = party_ids(min_groups=0 if length < 100 else 8, min_group_length=1 if length < 153 else 16)

        assert length <= len(str(drawn(asked, lambda party: len(str(party)) >= length)))

    @given(
        routing_envelopes(min_length=3, max_length=5), routing_envelopes(references=references(), s_values=st.just("0"))
    )
    def test_routing_envelopes(self, sized: RoutingEnvelope, request: RoutingEnvelope) -> None:
        """An envelope comes back from its line; values have the sizes that were asked for, or are those given."""
        assert sized == RoutingEnvelope.parse(str(sized), strict=True)
        assert all(3 <= len(value) <= 5 for value in (sized.sender, sized.addressee, sized.reference, sized.s))
        assert request.reference.isalnum()
        assert "0" == request.s

    @pytest.mark.parametrize("name", ["sender", "addressee", "reference", "s"])
    def test_values_of_an_envelope(self, name: str) -> None:
        """Each value has blanks inside and up to 256 characters."""

        def long(envelope: RoutingEnvelope) -> bool:
            return len(getattr(envelope, name)) == 256 and " " in getattr(envelope, name)

        assert long(drawn(routing_envelopes(min_length=250), long, Phase.generate))

    @given(st.lists(declaration_systems(published=False, min_reply_ids=2, max_reply_ids=3), max_size=2))
    def test_declaration_systems(self, systems: list[DeclarationSystem]) -> None:
        """A system that is not published has a mailbox that nobody has, and as many reply ids as were asked for."""
        assert all(system.mailbox.endswith(".example") and 2 <= len(system.reply_ids) <= 3 for system in systems)

    def test_systems_that_answer_otherwise(self) -> None:
        """Some systems answer under other ids than the one that they are addressed by; the simplest is AGS."""
        other = drawn(declaration_systems(), lambda system: system.process_id not in system.reply_ids)

        assert AGS == drawn(declaration_systems())
        assert 1 == len(other.reply_ids)

    @given(submissions(min_length=2, max_length=4), submissions(systems=st.just(DMS), payloads=st.just(b"<a/>\r\n")))
    def test_submissions(self, sized: Submission, given_: Submission) -> None:
        """A message says in its Subject what its envelope says, and carries the payload that was asked for."""
        for submission in (sized, given_):
            assert submission.envelope == read(submission.data).envelope
            assert submission.mail_from.lower() == read(submission.data).mailbox
        assert ("DMS", "dms@htpoort.nl") == (given_.system, given_.rcpt_to)
        assert b"\r\n\r\n<a/>\r\n" in given_.data

    def test_layouts_of_submissions(self) -> None:
        """A payload is the body or an attachment."""
        assert all_drawn(submissions(), lambda found: [b"multipart/mixed" in found.data], {True, False})

    @given(router_setups(min_parties=2, max_parties=2, min_systems=3, max_systems=3, min_sent=1, recorded=True))
    def test_router_setups(self, setup: RouterSetup) -> None:
        """A setup has the parties, systems and records that were asked for, AGS and DMS among the systems."""
        assert 2 == len(setup.parties)
        assert [AGS, DMS] == list(setup.directory)[:2]
        assert 3 == len(list(setup.directory))
        assert setup.sent

    @given(router_setups(min_systems=8, max_systems=8))
    def test_many_systems(self, setup: RouterSetup) -> None:
        """As many systems as asked for stand side by side, though two that are drawn often share something."""
        assert 8 == len(list(setup.directory))

    @given(router_setups(recorded=False), st.from_type(RouterSetup))
    def test_setups_that_do_not_look(self, setup: RouterSetup, any_setup: RouterSetup) -> None:
        """A setup without records has none, and its router looks nothing up."""
        assert setup.sent is None
        assert setup.router().sent is None
        assert isinstance(any_setup, RouterSetup)

    @given(st.from_type(ReplyMessage), st.from_type(Conversation))
    def test_types_of_this_room(self, message: ReplyMessage, conversation: Conversation) -> None:
        """The types of this room are registered too."""
        assert message.raw
        assert conversation.setup.sent


class TestArguments:
    """An impossible argument is told when the first value is drawn, in Hypothesis' own way; and repr shows them."""

    @pytest.mark.parametrize(
        ("make", "said_of"),
        [
            (lambda: references(min_length=0), "min_length=0"),
            (lambda: references(max_length=36), "max_length=36"),
            (lambda: references(min_length=3, max_length=2), "min_length=3, max_length=2"),
            (lambda: party_ids(min_digits=16, max_digits=16), "min_digits=16"),
            (lambda: party_ids(max_groups=9), "max_groups=9"),
            (lambda: party_ids(min_group_length=0), "min_group_length=0"),
            (lambda: party_ids(min_groups=2, max_length=6), "shortest of these party IDs has 7"),
            (lambda: routing_envelopes(max_length=257), "max_length=257"),
            (lambda: declaration_systems(min_reply_ids=0), "min_reply_ids=0"),
            (lambda: submissions(min_length=0), "min_length=0"),
            (lambda: router_setups(min_parties=0), "min_parties=0"),
            (lambda: router_setups(min_systems=1), "min_systems=1"),
            (lambda: router_setups(min_sent=-1), "min_sent=-1"),
            (lambda: reply_messages(max_length=10_001), "max_length=10001"),
            (lambda: reply_messages(labels=[]), "labels is empty"),
            (lambda: reply_messages(labels=[Label.FORGED], reasons=[]), "quarantined for nothing"),
            (lambda: reply_messages(setup=RouterSetup(parties=[PARTY], size_limit=100)), "need 131072 octets"),
            (
                lambda: reply_messages(setup=RouterSetup(parties=[PARTY], directory=type(HTPOORT)(()))),
                "directory is empty",
            ),
            (lambda: conversations(min_replies=2, max_replies=1), "min_replies=2"),
            (lambda: conversations(min_delay=timedelta(-1)), "min_delay=-1 day"),
            (lambda: conversations(labels=[]), "labels is empty"),
            (lambda: conversations(setup=RouterSetup(parties=["NL1." + ".".join(["0" * 16] * 3)])), "35 characters"),
        ],
    )
    def test_impossible(self, make: Callable[[], st.SearchStrategy[Any]], said_of: str) -> None:
        """Making the strategy does nothing, drawing from it says what to give instead."""
        strategy = make()
        with pytest.raises(InvalidArgument, match=said_of):
            drawn(strategy)

    @pytest.mark.parametrize(
        ("strategy", "shown"),
        [
            (references(min_length=29), "references(min_length=29)"),
            (party_ids(country="NL"), "party_ids(country='NL')"),
            (reply_messages(labels=[Label.FORGED]), "reply_messages(labels=[Label.FORGED])"),
            (conversations(max_replies=2), "conversations(max_replies=2)"),
        ],
    )
    def test_repr(self, strategy: st.SearchStrategy[Any], shown: str) -> None:
        """A strategy shows how it was made."""
        assert shown == repr(strategy)

    def test_repr_of_a_long_message(self) -> None:
        """A message of 200,000 octets does not fill the screen."""
        asked = reply_messages(setup=SETUP, labels=[Label.FORGED], reasons=[Reason.TOO_LARGE])
        long = drawn(asked, lambda message: message.done[-1] == "size.message")

        assert 200_001 == len(long.raw)
        for shown in (repr(long), pretty(long)):
            assert len(shown) < 5_000
            assert "[and 198001 octets more]" in shown

    def test_setup(self) -> None:
        """A setup takes what a router takes, and refuses what it refuses."""
        assert (PARTY,) == tuple(map(str, RouterSetup(parties=[PARTY]).parties))
        with pytest.raises(InputError):
            RouterSetup(parties=["x"])

    def test_only_names(self) -> None:
        """What is public is told, and each name is there."""
        assert [] == [name for name in strategies.__all__ if not hasattr(strategies, name)]


def alone(code: str, folder: Path) -> str:
    """Run code in a fresh interpreter, where no test has imported anything."""
    env = {name: text for name, text in os.environ.items() if not name.startswith(("COVERAGE", "HYPOTHESIS"))}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=folder)  # noqa: S603 - our own code
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


class TestEntryPoint:
    """Hypothesis knows the types of the core wherever htpoort is installed."""

    @pytest.mark.parametrize(
        ("kind", "shown"),
        [
            ("RoutingEnvelope", "routing_envelopes()"),
            ("PartyId", "party_ids()"),
            ("DeclarationSystem", "declaration_systems()"),
            ("Submission", "submissions()"),
        ],
    )
    def test_from_type(self, kind: str, shown: str, tmp_path: Path) -> None:
        """`from_type` draws each of them, and nothing of `htpoort.testing` was imported for it by the user."""
        code = (
            "from hypothesis import find, settings, strategies as st\n"
            f"from htpoort import {kind}\n"
            f"found = find(st.from_type({kind}), lambda value: True, settings=settings(database=None))\n"
            f"print(isinstance(found, {kind}))\n"
            f"print(st.from_type({kind}))\n"
        )

        assert ["True", shown] == alone(code, tmp_path).splitlines()

    def test_hypothesis_loads_little(self, tmp_path: Path) -> None:
        """Importing Hypothesis loads the core and no strategy, and importing htpoort does not load Hypothesis."""
        listing = "import sys, {}; print(*(name for name in sys.modules if name.startswith(('htpoort', 'hypothesis'))))"
        with_it = set(alone(listing.format("hypothesis"), tmp_path).split())
        without = set(alone(listing.format("htpoort"), tmp_path).split())

        assert "htpoort.testing._registering" in with_it
        assert not {name for name in with_it if name.startswith(("htpoort.testing.strategies", "htpoort.simulator"))}
        assert not {name for name in without if name.startswith(("htpoort.testing", "hypothesis"))}
