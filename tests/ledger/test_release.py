"""Releasing from quarantine: a choice that contradicts the ledger needs a reason, through every method."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from htpoort import (
    AGS,
    DMS,
    HTPOORT,
    Correlation,
    DeclarationSystem,
    InputError,
    Objection,
    PartyId,
    Quarantined,
    Reason,
    Routed,
    Router,
    State,
    Submission,
)
from htpoort.ledger import Exchange, Ledger, QuarantineState

OWN, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
LEASE = timedelta(minutes=2)
BTO = DeclarationSystem(
    name="BTO",
    mailbox="bto@gateway.example",
    process_id="BTO.NL",
    reply_ids=frozenset({"BTO.NL"}),
    mark=DMS.mark,
    source="typed here",
)

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]
Send = Callable[..., Exchange]

OF_MAIL = [Objection.OTHER_PARTY, Objection.OTHER_SYSTEM]
"""What can be held against the release of a message; the rest is about files."""


def choice(reference: str = "K1", *, party: str = OWN, system: DeclarationSystem = DMS) -> dict[str, Any]:
    """Return the choice of system, party and K for a message."""
    return {"system": system, "party": PartyId.parse(party), "reference": reference}


class Desk:
    """A ledger, and an operator at its quarantine."""

    def __init__(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        self.ledger = ledger
        self._router, self._clock = router, clock

    def quarantine(self, raw: bytes) -> int:
        """Receive a message that goes to quarantine; return its number."""
        stored = self.ledger.replies.take_in(self._router, raw, mail_from=None, at=self._clock(1))
        assert isinstance(stored.routing, Quarantined)
        return stored.key

    def refused(self, key: int, chosen: dict[str, Any]) -> list[str]:
        """Release a message, which must be refused; return the codes of the problems."""
        with pytest.raises(InputError) as caught:
            self.ledger.quarantine.release(key, **chosen, at=self._clock(2))
        assert QuarantineState.HELD is self.ledger.quarantine.get(key).state
        return [problem.code for problem in caught.value.problems]


@pytest.fixture
def desk(ledger: Ledger, router: Router, clock: Clock) -> Desk:
    """Return a desk at a new ledger."""
    return Desk(ledger, router, clock)


class TestRefused:
    """A choice that contradicts what is known is refused, and changes nothing."""

    @pytest.mark.parametrize("reference", ["../outside", "2209622 2730006", "a-b", "1" * 36, "?"])
    def test_a_k_that_cannot_have_been_sent(self, desk: Desk, reply: Write, clock: Clock, reference: str) -> None:
        """A message cannot be released under an invalid K, even with a reason; under another K it can."""
        raw = reply("K1").replace(b"[K=K1]", f"[K={reference}]".encode())
        key = desk.quarantine(raw)
        assert ["release.reference"] == desk.refused(key, choice(reference))
        with pytest.raises(InputError):
            desk.ledger.quarantine.release(
                key, **choice(reference), despite=OF_MAIL, reason="by telephone", at=clock(2)
            )
        stored = desk.ledger.quarantine.release(key, **choice("K1"), at=clock(3))

        assert isinstance(stored.routing, Routed)
        assert [("K1", raw)] == [(reply.reference, reply.raw) for reply in desk.ledger.replies.listed()]

    def test_another_party_sent_it(self, desk: Desk, sent: Send, reply: Write) -> None:
        """The client never sent K1, another party of the ledger did: refused for the reason that set it apart."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=CLIENT))
        codes = desk.refused(key, choice(party=CLIENT))

        assert ("other-party", ["release.other-party"]) == (desk.ledger.quarantine.get(key).reason, codes)
        assert [] == list(desk.ledger.replies.listed())

    def test_the_chosen_party_sent_it(self, desk: Desk, sent: Send, reply: Write) -> None:
        """Released to the party that sent K1, the envelope still names another party: refused."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=CLIENT))

        assert ["release.other-party"] == desk.refused(key, choice(party=OWN))

    def test_another_system(self, desk: Desk, sent: Send, reply: Write) -> None:
        """K1 went to AGS, and DMS replies: DMS contradicts the K, and AGS contradicts mailbox and V."""
        sent("K1", system=AGS)
        key = desk.quarantine(reply("K1"))

        assert "other-system" == desk.ledger.quarantine.get(key).reason
        assert ["release.other-system"] == desk.refused(key, choice(system=DMS))
        assert ["release.other-system", "release.other-system"] == desk.refused(key, choice(system=AGS))

    def test_the_advice_is_given_once(self, desk: Desk, sent: Send, reply: Write, clock: Clock) -> None:
        """Each contradiction has a sentence; the advice follows once."""
        sent("K1", system=AGS)
        key = desk.quarantine(reply("K1"))
        with pytest.raises(InputError) as caught:
            desk.ledger.quarantine.release(key, **choice(system=AGS), at=clock(2))

        assert [
            "other-system: It came from dms@htpoort.nl, the mailbox of DMS, not of AGS.",
            (
                "other-system: Its process ID is DMS4.NL, that of DMS, not of AGS. "
                "Choose again, or release it despite other-system, with a reason."
            ),
        ] == [problem.message for problem in caught.value.problems]

    def test_under_another_k(self, desk: Desk, sent: Send, reply: Write) -> None:
        """Choosing another K does not remove the contradiction of the message's own K."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=CLIENT))

        assert ["release.other-party"] == desk.refused(key, choice("K9", party=CLIENT))

    @pytest.mark.parametrize("system", [AGS, DMS])
    def test_two_systems_in_one_message(self, desk: Desk, reply: Write, system: DeclarationSystem) -> None:
        """The mailbox is of AGS and the process ID of DMS: either choice contradicts one of them."""
        key = desk.quarantine(reply("K1", mailbox="ags@htpoort.nl"))

        assert ["release.other-system"] == desk.refused(key, choice(system=system))

    def test_another_party_in_its_envelope(self, desk: Desk, reply: Write) -> None:
        """A names a party other than the chosen one, even one that is not configured: refused."""
        key = desk.quarantine(reply("K1", party="NL123456789.99.05"))

        assert ["release.other-party"] == desk.refused(key, choice())

    def test_a_system_added_to_the_directory(self, desk: Desk, clock: Clock, reply: Write) -> None:
        """The directory knows the system of a mailbox; a mailbox that is not in the directory contradicts nothing."""
        raw = reply("K1", mailbox="bto@gateway.example", process_id="BTO.NL")
        key = desk.quarantine(raw)
        with pytest.raises(InputError) as caught:
            desk.ledger.quarantine.release(key, **choice(), at=clock(2), directory=HTPOORT.add(BTO))
        desk.ledger.quarantine.release(key, **choice(), at=clock(2))

        assert ["release.other-system"] * 2 == [problem.code for problem in caught.value.problems]
        assert [raw] == [stored.raw for stored in desk.ledger.replies.listed()]


