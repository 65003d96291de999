"""How a page is cut into notices and texts, and which lists of systems are lists of names."""

from __future__ import annotations

from datetime import datetime

import pytest

from htpoort.core.notices._authorities import AUTHORITIES, TOLDSTYRELSEN
from htpoort.core.notices._layout import lay_out
from htpoort.core.notices._text import read_text
from htpoort.notices import Behaviour, Fallback, Notice, NoticeState, read_notice

at = datetime.fromisoformat
WINDOW = "Service window Tuesday March 9, 2027, 2000-2200"
FILES = "Files sent to Manifest are refused during the service window."


def page(*body: str, status: str = "Scheduled unavailability", system: str = "Manifest") -> str:
    """Write a notice with all labels of the Danish form."""
    head = ("Last updated", "8 Mar 2027 07:00", "Type", "Scheduled unavailability", "Status", status)
    return "\n".join((*head, "System", system, "Message", *body, "WO0000003000001"))


def unread(notice: Notice) -> list[str]:
    """Return the sentences that no rule understood."""
    return [notice.text[start:stop] for start, stop in notice.unread]


def systems(notice: Notice) -> list[str | None]:
    """Return the systems of its rows."""
    return [row.system for row in notice.windows]


LISTS: dict[str, tuple[str, ...] | None] = {
    "Import, Export and NCTS (Transit)": ("Import", "Export", "NCTS (Transit)"),
    "DMS Import/DMS Export": ("DMS Import", "DMS Export"),
    "the Import": ("Import",),
    "den EMCS": ("EMCS",),
    "EMCS systems": ("EMCS",),
    "Import + Manifest": ("Import", "Manifest"),
    "e-Export": ("Export",),
    "Import, Import": ("Import",),
    "Duty Ledger (DL, new)": ("Duty Ledger (DL, new)",),
    "Movement of Beer": ("Movement of Beer",),
    "Excise Goods Link System (EGLS)": ("Excise Goods Link System (EGLS)",),
    "Movement of goods": None,
    "XYZ import": ("XYZ import",),
    "Other messages": (),
    "Import, Other messages": ("Import",),
    "EMCS are accepted": None,
    "EMCS are": None,
    "Import and": None,
    "Import Export": None,
    "whatever you like": None,
    "All of them": None,
    "A name of more words than any name of a system has": None,
    "2027": None,
    "": None,
    "Import, " * 200: None,
}


@pytest.mark.parametrize("phrase", LISTS)
def test_a_list_of_systems_holds_names_alone(phrase: str) -> None:
    """A list gives its names as printed; if any part of it is no name, it is no list."""
    assert LISTS[phrase] == TOLDSTYRELSEN.names.listed(phrase)


def test_the_short_form_of_a_name_stands_where_the_text_has_both() -> None:
    """A name that the text prints short as well is given short."""
    notice = read_notice(page(
        WINDOW, "Files sent to ICS are refused.", "Online access to Import Control System (ICS) is closed.",
        system="ICS",
    ))  # fmt: skip
    assert ["ICS", "ICS"] == systems(notice)


def test_a_stamp_alone_heads_a_notice() -> None:
    """A line that is nothing but the stamp of a list begins a notice."""
    notice = read_notice(f"08-03-2027 kl. 08:00\n{WINDOW}\n{FILES}\nWO0000003000001\n08-03-2027 08:00:00")
    assert (at("2027-03-08T08:00"), ["Manifest"]) == (notice.newest.known, systems(notice))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("EMCS, Zolltron, ManifestService windows", ["Manifest"]),
        ("Zolltron, EMCSService windows", ["Manifest"]),
        ("ClosedManifestService windows", ["Manifest"]),
        ("nothing that is known", ["Manifest"]),
        ("Manifest (new)Service windows", ["Manifest"]),
        ("Manifest and Manifestations", ["Manifest"]),
    ],
)
def test_columns_that_were_run_together(head: str, expected: list[str]) -> None:
    """The head of a list is cut after known names, or where a word begins without a blank."""
    notice = read_notice(f"{head}08-03-2027 kl. 08:00\n{WINDOW}\n{FILES}\nWO0000003000001\n08-03-2027 08:00:00")
    assert (at("2027-03-08T08:00:00"), expected) == (notice.newest.known, systems(notice))


def test_a_row_of_a_table_with_two_titles() -> None:
    """Of two cells that may be the title the first one is."""
    row = "| Manifest | Service window one | Service window two | 08-03-2027 kl. 08:00 |"
    notice = read_notice(f"{row} {FILES} WO0000003000001 | 08-03-2027 08:00:00 |")
    assert ["Manifest"] == systems(notice)


