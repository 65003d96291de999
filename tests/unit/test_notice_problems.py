"""What a notice leaves open is reported with its code and its place, and is not guessed."""

from __future__ import annotations

from datetime import datetime

import pytest

from htpoort.notices import Access, Behaviour, EndKind, Fallback, Notice, NoticeKind, NoticeState, Recovery, read_notice

at = datetime.fromisoformat

WINDOW = "Service window Tuesday March 9, 2027, 2000-2200"
FILES = "Files sent to Manifest are refused during the service window."


def page(*body: str, status: str = "Scheduled unavailability", system: str = "Manifest", updated: str = "") -> str:
    """Write a notice with all labels of the Danish form."""
    head = ("Last updated", updated or "8 Mar 2027 07:00", "Type", "Scheduled unavailability", "Status", status)
    return lines(*head, "System", system, "Message", *body, "WO0000003000001")


def lines(*those: str) -> str:
    """Write lines."""
    return "\n".join(those)


def codes(notice: Notice) -> set[str]:
    """Return the codes of its problems."""
    return {problem.code for problem in notice.problems}


def test_a_notice_without_any_doubt_is_complete() -> None:
    """The notice that the others here differ from bears no problem, and is complete."""
    notice = read_notice(page(WINDOW, FILES))
    assert (set(), True) == (codes(notice), notice.complete)
    (row,) = notice.windows
    assert (at("2027-03-09T20:00"), at("2027-03-09T22:00"), EndKind.FINAL) == (row.start, row.end, row.end_kind)