class TestAllowed:
    """The operator decides about what is unknown or written in another way."""

    @pytest.mark.parametrize("party", ["NL123456789", "nl123456789.02", "NL123456789.02.05.01", "the declarant"])
    def test_the_same_party_written_in_another_way(
        self, desk: Desk, sent: Send, clock: Clock, reply: Write, *, party: str
    ) -> None:
        """An A with fewer or more groups, or that is not a party ID, names no other party."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=party))
        stored = desk.ledger.quarantine.release(key, **choice(), at=clock(2))
        exchange = desk.ledger.exchanges.find("K1", party=OWN)

        assert isinstance(stored.routing, Routed)
        assert (Correlation.MATCHED, State.ANSWERED) == (stored.routing.correlation, exchange and exchange.state)

    def test_without_an_envelope(self, desk: Desk, sent: Send, clock: Clock) -> None:
        """A message without an envelope contradicts nothing."""
        sent("K1")
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        desk.ledger.quarantine.release(key, **choice(), at=clock(2))

        assert ["matched"] == [reply.correlation for reply in desk.ledger.replies.listed()]

    def test_the_ledger_decides_the_correlation(self, desk: Desk, clock: Clock) -> None:
        """A message released under a K that was never sent has the correlation unknown-reference."""
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        stored = desk.ledger.quarantine.release(key, **choice("K9"), at=clock(2))

        assert isinstance(stored.routing, Routed)
        assert (Correlation.UNKNOWN_REFERENCE, ["unknown-reference"]) == (
            stored.routing.correlation,
            [reply.correlation for reply in desk.ledger.replies.listed()],
        )


class TestDespite:
    """What is known is overridden by its name alone; that needs a reason, which is logged."""

    def test_it_is_stored_and_answers_nothing(self, desk: Desk, sent: Send, clock: Clock, reply: Write) -> None:
        """A reply under another party's K goes to the chosen process; the exchange of that K is not touched."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=CLIENT))
        desk.ledger.quarantine.release(
            key, **choice(party=CLIENT), despite=[Objection.OTHER_PARTY], reason="Customs says so", at=clock(2)
        )
        (claimed,) = desk.ledger.replies.claim_soon("DMS", owner="a", most=9, at=clock(3), lease=LEASE).result()
        exchange = desk.ledger.exchanges.find("K1", party=OWN)

        assert (CLIENT, None, "unknown-reference") == (claimed.party, claimed.exchange, claimed.correlation)
        assert State.ACCEPTED is (exchange and exchange.state)

    def test_it_is_logged_with_what_it_overrides(self, desk: Desk, sent: Send, clock: Clock, reply: Write) -> None:
        """The log holds the choice, the codes and the reason."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=CLIENT))
        desk.ledger.quarantine.release(
            key, **choice(party=CLIENT), despite=[Objection.OTHER_PARTY], reason="Customs says so", at=clock(2)
        )
        query = "SELECT detail FROM htpoort_events WHERE event = 'released'"
        logged = desk.ledger.write_soon(lambda connection: connection.exec_driver_sql(query).scalar_one()).result()

        detail = f"message {key} of the quarantine, by a person, to DMS for {CLIENT} under K1"
        assert f"{detail}, despite release.other-party: Customs says so" == logged

    @pytest.mark.parametrize("reason", ["", " ", "\n\t"])
    def test_a_reason_is_needed(self, desk: Desk, clock: Clock, reason: str) -> None:
        """A blank reason is refused, for a release and for discard."""
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        with pytest.raises(InputError) as released:
            desk.ledger.quarantine.release(key, **choice(), reason=reason, at=clock(2))
        with pytest.raises(InputError) as discarded:
            desk.ledger.quarantine.discard(key, at=clock(2), reason=reason)

        assert [["ledger.reason"]] * 2 == [
            [problem.code for problem in caught.value.problems] for caught in (released, discarded)
        ]
        assert QuarantineState.HELD is desk.ledger.quarantine.get(key).state

    def test_no_reason_at_all(self, desk: Desk, sent: Send, clock: Clock, reply: Write) -> None:
        """Nothing is overridden without one."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=CLIENT))
        with pytest.raises(InputError) as caught:
            desk.ledger.quarantine.release(key, **choice(party=CLIENT), despite=[Objection.OTHER_PARTY], at=clock(2))

        assert ["ledger.reason"] == [problem.code for problem in caught.value.problems]

    @pytest.mark.parametrize("named", OF_MAIL)
    def test_a_reason_opens_no_other_door(
        self, desk: Desk, sent: Send, clock: Clock, reply: Write, *, named: Objection
    ) -> None:
        """A reason about the system gives the reply to no other party, nor the reverse; both are overridden by name."""
        sent("K1")
        key = desk.quarantine(reply("K1", mailbox="ags@htpoort.nl"))
        (other,) = set(OF_MAIL) - {named}
        chosen = choice(party=CLIENT)
        with pytest.raises(InputError) as caught:
            desk.ledger.quarantine.release(key, **chosen, despite=[named], reason="by telephone", at=clock(2))
        before = desk.ledger.quarantine.get(key).state, list(desk.ledger.replies.listed())
        desk.ledger.quarantine.release(key, **chosen, despite=OF_MAIL, reason="by telephone", at=clock(2))

        assert {f"release.{other.value}"} == {problem.code for problem in caught.value.problems}
        assert f"despite {other.value}, with a reason." in str(caught.value)
        assert f"{named.value}: " not in str(caught.value)
        assert (QuarantineState.HELD, []) == before
        assert "despite release.other-party, release.other-system: by telephone" in (
            desk.ledger.quarantine.log(key)[-1].detail
        )

    def test_what_is_not_known_against_it(self, desk: Desk, sent: Send, clock: Clock, reply: Write) -> None:
        """To name everything beforehand opens nothing: what contradicts nothing is refused, and nothing changes."""
        sent("K1")
        key = desk.quarantine(reply("K1", party=CLIENT))
        with pytest.raises(InputError) as caught:
            desk.ledger.quarantine.release(
                key, **choice(party=CLIENT), despite=OF_MAIL, reason="by telephone", at=clock(2)
            )

        assert [
            (
                "release.despite",
                "despite names other-system, but nothing of that is known against this release; leave it out.",
            )
        ] == [(problem.code, problem.message) for problem in caught.value.problems]
        assert QuarantineState.HELD is desk.ledger.quarantine.get(key).state

    def test_a_reason_alone(self, desk: Desk, clock: Clock) -> None:
        """A release that nothing contradicts may have a reason, which is logged."""
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        desk.ledger.quarantine.release(key, **choice("K9"), reason="it came by telephone", at=clock(2))

        assert desk.ledger.quarantine.log(key)[-1].detail.endswith("under K9: it came by telephone")