def test_an_older_list_of_notices() -> None:
    """A list whose entries begin with a stamp and a kind or systems: only the notice with rows has texts."""
    moved = "2027-03-01 12:24Information\nThe customs portal has a new address.\n"
    text = f"{moved}2027-03-08 07:00 Manifest\n{WINDOW}\n{FILES}\nWO0000003000001"
    notice = read_notice(text)
    assert (at("2027-03-08T07:00"), ["Manifest"], False) == (notice.newest.known, systems(notice), notice.complete)
    assert "several-notices" in {problem.code for problem in notice.problems}
    assert at("2027-03-08T07:00") == read_notice(text.removeprefix(moved)).newest.known


def test_a_stamp_before_a_sentence_heads_nothing() -> None:
    """A line that begins with a stamp and goes on as a sentence is a sentence."""
    notice = read_notice(page(WINDOW, FILES, "2027-03-08 07:00 we know more."))
    assert 1 == len(notice.revisions)


def test_words_of_labels_in_a_text_are_no_labels() -> None:
    """A line of a text that is or begins with the word of a label is no label."""
    notice = read_notice(page(WINDOW, FILES, "Status", "Published: soon", f"Updated: {'0' * 80}"))
    assert 1 == len(notice.revisions)
    assert ["Status", "Published: soon", f"Updated: {'0' * 80}"] == unread(notice)


def test_a_value_that_is_none() -> None:
    """A sentence below a label is a sentence; a word that is not known is reported as unread."""
    long = "It was refused, and this sentence is far too long for any word that a header has for a state of a notice."
    assert [long] == unread(read_notice(page(WINDOW, FILES, status=long)))[:1]
    strange = read_notice(page(WINDOW, FILES, status="Half open"))
    assert (["Half open"], False) == (unread(strange), strange.complete)
    stamp = read_notice(page(WINDOW, FILES).replace("8 Mar 2027 07:00", "never"))
    assert None is stamp.newest.known


def test_a_text_below_previous_message() -> None:
    """The text after the head of an older text is the older one, on the same line as well."""
    text = (
        "Scheduled maintenance Transport (NCTS)\nPublication date 09-03-2027, 11:57\n"
        "The process Transport (NCTS) is unavailable from Tuesday 09-03-2027 08:00.\n"
        "Previous message: The process Transport (NCTS) is unavailable from Tuesday 09-03-2027 07:00."
    )
    older, newest = read_notice(text, authority="douane").revisions
    assert (at("2027-03-09T07:00"), at("2027-03-09T08:00")) == (older.windows[0].start, newest.windows[0].start)


def test_nothing_after_the_head_of_an_older_text_is_lost() -> None:
    """What stands on the line of the head belongs to the older text; a ruler is no text."""
    for rest, older in ((" It was worse.", ["It was worse."]), (" -----", [])):
        (entry,) = lay_out(read_text(f"It is bad.\nPrevious message:{rest}").lines, AUTHORITIES["douane"])
        assert [["It is bad."], older] == [[line.text for line in block.lines] for block in entry.blocks]


def test_a_closed_notice_without_a_time() -> None:
    """A notice that is closed at an unknown time has ended."""
    text = page(WINDOW, FILES, status="Closed").replace(
        "Last updated\n8 Mar 2027 07:00\n", "Last updated\nMarch 2027\n"
    )
    assert NoticeState.ENDED == read_notice(text).state


def test_an_unknown_name_above_an_access_is_a_heading() -> None:
    """A line that lists names is the head of a section if an access follows; with a full stop it is none."""
    notice = read_notice(page(WINDOW, "Zolltron", "File access:", "File access will be down.", system="Zolltron"))
    assert ["Zolltron"] == systems(notice)
    assert ["Zolltron."] == unread(read_notice(page(WINDOW, "Zolltron.", "File access:", FILES)))
    assert ["Zolltron"] == unread(read_notice(page(WINDOW, FILES, "Zolltron")))


def test_a_sentence_that_is_turned_gives_no_times() -> None:
    """The times of a sentence whose sense is turned are not used."""
    turned = "It is not so that the service window is on Tuesday March 9, 2027, 2000-2200."
    notice = read_notice(page(turned, FILES))
    assert (None, [turned]) == (notice.windows[0].start, unread(notice))


