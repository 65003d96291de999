"""A release that was wrong is taken back until its reply is delivered, with all that it did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from htpoort import DMS, InputError, Objection, Outcome, PartyId, Router, State, Submission, UnknownError
from htpoort.ledger import Exchange, Ledger, QuarantineState, Reply, WithdrawnRelease

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
LEASE = timedelta(minutes=2)
MESSAGE = b"Subject: hello\r\n\r\nx\r\n"
CHOICE: dict[str, Any] = {"system": DMS, "party": PartyId.parse(PARTY)}

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Write = Callable[..., bytes]
Send = Callable[..., Exchange]


class Desk:
    """A ledger, an operator at its quarantine, and a worker that delivers."""

    def __init__(self, ledger: Ledger, router: Router, clock: Clock) -> None:
        self.ledger = ledger
        self.router, self.clock = router, clock

    def take_in(self, raw: bytes = MESSAGE) -> int:
        """Receive a message; return its number."""
        return self.ledger.replies.take_in(self.router, raw, mail_from=None, at=self.clock(1)).key

    def release(self, key: int, reference: str = "K1") -> int:
        """Release a message; return the number of its reply."""
        return self.ledger.quarantine.release(key, **CHOICE, reference=reference, at=self.clock(2)).key

    def withdraw(self, key: int) -> None:
        """Take a release back."""
        self.ledger.quarantine.withdraw(key, at=self.clock(3), reason="it was for K2")

    def refused(self, key: int, reason: str = "wrong") -> list[str]:
        """Take a release back, which must be refused; return the codes of the problems."""
        before = self.ledger.quarantine.get(key), list(self.ledger.replies.listed())
        with pytest.raises(InputError) as caught:
            self.ledger.quarantine.withdraw(key, at=self.clock(3), reason=reason)
        assert before == (self.ledger.quarantine.get(key), list(self.ledger.replies.listed()))
        return [problem.code for problem in caught.value.problems]

    def claim(self) -> list[Reply]:
        """Begin the delivery of what is due."""
        return self.ledger.replies.claim_soon("DMS", owner="a", most=9, at=self.clock(2), lease=LEASE).result()

    def state(self, reference: str = "K1") -> State:
        """Read the state of an exchange."""
        found = self.ledger.exchanges.find(reference, party=PARTY)
        assert found is not None
        return found.state


@pytest.fixture
def desk(ledger: Ledger, router: Router, clock: Clock) -> Desk:
    """Return a desk at a new ledger."""
    return Desk(ledger, router, clock)


class TestTakenBack:
    """The message waits for a decision again, its reply is gone, and its exchange is as it was."""

    def test_the_message(self, desk: Desk, sent: Send) -> None:
        """It can be released again, to the right K; its log has each decision with its reason."""
        sent("K1")
        sent("K2")
        key = desk.take_in()
        wrong = desk.release(key)
        desk.withdraw(key)
        between = desk.ledger.quarantine.get(key).state, list(desk.ledger.replies.listed())
        right = desk.release(key, "K2")
        (reply,) = desk.ledger.replies.listed()
        entries = [(entry.event, entry.detail) for entry in desk.ledger.quarantine.log(key)]

        assert (QuarantineState.HELD, []) == between
        assert ("K2", MESSAGE, "matched") == (reply.reference, reply.raw, reply.correlation)
        assert (State.ACCEPTED, State.ANSWERED) == (desk.state("K1"), desk.state("K2"))
        assert ["quarantined", "released", "release-withdrawn", "released"] == [event for event, _ in entries]
        assert f"it is no longer reply {wrong}: it was for K2" == entries[2][1]
        # Processes remember the numbers of replies.
        assert wrong < right

    def test_an_accepted_exchange(self, desk: Desk, sent: Send) -> None:
        """What the mail server had accepted waits for its reply again; the log shows both steps."""
        sent("K1")
        key = desk.take_in()
        desk.release(key)
        before = desk.state()
        desk.withdraw(key)

        assert (State.ANSWERED, State.ACCEPTED) == (before, desk.state())
        assert [("answer-withdrawn", "unknown"), ("accepted", "accepted")] == [
            (entry.event, entry.state) for entry in desk.ledger.story("K1")[0].entries[-2:]
        ]

    def test_an_unknown_exchange(self, desk: Desk, declaration: Make, clock: Clock) -> None:
        """What the gateway may or may not have needs a person again."""
        desk.ledger.exchanges.queue(declaration("K1"), at=clock())
        (claimed,) = desk.ledger.exchanges.claim_soon(["DMS"], owner="a", most=1, at=clock(), lease=LEASE).result()
        desk.ledger.exchanges.settle_soon(claimed, Outcome.UNKNOWN, at=clock()).result()
        key = desk.take_in()
        desk.release(key)
        before = desk.state()
        desk.withdraw(key)

        assert (State.ANSWERED, State.UNKNOWN) == (before, desk.state())

    def test_another_answer(self, desk: Desk, sent: Send, reply: Write) -> None:
        """An exchange that another reply answers too stays answered."""
        sent("K1")
        key = desk.take_in()
        desk.release(key)
        other = desk.take_in(reply("K1"))
        desk.withdraw(key)

        assert (State.ANSWERED, [other]) == (desk.state(), [one.key for one in desk.ledger.replies.listed()])

    def test_a_closed_exchange(self, desk: Desk, sent: Send, clock: Clock) -> None:
        """What a person has closed meanwhile stays closed."""
        sent("K1")
        key = desk.take_in()
        desk.release(key)
        desk.ledger.exchanges.close("K1", at=clock(2))
        desk.withdraw(key)

        assert State.CLOSED is desk.state()

    def test_what_was_not_sent(self, desk: Desk, declaration: Make, clock: Clock) -> None:
        """A reply that answered nothing leaves the exchange as it is, still to be sent and with no open question."""
        desk.ledger.exchanges.queue(declaration("K1"), at=clock())
        key = desk.take_in()
        desk.release(key)
        before = desk.ledger.status().not_sent_replies
        desk.withdraw(key)

        assert (1, 0, State.QUEUED) == (before, desk.ledger.status().not_sent_replies, desk.state())

    def test_an_unknown_reference(self, desk: Desk) -> None:
        """A reply without an exchange is just gone."""
        key = desk.take_in()
        desk.release(key, "K9")
        desk.withdraw(key)

        assert [] == list(desk.ledger.replies.listed())

    def test_a_delivery_that_failed(self, desk: Desk, clock: Clock) -> None:
        """A process that refused the reply does not have it."""
        key = desk.take_in()
        reply = desk.release(key)
        for _ in desk.claim():
            desk.ledger.replies.mark_failed(reply, at=clock(2), due=clock(9), trouble="away")
        desk.withdraw(key)

        assert [] == list(desk.ledger.replies.listed())

    def test_a_copy_that_came_by_itself(self, desk: Desk, reply: Write) -> None:
        """A reply that also came without a person's help stays; only the release is taken back."""
        own = desk.take_in(reply("K1"))
        key = desk.take_in(reply("K1", party="NL123456789"))
        released = desk.release(key)
        before = desk.ledger.replies.get(own).copies
        desk.withdraw(key)

        assert (own, 2, 1) == (released, before, desk.ledger.replies.get(own).copies)
        assert QuarantineState.HELD is desk.ledger.quarantine.get(key).state