class TestDiscarded:
    """A message that was discarded by mistake is released like one that waits; no other decision takes it."""

    def test_it_is_a_reply(self, desk: Desk, sent: Send, clock: Clock) -> None:
        """It answers its exchange, and its log has both decisions."""
        sent("K1")
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        desk.ledger.quarantine.discard(key, at=clock(2), reason="not ours")
        desk.ledger.quarantine.release(key, **choice(), at=clock(3))
        exchange = desk.ledger.exchanges.find("K1", party=OWN)
        entries = [(entry.event, entry.detail) for entry in desk.ledger.quarantine.log(key)]
        discarded = "although it was discarded before"

        assert (State.ANSWERED, ["K1"]) == (
            exchange and exchange.state,
            [reply.reference for reply in desk.ledger.replies.listed()],
        )
        assert [
            ("quarantined", "ambiguous-from"),
            ("discarded", "not ours"),
            (
                "released",
                f"message {key} of the quarantine, by a person, to DMS for {OWN} under K1, {discarded}",
            ),
        ] == entries

    def test_the_rule_holds(self, desk: Desk, sent: Send, clock: Clock) -> None:
        """A choice that contradicts what is known is refused, and it stays discarded."""
        sent("K1")
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        desk.ledger.quarantine.discard(key, at=clock(2), reason="not ours")
        with pytest.raises(InputError) as caught:
            desk.ledger.quarantine.release(key, **choice(party=CLIENT), at=clock(3))

        assert ["release.other-party"] == [problem.code for problem in caught.value.problems]
        assert QuarantineState.DISCARDED is desk.ledger.quarantine.get(key).state

    def test_a_release_of_it_that_was_wrong(self, desk: Desk, clock: Clock) -> None:
        """Once that is taken back, it waits for a decision, and can be discarded again."""
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        desk.ledger.quarantine.discard(key, at=clock(2), reason="not ours")
        desk.ledger.quarantine.release(key, **choice("K9"), at=clock(3))
        desk.ledger.quarantine.withdraw(key, at=clock(4), reason="not ours after all")
        between = desk.ledger.quarantine.get(key).state
        desk.ledger.quarantine.discard(key, at=clock(5), reason="not ours")

        assert (QuarantineState.HELD, QuarantineState.DISCARDED) == (between, desk.ledger.quarantine.get(key).state)

    @pytest.mark.parametrize("decisions", [("discard", "discard"), ("release", "release"), ("release", "discard")])
    def test_decided_twice(self, desk: Desk, clock: Clock, decisions: tuple[str, ...]) -> None:
        """What was discarded is not discarded, and what was released is neither released nor discarded."""
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")

        def decide(decision: str) -> None:
            if decision == "discard":
                desk.ledger.quarantine.discard(key, at=clock(2), reason="not ours")
            else:
                desk.ledger.quarantine.release(key, **choice("K9"), at=clock(2))

        decide(decisions[0])
        with pytest.raises(InputError) as caught:
            decide(decisions[1])

        assert ["ledger.not-held"] == [problem.code for problem in caught.value.problems]