def test_what_is_said_twice_counts_once() -> None:
    """A window and a contradiction that a text has twice are one."""
    twice = read_notice(page(WINDOW, WINDOW, FILES))
    assert (1, True) == (len(twice.windows), twice.complete)
    notice = read_notice(page(
        WINDOW, FILES, "Files sent to EMCS are refused.", "The emergency procedure may be used.",
        "You have to use the emergency procedure.", system="Manifest + EMCS",
    ))  # fmt: skip
    assert ["contradiction"] == [problem.code for problem in notice.problems]
    assert [Fallback.REQUIRED, Fallback.REQUIRED] == [row.fallback for row in notice.windows]


def test_an_end_without_a_window() -> None:
    """An end is stated even if no window is."""
    (row,) = read_notice(page(FILES, "The service window ended at March 9, 2027, 21:30.")).windows
    assert (None, at("2027-03-09T21:30")) == (row.start, row.end)


def test_an_edit_that_names_no_hour() -> None:
    """An edit of the start that does not say which hour changes nothing."""
    assert read_notice(page(WINDOW, FILES, "Change of the start time on March 1, 2027.")).complete


def test_a_text_that_never_uses_full_stops_may_end_without_one() -> None:
    """A last sentence without a full stop is cut only where most sentences have one."""
    plain = [line.rstrip(".") for line in (WINDOW, FILES, "Online access to Manifest will be closed down")]
    text = page(*plain).removesuffix("\nWO0000003000001")
    assert "truncated" not in {problem.code for problem in read_notice(text).problems}
    notice = read_notice(
        page(*plain[:-1], "Online access to Manifest is closed.", "The emergency procedure may be used")
    )
    assert "truncated" not in {problem.code for problem in notice.problems}


def test_issues_with_a_part_and_with_a_system() -> None:
    """Issues with a part, whatever it is part of, are a limit; issues with a system state no behaviour."""
    expected = {
        "We have problems with the tariff.": ("Manifest", Behaviour.LIMITED),
        "We have problems with EMCS traffic.": ("EMCS", Behaviour.LIMITED),
        "We have problems with EMCS.": ("EMCS", Behaviour.UNSTATED),
    }
    for sentence, row in expected.items():
        (stated,) = read_notice(page(sentence)).windows
        assert row == (stated.system, stated.behaviour)
    assert ["Online access to whatever you like is open."] == unread(
        read_notice(page(WINDOW, FILES, "Online access to whatever you like is open."))
    )


def test_several_notices_without_rows() -> None:
    """A page of notices that state nothing of any system has no rows."""
    text = "2027-03-01 12:24Information\nThe portal has moved.\n2027-03-02 12:24Information\nIt moved again."
    notice = read_notice(text, authority="toldstyrelsen")
    assert ((), False) == (notice.windows, notice.complete)


def test_a_danish_date_that_was_wrapped() -> None:
    """A line that ends with the number of a day goes on with its month."""
    body = "Servicevindue tirsdag den 9.\nmarts 2027 kl. 20.00-22.00"
    (row,) = read_notice(page(body, "Filer til Manifest bliver afvist.")).windows
    assert (at("2027-03-09T20:00"), at("2027-03-09T22:00")) == (row.start, row.end)


def test_systems_that_a_list_follows() -> None:
    """Items below a sentence that announces a list have its behaviour, where no sentence about one says another."""
    notice = read_notice(page(
        WINDOW, "The following systems are down:", "• Manifest", "• Export and EMCS.",
        "Files to Manifest are rejected.", system="Manifest + Export + EMCS",
    ))  # fmt: skip
    assert [("Manifest", Behaviour.REJECTED), ("Export", Behaviour.UNAVAILABLE), ("EMCS", Behaviour.UNAVAILABLE)] == [
        (row.system, row.behaviour) for row in notice.windows
    ]


def test_a_section_about_a_system_that_another_one_speaks_of() -> None:
    """A heading over a system that another section has rows of gives no second row."""
    notice = read_notice(page(WINDOW, "Manifest", FILES, "Manifest", "The emergency procedure may be used."))
    assert ["Manifest"] == systems(notice)


def test_more_facts_than_any_notice_has_are_not_read() -> None:
    """A text with thousands of sentences that state something is read up to a limit, and the rest is unread."""
    notice = read_notice(page(WINDOW, *(f"Files to EMCS{number} are rejected." for number in range(3_000))))
    assert not notice.complete
    assert "Files to EMCS2999 are rejected." in unread(notice)