class TestRefused:
    """What a process may have, or what was not released, is not taken back; nothing changes."""

    def test_delivered(self, desk: Desk, clock: Clock) -> None:
        """A delivered reply stays with its process, also while it waits for another delivery."""
        key = desk.take_in()
        reply = desk.release(key)
        desk.claim()
        desk.ledger.replies.mark_delivered(reply, at=clock(2))
        delivered = desk.refused(key)
        desk.ledger.replies.deliver_again_now(at=clock(3), keys=[reply], delivered=True)

        assert (["ledger.not-withdrawn"], ["ledger.not-withdrawn"]) == (delivered, desk.refused(key))

    def test_a_delivery_whose_end_is_not_known(self, desk: Desk) -> None:
        """A worker is delivering it, or ended before it recorded the outcome."""
        key = desk.take_in()
        desk.release(key)
        desk.claim()
        under_way = desk.refused(key)
        desk.ledger.replies.drop_claims()

        assert (["ledger.not-withdrawn"], ["ledger.not-withdrawn"]) == (under_way, desk.refused(key))

    def test_an_attempt_under_way(self, desk: Desk, declaration: Make, clock: Clock) -> None:
        """While its exchange is being sent, the end of the attempt decides about the reply, so it must be there."""
        desk.ledger.exchanges.queue(declaration("K1"), at=clock())
        desk.ledger.exchanges.claim_soon(["DMS"], owner="a", most=1, at=clock(), lease=LEASE).result()
        key = desk.take_in()
        desk.release(key)

        assert ["ledger.not-withdrawn"] == desk.refused(key)

    def test_not_released(self, desk: Desk, clock: Clock) -> None:
        """A message that waits for a decision, or was discarded, has no release."""
        held, discarded = desk.take_in(), desk.take_in(b"Subject: other\r\n\r\n")
        desk.ledger.quarantine.discard(discarded, at=clock(2), reason="advertising")

        assert (["ledger.not-released"], ["ledger.not-released"]) == (desk.refused(held), desk.refused(discarded))

    def test_twice(self, desk: Desk) -> None:
        """A release is taken back once."""
        key = desk.take_in()
        desk.release(key)
        desk.withdraw(key)

        assert ["ledger.not-released"] == desk.refused(key)

    def test_without_a_reason(self, desk: Desk) -> None:
        """The log needs a reason."""
        key = desk.take_in()
        desk.release(key)

        assert ["ledger.reason"] == desk.refused(key, " ")

    def test_an_unknown_number(self, desk: Desk) -> None:
        """No message has the number."""
        with pytest.raises(UnknownError, match="message '7' is not in the quarantine"):
            desk.withdraw(7)