class TestTimes:
    """A released reply came when its message came; its process gets it from the release on."""

    def test_when_it_came(self, desk: Desk, clock: Clock) -> None:
        """Not the release, and not a withdrawal, is when it was received."""
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        desk.ledger.quarantine.release(key, **choice("K9"), at=clock(30))
        (first,) = desk.ledger.replies.listed(since=clock(1))
        desk.ledger.quarantine.withdraw(key, at=clock(40), reason="wrong")
        desk.ledger.quarantine.release(key, **choice("K8"), at=clock(50))
        (second,) = desk.ledger.replies.listed()

        assert [(clock(1), clock(30)), (clock(1), clock(50))] == [
            (reply.received, reply.due) for reply in (first, second)
        ]
        assert [] == list(desk.ledger.replies.listed(since=clock(2)))

    def test_the_last_reply_of_a_party(self, desk: Desk, clock: Clock) -> None:
        """The report of a move has the same time."""
        key = desk.quarantine(b"Subject: hello\r\n\r\nx\r\n")
        desk.ledger.quarantine.release(key, **choice("K9"), at=clock(30))

        assert clock(1) == desk.ledger.party_totals([OWN])[OWN.lower(), "DMS"].last_reply

    def test_one_that_also_came_by_itself(self, desk: Desk, router: Router, clock: Clock, reply: Write) -> None:
        """The time of the one that came first as a reply stays."""
        own = desk.ledger.replies.take_in(router, reply("K1"), mail_from=None, at=clock(3)).key
        key = desk.quarantine(reply("K1", party="NL123456789"))
        desk.ledger.quarantine.release(key, **choice("K1"), at=clock(30))

        assert (2, clock(3)) == (desk.ledger.replies.get(own).copies, desk.ledger.replies.get(own).received)

    def test_when_others_are_due(self, desk: Desk, router: Router, clock: Clock, reply: Write) -> None:
        """A reply that came is due since then, one that failed at its next try, one ordered again since the order."""
        keys = [
            desk.ledger.replies.take_in(router, reply(reference), mail_from=None, at=clock(3)).key
            for reference in ("K1", "K2", "K3")
        ]
        desk.ledger.replies.mark_failed(keys[1], at=clock(4), due=clock(9), trouble="away")
        desk.ledger.replies.mark_delivered(keys[2], at=clock(4))
        desk.ledger.replies.deliver_again_now(at=clock(20), keys=keys[2:], delivered=True)

        assert [clock(3), clock(9), clock(20)] == [desk.ledger.replies.get(key).due for key in keys]


@pytest.mark.parametrize(
    ("party", "system", "reason"),
    [(CLIENT, DMS, Reason.OTHER_PARTY), (OWN, AGS, Reason.OTHER_SYSTEM)],
    ids=["another party", "another system"],
)
def test_a_router_without_the_ledger(  # noqa: PLR0913 - four fixtures and a table
    ledger: Ledger,
    router: Router,
    sent: Send,
    clock: Clock,
    reply: Write,
    *,
    party: str,
    system: DeclarationSystem,
    reason: Reason,
) -> None:
    """A router without the ledger's records misroutes nothing: the ledger itself compares the K."""
    sent("K1")
    raw = reply("K1", party=party, mailbox=system.mailbox, process_id=system.process_id)
    stored = ledger.replies.take_in(attrs.evolve(router, sent=None), raw, mail_from=None, at=clock(1))

    assert isinstance(stored.routing, Quarantined)
    assert (reason, []) == (stored.routing.reason, list(ledger.replies.listed()))