BEARING: dict[str, tuple[str, str, str]] = {
    # name: code, text, what the problem quotes (empty: the place is a whole text)
    "no date": ("no-date", page("Service window", FILES), ""),
    "an hour alone": (
        "time-without-date",
        page("Service window", FILES, "Update 11:50 - the outage is over."),
        "Update 11:50 - the outage is over.",
    ),
    "an update at an hour": (
        "time-without-date",
        page("Service window", FILES, "Update 11:50: we are working on it."),
        "Update 11:50: we are working on it.",
    ),
    "a window of hours": (
        "time-without-date",
        page("Service window 2000-2200", FILES),
        "Service window 2000-2200",
    ),
    "a day alone": (
        "no-time",
        page("Service window Tuesday March 9, 2027", FILES),
        "Tuesday March 9, 2027",
    ),
    "an expected day": (
        "no-time",
        page(WINDOW, "Delayed.", "Expected end March 10, 2027", FILES),
        "March 10, 2027",
    ),
    "a day without a year": ("date-incomplete", page("Service window 9 March, 2000-2200", FILES), "9 March"),
    "a day of the writer": (
        "date-relative",
        page("Service window tomorrow 20:00-22:00", FILES),
        "tomorrow",
    ),
    "a day that is none": (
        "date-unreadable",
        page("Service window February 30, 2027, 2000-2200", FILES),
        "February 30, 2027",
    ),
    "a stamp that is none": ("date-unreadable", page(WINDOW, FILES, updated="45 Mar 2027 07:00"), ""),
    "midnight": (
        "midnight-ambiguous",
        page("Service window Tuesday March 9, 2027, 2000 - Sunday March 14, 2027 midnight", FILES),
        "midnight",
    ),
    "cut by a collector": ("truncated", page(WINDOW, FILES, "Files to EM [cut in the store]"), "[cut in the store]"),
    "dots at the end": ("truncated", page(WINDOW, FILES, "The emergency procedure..."), "..."),
    "a heading at the end": ("truncated", page(WINDOW, "Manifest", FILES, "EMCS"), "EMCS"),
    "a sentence without an end": (
        "truncated",
        page(WINDOW, FILES, "The emergency procedure may be used").removesuffix("\nWO0000003000001"),
        "The emergency procedure may be used",
    ),
    "dots inside": ("extract", page(WINDOW, "… what follows is known.", FILES), "…"),
    "the same again": (
        "same-text-twice",
        page(WINDOW, FILES, "WO0000003000001", "Published: 01-03-2027 12:00:00", WINDOW, FILES),
        "",
    ),
    "the same again and cut": (
        "same-text-twice",
        page(WINDOW, FILES, "Published: 01-03-2027 12:00:00", f"{WINDOW} [cut in the store]").removesuffix(
            "\nWO0000003000001"
        ),
        "",
    ),
    "no older text": (
        "older-text-missing",
        page(WINDOW, FILES, "WO0000003000001", "Published: 01-03-2027 12:00:00").removesuffix("\nWO0000003000001"),
        "",
    ),
    "cancelled, and it says what happens": (
        "contradiction",
        page("The service window is cancelled.", WINDOW, FILES),
        FILES,
    ),
    "closed, and it goes on": (
        "contradiction",
        page("We are experiencing problems with the quota check in Manifest.", status="Closed"),
        "We are experiencing problems with the quota check in Manifest.",
    ),
    "two behaviours": (
        "contradiction",
        page(WINDOW, FILES, "Files sent to Manifest are stored until the service window has ended."),
        "Files sent to Manifest are stored until the service window has ended.",
    ),
    "two words on the emergency procedure": (
        "contradiction",
        page(WINDOW, FILES, "The emergency procedure may be used.", "You have to use the emergency procedure."),
        "The emergency procedure may be used.",
    ),
    "an edit that does not show": (
        "contradiction",
        page(WINDOW, FILES, "Update 2027-03-01: Change of the start time to 21:00"),
        "21:00",
    ),
    "an end before the start": (
        "contradiction",
        page(WINDOW, FILES, "The service window ended at March 9, 2027, 1900."),
        "March 9, 2027, 1900",
    ),
    "another day in the title": (
        "title-body-differ",
        page("Service window Monday March 8, 2027", WINDOW, FILES),
        "Monday March 8, 2027",
    ),
    "closed early": ("closed-before-end", page(WINDOW, FILES, status="Closed", updated="9 Mar 2027 21:10"), ""),
    "closed too early": ("closed-before-start", page(WINDOW, FILES, status="Closed"), ""),
    "a copy": (
        "duplicate-notice",
        page(WINDOW, FILES, "This notice is a copy of https://notices.example/1"),
        "This notice is a copy of https://notices.example/1",
    ),
    "it goes on elsewhere": (
        "continued-elsewhere",
        page(WINDOW, FILES, "Please see updates on https://notices.example/2"),
        "Please see updates on https://notices.example/2",
    ),
    "a reference that is missing": ("reference-missing", page(WINDOW, FILES, "Follow-up to"), "Follow-up to"),
    "a slip in a name": (
        "name-mistyped",
        page(WINDOW, "Files sent to Manifset are refused."),
        "Files sent to Manifset are refused.",
    ),
    "a name that is not known": (
        "name-unknown",
        page(WINDOW, FILES, "Files sent to Zolltron are refused."),
        "Zolltron",
    ),
    "a system of the header alone": ("systems-differ", page(WINDOW, FILES, system="Manifest + EMCS"), ""),
    "a system of another section": (
        "systems-differ",
        page(WINDOW, "EMCS", FILES, system="EMCS + Manifest"),
        FILES,
    ),
    "a system that a section leaves out": (
        "systems-differ",
        page(WINDOW, "EMCS/Manifest", "File access:", FILES, system="EMCS + Manifest"),
        FILES,
    ),
    "no system": (
        "no-system",
        page(WINDOW, "File access will be down.", system="-"),
        "",
    ),
    "two windows": (
        "several-notices",
        page(WINDOW, "Service window Wednesday March 10, 2027, 2000-2200", FILES),
        "Wednesday March 10, 2027, 2000-2200",
    ),
    "a test system": (
        "test-environment",
        page(WINDOW, "Files sent to TFE are refused.", system="TFE"),
        "",
    ),
    "another system of the authority": (
        "not-customs",
        page(WINDOW, "Online access to MitID is closed.", system="MitID"),
        "",
    ),
}
HARMLESS = {"same-text-twice", "older-text-missing", "test-environment"}


@pytest.mark.parametrize("name", BEARING)
def test_a_problem_is_reported_at_its_place(name: str) -> None:
    """A text that bears a problem has it with its code and place, and is complete only if the problem is harmless."""
    code, text, quotation = BEARING[name]
    notice = read_notice(text)
    quoted = [text[problem.start : problem.stop] for problem in notice.problems if problem.code == code]
    assert quoted
    if quotation:
        assert quotation in quoted
    assert (codes(notice) <= HARMLESS) == notice.complete


def test_what_a_page_strikes_out_is_not_read() -> None:
    """A page that strikes a sentence out does not state it, and its notice is not complete."""
    shown = "".join(f"<p>{line}</p>" for line in page(WINDOW, FILES).split("\n"))
    struck = shown.replace(f"<p>{WINDOW}</p>", f"<p>{WINDOW}</p><del>Files sent to EMCS are refused.</del>")
    assert read_notice(shown).complete
    notice = read_notice(struck)
    assert ({"extract"}, False) == (codes(notice), notice.complete)
    assert ["Manifest"] == [row.system for row in notice.windows]