FORGED = {"mailbox": "dms@htpoort.nl", "process_id": "DMS.NL"}
"""A reply from the mailbox of DMS with the process ID of AGS."""
BOTH: dict[str, Any] = {"despite": [Objection.OTHER_PARTY, Objection.OTHER_SYSTEM], "reason": "by telephone"}


class Counter(Desk):
    """The same desk, where a reply of one party goes to another."""

    def release_to(self, key: int, party: str, **override: Any) -> int:
        """Release a message to a party under its own K; return the number of its reply."""
        chosen = {"system": DMS, "party": PartyId.parse(party)}
        return self.ledger.quarantine.release(key, **chosen, **override, at=self.clock(2)).key

    def deliver(self) -> list[tuple[int, str, str]]:
        """Deliver what is due; return number, party and K of each."""
        claims = self.claim()
        for claimed in claims:
            self.ledger.replies.mark_delivered(claimed.key, at=self.clock(2), redeliveries=claimed.redeliveries)
        return [(claimed.key, claimed.party, claimed.reference) for claimed in claims]

    def take_back(self, key: int, at: float = 3, reason: str = "it was for the other one") -> WithdrawnRelease:
        """Take back a release that was delivered."""
        return self.ledger.quarantine.withdraw(key, at=self.clock(at), reason=reason, delivered=True)

    def decisions(self, key: int) -> list[tuple[str, str]]:
        """Read the log of a message."""
        return [(entry.event, entry.detail) for entry in self.ledger.quarantine.log(key)]

    def state_of(self, party: str) -> State:
        """Read the state of the exchange K1 of a party."""
        found = self.ledger.exchanges.find("K1", party=party)
        assert found is not None
        return found.state


