"""The public strategies: values that the library takes, and replies whose verdict is known."""

from __future__ import annotations

import email
import os
import re
import string
import subprocess  # noqa: S404 - what an import registers is only seen in a process of its own
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import Phase, given, settings, strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.vendor.pretty import pretty
from strategies import PARTY, SETUP, draws_exactly, simplest

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
    Submission,
    read,
)
from htpoort.testing import strategies
from htpoort.testing.strategies import (
    PayloadForm,
    QuarantinedFor,
    ReplyMessage,
    RoutedTo,
    RouterSetup,
    declaration_systems,
    party_ids,
    references,
    reply_messages,
    router_setups,
    routing_envelopes,
    submissions,
    verdict,
)

OF_MESSAGES = [reason for reason in Reason if reason is not Reason.FOREIGN_FILE]
"""Why a message may be in quarantine; a file is not drawn here."""


def routed(message: ReplyMessage) -> Routed | Quarantined:
    """Give a message to a router with the setup that the message was written for."""
    return message.setup.router().route_message(message.raw, message.mail_from)


class TestReplyMessages:
    """A genuine reply is routed where it belongs; one with one thing wrong is quarantined with the expected reason."""

    @given(reply_messages(reasons=[]))
    def test_genuine(self, message: ReplyMessage) -> None:
        """Everything genuine is routed, and the reader forgives nothing in it but the blanks of the official form."""
        received = read(message.raw)

        assert message.expected == verdict(routed(message))
        assert isinstance(message.expected, RoutedTo)
        assert () == received.problems
        assert received.envelope is not None
        assert {note.code for note in received.envelope.notes} <= {"envelope.blank"}

    @given(reply_messages(genuine=False))
    def test_quarantined(self, message: ReplyMessage) -> None:
        """Everything else is quarantined, with the expected reason."""
        assert message.expected == verdict(routed(message))
        assert isinstance(message.expected, QuarantinedFor)

    @given(reply_messages(setup=SETUP))
    def test_for_a_router_of_yours(self, message: ReplyMessage) -> None:
        """With a setup of the caller both hold too, and it is the setup of each message."""
        assert SETUP is message.setup
        assert message.expected == verdict(routed(message))

    @pytest.mark.parametrize("reason", OF_MESSAGES)
    @settings(max_examples=20)  # for each reason
    @given(st.data())
    def test_for_one_reason(self, reason: Reason, data: st.DataObject) -> None:
        """For each reason alone, setups are drawn in which it is possible."""
        message = data.draw(reply_messages(genuine=False, reasons=[reason]))

        assert QuarantinedFor(reason=reason) == verdict(routed(message)) == message.expected

    def test_each_verdict_is_drawn(self) -> None:
        """Without arguments, genuine replies and every reason are drawn."""
        asked = reply_messages(setup=SETUP)

        assert draws_exactly(asked, lambda message: [getattr(message.expected, "reason", None)], {None, *OF_MESSAGES})

    def test_each_correlation_is_drawn(self) -> None:
        """Replies are about what was sent, about something else, and for routers that look nothing up."""
        asked = reply_messages(reasons=[])
        by_routers = {Correlation.MATCHED, Correlation.UNKNOWN_REFERENCE, Correlation.NOT_CHECKED}

        assert draws_exactly(asked, lambda message: [getattr(message.expected, "correlation", None)], by_routers)

    def test_simplest(self) -> None:
        """A failing example shrinks to a genuine reply with an empty body."""
        genuine = simplest(reply_messages())

        assert isinstance(genuine.expected, RoutedTo)
        assert (HTPOORT, b"") == (genuine.setup.directory, read(genuine.raw).body)

    def test_body(self) -> None:
        """Bodies have the sizes that the caller gives."""
        asked = reply_messages(reasons=[], min_length=70, max_length=80)
        short = simplest(asked, lambda message: len(read(message.raw).body) > 75)

        assert 76 <= len(read(short.raw).body) <= 80

    @given(reply_messages(reasons=[]))
    def test_payload(self, message: ReplyMessage) -> None:
        """What a genuine reply carries is what it says, in every form."""
        assert message.payload == read(message.raw).payload.octets

    @pytest.mark.parametrize("form", get_args(PayloadForm))
    @settings(max_examples=20)  # for each form
    @given(data=st.data())
    def test_for_one_form(self, form: PayloadForm, data: st.DataObject) -> None:
        """In each form alone the payload is found, by the standard library too."""
        message = data.draw(reply_messages(reasons=[], forms=[form]))
        parsed = email.message_from_bytes(message.raw)
        part = next(part for part in parsed.walk() if not part.is_multipart())

        assert form.startswith("attachment") is parsed.is_multipart()
        assert message.payload == read(message.raw).payload.octets
        if part["Content-Transfer-Encoding"] in {"base64", "quoted-printable"}:
            assert message.payload == part.get_payload(decode=True)

    def test_program_that_does_not_decode(self) -> None:
        """A program that takes the body for the payload is detected."""
        found = simplest(reply_messages(reasons=[]), lambda message: read(message.raw).body != message.payload)

        assert found.payload == read(found.raw).payload.octets

    @pytest.mark.parametrize("forms", [[], ["uuencode"]])
    def test_no_such_form(self, forms: list[PayloadForm]) -> None:
        """A form that does not exist, or none, is refused with those that do."""
        listed = "plain, base64, quoted-printable, attachment, attachment-base64, attachment-quoted-printable"
        with pytest.raises(InvalidArgument) as caught:
            simplest(reply_messages(forms=forms))
        assert f"forms={forms!r}: give some of {listed}." == str(caught.value)

    def test_naive_router(self) -> None:
        """A router that takes the first mailbox of From is detected, by the simplest message that shows it."""

        def naive(message: ReplyMessage) -> bool:
            header = re.search(rb"^From:.*?([\w.]+@[\w.]+)", message.raw, re.MULTILINE)
            return header is not None and header[1] in {b"ags@htpoort.nl", b"dms@htpoort.nl"}

        found = simplest(reply_messages(setup=SETUP, genuine=False, reasons=[Reason.AMBIGUOUS_FROM]), naive)

        assert b"From: dms@htpoort.nl <evil@trader.example>" == found.raw.partition(b"\r\n")[0]


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
        """A party ID has the given parts, and the given length of the whole."""
        assert len(str(sendable)) <= 35
        assert ("NL", 9, 2) == (official.country, len(official.number), len(official.groups))

    @given(party_ids(max_length=21, min_groups=3, min_group_length=2, max_group_length=4))
    def test_tight_party_ids(self, party: PartyId) -> None:
        """The same holds if hardly anything fits."""
        assert 3 <= len(party.groups) <= 6
        assert len(str(party)) <= 21
        assert all(2 <= len(group) <= 4 for group in party.groups)

    @pytest.mark.parametrize(
        ("length", "groups", "group_length"), [(3, 0, 1), (4, 0, 1), (20, 0, 1), (35, 0, 1), (100, 8, 10), (153, 8, 16)]
    )
    def test_every_length_of_a_party_id(self, length: int, groups: int, group_length: int) -> None:
        """There are short ones and long ones: two letters, a digit, and up to eight groups of sixteen."""
        asked = party_ids(min_groups=groups, min_group_length=group_length)

        assert length <= len(str(simplest(asked, lambda party: len(str(party)) >= length, Phase.generate)))

    @given(
        routing_envelopes(min_length=3, max_length=5), routing_envelopes(references=references(), s_values=st.just("0"))
    )
    def test_routing_envelopes(self, sized: RoutingEnvelope, request: RoutingEnvelope) -> None:
        """An envelope is equal to what is parsed from its line; values have the given sizes, or are those given."""
        assert sized == RoutingEnvelope.parse(str(sized), strict=True)
        assert all(3 <= len(value) <= 5 for value in (sized.sender, sized.addressee, sized.reference, sized.s))
        assert request.reference.isalnum()
        assert "0" == request.s

    @pytest.mark.parametrize("name", ["sender", "addressee", "reference", "s"])
    def test_values_of_an_envelope(self, name: str) -> None:
        """Each value has blanks inside and up to 256 characters."""

        def long(envelope: RoutingEnvelope) -> bool:
            return len(getattr(envelope, name)) == 256 and " " in getattr(envelope, name)

        assert long(simplest(routing_envelopes(min_length=250), long, Phase.generate))

    @given(st.lists(declaration_systems(published=False, min_reply_ids=2, max_reply_ids=3), max_size=2))
    def test_declaration_systems(self, systems: list[DeclarationSystem]) -> None:
        """A system that is not published has a mailbox below .example, and the given number of reply IDs."""
        assert all(system.mailbox.endswith(".example") and 2 <= len(system.reply_ids) <= 3 for system in systems)

    def test_systems_that_answer_otherwise(self) -> None:
        """Some systems reply under other IDs than the one that they are addressed by; the simplest is AGS."""
        other = simplest(declaration_systems(), lambda system: system.process_id not in system.reply_ids)

        assert AGS == simplest(declaration_systems())
        assert 1 == len(other.reply_ids)

    @given(submissions(min_length=2, max_length=4), submissions(systems=st.just(DMS), payloads=st.just(b"<a/>\r\n")))
    def test_submissions(self, sized: Submission, given_: Submission) -> None:
        """A message has its envelope in the Subject, and the given payload."""
        for submission in (sized, given_):
            assert submission.envelope == read(submission.data).envelope
            assert submission.mail_from.lower() == read(submission.data).mailbox
        assert ("DMS", "dms@htpoort.nl") == (given_.system, given_.rcpt_to)
        assert b"\r\n\r\n<a/>\r\n" in given_.data

    def test_layouts_of_submissions(self) -> None:
        """A payload is the body or an attachment."""
        assert draws_exactly(submissions(), lambda found: [b"multipart/mixed" in found.data], {True, False})

    @given(router_setups(min_parties=2, max_parties=2, min_systems=3, max_systems=3, min_sent=1, recorded=True))
    def test_router_setups(self, setup: RouterSetup) -> None:
        """A setup has the given numbers of parties, systems and records, with AGS and DMS among the systems."""
        assert 2 == len(setup.parties)
        assert [AGS, DMS] == list(setup.directory)[:2]
        assert 3 == len(list(setup.directory))
        assert setup.sent

    @settings(max_examples=20)  # eight systems in each
    @given(router_setups(min_systems=8, max_systems=8))
    def test_many_systems(self, setup: RouterSetup) -> None:
        """A setup has the given number of systems, although two that are drawn often share something."""
        assert 8 == len(list(setup.directory))

    @settings(max_examples=20)  # what a setup holds is drawn above
    @given(router_setups(recorded=False), st.from_type(RouterSetup))
    def test_setups_that_do_not_look(self, setup: RouterSetup, any_setup: RouterSetup) -> None:
        """A setup without records has none, and its router looks nothing up."""
        assert setup.sent is None
        assert setup.router().sent is None
        assert isinstance(any_setup, RouterSetup)

    @settings(max_examples=20)  # what they hold is drawn above
    @given(st.from_type(ReplyMessage), st.from_type(RouterSetup))
    def test_types_of_this_room(self, message: ReplyMessage, setup: RouterSetup) -> None:
        """The types of the strategies are registered too."""
        assert message.raw
        assert setup.parties


