"""What the known notices advise for a system, at a moment, by what was known at a moment."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from notice_builders import learned, notice, row, text, utc

from htpoort import InputError
from htpoort.notices import Access, AdviceKind, Availability, KnownNotice, Notice, NoticeKind, NoticeName

# In UTC; the window of `row` is 10 January 20:00 to 23:00 in Amsterdam.
BEFORE, INSIDE, END, LATER = "2026-01-10T18:59", "2026-01-10T20:00", "2026-01-10T22:00", "2026-02-01T00:00"
EACH = (BEFORE, INSIDE, END, LATER)
PERIOD = "from 2026-01-10 20:00 until 2026-01-10 23:00 (Europe/Amsterdam)"
STATED = f"Notice W1 of 2026-01-05 09:00 says that DMS rejects what is sent {PERIOD}"


def advice(*notices: Notice | KnownNotice, moments: tuple[str, ...] = EACH, known_at: str | None = None) -> list[str]:
    """Ask for DMS at each moment."""
    availability = Availability(notices)
    known = None if known_at is None else utc(known_at)
    return [availability.what_now("DMS", at=utc(moment), known_at=known).advice.value for moment in moments]


def reason(*notices: Notice | KnownNotice, moment: str = INSIDE) -> str:
    """Ask why for DMS."""
    return Availability(notices).what_now("DMS", at=utc(moment)).reason


# ── one row ──────────────────────────────────────────────────────────────────


def test_a_window_is_half_open() -> None:
    """A window that rejects holds at its start, and no longer at its end."""
    moments = ("2026-01-10T18:59:59.999999", "2026-01-10T19:00", "2026-01-10T21:59:59.999999", "2026-01-10T22:00")

    assert ["send", "hold", "hold", "send"] == advice(notice(text(row())), moments=moments)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("rejected", "hold"),
        ("unavailable", "hold"),
        ("queued", "send-expect-late"),
        ("delayed", "send-expect-late"),
        ("unstable", "send-expect-late"),
        ("limited", "unclear"),
        ("unstated", "unclear"),
        ("normal", "send"),
    ],
)
def test_the_behaviour_decides(behaviour: str, expected: str) -> None:
    """Only what a notice rejects or calls unavailable is held; what it leaves open a person decides."""
    assert ["send", expected, "send", "send"] == advice(notice(text(row(behaviour))))


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [("rejected", "unclear"), ("limited", "unclear"), ("queued", "send-expect-late"), ("normal", "send")],
)
def test_a_row_about_some_messages_does_not_hold_all(behaviour: str, expected: str) -> None:
    """Whether a declaration is one of the messages that a row is limited to, a person decides."""
    assert ["send", expected, "send", "send"] == advice(notice(text(row(behaviour, messages=("IE015",)))))


def test_the_messages_are_named() -> None:
    """The reason names the messages that a row is limited to."""
    assert (f"{STATED}; only for some messages: IE015, IE013.") == reason(
        notice(text(row(messages=("IE015", "IE013"))))
    )


def test_files_and_pages_are_asked_for_apart() -> None:
    """A row about online access holds no file, one about files no page, and one that does not distinguish both."""
    files = Availability([notice(text(row(access=Access.FILE)))])
    pages = Availability([notice(text(row(access=Access.ONLINE)))])
    both = Availability([notice(text(row(access=Access.ANY)))])

    assert [["hold", "send", "hold"], ["send", "hold", "hold"], ["hold", "hold", "hold"]] == [
        [availability.what_now("DMS", at=utc(INSIDE), access=access).advice for access in Access]
        for availability in (files, pages, both)
    ]


def test_a_notice_about_no_disruption_does_not_hold() -> None:
    """What a recovery notice says of a system without a behaviour is about what to do afterwards, not about sending."""
    assert ["send"] * 4 == advice(notice(text(row("unstated")), kind=NoticeKind.RECOVERY))


# ── ends ─────────────────────────────────────────────────────────────────────


def test_after_an_expected_end_it_still_holds() -> None:
    """An expected end is the time to ask again; after it the window goes on, and no end is known."""
    availability = Availability([notice(text(row(end_kind="expected"), known="2026-01-05T09:00"))])
    given = [availability.what_now("DMS", at=utc(moment)) for moment in EACH]

    assert [
        ("send", None),
        ("hold", utc(END)),
        ("hold", None),
        ("hold", None),
    ] == [(answer.advice, answer.until) for answer in given]
    assert (f"{STATED}, an expected end; no notice says that it ended.") == given[2].reason
    assert [False, True] == [given[1].windows[0].assumed, given[2].windows[0].assumed]


def test_without_an_end_it_holds_on() -> None:
    """A window without an end holds from its start on, and the reason says so."""
    open_ended = notice(text(row(end=None)))

    assert ["send", "hold", "hold", "hold"] == advice(open_ended)
    assert (
        "Notice W1 of 2026-01-05 09:00 says that DMS rejects what is sent from 2026-01-10 20:00 (Europe/Amsterdam); it "
        "states no end."
    ) == reason(open_ended)


def test_late_answers_stay_late_after_an_expected_end() -> None:
    """An expected end does not end the delay either."""
    assert ["send", *["send-expect-late"] * 3] == advice(notice(text(row("queued", end_kind="expected"))))


def test_nothing_is_said_without_end_of_what_is_normal() -> None:
    """A row that says that a system is not affected releases nothing and goes on for nothing."""
    assert ["send"] * 4 == advice(notice(text(row("normal", end=None))))


# ── texts ────────────────────────────────────────────────────────────────────


def test_a_newer_text_replaces_an_older_one_once_it_is_known() -> None:
    """What a text says counts from its time until that of the next one."""
    moved = notice(text(row()), text(row(start="2026-01-11T20:00", end="2026-01-11T23:00"), known="2026-01-09T09:00"))
    next_day = "2026-01-11T20:00"

    assert ["hold", "send"] == advice(moved, moments=(INSIDE, next_day), known_at="2026-01-09T07:59")
    assert ["send", "hold"] == advice(moved, moments=(INSIDE, next_day), known_at="2026-01-09T08:00")


def test_a_cancelled_window_does_not_hold() -> None:
    """A text that cancels replaces the rows of the older one, and its own are not in effect."""
    cancelled = notice(text(row()), text(row(), known="2026-01-09T09:00", state="cancelled"))

    assert ["send", "hold", "send", "send"] == advice(cancelled, known_at="2026-01-06T00:00")
    assert ["send"] * 4 == advice(cancelled)


def test_what_ended_without_a_time_ended_when_the_text_says_so() -> None:
    """A text that calls an open window over ends it at its own time."""
    ended = notice(text(row(end=None), state="in-force"), text(row(end=None), known="2026-01-10T22:30", state="ended"))
    moments = ("2026-01-10T20:00", "2026-01-10T21:29", "2026-01-10T21:30")

    assert ["hold", "hold", "hold"] == advice(ended, moments=moments, known_at="2026-01-10T21:00")
    assert ["hold", "hold", "send"] == advice(ended, moments=moments)


def test_an_end_is_not_made_up_for_a_text_without_a_time() -> None:
    """A text that calls a window over, without any time, ends it at no moment."""
    ended = notice(text(row(end=None), known=None, state="ended"))

    assert ["send", "hold", "hold", "hold"] == advice(ended)


def test_an_end_of_its_own_counts_for_what_ended() -> None:
    """A text that says that it is over and when keeps that time."""
    ended = notice(text(row()), text(row(end="2026-01-10T21:30"), known="2026-01-10T22:30", state="ended"))

    assert ["hold", "send"] == advice(ended, moments=("2026-01-10T20:29", "2026-01-10T20:30"))


def test_a_text_without_a_time_follows_the_one_before_it() -> None:
    """An undated text above a dated one is known with it, and replaces it."""
    undated = notice(text(row()), text(row("queued"), known=None))

    assert ["send-expect-late"] == advice(undated, moments=(INSIDE,))
    assert ["send"] == advice(undated, moments=(INSIDE,), known_at="2026-01-05T07:59")


def test_an_unclear_text_holds_as_unclear() -> None:
    """If a text contradicts itself, a person decides; what is queued may be sent either way."""
    assert ["send", "unclear", "send", "send"] == advice(notice(text(row(), state="unclear")))
    assert ["send", "send-expect-late", "send", "send"] == advice(notice(text(row("queued"), state="unclear")))


# ── what was not wholly understood ───────────────────────────────────────────


def test_an_incomplete_text_holds_and_its_end_releases_nothing() -> None:
    """After the end that an incomplete text states, a person decides."""
    incomplete = notice(text(row(), whole=False))

    assert ["send", "hold", "unclear", "unclear"] == advice(incomplete)
    assert (
        f"{STATED}; the notice was not wholly understood, so that this end releases nothing: read it, and "
        "add a notice of your own with its reference that says what is true."
    ) == reason(incomplete, moment=LATER)


def test_an_incomplete_text_adds_to_the_older_ones() -> None:
    """An incomplete text that moves, shortens or cancels a window does not release what the older text holds."""
    moved = text(row(start="2026-01-11T20:00", end="2026-01-11T23:00"), known="2026-01-09T09:00", whole=False)
    cancelled = text(row(), known="2026-01-09T09:00", state="cancelled", whole=False)
    normal = text(row("normal"), known="2026-01-09T09:00", whole=False)

    assert [["hold", "hold"], ["hold", "unclear"], ["hold", "send"]] == [
        advice(notice(text(row()), newer), moments=(INSIDE, "2026-01-11T20:00")) for newer in (moved, cancelled, normal)
    ]


def test_an_incomplete_text_that_cancels_holds_by_itself() -> None:
    """What an incomplete text cancels is not released: a person decides."""
    cancelled = notice(text(row(), state="cancelled", whole=False))

    assert ["send", "unclear", "unclear", "unclear"] == advice(cancelled)
    assert (
        f"{STATED}; it also says that this is cancelled, but was not wholly understood, so that it releases nothing."
    ) == reason(cancelled)


def test_an_incomplete_end_without_a_time_leaves_it_to_a_person() -> None:
    """An incomplete text that calls an open window over: held until its time, unclear from then on."""
    ended = notice(text(row(end=None), known="2026-01-10T22:30", state="ended", whole=False))

    assert ["hold", "unclear"] == advice(ended, moments=("2026-01-10T21:29", "2026-01-10T21:30"))


def test_an_own_notice_about_the_same_event_settles_it() -> None:
    """A complete notice that was learned later, with the same reference, replaces the incomplete one."""
    read = learned(notice(text(row(), whole=False)), "2026-01-10T12:00")
    own = learned(notice(text(row(), known=None, state="ended")), "2026-01-11T08:00")

    assert ["unclear"] == advice(read, own, moments=(LATER,), known_at="2026-01-11T07:59")
    assert ["send"] == advice(read, own, moments=(LATER,), known_at="2026-01-11T08:00")


def test_over_without_a_row_ends_what_the_older_texts_state() -> None:
    """A notice that only says that it is over ends the rows before it at its own time, and keeps what they stated."""
    open_ended = notice(text(row(end=None, recovery="resubmit"), state="in-force"))
    over = notice(text(known="2026-01-10T22:30", state="ended"))
    early = notice(text(known="2026-01-10T21:30", state="ended"))
    late = notice(text(known="2026-01-11T09:00", state="ended"))
    moments = ("2026-01-10T20:29", "2026-01-10T20:30", "2026-01-10T21:29", "2026-01-10T21:30", "2026-01-10T22:00")

    assert ["hold", "hold", "hold", "send", "send"] == advice(open_ended, over, moments=moments)
    assert ["hold", "send", "send", "send", "send"] == advice(notice(text(row())), early, moments=moments)
    assert ["hold", "hold", "hold", "hold", "send"] == advice(notice(text(row())), late, moments=moments)
    assert ["send"] == advice(notice(text(row(), whole=False)), late, moments=(LATER,))
    assert ["send"] * 5 == advice(notice(text(row(), state="cancelled")), late, moments=moments)
    assert ["hold"] == advice(open_ended, over, moments=("2026-01-10T21:30",), known_at="2026-01-10T21:29")
    given = Availability([open_ended, over]).what_now("DMS", at=utc(INSIDE))
    assert ("resubmit", "W1", utc("2026-01-10T21:30")) == (given.recovery, given.notice, given.until)


def test_over_ends_what_was_not_understood_before() -> None:
    """All texts since the last one that was understood are ended together; what is learned later is not."""
    doubtful = notice(
        text(row()), text(row("unavailable", end="2026-01-11T02:00"), known="2026-01-09T09:00", whole=False)
    )
    later = learned(notice(text(row(start="2026-01-20T20:00", end=None), whole=False)), "2026-01-12T00:00")
    over = learned(notice(text(known=None, state="ended")), "2026-01-10T20:30")

    assert ["hold", "send", "send"] == advice(
        learned(doubtful, "2026-01-09T10:00"), over, moments=("2026-01-10T20:29", "2026-01-10T20:30", LATER)
    )
    assert ["send"] == advice(learned(doubtful, "2026-01-09T10:00"), over, later, moments=("2026-01-10T20:30",))


# ── what a text leaves out ───────────────────────────────────────────────────


def test_a_disruption_without_a_start_began_when_it_was_published() -> None:
    """What is going on without a start holds from its publication on; what is to come is unclear from then on."""
    moments = ("2026-01-05T07:59", "2026-01-05T08:00")
    going_on, to_come = (notice(text(row(start=None, end=None), state=state)) for state in ("in-force", "announced"))

    assert ["send", "hold"] == advice(going_on, moments=moments)
    assert ["send", "unclear"] == advice(to_come, moments=moments)
    assert (
        "Notice W1 of 2026-01-05 09:00 says that DMS rejects what is sent, without a start that can be read."
    ) == reason(to_come)


def test_a_notice_that_names_no_system_may_mean_any_of_its_authority() -> None:
    """A row without a system is unclear for each system of that authority, and for no other."""
    nameless = notice(text(row(system=None)), reference="W2")
    availability = Availability(
        [nameless],
        [
            NoticeName(name="DMS uitvoer", system="DMS", authority="douane"),
            NoticeName(name="DMS Eksport", system="TEST", authority="toldstyrelsen"),
            NoticeName(name="anything", system="AGS"),
        ],
    )

    given = [availability.what_now(system, at=utc(INSIDE)) for system in ("DMS", "TEST", "AGS")]

    assert ["unclear", "send", "unclear"] == [answer.advice for answer in given]
    assert (
        f"Notice W2 of 2026-01-05 09:00 says that a system that it does not name rejects what is sent {PERIOD}; "
        "whether that is the one that you use, a person must decide."
    ) == given[0].reason


def test_the_times_of_an_unknown_authority_may_be_those_of_any_zone() -> None:
    """Without a zone, a window may open 14 hours before and close 12 hours after the same time in UTC."""
    unknown = notice(text(row(), whole=False), authority=None, zone=None)
    moments = ("2026-01-10T05:59", "2026-01-10T06:00", "2026-01-11T10:59")

    assert ["send", "unclear", "unclear"] == advice(unknown, moments=moments)
    assert reason(unknown).endswith("; its authority, and so the zone of its times, is not known.")


@pytest.mark.parametrize(
    ("start", "end", "moments"),
    [
        # At 03:00 summer time the clock goes back to 02:00: 02:30 occurs at 00:30 and at 01:30 UTC.
        ("2026-10-25T02:30", "2026-10-25T02:30", ("2026-10-25T00:29", "2026-10-25T00:30", "2026-10-25T01:30")),
        # At 02:00 winter time the clock goes on to 03:00: 02:30 means 00:30 or 01:30 UTC, or is a slip.
        ("2026-03-29T02:30", "2026-03-29T02:30", ("2026-03-29T00:29", "2026-03-29T00:30", "2026-03-29T01:30")),
    ],
)
def test_a_clock_change_makes_a_window_longer(start: str, end: str, moments: tuple[str, ...]) -> None:
    """A time that can mean two moments opens a window at the first and closes it at the second."""
    assert ["send", "hold", "send"] == advice(notice(text(row(start=start, end=end))), moments=moments)


# ── several notices ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("behaviour", ["queued", "normal", "unstable"])
def test_two_notices_that_contradict_each_other_leave_it_to_a_person(behaviour: str) -> None:
    """If one notice rejects and another does not at one time, both are named, until the first of them ends."""
    other = notice(text(row(behaviour, end="2026-01-10T22:00")), reference="W2")
    given = Availability([notice(text(row())), other]).what_now("DMS", at=utc(INSIDE))

    assert (AdviceKind.UNCLEAR, utc("2026-01-10T21:00"), "W1, W2", None, 2) == (
        given.advice,
        given.until,
        given.notice,
        given.revision,
        len(given.windows),
    )


def test_a_contradiction_is_explained() -> None:
    """The reason gives what each of the two notices says."""
    assert (
        f"Two notices contradict each other: Notice W1 of 2026-01-05 09:00 that DMS rejects what is sent {PERIOD} "
        "(recovery: resubmit), and notice W2 of 2026-01-05 09:00 that DMS rejects what is sent "
        f"{PERIOD} (recovery: new-reference)."
    ) == reason(notice(text(row(recovery="resubmit"))), notice(text(row(recovery="new-reference")), reference="W2"))


def test_two_notices_that_agree_hold_until_the_later_end() -> None:
    """Two notices of one kind make one advice, with the recovery that one of them states."""
    other = notice(text(row("unavailable", end="2026-01-11T02:00", fallback="allowed")), reference="")
    given = Availability([notice(text(row(recovery="resubmit"))), other]).what_now("DMS", at=utc(INSIDE))

    assert ("hold", utc("2026-01-11T01:00"), "resubmit", "allowed") == (
        given.advice,
        given.until,
        given.recovery,
        given.fallback,
    )


def test_notices_that_allow_different_things_allow_nothing() -> None:
    """If two notices differ on the emergency procedure alone, it is unstated, and the hold stays."""
    other = notice(text(row(fallback="required")), reference="W2")
    given = Availability([notice(text(row(fallback="allowed"))), other]).what_now("DMS", at=utc(INSIDE))

    assert ("hold", "unstated") == (given.advice, given.fallback)


def test_what_is_assumed_contradicts_nothing() -> None:
    """A delay whose expected end has passed does not make a later hold unclear."""
    old = notice(
        text(row("queued", start="2026-01-01T20:00", end="2026-01-01T23:00", end_kind="expected")), reference="W0"
    )

    assert ["send-expect-late", "hold", "send-expect-late", "send-expect-late"] == advice(old, notice(text(row())))


def test_a_firm_hold_comes_before_what_is_unclear() -> None:
    """Where one notice holds and another is unclear, the advice is to hold, for the reason of the first."""
    given = Availability([notice(text(row("limited")), reference="W2"), notice(text(row()))]).what_now(
        "DMS", at=utc(INSIDE)
    )

    assert ("hold", "W1") == (given.advice, given.notice)


def test_a_notice_without_a_reference_is_named_by_its_key() -> None:
    """The key of a notice names it, and joins what was read about one event; without a key there is no name."""
    first = learned(notice(text(row(), known=None), reference=""), "2026-01-06T00:00", key="7")
    second = learned(notice(text(row("queued"), known=None), reference=""), "2026-01-07T00:00", key="7")
    given = Availability([first, second]).what_now("DMS", at=utc(INSIDE))

    assert ("send-expect-late", "7") == (given.advice, given.notice)
    assert reason(notice(text(row()), reference="")).startswith("A notice without a reference of 2026-01-05 09:00 says")


def test_a_text_that_is_read_again_counts_from_the_first_time() -> None:
    """A page that is read twice adds nothing, and an older page that is read later replaces nothing."""
    older, newer = text(row()), text(row("queued"), known="2026-01-06T09:00:30")
    again = [
        learned(notice(older, newer), "2026-01-07T00:00"),
        learned(notice(older, newer), "2026-01-08T00:00"),
        learned(notice(older), "2026-01-09T00:00"),
    ]

    assert ["send-expect-late"] == advice(*again, moments=(INSIDE,))
    assert 1 == len(Availability(again).what_now("DMS", at=utc(INSIDE)).windows)
    assert "2026-01-06 09:00:30" in reason(*again)


def test_of_very_many_windows_the_newest_are_listed() -> None:
    """An advice lists four windows that are stated and four that are assumed, the newest of each, and one decides."""
    old = [notice(text(row(start=f"2025-01-{day:02}T20:00", end=None)), reference=f"O{day}") for day in range(1, 29)]
    late = [
        notice(
            text(row(start=f"2025-02-{day:02}T20:00", end=f"2025-02-{day:02}T21:00", end_kind="expected")),
            reference=f"E{day}",
        )
        for day in range(1, 29)
    ]

    given = Availability([*old, *late]).what_now("DMS", at=utc(INSIDE))

    assert ("hold", None, "O28") == (given.advice, given.until, given.notice)
    assert ["O28", "O27", "O26", "O25", "E28", "E27", "E26", "E25"] == [placed.notice for placed in given.windows]


# ── names ────────────────────────────────────────────────────────────────────


def test_a_name_is_mapped_to_a_system() -> None:
    """A system has the windows of every name that is mapped to it, for the authority that the mapping names."""
    danish = notice(
        text(row(system="DMS  EKSPORT")), authority="toldstyrelsen", zone="Europe/Copenhagen", reference="D"
    )
    names = [
        NoticeName(name="DMS in- en uitvoer", system="DMS", authority="douane"),
        NoticeName(name="DMS eksport", system="Danish", authority=None),
        NoticeName(name="DMS eksport", system="AGS", authority="douane"),
    ]
    availability = Availability([notice(text(row(system="dms in- en  uitvoer"))), danish], names)

    given = [availability.what_now(system, at=utc(INSIDE)) for system in ("DMS", "danish", "AGS", "DMS Eksport")]

    assert ["hold", "hold", "send", "hold"] == [answer.advice for answer in given]
    assert [True, False] == [availability.is_mapped("dms"), availability.is_mapped("DMS Eksport")]
    assert [True, True, False] == [availability.knows(name) for name in ("dms", "DMS Eksport", "DMS Import")]
    assert given[0].reason.startswith("Notice W1 of 2026-01-05 09:00 says that dms in- en  uitvoer (DMS) rejects")


def test_a_mapped_name_hides_what_is_printed_alike() -> None:
    """A neighbouring authority has systems of the same names: once a name is mapped, only mapped names count."""
    danish = notice(text(row()), authority="toldstyrelsen", zone="Europe/Copenhagen")

    availability = Availability([danish], [NoticeName(name="DMS in- en uitvoer", system="DMS")])

    assert "send" == availability.what_now("DMS", at=utc(INSIDE)).advice


def test_who_types_a_notice_may_use_the_name_of_the_directory() -> None:
    """A typed notice about DMS is about DMS, besides the names that are mapped to it, and counts once."""
    names = [NoticeName(name="DMS in- en uitvoer", system="DMS"), NoticeName(name="dms", system="DMS")]
    typed = notice(text(row()), reference="T", typed=True)

    for mapped in (names[:1], names):
        given = Availability([typed], mapped).what_now("DMS", at=utc(INSIDE))
        assert ("hold", "T", 1) == (given.advice, given.notice, len(given.windows))


def test_names_that_are_none_of_yours() -> None:
    """A name of which the configuration says that it concerns no system is not listed, for its authority only."""
    names = [NoticeName(name="Manifest", system="", authority="douane"), NoticeName(name="Invoer", system="DMS")]
    own = notice(text(row(system="manifest"), row(system="Import"), row(system="Invoer")), reference="P")
    foreign = notice(text(row(system="Manifest")), reference="F", authority="toldstyrelsen", zone="Europe/Copenhagen")
    availability = Availability([own, foreign], names)

    assert [("Import",), ("Manifest",)] == [availability.names_without_system(each, ["DMS"]) for each in (own, foreign)]
    assert [("P", "Import"), ("F", "Manifest")] == [
        (each.notice, each.window.system) for each in availability.windows_without_system(["DMS"], at=utc(INSIDE))
    ]
    assert "send" == availability.what_now("DMS", at=utc("2026-01-05T09:30")).advice


def test_names_that_mean_no_system() -> None:
    """A name that means no system of the directory is listed, with its windows that would hold and are not over."""
    names = [NoticeName(name="AGS uitvoer", system="AGS", authority="douane")]
    printed = notice(
        text(row(system="AGS uitvoer"), row(system="AGS"), row(system="Manifest"), row("queued", system="Import")),
        reference="P",
    )
    others = [
        notice(text(row(system="DMS"), row(system=None)), reference="D", typed=True),
        notice(text(row(system="ags")), reference="T", typed=True),
        notice(text(row(system="AGS uitvoer")), reference="F", authority="toldstyrelsen", zone="Europe/Copenhagen"),
    ]
    availability = Availability([printed, *others], names)
    listed = [availability.names_without_system(each, ("AGS", "DMS")) for each in (printed, *others)]
    found = availability.windows_without_system(["AGS", "DMS"], at=utc(INSIDE))

    assert [("AGS", "Manifest", "Import"), (), (), ("AGS uitvoer",)] == listed
    assert [("P", "AGS"), ("P", "Manifest"), ("F", "AGS uitvoer")] == [
        (each.notice, each.window.system) for each in found
    ]
    assert () == availability.windows_without_system(["AGS", "DMS"], at=utc("2026-01-10T22:00"))
    assert () == availability.windows_without_system(["AGS", "DMS"], at=utc("2026-01-05T07:59"))


def test_an_unmapped_system_is_unclear_and_the_names_are_listed() -> None:
    """A system that no name means is unclear, and the advice says which names there are and how to map one."""
    availability = Availability([notice(text(row(), row(system="Manifest")))])
    given = availability.what_now("DMSS", at=utc(INSIDE))

    assert ("unclear", None, ()) == (given.advice, given.until, given.windows)
    assert (
        "No name in notices is known to mean DMSS; did you mean DMS? Names in the notices: DMS, Manifest. If "
        'one of them means DMSS, add [[notices.name]] with name = "…" and system = "DMSS" to htpoort.toml.'
    ) == given.reason
    assert ("DMS", "Manifest") == availability.printed_names()
    assert () == availability.printed_names(utc("2026-01-05T07:59"))


def test_of_many_names_the_first_are_listed() -> None:
    """A sentence lists ten names and says how many more there are."""
    rows = [row(system=f"S{number:02}") for number in range(12)]

    listed = Availability([notice(text(*rows))]).what_now("X", at=utc(INSIDE)).reason

    assert "Names in the notices: S00, S01, S02, S03, S04, S05, S06, S07, S08, S09 and 2 more." in listed


def test_without_any_notice_there_is_nothing_in_the_way() -> None:
    """Before any notice is known, every system may be sent to, and a name that was not printed yet is unknown."""
    later = notice(text(row(system="Manifest")), reference="W2")

    given = Availability([]).what_now("DMS", at=utc(INSIDE))
    assert ("send", "No notice was known then.") == (given.advice, given.reason)
    assert ["send"] == advice(notice(text(row())), moments=(INSIDE,), known_at="2026-01-05T07:59")
    assert ["unclear"] == advice(
        later, notice(text(row(), known="2026-01-09T09:00")), moments=(INSIDE,), known_at="2026-01-06T00:00"
    )


# ── periods ──────────────────────────────────────────────────────────────────


def test_the_windows_of_a_period_are_listed_by_their_start() -> None:
    """Every window that overlaps the period is listed, what is stated and then what is assumed."""
    availability = Availability([
        notice(text(row("normal", start="2026-01-12T20:00", end="2026-01-12T23:00")), reference="W3"),
        notice(text(row(end_kind="expected"))),
        notice(text(row(start="2026-01-20T20:00", end="2026-01-20T23:00")), reference="W2"),
    ])
    listed = availability.windows("DMS", start=utc("2026-01-10T00:00"), stop=utc("2026-01-20T19:00"))

    assert [
        ("W1", "hold", utc("2026-01-10T19:00"), utc("2026-01-10T22:00"), False),
        ("W1", "hold", utc("2026-01-10T22:00"), None, True),
        ("W3", "send", utc("2026-01-12T19:00"), utc("2026-01-12T22:00"), False),
    ] == [(placed.notice, placed.advice, placed.opens, placed.closes, placed.assumed) for placed in listed]
    assert () == availability.windows("DMS", start=utc(INSIDE), stop=utc(INSIDE))
    assert () == availability.windows("AGS", start=utc(BEFORE), stop=utc(LATER))


def test_a_start_that_is_not_known_is_none() -> None:
    """If neither the start nor the time of the text is known, the window has been open all along."""
    undated = Availability([notice(text(row(start=None, end=None), known=None, state="in-force"))])

    listed = undated.windows("DMS", start=utc("2000-01-01T00:00"), stop=utc(LATER), known_at=utc(INSIDE))

    assert [(None, None, "hold")] == [(placed.opens, placed.closes, placed.advice) for placed in listed]


@pytest.mark.parametrize("name", ["at", "known_at", "start", "stop", "learned"])
def test_a_moment_needs_a_zone(name: str) -> None:
    """A moment without a zone is refused by name."""
    aware = {
        "at": utc(INSIDE),
        "known_at": utc(INSIDE),
        "start": utc(BEFORE),
        "stop": utc(INSIDE),
        "learned": utc(BEFORE),
    }
    given = {**aware, name: datetime.fromisoformat("2026-01-10T20:00")}

    def ask() -> None:
        availability = Availability([KnownNotice(notice=notice(text(row())), learned=given["learned"])])
        availability.what_now("DMS", at=given["at"], known_at=given["known_at"])
        availability.windows("DMS", start=given["start"], stop=given["stop"])

    with pytest.raises(InputError) as refused:
        ask()

    assert [("input.date", f"{name} is 2026-01-10T20:00:00; give an aware datetime.")] == [
        (problem.code, problem.message) for problem in refused.value.problems
    ]


def test_the_zone_of_a_moment_does_not_matter() -> None:
    """The same moment in another zone gives the same advice."""
    at = utc(INSIDE).astimezone(timezone(timedelta(hours=-5)))

    assert "hold" == Availability([notice(text(row()))]).what_now("DMS", at=at).advice