@pytest.fixture
def counter(ledger: Ledger, router: Router, clock: Clock) -> Counter:
    """Return a desk at a new ledger."""
    return Counter(ledger, router, clock)


@pytest.fixture
def misled(counter: Counter, sent: Send, reply: Write) -> tuple[Counter, int]:
    """Release a reply to K1 of one party to another one, and deliver it; return the desk and the message."""
    sent("K1")
    key = counter.take_in(reply("K1", **FORGED))
    wrong = counter.release_to(key, CLIENT, **BOTH)
    assert [(wrong, CLIENT, "K1")] == counter.deliver()
    return counter, key


class TestDelivered:
    """A release that was delivered to the wrong process is taken back by an order that says so."""

    def test_the_right_party_gets_it_once(self, misled: tuple[Counter, int]) -> None:
        """It waits in quarantine, then the right process gets it once, and its exchange is answered."""
        counter, key = misled
        counter.take_back(key)
        between = counter.ledger.status().quarantined, counter.ledger.quarantine.get(key).state, counter.deliver()
        right = counter.release_to(key, PARTY, despite=[Objection.OTHER_SYSTEM], reason="by telephone")
        before = counter.deliver()
        (stored,) = counter.ledger.replies.listed()

        assert (1, QuarantineState.HELD, []) == between
        assert ([(right, PARTY, "K1")], []) == (before, counter.deliver())
        assert (State.ANSWERED, "matched") == (counter.state(), stored.correlation)
        assert 0 == counter.ledger.status().quarantined

    def test_what_is_returned(self, misled: tuple[Counter, int], clock: Clock) -> None:
        """It is known which process has it since when, so that a person can fetch it back."""
        counter, key = misled
        withdrawn = counter.take_back(key)
        gone = withdrawn.reply

        assert (key, clock(2), True) == (withdrawn.key, withdrawn.delivered, withdrawn.may_be_delivered)
        assert (1, "DMS", CLIENT, "K1") == (gone.key, gone.system, gone.party, gone.reference)

    def test_the_trail(self, misled: tuple[Counter, int], clock: Clock) -> None:
        """The log of the message keeps when it was delivered, to whom, why, and each decision."""
        counter, key = misled
        counter.take_back(key)
        counter.release_to(key, PARTY, despite=[Objection.OTHER_SYSTEM], reason="now it fits")
        at = clock(2).astimezone().isoformat(" ", "seconds")
        of_right = [entry.detail for entry in counter.ledger.story("K1")[0].entries if entry.event == "released"]

        codes = "release.other-party, release.other-system"
        released = f"message {key} of the quarantine, by a person, to DMS for"
        again = f"{released} {PARTY} under K1, after a process got it by mistake as reply 1, "
        again += "despite release.other-system: now it fits"
        assert [
            ("quarantined", "mailbox-process-disagree"),
            ("released", f"{released} {CLIENT} under K1, despite {codes}: by telephone"),
            ("delivered", ""),
            (
                "delivery-withdrawn",
                (
                    f"it is no longer reply 1, which was delivered to DMS for {CLIENT} under K1 at {at}: "
                    "it was for the other one"
                ),
            ),
            ("released", again),
        ] == counter.decisions(key)
        assert [again] == of_right
        assert 1 == counter.ledger.quarantine.get(key).wrong_deliveries

    def test_no_party_reads_of_another(self, misled: tuple[Counter, int]) -> None:
        """The story of the right party does not name the wrong one, which has none."""
        counter, key = misled
        counter.take_back(key)
        counter.release_to(key, PARTY, despite=[Objection.OTHER_SYSTEM], reason="now it fits")
        right = counter.ledger.story("K1", party=PARTY)

        assert CLIENT not in repr(right)
        with pytest.raises(UnknownError):
            counter.ledger.story("K1", party=CLIENT)

    def test_the_exchange_of_the_wrong_party(
        self, counter: Counter, declaration: Make, sent: Send, reply: Write, clock: Clock
    ) -> None:
        """If both used the K, what the reply did to the wrong exchange is undone, and the right one is answered."""
        sent("K1")
        counter.ledger.exchanges.queue(declaration("K1", party=CLIENT), at=clock())
        (claimed,) = counter.ledger.exchanges.claim(["DMS"], owner="a", most=1, at=clock(), lease=LEASE)
        counter.ledger.exchanges.settle(claimed, Outcome.ACCEPTED, at=clock())
        key = counter.take_in(reply("K1", **FORGED))
        counter.release_to(key, CLIENT, **BOTH)
        counter.deliver()
        before = counter.state_of(CLIENT), counter.state_of(PARTY)
        counter.take_back(key, reason=f"it was for {PARTY}")
        between = counter.state_of(CLIENT), counter.state_of(PARTY)
        counter.release_to(key, PARTY, despite=[Objection.OTHER_SYSTEM], reason="now it fits")
        (wrong,) = counter.ledger.story("K1", party=CLIENT)
        at = clock(2).astimezone().isoformat(" ", "seconds")

        assert (State.ANSWERED, State.ACCEPTED) == before
        assert (State.ACCEPTED, State.ACCEPTED) == between
        assert (State.ACCEPTED, State.ANSWERED) == (counter.state_of(CLIENT), counter.state_of(PARTY))
        assert [
            ("delivered", None, ""),
            (
                "delivery-withdrawn",
                "answered",
                f"reply 1, message {key} of the quarantine, was delivered to DMS for {CLIENT} under K1 at {at}",
            ),
            ("answer-withdrawn", "unknown", "reply 1"),
            ("accepted", "accepted", "as before that reply"),
        ] == [(entry.event, entry.state, entry.detail) for entry in wrong.entries[-4:]]
        assert PARTY not in repr(wrong)

    def test_one_that_waits_for_another_delivery(self, misled: tuple[Counter, int], clock: Clock) -> None:
        """A delivery that was ordered again does not come: nothing goes to the wrong process any more."""
        counter, key = misled
        counter.ledger.replies.deliver_again_now(at=clock(3), keys=[1], delivered=True)
        withdrawn = counter.take_back(key, 4)

        assert (clock(2), []) == (withdrawn.delivered, counter.deliver())

    def test_an_end_that_is_not_known(self, counter: Counter) -> None:
        """After a crash during a delivery the process may have it, which the log says."""
        key = counter.take_in()
        counter.release(key)
        counter.claim()
        counter.ledger.replies.drop_claims()
        withdrawn = counter.take_back(key)

        assert (None, True) == (withdrawn.delivered, withdrawn.may_be_delivered)
        assert [
            (
                "delivery-withdrawn",
                (
                    f"it is no longer reply 1, which may have been delivered to DMS for {PARTY} under K1: "
                    "it was for the other one"
                ),
            )
        ] == counter.decisions(key)[2:]

    def test_one_that_is_being_delivered(self, counter: Counter, clock: Clock) -> None:
        """While a worker delivers it, it is refused, and possible when that has ended, or its lease."""
        key = counter.take_in()
        counter.release(key)
        counter.claim()
        with pytest.raises(InputError) as caught:
            counter.take_back(key)
        until = clock(4).astimezone().isoformat(" ", "seconds")
        withdrawn = counter.take_back(key, 5)

        assert [
            (
                "ledger.not-withdrawn",
                (
                    "Reply 1, which the message became, is being delivered, so the release cannot be taken back until "
                    f"{until}; then order it again."
                ),
            )
        ] == [(problem.code, problem.message) for problem in caught.value.problems]
        assert (None, True) == (withdrawn.delivered, withdrawn.may_be_delivered)

    @pytest.mark.parametrize("succeeded", [True, False])
    def test_a_report_that_comes_late(self, counter: Counter, clock: Clock, *, succeeded: bool) -> None:
        """A worker that was thought dead reports: nothing changes, and the log of the message has it."""
        key = counter.take_in()
        counter.release(key)
        (claimed,) = counter.claim()
        counter.take_back(key, 5)
        replies = counter.ledger.replies
        held = replies.renew([claimed.key], owner="a", until=clock(9))
        if succeeded:
            replies.mark_delivered(claimed.key, at=clock(6), redeliveries=0)
        else:
            replies.mark_failed(claimed.key, at=clock(6), due=clock(7), trouble="away", owner="a", redeliveries=0)

        assert (0, []) == (held, list(replies.listed()))
        assert QuarantineState.HELD is counter.ledger.quarantine.get(key).state
        meanwhile = "its release was taken back meanwhile; the process has it all the same"
        expected = ("delivered", meanwhile) if succeeded else ("delivery-failed", "away")
        assert [expected] == counter.decisions(key)[3:]

    def test_never_delivered(self, counter: Counter) -> None:
        """With nothing to fetch back, the order is the plain one."""
        key = counter.take_in()
        counter.release(key)
        withdrawn = counter.take_back(key)

        assert (None, False) == (withdrawn.delivered, withdrawn.may_be_delivered)
        assert "release-withdrawn" == counter.decisions(key)[-1][0]
        assert 0 == counter.ledger.quarantine.get(key).wrong_deliveries

    def test_one_that_also_came_by_itself(self, counter: Counter, reply: Write) -> None:
        """A reply that came without a person's help stays with its process."""
        own = counter.take_in(reply("K1"))
        key = counter.take_in(reply("K1", party="NL123456789"))
        counter.release(key)
        counter.deliver()
        counter.take_back(key)

        assert [(own, 1)] == [(stored.key, stored.copies) for stored in counter.ledger.replies.listed()]
        assert QuarantineState.HELD is counter.ledger.quarantine.get(key).state

    def test_an_attempt_under_way(self, counter: Counter, declaration: Make, clock: Clock) -> None:
        """While its exchange is being sent, the end of the attempt decides about the reply, so it must be there."""
        counter.ledger.exchanges.queue(declaration("K1"), at=clock())
        counter.ledger.exchanges.claim(["DMS"], owner="a", most=1, at=clock(), lease=LEASE)
        key = counter.take_in()
        counter.release(key)
        counter.deliver()
        with pytest.raises(InputError) as caught:
            counter.take_back(key)

        assert "may answer an attempt that is under way" in str(caught.value)

    def test_to_the_wrong_one_again(self, misled: tuple[Counter, int]) -> None:
        """A second mistake is taken back too, and both are in the trail."""
        counter, key = misled
        counter.take_back(key)
        second = counter.release_to(key, CLIENT, **BOTH)
        counter.deliver()
        counter.take_back(key)
        counter.release_to(key, PARTY, despite=[Objection.OTHER_SYSTEM], reason="now it fits")

        assert f"after a process got it by mistake as reply 1 and reply {second}, " in counter.decisions(key)[-1][1]
        assert 2 == counter.ledger.quarantine.get(key).wrong_deliveries

    def test_the_refusal_says_how(self, misled: tuple[Counter, int], clock: Clock) -> None:
        """Without the order that says so it is refused, with who has it since when."""
        counter, key = misled
        with pytest.raises(InputError) as caught:
            counter.withdraw(key)
        at = clock(2).astimezone().isoformat(" ", "seconds")

        why = f"Reply 1, which the message became, was delivered to DMS for {CLIENT} under K1 at {at}"
        advice = "to take it back all the same and fetch back yourself what is there, give delivered=True."
        assert [f"{why}, so the release cannot be taken back; {advice}"] == [
            problem.message for problem in caught.value.problems
        ]