STATES: dict[str, tuple[NoticeState, str]] = {
    "announced": (NoticeState.ANNOUNCED, page(WINDOW, FILES)),
    "ended by its status": (NoticeState.ENDED, page(WINDOW, FILES, status="Closed", updated="10 Mar 2027 07:00")),
    "ended by a sentence": (NoticeState.ENDED, page(WINDOW, FILES, "The service window has ended.")),
    "moved": (NoticeState.MOVED, page(WINDOW, FILES, "The service window is postponed until further notice.")),
    "delayed": (NoticeState.DELAYED, page(WINDOW, FILES, "Delayed.")),
    "cancelled by its status": (NoticeState.CANCELLED, page(WINDOW, FILES, status="Cancelled")),
    "cancelled, then closed": (
        NoticeState.CANCELLED,
        page("The service window is cancelled.", WINDOW, status="Closed", updated="10 Mar 2027 07:00"),
    ),
    "cancelled and ended": (
        NoticeState.UNCLEAR,
        page("The service window is cancelled.", "The service window has ended.", WINDOW, FILES),
    ),
    "closed before it began": (NoticeState.UNCLEAR, page(WINDOW, FILES, status="Closed")),
    "closed as a copy": (
        NoticeState.UNCLEAR,
        page(WINDOW, FILES, "It is a copy of https://notices.example/1", status="Closed", updated="10 Mar 2027 07:00"),
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_the_state_is_what_status_and_sentences_say(name: str) -> None:
    """The state follows from the status and the sentences; where they do not fit it is unclear."""
    state, text = STATES[name]
    assert state == read_notice(text).state


@pytest.mark.parametrize(
    ("sentence", "start", "end"),
    [
        ("Delayed.", at("2027-03-09T20:00"), None),
        ("The service window is postponed until further notice.", None, None),
        ("Extended until 23:30", at("2027-03-09T20:00"), at("2027-03-09T23:30")),
        ("Extended until 2330", at("2027-03-09T20:00"), at("2027-03-09T23:30")),
        ("The service window has ended.", at("2027-03-09T20:00"), at("2027-03-09T22:00")),
        ("March 9, 2027 is done", at("2027-03-09T20:00"), at("2027-03-09T22:00")),
        (
            "Update 9/3-2027 21:15: The service window has ended.",
            at("2027-03-09T20:00"),
            at("2027-03-09T21:15"),
        ),
    ],
)
def test_a_sentence_changes_the_times(sentence: str, start: datetime | None, end: datetime | None) -> None:
    """A sentence that changes a window changes its times, or takes away those that no longer hold."""
    (row,) = read_notice(page(WINDOW, FILES, sentence)).windows
    assert (start, end) == (row.start, row.end)


def test_an_hour_is_placed_on_the_only_day() -> None:
    """Hours that stand apart from the only day of a text, or with its name, are placed on that day."""
    for hours in ("Service window 20:00-22:00", "Service window Tuesday 20:00-22:00"):
        (row,) = read_notice(page("Upgrade of Manifest on Tuesday March 9, 2027", hours, FILES)).windows
        assert (at("2027-03-09T20:00"), at("2027-03-09T22:00")) == (row.start, row.end)


def test_an_end_over_midnight_is_not_placed_by_its_hour_alone() -> None:
    """An hour without a day is not placed where the window has two days, or begins later."""
    over = "Service window Tuesday March 9, 2027, 2000 - Wednesday March 10, 2027, 0200"
    for window, sentence in ((over, "Update 23:10: Done."), (WINDOW, "Update 19:10: The service window has ended.")):
        notice = read_notice(page(window, FILES, sentence))
        assert "time-without-date" in codes(notice)


def test_labels_that_were_lost() -> None:
    """A stamp, a kind, a status and a list of systems at the very beginning are a header without labels."""
    text = lines(
        "8 Mar 2027 07:00", "Scheduled unavailability", "Closed", "Manifest + EMCS", WINDOW, FILES,
        "Files sent to EMCS are refused.",
    )  # fmt: skip
    notice = read_notice(text)
    assert (at("2027-03-08T07:00"), NoticeKind.PLANNED) == (notice.newest.known, notice.kind)
    assert [("Manifest", at("2027-03-09T20:00")), ("EMCS", at("2027-03-09T20:00"))] == [
        (row.system, row.start) for row in notice.windows
    ]


def test_labels_and_values_on_one_line() -> None:
    """A label and its value may stand on one line."""
    text = page(WINDOW, FILES)
    for label in ("Last updated", "Type", "Status", "System", "Message"):
        text = text.replace(f"{label}\n", f"{label}: ")
    assert read_notice(page(WINDOW, FILES)).windows == read_notice(text).windows
    assert read_notice(text).complete


def test_line_ends_that_were_lost() -> None:
    """Sentences that ran together, because line ends were lost, are read where a known phrase begins one."""
    text = page(
        WINDOW, "Manifest", "File access:", FILES, "Online access:", "The online system for Manifest is closed."
    )
    ran = text.replace("Manifest\nFile access:\n", "Manifest File access: ").replace(
        "\nOnline access:\n", " Online access: "
    )
    assert read_notice(text).windows == read_notice(ran).windows
    assert read_notice(ran).complete


def test_a_page_with_several_notices() -> None:
    """The notices of one page are read each by itself; nothing of one counts for another."""
    text = lines(
        "EMCSService window EMCS01-03-2027 kl. 08:00", WINDOW, "Files sent to EMCS are refused.",
        "The emergency procedure may be used.", "WO0000003000002", "01-03-2027 08:00:00",
        "ClosedManifestService window Manifest02-03-2027 kl. 09:00", WINDOW, FILES, "WO0000003000003",
        "02-03-2027 09:00:00",
    )  # fmt: skip
    notice = read_notice(text)
    assert [("EMCS", Fallback.ALLOWED), ("Manifest", Fallback.UNSTATED)] == [
        (row.system, row.fallback) for row in notice.windows
    ]
    assert ("WO0000003000002", "WO0000003000003") == notice.references
    assert (NoticeState.UNCLEAR, False) == (notice.state, notice.complete)
    assert "several-notices" in codes(notice)


def test_rows_of_a_table() -> None:
    """Each row of a table is a notice."""
    row = (
        "| EMCS | Service window EMCS | 01-03-2027 kl. 08:00 | Files sent to EMCS are refused. | 01-03-2027 08:00:00 |"
    )
    other = row.replace("EMCS", "Manifest").replace("01-03", "02-03")
    notice = read_notice(f"{row}\n{other}")
    assert ["EMCS", "Manifest"] == [each.system for each in notice.windows]


def test_the_text_that_stands_has_no_older_one_given() -> None:
    """A list that gives the time of the first publication alone has a revision without rows for it."""
    text = lines(
        "EMCSService window EMCS03-03-2027 kl. 08:00", WINDOW, "Files sent to EMCS are refused.", "01-03-2027 08:00:00",
    )  # fmt: skip
    first, second = read_notice(text).revisions
    assert (at("2027-03-01T08:00"), (), False) == (first.known, first.windows, first.complete)
    assert (at("2027-03-03T08:00"), True) == (second.known, second.complete)


def test_systems_are_those_of_the_sentence_the_section_the_header_or_the_title() -> None:
    """A sentence without a system concerns those of its section, else of the header, else of the title."""
    down = "File access will be down."
    assert ["EMCS"] == [row.system for row in read_notice(page(WINDOW, "EMCS", "File access:", down)).windows]
    assert ["Manifest"] == [row.system for row in read_notice(page(WINDOW, down)).windows]
    titled = read_notice(page(f"{WINDOW} for Export and ICS2", down, system="-"))
    assert ["Export", "ICS2"] == [row.system for row in titled.windows]


def test_the_name_of_a_family_means_its_members() -> None:
    """A name such as DMS means those systems of the header whose names begin with it."""
    notice = read_notice(page(WINDOW, "Files sent to DMS are refused.", system="DMS Import + DMS Export + EMCS"))
    assert ["DMS Import", "DMS Export"] == [row.system for row in notice.windows]


def test_a_section_without_behaviour_has_rows_that_state_none() -> None:
    """A heading without a sentence on what happens gives a row that states nothing."""
    notice = read_notice(page(WINDOW, "Manifest", "The emergency procedure may be used."))
    (row,) = notice.windows
    assert (Access.ANY, Behaviour.UNSTATED, Fallback.ALLOWED) == (row.access, row.behaviour, row.fallback)
    assert not notice.complete


def test_a_text_about_a_header_alone_is_not_complete() -> None:
    """A notice whose text says nothing of its systems has rows that state nothing, and is not complete."""
    notice = read_notice(page(WINDOW))
    assert [("Manifest", Behaviour.UNSTATED)] == [(row.system, row.behaviour) for row in notice.windows]
    assert not notice.complete


def test_what_is_asked_for_counts_where_it_stands() -> None:
    """What is asked for counts for the named systems, else for the section, else for all that is not merely queued."""
    notice = read_notice(page(
        WINDOW, FILES, "Files sent to EMCS are stored until the service window has ended.",
        "Files sent to Export are refused.", "Rejected messages to Export must be sent again with the same LRN.",
        "All rejected messages must be sent again.", system="Manifest + EMCS + Export",
    ))  # fmt: skip
    assert {"Manifest": Recovery.RESUBMIT, "EMCS": Recovery.WAIT, "Export": Recovery.SAME_REFERENCE} == {
        row.system: row.recovery for row in notice.windows
    }


def test_messages_that_arrive_late_are_not_to_be_sent_again() -> None:
    """What a notice asks for in general does not concern messages that it says are received."""
    notice = read_notice(page(
        WINDOW, FILES, "Files to EMCS are received, but replies may be late.",
        "All rejected messages must be sent again.", system="Manifest + EMCS",
    ))  # fmt: skip
    assert {"Manifest": Recovery.RESUBMIT, "EMCS": Recovery.UNSTATED} == {
        row.system: row.recovery for row in notice.windows
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "nothing-read"), (" \n\t", "nothing-read"), ("\x00\x01PK", "nothing-read"), ("a " * 600_000, "too-long")],
)
def test_a_text_that_is_none(text: str, code: str) -> None:
    """What is no text, or is too long, gives a notice without revisions, and the reason."""
    notice = read_notice(text)
    assert ({code}, (), NoticeState.UNCLEAR, text) == (codes(notice), notice.revisions, notice.state, notice.text)


