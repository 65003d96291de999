"""A dispatcher chooses the system, builds the message and its shadow, and queues both: as `htpoort queue` does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from agents import MAILBOX, PARTY

from htpoort import AGS, DMS, HTPOORT, CutoverPlan, InputError, Move, PartyId, UnknownError
from htpoort.agent import Dispatched, Dispatcher
from htpoort.ledger import Ledger

CLIENT = "NL123456789.02.06"
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
PLAN = CutoverPlan(
    moves=(
        Move(party=PARTY, system="DMS", since=date(2026, 12, 1)),
        Move(party=PARTY, system="AGS", since=date(2026, 12, 1), kind="Import"),
    )
)


@pytest.fixture
def dispatcher(ledger: Ledger) -> Dispatcher:
    """Make a dispatcher with a plan and without a shadow."""
    return Dispatcher(ledger=ledger, parties=[PARTY, CLIENT], plan=PLAN)


def shadowing(ledger: Ledger) -> Dispatcher:
    """Make a dispatcher that sends to AGS and also builds for DMS."""
    return Dispatcher(ledger=ledger, parties=(PartyId.parse(PARTY),), plan=CutoverPlan(), shadow=DMS)


def dispatch(dispatcher: Dispatcher, reference: str = "K1", **more: object) -> Dispatched:
    """Dispatch a declaration of one party, unless another one is given."""
    values: dict[str, object] = {"party": PARTY, "mailbox": MAILBOX, "reference": reference, "at": NOON, **more}
    payload = values.pop("payload", b"<MetaData/>")
    return dispatcher.dispatch(payload, **values)  # type: ignore[arg-type]  # each as the method names it


def raw(ledger: Ledger) -> bytes:
    """Return the only message that is queued."""
    ((_, message),) = ledger.exchanges.messages()
    assert message is not None
    return message


class TestWhichSystem:
    """A system that is named is used; otherwise that of an earlier use of the reference; otherwise that of the plan."""

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({}, "DMS"),
            ({"at": NOON - timedelta(days=1)}, "AGS"),
            ({"at": datetime(2026, 11, 30, 23, tzinfo=UTC)}, "DMS"),
            ({"system": "AGS"}, "AGS"),
            ({"system": "dms", "kind": "import"}, "DMS"),
            ({"kind": "IMPORT"}, "AGS"),
            ({"kind": "export"}, "DMS"),
            ({"party": CLIENT}, "AGS"),
        ],
    )
    def test_named_or_planned(self, dispatcher: Dispatcher, more: dict[str, object], expected: str) -> None:
        """The plan decides for party, kind and the day in Europe/Amsterdam; a name wins."""
        dispatched = dispatch(dispatcher, **more)

        assert (expected, expected) == (dispatched.exchange.system, dispatched.destination.system.name)
        assert dispatched.destination.shadow is None

    def test_chosen_is_not_queued(self, dispatcher: Dispatcher, ledger: Ledger) -> None:
        """Choosing alone puts nothing into the ledger."""
        chosen = dispatcher.choose(party=PARTY.lower(), reference="K1", at=NOON)

        assert (DMS, PARTY) == (chosen.system, str(chosen.party))
        assert [] == list(ledger.exchanges.listed())

    def test_repeated_after_the_move(self, dispatcher: Dispatcher, ledger: Ledger) -> None:
        """A declaration that is repeated after the day of its move is not declared a second time."""
        first = dispatch(dispatcher, at=NOON - timedelta(days=1))
        again = dispatch(dispatcher, at=NOON)

        assert ("AGS", "AGS") == (first.exchange.system, again.exchange.system)
        assert (False, True) == (first.exchange.repeated, again.exchange.repeated)
        assert 1 == len(list(ledger.exchanges.listed()))

    def test_another_declaration_under_the_reference(self, dispatcher: Dispatcher, ledger: Ledger) -> None:
        """A used reference is refused for another payload, and for another system."""
        dispatch(dispatcher)
        with pytest.raises(InputError) as other:
            dispatch(dispatcher, payload=b"<Other/>")
        with pytest.raises(InputError) as elsewhere:
            dispatch(dispatcher, system="AGS")

        codes = [problem.code for error in (other, elsewhere) for problem in error.value.problems]
        assert ["ledger.reference-used", "ledger.reference-used"] == codes
        assert 1 == len(list(ledger.exchanges.listed()))

    def test_a_system_that_the_directory_lacks(self, dispatcher: Dispatcher, ledger: Ledger) -> None:
        """Where the directory lacks the first system, the plan decides, and the ledger refuses to declare it twice."""
        dispatch(dispatcher, system="DMS")
        alone = Dispatcher(
            ledger=ledger,
            parties=[PARTY],
            directory=type(HTPOORT)([AGS]),
            plan=CutoverPlan(directory=type(HTPOORT)([AGS])),
        )
        with pytest.raises(InputError) as caught:
            dispatch(alone)

        assert ["ledger.reference-used"] == [problem.code for problem in caught.value.problems]

    def test_no_plan(self, ledger: Ledger) -> None:
        """Without a plan a declaration needs the name of a system, unless its reference was queued before."""
        without = Dispatcher(ledger=ledger, parties=[PARTY])
        with pytest.raises(InputError) as caught:
            dispatch(without)
        named = dispatch(without, system="AGS")
        again = dispatch(without)

        assert ["dispatch.no-system"] == [problem.code for problem in caught.value.problems]
        assert (("AGS", False), ("AGS", True)) == (
            (named.exchange.system, named.exchange.repeated),
            (again.exchange.system, again.exchange.repeated),
        )


class TestRefused:
    """A declaration that could not be sent or answered is not queued."""

    @pytest.mark.parametrize(
        ("more", "kind"),
        [
            ({"party": "NL123456789.99.05"}, UnknownError),
            ({"system": "NCTS"}, UnknownError),
            ({"reference": "a b"}, InputError),
            ({"payload": b""}, InputError),
            ({"mailbox": "edi"}, InputError),
            ({"mailbox": None}, InputError),
            ({"at": "noon"}, InputError),
            ({"kind": "import "}, InputError),
            ({"business_reference": ""}, InputError),
            ({"business_reference": "LRN\n1"}, InputError),
            ({"at": datetime(2026, 12, 1, 12)}, InputError),  # noqa: DTZ001 - the error is the point
            ({"date": datetime(2026, 12, 1, 12)}, InputError),  # noqa: DTZ001 - the same
            ({"shadow_payload": b"<MetaData/>"}, InputError),
        ],
    )
    def test_nothing_is_queued(
        self, dispatcher: Dispatcher, ledger: Ledger, more: dict[str, object], kind: type[Exception]
    ) -> None:
        """Each wrong value is an error, and leaves the ledger unchanged."""
        with pytest.raises(kind):
            dispatch(dispatcher, **more)

        assert [] == list(ledger.exchanges.listed())


class TestMessage:
    """The message is that of `build`."""

    def test_the_party_as_the_dispatcher_spells_it(self, dispatcher: Dispatcher, ledger: Ledger) -> None:
        """V is sent as *parties* spells it, in whichever case it is given."""
        dispatched = dispatch(dispatcher, party=PARTY.lower())

        assert PARTY == dispatched.exchange.party
        assert f"[V={PARTY}]".encode() in raw(ledger)

    def test_what_is_given(self, dispatcher: Dispatcher, ledger: Ledger) -> None:
        """Date, Message-ID, layout, type, file name and business reference are those that were given."""
        dispatched = dispatch(
            dispatcher,
            date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
            message_id="<K1@forwarder.example>",
            layout="attachment",
            content_type="application/EDIFACT",
            file_name="K1.edi",
            business_reference="LRN1",
        )
        message = raw(ledger)

        assert ("LRN1", "<K1@forwarder.example>") == (
            dispatched.exchange.business_reference,
            dispatched.exchange.message_id,
        )
        assert [True] * 4 == [
            part in message
            for part in (
                b"Date: Mon, 02 Nov 2026 09:05:07 +0000",
                b"Message-ID: <K1@forwarder.example>",
                b"application/EDIFACT",
                b"K1.edi",
            )
        ]

    def test_what_is_made_up(self, dispatcher: Dispatcher, ledger: Ledger) -> None:
        """The date is the moment of the call, and each message has a new Message-ID in the domain of the mailbox."""
        one, other = (dispatch(dispatcher, reference).exchange.message_id for reference in ("K1", "K2"))
        (_, first), _ = ledger.exchanges.messages()

        assert first is not None
        assert b"Date: Tue, 01 Dec 2026 12:00:00 +0000" in first
        assert one != other
        assert ["forwarder.example>", "forwarder.example>"] == [made.partition("@")[2] for made in (one, other)]


class TestShadow:
    """With a shadow system, each declaration is also built for that system, and never sent there."""

    def test_the_same_declaration(self, ledger: Ledger) -> None:
        """A shadow has the payload, Date and Message-ID of what is sent, and the other system's mailbox."""
        dispatched = dispatch(shadowing(ledger))
        (shadow,) = ledger.exchanges.shadows()

        assert ("AGS", DMS, "DMS") == (dispatched.exchange.system, dispatched.destination.shadow, shadow.system)
        assert shadow.sent.replace(b"ags@htpoort.nl", b"dms@htpoort.nl").replace(b"DMS.NL", b"DMS4.NL") == shadow.raw

    @pytest.mark.parametrize("given", [b"<MetaData/>", lambda: b"<MetaData/>"])
    def test_another_payload(self, ledger: Ledger, given: bytes | Callable[[], bytes]) -> None:
        """The declaration for the shadow system may be another document, with its own content type."""
        dispatch(shadowing(ledger), payload=b"UNB+UNOC:3'", content_type="application/EDIFACT", shadow_payload=given)
        (shadow,) = ledger.exchanges.shadows()

        assert (b"UNB+UNOC:3'", b"<MetaData/>") == (shadow.sent.split()[-1], shadow.raw.split()[-1])
        assert (True, True) == (b"application/EDIFACT" in shadow.sent, b"application/xml" in shadow.raw)

    def test_what_goes_there_has_none(self, ledger: Ledger) -> None:
        """A declaration for the shadow system itself has no shadow, and no other payload is asked for."""

        def not_called() -> bytes:
            raise AssertionError

        dispatched = dispatch(shadowing(ledger), system="DMS", shadow_payload=not_called)

        assert ("DMS", None) == (dispatched.exchange.system, dispatched.destination.shadow)
        assert [] == list(ledger.exchanges.shadows())

    def test_a_shadow_that_cannot_be_built(self, ledger: Ledger) -> None:
        """If the shadow is refused, the declaration is not queued either."""
        with pytest.raises(InputError):
            dispatch(shadowing(ledger), shadow_payload=b"")

        assert [] == list(ledger.exchanges.listed())


def test_every_value_that_is_not_a_party_is_reported(ledger: Ledger) -> None:
    """A dispatcher lists each value that is not a party ID, and not the first one alone."""
    with pytest.raises(InputError) as caught:
        Dispatcher(ledger=ledger, parties=["x", "NL123456789.02.05", "y"])
    named = {text for text in ("'x'", "'y'") for problem in caught.value.problems if text in problem.message}
    assert {"'x'", "'y'"} == named
