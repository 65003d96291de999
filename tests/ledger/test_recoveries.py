"""What a notice says to do for each exchange, and that nothing else is done without a reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from htpoort import AGS, InputError, Outcome, Router, State, Submission, UnknownError, read
from htpoort.core.notices.consequences import RecoveryAction
from htpoort.ledger import Exchange, Ledger, LedgerEvent, NoticeForm, StoredNotice

Clock = Callable[..., datetime]
Make = Callable[..., Submission]
Sent = Callable[..., Exchange]
Write = Callable[..., bytes]

OPENS = datetime(2026, 11, 2, 19, 0, tzinfo=UTC)
"""20:00 in Amsterdam, in winter."""
CLOSES = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)
LEASE, MINUTE = timedelta(minutes=2), timedelta(minutes=1)
PARTY = "NL123456789.02.05"
SENDS = {RecoveryAction.SAME_REFERENCE, RecoveryAction.NEW_REFERENCE}


def own(*, reference: str = "N1", system: str = "DMS", behaviour: str = "rejected", recovery: str = "resubmit") -> str:
    """Write a notice of one's own about the evening of 2 November 2026."""
    return f"""
authority = "douane"
kind = "incident"
references = ["{reference}"]
state = "ended"

[[windows]]
system = "{system}"
access = "file"
start = 2026-11-02T20:00:00
end = 2026-11-02T23:00:00
end_kind = "final"
behaviour = "{behaviour}"
recovery = "{recovery}"
"""


@pytest.fixture
def learn(ledger: Ledger) -> Callable[..., StoredNotice]:
    """Return a function that stores a notice on the next morning."""

    def learned(**parts: str) -> StoredNotice:
        return ledger.notices.add(own(**parts), at=LATER, form=NoticeForm.OWN)

    return learned


Learn = Callable[..., StoredNotice]


def references(ledger: Ledger, notice: str = "N1") -> list[str]:
    """List the K of what a notice concerns."""
    return [each.exchange.reference for each in ledger.recoveries.concerned(notice, at=LATER)]


def accepted(ledger: Ledger, submission: Submission, *, lrn: str) -> None:
    """Queue a declaration with an LRN, and let the server accept it in the window."""
    ledger.exchanges.queue(submission, at=OPENS, business_reference=lrn)
    (claimed,) = ledger.exchanges.claim(["DMS"], owner="a", most=1, at=OPENS, lease=LEASE)
    ledger.exchanges.settle(claimed, Outcome.ACCEPTED, at=OPENS)


