"""What the known notices advise for a system, at a moment, by what was known at a moment."""

from __future__ import annotations

from datetime import UTC, datetime

from htpoort.notices import (
    AdviceKind,
    Availability,
    Behaviour,
    EndKind,
    Notice,
    NoticeState,
    Recovery,
    Revision,
    ServiceWindow,
)

local = datetime.fromisoformat

WINDOW = ServiceWindow(
    system="DMS",
    start=local("2026-11-30T20:00"),
    end=local("2026-11-30T23:00"),
    end_kind=EndKind.FINAL,
    behaviour=Behaviour.REJECTED,
    recovery=Recovery.RESUBMIT,
)
NOTICE = Notice(
    authority="douane",
    zone="Europe/Amsterdam",
    references=("W1",),
    revisions=(
        Revision(known=local("2026-11-27T09:00"), state=NoticeState.ANNOUNCED, windows=(WINDOW,), complete=True),
    ),
)


def test_a_window_that_rejects_holds_from_its_start_until_its_end() -> None:
    """A window is half open: it holds at its start, and no longer at its end."""
    availability = Availability([NOTICE])

    at = [datetime(2026, 11, 30, 18, 59, tzinfo=UTC), datetime(2026, 11, 30, 19, tzinfo=UTC)]
    at += [datetime(2026, 11, 30, 21, 59, tzinfo=UTC), datetime(2026, 11, 30, 22, tzinfo=UTC)]
    advice = [availability.what_now("DMS", at=moment).advice for moment in at]

    assert [AdviceKind.SEND, AdviceKind.HOLD, AdviceKind.HOLD, AdviceKind.SEND] == advice
