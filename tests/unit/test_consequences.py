"""What follows from notices for exchanges: when nothing is sent, which time counts, and what may be ordered."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import pytest
from notice_builders import learned, notice, row, text, utc

from htpoort import DMS, InputError, build, read
from htpoort.core.message import readdress
from htpoort.core.notices.consequences import hold_advice, sent_in
from htpoort.notices import (
    Availability,
    PlacedWindow,
    RecoveryAction,
    ServiceWindow,
    answer_age,
    outstanding_since,
    presumed_rejected,
    recovery_rule,
)

HOUR = timedelta(hours=1)
OPENS, CLOSES = utc("2026-01-10T19:00"), utc("2026-01-10T22:00")


def known(*rows: ServiceWindow, whole: bool = True) -> Availability:
    """Know one notice with these rows."""
    return Availability([learned(notice(text(*rows, whole=whole)), "2026-01-05T09:00")])


def windows(*rows: ServiceWindow) -> tuple[PlacedWindow, ...]:
    """Place these rows."""
    return known(*rows).windows("DMS", start=utc("2026-01-01T00:00"), stop=utc("2026-02-01T00:00"))


class TestHolding:
    """Nothing is begun that a window forbids by the time at which it ends."""

    @pytest.mark.parametrize(
        ("moment", "expected"),
        [
            ("2026-01-10T18:57:59.999999", False),
            ("2026-01-10T18:58", True),
            ("2026-01-10T19:00", True),
            ("2026-01-10T22:00", False),
        ],
    )
    def test_from_before_its_start_until_its_end(self, moment: str, expected: bool) -> None:  # noqa: FBT001 - a table
        """From two minutes before a rejecting window until its end, nothing is sent."""
        assert expected is (hold_advice(known(row()), "DMS", at=utc(moment)) is not None)

    def test_a_short_window(self) -> None:
        """A window that opens and closes while an attempt may run is noticed."""
        short = row(start="2026-01-10T20:00:30", end="2026-01-10T20:01:00")

        assert hold_advice(known(short), "DMS", at=OPENS) is not None

    @pytest.mark.parametrize("behaviour", ["queued", "delayed", "normal"])
    def test_what_is_taken_anyway(self, behaviour: str) -> None:
        """What is queued, late or not affected is sent."""
        assert hold_advice(known(row(behaviour)), "DMS", at=OPENS) is None

    def test_what_is_unclear(self) -> None:
        """What a notice leaves unclear is not sent; what no notice is about is."""
        unclear = known(row("limited"))

        assert hold_advice(unclear, "DMS", at=OPENS) is not None
        assert hold_advice(unclear, "AGS", at=OPENS) is None

    def test_the_end_of_a_contradiction_is_not_the_end_of_the_hold(self) -> None:
        """Where one of two notices ends, the other one holds on, here without an end."""
        open_end = notice(text(row(end=None)), reference="A")
        short = notice(text(row("queued", end="2026-01-10T22:00")), reference="B")
        torn = hold_advice(Availability([open_end, short]), "DMS", at=OPENS)

        assert torn is not None
        assert ("unclear", None) == (torn.advice, torn.until)


class TestAges:
    """The age of an answer is the time in which one could have come."""

    @pytest.mark.parametrize(
        ("rows", "since", "until", "hours"),
        [
            ((row(),), "2026-01-10T18:00", "2026-01-10T23:00", 2),
            ((row(),), "2026-01-10T20:00", "2026-01-10T21:00", 0),
            ((row("normal"),), "2026-01-10T18:00", "2026-01-10T23:00", 5),
            (
                (row("delayed"), row("queued", "2026-01-10T21:00", "2026-01-11T00:00")),
                "2026-01-10T18:00",
                "2026-01-11T00:00",
                2,
            ),
            ((row(end=None),), "2026-01-10T18:00", "2026-01-13T18:00", 48),
            ((row(end=None),), "2026-01-12T18:00", "2026-01-12T20:00", 2),
            ((row(end_kind="expected"),), "2026-01-10T18:00", "2026-01-11T18:00", 21),
            ((row(start=None),), "2026-01-10T18:00", "2026-01-10T20:00", 2),
            ((), "2026-01-10T18:00", "2026-01-10T17:00", 0),
        ],
    )
    def test_windows_pause_it(self, rows: tuple[ServiceWindow, ...], since: str, until: str, hours: int) -> None:
        """Windows that overlap count once; one without an end pauses for a day; an expected end ends the pause."""
        assert hours * HOUR == answer_age(known(*rows), "DMS", since=utc(since), at=utc(until))

    @pytest.mark.parametrize(
        ("rows", "hours", "until", "since"),
        [
            ((), 5, "2026-01-10T23:00", "2026-01-10T18:00"),
            ((row(),), 2, "2026-01-10T23:00", "2026-01-10T18:00"),
            ((row(),), 1, "2026-01-10T23:00", "2026-01-10T22:00"),
            ((row(),), 0, "2026-01-10T21:00", "2026-01-10T21:00"),
            ((row(end=None),), 48, "2026-01-13T18:00", "2026-01-10T18:00"),
            (
                (row("delayed"), row("queued", "2026-01-10T21:00", "2026-01-11T00:00")),
                2,
                "2026-01-11T00:00",
                "2026-01-10T18:00",
            ),
        ],
    )
    def test_what_is_so_old(self, rows: tuple[ServiceWindow, ...], hours: int, until: str, since: str) -> None:
        """The latest moment for an age is before the windows that pause the clock."""
        at, availability = utc(until), known(*rows)
        moment = outstanding_since(availability, "DMS", age=hours * HOUR, at=at)

        assert utc(since) == moment
        assert hours * HOUR == answer_age(availability, "DMS", since=moment, at=at)


class TestPresuming:
    """What was sent while everything was rejected gets no answer."""

    @pytest.mark.parametrize(
        ("changed", "moment", "expected"),
        [
            (row(), OPENS, True),
            (row(), CLOSES, False),
            (row(), OPENS - HOUR, False),
            (row("queued"), OPENS, False),
            (row(end=None), CLOSES + HOUR, True),
            (row(end_kind="expected"), CLOSES + HOUR, False),
            (row(start=None), OPENS, False),
        ],
    )
    def test_in_a_rejecting_window(self, changed: ServiceWindow, moment: datetime, expected: bool) -> None:  # noqa: FBT001 - a table
        """Only a window that rejects counts, within its stated times."""
        assert expected is (presumed_rejected(windows(changed), sent=moment) is not None)

    def test_sent_in(self) -> None:
        """A window concerns what was sent in it and nothing else, also if it asks for a list."""
        (usual,), (asking,) = windows(row()), windows(row(recovery="report-list"))
        moments = (OPENS - HOUR, OPENS, CLOSES)

        assert [False, True, False] == [sent_in(usual, moment) for moment in moments]
        assert [False, True, False] == [sent_in(asking, moment) for moment in moments]


class TestRules:
    """What may be ordered is what every notice allows; a notice that was not understood allows nothing that sends."""

    @pytest.mark.parametrize(
        ("behaviour", "recovery", "words", "sends"),
        [
            ("rejected", "unstated", "presumed rejected", {"same-reference", "new-reference"}),
            ("delayed", "unstated", "wait for the answer", set()),
            ("queued", "wait", "send nothing", set()),
            ("rejected", "same-reference", "same LRN", {"same-reference"}),
            ("unavailable", "invalidate-and-new", "invalidated", set()),
        ],
    )
    def test_one_notice(self, behaviour: str, recovery: str, words: str, sends: set[str]) -> None:
        """The phrase follows the notice, and so do the orders that send."""
        rule = recovery_rule(windows(row(behaviour, recovery=recovery)))

        assert words in rule.to_do
        assert sends == {action.value for action in rule.allowed if action.sends}

    def test_several_notices(self) -> None:
        """A second window that forbids counts, and one that leaves it open does not."""
        (first,) = windows(row(recovery="same-reference"))
        (open_one,), (forbids,) = windows(row("delayed")), windows(row("unavailable", recovery="report-list"))

        assert RecoveryAction.SAME_REFERENCE in recovery_rule([first, open_one]).allowed
        assert "list for Customs" in recovery_rule([first, forbids]).against[RecoveryAction.SAME_REFERENCE]

    def test_invalidated_first(self) -> None:
        """Where the old one must be invalidated first, a new one is allowed afterwards, whichever notice says so."""
        (first,), (other,) = windows(row(recovery="resubmit")), windows(row(recovery="invalidate-and-new"))
        before = recovery_rule([other])
        after = recovery_rule([other], ordered=[RecoveryAction.WAIT, RecoveryAction.INVALIDATED])
        of_another = recovery_rule([first, other])

        assert [True, False, True] == [
            RecoveryAction.NEW_REFERENCE in rule.against for rule in (before, after, of_another)
        ]
        assert "invalidated first" in before.against[RecoveryAction.NEW_REFERENCE]
        assert "; but" not in before.to_do

    def test_another_notice_forbids_it(self) -> None:
        """What to do names the notice that forbids it, so that nobody finds out by trying."""
        (first,), (other,) = windows(row(recovery="new-reference")), windows(row("unavailable", recovery="report-list"))
        other = attrs.evolve(other, notice="N2")

        assert (
            "declare it again with another LRN; but notice N2 says: send nothing again; put it on the list for Customs"
        ) == recovery_rule([first, other]).to_do

    def test_a_reason_is_about_the_notice_that_it_names(self) -> None:
        """A reason overrides the notice of the order and those that it names; what others forbid stays refused."""
        (first,), (other,) = windows(row(recovery="wait")), windows(row("unavailable", recovery="report-list"))
        numbered = attrs.evolve(other, notice="3")
        rule = recovery_rule([first, attrs.evolve(other, notice="N-2"), numbered])
        same, own = RecoveryAction.SAME_REFERENCE, first.notice
        says = (
            f"Notice {own} says: wait: it is kept and processed after the window, so send nothing. "
            "Notice N-2 says: send nothing again; put it on the list for Customs. "
            "Notice 3 says: send nothing again; put it on the list for Customs."
        )
        both = f"{says} To do it all the same, name N-2 and notice 3 in the reason, and give it as despite."

        assert both == rule.why_refused(same, None, notice=own)
        assert both == rule.why_refused(same, "because of N-22, after 3 hours", notice=own)
        assert (
            f"{says} To do it all the same, name notice 3 in the reason, and give it as despite."
            == rule.why_refused(same, "n-2 is over", notice=own)
        )
        assert not rule.why_refused(same, "N-2 and notice 3 are over", notice=own)
        assert f"name {own} in the reason" in rule.why_refused(same, "N-2 and notice 3 are over")
        assert not rule.why_refused(RecoveryAction.WAIT, None)

    def test_a_reason_for_one_notice(self) -> None:
        """If only the notice of the order forbids it, any reason is about that; without one all is said against it."""
        (window,) = windows(row(recovery="wait"))
        rule = recovery_rule([window])
        same = RecoveryAction.SAME_REFERENCE

        assert rule.why_refused(same, None, notice=window.notice, hint="Allowed are: wait.").endswith(
            "so send nothing. Allowed are: wait. To do it all the same, give the reason as despite."
        )
        assert not rule.why_refused(same, "by phone", notice=window.notice)

    def test_what_was_not_understood(self) -> None:
        """A notice with something unread forbids what sends, and nothing else."""
        (window,) = windows(row(recovery="same-reference"))
        rule = recovery_rule([window], incomplete=[window.notice])

        assert "read it" in rule.against[RecoveryAction.SAME_REFERENCE]
        assert RecoveryAction.WAIT in rule.allowed


class TestAnotherK:
    """A message goes out under another K with all that it carries unchanged."""

    SENT = build(
        system=DMS,
        party="NL123456789.02.05",
        mailbox="edi@forwarder.example",
        reference="K1",
        payload=b"<MetaData/>\r\n\r\n",
        date=OPENS,
        message_id="<1@forwarder.example>",
    )

    def test_what_changes(self) -> None:
        """Subject, Date and Message-ID are new, the rest is the same octet for octet."""
        new = readdress(self.SENT, reference="K2", date=CLOSES, message_id="<2@forwarder.example>")
        received = read(new.data)
        before, after = (each.data.split(b"\r\n") for each in (self.SENT, new))

        assert received.envelope == new.envelope
        assert ("K2", "<2@forwarder.example>", b"<MetaData/>\r\n\r\n") == (
            new.envelope.reference,
            new.message_id,
            received.payload.octets,
        )
        assert [b"Subject", b"Date", b"Message-ID"] == [
            line.partition(b":")[0] for line, other in zip(before, after, strict=True) if line != other
        ]

    def test_wrong_values(self) -> None:
        """A K that cannot be sent, and a message whose headers are not ours, are refused."""
        folded = self.SENT.data.replace(b"Subject: ", b"Subject:\r\n ")
        with pytest.raises(InputError, match="reference"):
            readdress(self.SENT, reference="a b", date=CLOSES, message_id="<2@forwarder.example>")
        with pytest.raises(InputError, match="build it anew"):
            readdress(
                attrs.evolve(self.SENT, data=folded), reference="K2", date=CLOSES, message_id="<2@forwarder.example>"
            )