class TestArguments:
    """An impossible argument is refused at the first draw, with Hypothesis' own error; repr shows the arguments."""

    @pytest.mark.parametrize(
        ("make", "text"),
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
            (lambda: reply_messages(genuine=False, reasons=[]), "quarantined for no reason at all"),
            (
                lambda: reply_messages(
                    setup=RouterSetup(parties=[PARTY]),
                    genuine=False,
                    reasons=[Reason.OTHER_PARTY, Reason.OTHER_SYSTEM],
                ),
                "OTHER_PARTY, OTHER_SYSTEM",
            ),
            (lambda: reply_messages(setup=RouterSetup(parties=[PARTY], size_limit=100)), "at least 131072 octets"),
            (
                lambda: reply_messages(setup=RouterSetup(parties=[PARTY], directory=type(HTPOORT)(()))),
                "directory is empty",
            ),
        ],
    )
    def test_impossible(self, make: Callable[[], st.SearchStrategy[Any]], text: str) -> None:
        """Making the strategy raises nothing; drawing from it names the argument."""
        strategy = make()
        with pytest.raises(InvalidArgument, match=text):
            simplest(strategy)

    @pytest.mark.parametrize(
        ("strategy", "shown"),
        [
            (references(min_length=29), "references(min_length=29)"),
            (party_ids(country="NL"), "party_ids(country='NL')"),
            (reply_messages(genuine=False), "reply_messages(genuine=False)"),
        ],
    )
    def test_repr(self, strategy: st.SearchStrategy[Any], shown: str) -> None:
        """A strategy shows how it was made."""
        assert shown == repr(strategy)

    def test_repr_of_a_long_message(self) -> None:
        """A message of more than 65,536 octets does not fill the screen."""
        long = simplest(reply_messages(setup=SETUP, genuine=False, reasons=[Reason.TOO_LARGE]))

        assert len(long.raw) > 65_536
        for shown in (repr(long), pretty(long)):
            assert len(shown) < 5_000
            assert "octets more]" in shown

    def test_setup(self) -> None:
        """A setup takes what a router takes, and refuses what it refuses."""
        assert (PARTY,) == tuple(map(str, RouterSetup(parties=[PARTY]).parties))
        with pytest.raises(InputError):
            RouterSetup(parties=["x"])

    def test_only_names(self) -> None:
        """Each public name exists."""
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
            "from hypothesis import Phase, find, settings, strategies as st\n"
            f"from htpoort import {kind}\n"
            "quickly = settings(database=None, phases=[Phase.generate])\n"
            f"found = find(st.from_type({kind}), lambda value: True, settings=quickly)\n"
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