def test_a_text_that_is_no_notice() -> None:
    """A text of another kind gives a notice without revisions, and all of it is unread."""
    text = "Dear reader,\nThe cake needs three eggs."
    notice = read_notice(text)
    assert ({"nothing-read"}, (), False) == (codes(notice), notice.revisions, notice.complete)
    assert ["Dear reader,", "The cake needs three eggs."] == [text[start:stop] for start, stop in notice.unread]


def test_an_authority_that_is_not_known() -> None:
    """A notice of an unknown authority is read by what all share, has no zone, and is never complete."""
    for notice in (
        read_notice(f"{WINDOW}\nFiles sent to Zolltron are refused."),
        read_notice(page(WINDOW, FILES), authority="zoll"),
    ):
        assert "unknown-authority" in codes(notice)
        assert (None, None, False) == (notice.authority, notice.zone, notice.complete)
        assert [Behaviour.REJECTED] == [row.behaviour for row in notice.windows]


def test_an_authority_that_is_given() -> None:
    """An authority that the caller names is not looked for in the text."""
    notice = read_notice(f"{WINDOW}\n{FILES}", authority="toldstyrelsen")
    assert ("toldstyrelsen", "Europe/Copenhagen", True) == (notice.authority, notice.zone, notice.complete)


KINDS = {
    "Service window EMCS": NoticeKind.PLANNED,
    "Problems in EMCS": NoticeKind.INCIDENT,
    "New address of EMCS": NoticeKind.OTHER,
}