class TestConcerned:
    """Which exchanges a notice concerns."""

    def test_what_was_sent_in_the_window(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """What was sent from the first moment of the window on, before its end, is concerned; other systems are not."""
        for reference, at in (("K1", OPENS - MINUTE), ("K2", OPENS), ("K3", CLOSES - MINUTE), ("K4", CLOSES)):
            sent(reference, at=at)
        sent("A1", at=OPENS, system=AGS)
        learn()

        assert ["K2", "K3"] == references(ledger)
        assert ["K2", "K3"] == [each.exchange.reference for each in ledger.recoveries.presumed_rejected(at=LATER)]

    def test_what_is_answered(self, ledger: Ledger, sent: Sent, learn: Learn, router: Router, reply: Write) -> None:
        """What has an answer was not rejected, and is not concerned."""
        sent("K1", at=OPENS)
        ledger.replies.take_in(router, reply("K1"), mail_from="dms@htpoort.nl", at=OPENS + MINUTE)
        learn()

        assert [] == references(ledger)

    def test_what_the_server_did_not_take(self, ledger: Ledger, declaration: Make, learn: Learn) -> None:
        """What the server refused in the window is concerned, and is not presumed: it certainly was not taken."""
        ledger.exchanges.queue(declaration("K1"), at=OPENS)
        (claimed,) = ledger.exchanges.claim(["DMS"], owner="a", most=1, at=OPENS, lease=LEASE)
        ledger.exchanges.settle(claimed, Outcome.REFUSED, at=OPENS)
        learn()
        (concern,) = ledger.recoveries.concerned("N1", at=LATER)

        assert ("K1", OPENS, False) == (concern.exchange.reference, concern.sent, concern.presumed_rejected)
        assert () == ledger.recoveries.presumed_rejected(at=LATER)

    def test_a_list_for_customs(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """If the notice asks for a list, what was sent in its window and has no answer is on it, and nothing else."""
        for reference, at in (("K1", OPENS - 600 * MINUTE), ("K2", OPENS), ("K3", CLOSES)):
            sent(reference, at=at)
        learn(behaviour="unavailable", recovery="report-list")

        assert ["K2"] == references(ledger)

    def test_a_window_of_late_answers(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """What was sent while answers were late is concerned, and presumed nothing."""
        sent("K1", at=OPENS)
        learn(behaviour="delayed", recovery="wait")
        (concern,) = ledger.recoveries.concerned("N1", at=LATER)

        assert ("wait", False) == (concern.rule.recovery, concern.presumed_rejected)

    def test_a_notice_that_does_not_exist(self, ledger: Ledger) -> None:
        """A notice that is not stored is an error."""
        with pytest.raises(UnknownError):
            ledger.recoveries.concerned("N1", at=LATER)


# Typed by hand from the README of the notices: what each word of recovery allows at first.
ALLOWED = {
    "wait": {"wait", "report"},
    "resubmit": {"wait", "report", "same-reference", "new-reference"},
    "resend-same-reference-optional": {"wait", "report", "same-reference"},
    "same-reference": {"wait", "report", "same-reference"},
    "new-reference": {"wait", "report", "new-reference"},
    "report-list": {"wait", "report"},
    "invalidate-and-new": {"wait", "report", "invalidated"},
    "unstated": {"wait", "report"},
}


class TestOrders:
    """An order is carried out if the notice allows it, or if it comes with a reason; once."""

    @pytest.mark.parametrize("action", list(RecoveryAction))
    @pytest.mark.parametrize("recovery", list(ALLOWED))
    def test_each_recovery_and_each_order(
        self, ledger: Ledger, sent: Sent, learn: Learn, recovery: str, action: RecoveryAction
    ) -> None:
        """What the notice does not allow is refused, and changes nothing; with a reason it is done and recorded."""
        sent("K1", at=OPENS)
        learn(behaviour="unavailable", recovery=recovery)
        parts = {"replacement": b"<b/>", "business_reference": "LRN2"} if action is RecoveryAction.NEW_REFERENCE else {}

        def order(despite: str | None) -> str:
            try:
                done = ledger.recoveries.order("N1", action, "K1", at=LATER, despite=despite, **parts)  # type: ignore[arg-type]  # the parts
            except InputError as error:
                return error.problems[0].code
            return done.despite or "allowed"

        first = order(None)
        before = [each.reference for each in ledger.exchanges.listed()]
        second = order("Customs asked for it by phone")

        allowed = action.value in ALLOWED[recovery]
        assert ("allowed" if allowed else "ledger.notice-forbids") == first
        assert ("allowed" if allowed else "Customs asked for it by phone") == second
        assert (2 if allowed and action in SENDS else 1) == len(before)
        assert (2 if action in SENDS else 1) == len(list(ledger.exchanges.listed()))

    def test_the_same_reference(self, ledger: Ledger, declaration: Make, learn: Learn) -> None:
        """The same declaration goes out under a new K with the same LRN; the old exchange is closed and linked."""
        accepted(ledger, declaration("K1"), lrn="LRN1")
        notice = learn()
        order = ledger.recoveries.order_soon("N1", RecoveryAction.SAME_REFERENCE, "K1", at=LATER).result()
        old, new = ledger.exchanges.listed()
        (message,) = [raw for each, raw in ledger.exchanges.messages() if each.key == new.key]

        assert (new.reference, notice.key, None) == (order.resubmission, order.notice, order.despite)
        assert ((State.CLOSED, "LRN1"), (State.QUEUED, "LRN1")) == (
            (old.state, old.business_reference),
            (new.state, new.business_reference),
        )
        assert "K1" != new.reference
        assert message is not None
        received = read(message)
        assert received.envelope is not None
        assert (new.reference, b"<a/>", ()) == (
            received.envelope.reference,
            received.payload.octets,
            received.problems,
        )
        (story,) = ledger.story("K1")
        assert (LedgerEvent.RECOVERY_ORDERED.value, f"same-reference as {new.reference}, notice 1") == (
            story.entries[-2].event,
            story.entries[-2].detail,
        )
        assert (order,) == ledger.recoveries.orders(old)

    def test_an_order_that_is_repeated(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """An order that was carried out is found, and nothing is sent twice; another declaration is refused."""
        sent("K1", at=OPENS)
        learn()
        first = ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, "K1", at=LATER)
        second = ledger.recoveries.order("1", RecoveryAction.SAME_REFERENCE, "K1", at=LATER + MINUTE)
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, despite="because")

        assert (first, False, True) == (second, first.repeated, second.repeated)
        assert "ledger.resubmitted" == refused.value.problems[0].code
        assert 2 == len(list(ledger.exchanges.listed()))

    @pytest.mark.parametrize(
        ("payload", "business_reference", "new_reference"),
        [
            (b"<a/>", "LRN2", "K2"),
            (b"<b/>", None, "K2"),
            (None, "LRN2", "K2"),
            (b"<b/>", "LRN1", "K2"),
            (b"<b/>", "LRN2", "K1"),
        ],
    )
    def test_a_wrong_replacement(  # noqa: PLR0913, PLR0917 - the parts of an order
        self,
        ledger: Ledger,
        declaration: Make,
        learn: Learn,
        payload: bytes | None,
        business_reference: str | None,
        new_reference: str,
    ) -> None:
        """A new LRN needs a new declaration: old payload, old LRN and old K are refused, and nothing changes."""
        accepted(ledger, declaration("K1"), lrn="LRN1")
        learn(recovery="new-reference")
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order(
                "N1",
                RecoveryAction.NEW_REFERENCE,
                "K1",
                at=LATER,
                replacement=payload,
                business_reference=business_reference,
                new_reference=new_reference,
            )

        assert {"ledger.replacement"} == {problem.code for problem in refused.value.problems}
        assert [State.ACCEPTED] == [each.state for each in ledger.exchanges.listed()]

    def test_a_new_reference(self, ledger: Ledger, declaration: Make, learn: Learn) -> None:
        """The new declaration goes to the same system for the same party; the old exchange is closed."""
        accepted(ledger, declaration("K1"), lrn="LRN1")
        learn(recovery="new-reference")
        order = ledger.recoveries.order(
            "N1",
            RecoveryAction.NEW_REFERENCE,
            "K1",
            at=LATER,
            replacement=b"<b/>",
            business_reference="LRN2",
            new_reference="K2",
        )
        message = {each.reference: raw for each, raw in ledger.exchanges.messages()}["K2"]

        assert "K2" == order.resubmission
        assert [("K1", State.CLOSED, "LRN1"), ("K2", State.QUEUED, "LRN2")] == [
            (each.reference, each.state, each.business_reference) for each in ledger.exchanges.listed()
        ]
        assert message is not None
        received = read(message)
        assert ("edi@forwarder.example", b"<b/>") == (received.mailbox, received.payload.octets)

    @pytest.mark.parametrize("taken", [True, False])
    def test_a_message_that_is_queued_already(
        self,
        ledger: Ledger,
        sent: Sent,
        declaration: Make,
        learn: Learn,
        taken: bool,  # noqa: FBT001 - a table
    ) -> None:
        """A message takes the place of one exchange only: for a second one it is refused, and nothing changes."""
        sent("K1", at=OPENS)
        sent("K2", at=OPENS)
        learn(recovery="new-reference")
        if taken:
            parts = {"replacement": b"<b/>", "business_reference": "LRN9", "new_reference": "K9"}
            ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, **parts)  # type: ignore[arg-type]  # the parts
        else:
            ledger.exchanges.queue(declaration("K9", payload=b"<b/>"), at=LATER)
        before, entry = list(ledger.exchanges.listed()), ledger.newest_entry()
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order(
                "N1",
                RecoveryAction.NEW_REFERENCE,
                "K2",
                at=LATER,
                replacement=b"<b/>",
                business_reference="LRN9",
                new_reference="K9",
            )

        why = "takes the place of K1 already" if taken else "was queued before"
        assert [
            ("ledger.replacement", f"K9 {why}, so nothing would be sent in place of K2; give it one of its own.")
        ] == [(problem.code, problem.message) for problem in refused.value.problems]
        assert (before, entry) == (list(ledger.exchanges.listed()), ledger.newest_entry())
        assert ["K2"] == references(ledger)[-1:]

    @pytest.mark.parametrize("held", [False, True])
    def test_an_lrn_that_is_used(
        self,
        ledger: Ledger,
        declaration: Make,
        learn: Learn,
        held: bool,  # noqa: FBT001 - a table
    ) -> None:
        """An LRN that any declaration of the party has is refused, with its K, whatever reason is given."""
        accepted(ledger, declaration("K1"), lrn="LRN1")
        ledger.exchanges.queue(declaration("K3"), at=LATER, business_reference="LRN3", held=held)
        learn(recovery="new-reference")
        before, entry = list(ledger.exchanges.listed()), ledger.newest_entry()
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order(
                "N1",
                RecoveryAction.NEW_REFERENCE,
                "K1",
                at=LATER,
                replacement=b"<b/>",
                business_reference="LRN3",
                despite="by phone",
            )

        state = "held" if held else "queued"
        assert [
            ("ledger.replacement", f"business_reference is LRN3, the LRN of K3, which is {state}; give a new one.")
        ] == [(problem.code, problem.message) for problem in refused.value.problems]
        assert (before, entry) == (list(ledger.exchanges.listed()), ledger.newest_entry())

    def test_one_new_lrn_for_two_exchanges(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """An LRN that took the place of one exchange takes no second place; of another party it may be the same."""
        for reference in ("K1", "K2"):
            sent(reference, at=OPENS)
        learn(recovery="new-reference")
        new = {"business_reference": "LRN9"}
        first = ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, replacement=b"<b/>", **new)
        with pytest.raises(InputError, match=f"LRN9, the LRN of {first.resubmission}, which is queued"):
            ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K2", at=LATER, replacement=b"<c/>", **new)

        assert 3 == len(list(ledger.exchanges.listed()))

    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"replacement": b"<c/>"}, "nothing was ordered with another declaration."),
            ({"business_reference": "LRN8"}, "with LRN LRN8 (it has LRN9)."),
            ({"new_reference": "K8"}, "with K K8."),
            ({"replacement": b"<c/>", "business_reference": "LRN8"}, "LRN8 (it has LRN9) and another declaration."),
        ],
    )
    def test_another_replacement(
        self, ledger: Ledger, sent: Sent, learn: Learn, other: dict[str, Any], named: str
    ) -> None:
        """What was replaced is not replaced by something else; the same once more is found."""
        exchange = sent("K1", at=OPENS)
        learn(recovery="new-reference")
        parts: dict[str, Any] = {"replacement": b"<b/>", "business_reference": "LRN9", "new_reference": "K9"}
        first = ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, **parts)
        again = ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, **parts)
        ledger.recoveries.check_repeated(first, exchange, **parts)
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, **(parts | other))
        with pytest.raises(InputError, match="K9 takes its place already"):
            ledger.recoveries.check_repeated(first, exchange, **(parts | other))

        assert (first, True) == (again, again.repeated)
        assert [("ledger.resubmitted", True)] == [
            (problem.code, f"{named} See htpoort show K9." in problem.message) for problem in refused.value.problems
        ]

    def test_one_k_for_two_exchanges(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """Two exchanges with the same octets are sent again as two messages: one K for both is refused."""
        sent("K1", at=OPENS)
        sent("K2", at=OPENS)
        learn()
        ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, "K1", at=LATER, new_reference="K9")
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, "K2", at=LATER, new_reference="K9")
        order = ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, "K2", at=LATER)

        assert "ledger.replacement" == refused.value.problems[0].code
        assert order.resubmission not in {"K1", "K2", "K9"}

    def test_invalidated_and_declared_anew(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """A declaration that was invalidated is closed; a new one may still take its place."""
        sent("K1", at=OPENS)
        learn(recovery="invalidate-and-new")
        ledger.recoveries.order("N1", RecoveryAction.INVALIDATED, "K1", at=LATER)
        closed = [each.state for each in ledger.exchanges.listed()]
        concern = ledger.recoveries.concern("N1", "K1", at=LATER)
        ledger.recoveries.order(
            "N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, replacement=b"<b/>", business_reference="LRN2"
        )

        assert [State.CLOSED] == closed
        assert [RecoveryAction.INVALIDATED] == [order.action for order in concern.orders]
        assert RecoveryAction.NEW_REFERENCE in concern.rule.allowed
        assert [State.CLOSED, State.QUEUED] == [each.state for each in ledger.exchanges.listed()]

    def test_declared_anew_before_it_was_invalidated(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """Where the old one must be invalidated first, a new one is refused until then, unless there is a reason."""
        sent("K1", at=OPENS)
        learn(recovery="invalidate-and-new")
        new = {"replacement": b"<b/>", "business_reference": "LRN2"}
        ledger.recoveries.order("N1", RecoveryAction.WAIT, "K1", at=LATER)
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order("N1", RecoveryAction.NEW_REFERENCE, "K1", at=LATER, **new)  # type: ignore[arg-type]
        before = [each.state for each in ledger.exchanges.listed()]
        done = ledger.recoveries.order(
            "N1",
            RecoveryAction.NEW_REFERENCE,
            "K1",
            at=LATER,
            despite="by phone",
            **new,  # type: ignore[arg-type]
        )

        assert str(refused.value).startswith(
            "Notice N1 says to have the old one invalidated first; ask Customs for it, and order invalidated."
        )
        assert ([State.ACCEPTED], "by phone") == (before, done.despite)

    def test_a_reason_for_one_notice_overrides_no_other(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """What another notice forbids stays refused, and changes nothing, until the reason names that notice too."""
        sent("K1", at=OPENS)
        learn(behaviour="unavailable", recovery="wait")
        learn(reference="N2", behaviour="unavailable", recovery="report-list")
        order = RecoveryAction.SAME_REFERENCE
        with pytest.raises(InputError) as refused:
            ledger.recoveries.order("N1", order, "K1", at=LATER, despite="the helpdesk took N1 back")
        before = [(each.reference, each.state) for each in ledger.exchanges.listed()]
        done = ledger.recoveries.order("N1", order, "K1", at=LATER, despite="the helpdesk took N1 and N2 back")

        assert "ledger.notice-forbids" == refused.value.problems[0].code
        assert "Notice N1 says: " in str(refused.value)
        assert "Notice N2 says: " in str(refused.value)
        assert str(refused.value).endswith("name N2 in the reason, and give it as despite.")
        assert [("K1", State.ACCEPTED)] == before
        assert ("the helpdesk took N1 and N2 back", True) == (done.despite, done.resubmission is not None)

    def test_waiting_and_reporting_leave_it_open(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """What waits or is on the list may still be answered; it is no longer among what nobody decided about."""
        for reference in ("K1", "K2", "K3"):
            sent(reference, at=OPENS)
        learn()
        ledger.recoveries.order("N1", RecoveryAction.WAIT, "K1", at=LATER)
        ledger.recoveries.order("N1", RecoveryAction.REPORT, "K2", at=LATER)

        assert {State.ACCEPTED} == {each.state for each in ledger.exchanges.listed()}
        assert ["K1", "K2", "K3"] == references(ledger)
        assert ["K3"] == [each.exchange.reference for each in ledger.recoveries.presumed_rejected(at=LATER)]

    def test_a_second_notice_forbids(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """If another notice about the same time forbids to send again, the one that allows it does not suffice."""
        sent("K1", at=OPENS)
        learn()
        learn(reference="N2", behaviour="unavailable", recovery="report-list")
        with pytest.raises(InputError, match="N2") as refused:
            ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, "K1", at=LATER)

        assert "ledger.notice-forbids" == refused.value.problems[0].code

    def test_what_the_notice_does_not_concern(
        self, ledger: Ledger, sent: Sent, declaration: Make, learn: Learn
    ) -> None:
        """An exchange that was sent outside the window, is queued, or does not exist gets no order."""
        sent("K1", at=CLOSES)
        ledger.exchanges.queue(declaration("K2"), at=OPENS)
        learn()
        for reference in ("K1", "K2"):
            with pytest.raises(InputError) as refused:
                ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, reference, at=LATER, despite="because")
            assert "ledger.not-concerned" == refused.value.problems[0].code
        with pytest.raises(UnknownError):
            ledger.recoveries.order("N1", RecoveryAction.WAIT, "K3", at=LATER)

    def test_a_k_of_ones_own(self, ledger: Ledger, sent: Sent, learn: Learn) -> None:
        """The new K may be chosen; the old one is refused."""
        sent("K1", at=OPENS)
        learn()
        with pytest.raises(InputError):
            ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, "K1", at=LATER, new_reference="K1")
        order = ledger.recoveries.order("N1", RecoveryAction.SAME_REFERENCE, "K1", at=LATER, new_reference="K2")

        assert "K2" == order.resubmission


class TestResending:
    """An unknown exchange may be at Customs: a notice that forbids to send again counts for it too."""

    @pytest.fixture
    def unknown(self, ledger: Ledger, declaration: Make) -> None:
        """Lose the connection after the final dot."""
        ledger.exchanges.queue(declaration("K1"), at=OPENS)
        (claimed,) = ledger.exchanges.claim(["DMS"], owner="a", most=1, at=OPENS, lease=LEASE)
        ledger.exchanges.settle(claimed, Outcome.UNKNOWN, at=OPENS)

    @pytest.mark.usefixtures("unknown")
    @pytest.mark.parametrize("recovery", ["same-reference", "resubmit", "resend-same-reference-optional", "unstated"])
    def test_what_notices_allow(self, ledger: Ledger, learn: Learn, recovery: str) -> None:
        """It is sent again by order where no notice forbids it with the same LRN."""
        learn(behaviour="unavailable", recovery=recovery)

        assert State.QUEUED == ledger.exchanges.resend("K1", at=LATER).state

    @pytest.mark.usefixtures("unknown")
    @pytest.mark.parametrize("recovery", ["new-reference", "report-list", "wait", "invalidate-and-new"])
    def test_what_notices_forbid(self, ledger: Ledger, learn: Learn, recovery: str) -> None:
        """Where one forbids it, it needs a reason that names the notice, which is in the log."""
        learn(behaviour="unavailable", recovery=recovery)
        with pytest.raises(InputError) as refused:
            ledger.exchanges.resend("K1", at=LATER)
        with pytest.raises(InputError) as of_another:
            ledger.exchanges.resend("K1", at=LATER, despite="Customs asked for it because of N11")
        before = [each.state for each in ledger.exchanges.listed()]
        after = ledger.exchanges.resend("K1", at=LATER, despite="N1: Customs asked for it")

        assert "ledger.notice-forbids" == refused.value.problems[0].code
        assert str(refused.value) == str(of_another.value)
        assert str(refused.value).endswith("name N1 in the reason, and give it as despite.")
        assert ([State.UNKNOWN], State.QUEUED) == (before, after.state)
        assert "N1: Customs asked for it" == ledger.story("K1")[0].entries[-1].detail