@pytest.mark.parametrize("title", KINDS)
def test_the_kind_follows_from_the_title_if_nothing_else_says_it(title: str) -> None:
    """Where neither type nor reference says what a notice is about, its title does."""
    text = f"EMCS{title}01-03-2027 kl. 08:00\nFiles sent to EMCS are refused.\n01-03-2027 08:00:00"
    assert KINDS[title] == read_notice(text).kind
    assert NoticeKind.INCIDENT == read_notice(text.replace("refused.", "refused.\nINC000003000004")).kind
    assert NoticeKind.PLANNED == read_notice(text.replace("refused.", "refused.\nWO0000003000004")).kind


def test_times_of_a_move_that_is_not_understood() -> None:
    """Which of two times is the new one is not guessed; a sentence about one system asks nothing of another."""
    notice = read_notice(
        "PRD-service window Manifest and EMCS\n"
        "The service window Manifest on Monday 3 May 2027, 0600-0700, is rescheduled into 4 May 2027, 0600-0700.\n"
        "Files sent to Manifest will be rejected and must be sent again.\n"
        "Files sent to EMCS will be rejected.\n",
        authority="toldstyrelsen",
    )
    assert [("Manifest", None, "resubmit"), ("EMCS", None, "unstated")] == [
        (row.system, row.start, row.recovery) for row in notice.windows
    ]
