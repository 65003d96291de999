"""Notices of the Dutch Helpdesk that lost something: what is left out is reported, and never filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from htpoort.notices import Notice, NoticeState, read_notice

TEXT = (Path(__file__).parent / "notices" / "nl-planned-en.txt").read_text(encoding="utf-8")


def codes(notice: Notice) -> list[str]:
    """Return the codes of the problems of a notice."""
    return sorted(problem.code for problem in notice.problems)


@pytest.mark.parametrize("hour", [" 20:00", " 04:30"])
def test_an_end_without_an_hour(hour: str) -> None:
    """A day without an hour, where the other end has one, is reported, and that end is not known."""
    notice = read_notice(TEXT.replace(hour, ""))

    assert (["no-time"], False) == (codes(notice), notice.complete)


def test_the_text_after_a_list() -> None:
    """A line without a bullet below items with bullets is none of them."""
    notice = read_notice(TEXT.replace("You may submit", "Scheduled You may submit"))

    assert ["Movement of beer (BEERS)"] == [row.system for row in notice.windows]


def test_lost_line_ends() -> None:
    """A notice on one line states the same: its labels and its standard sentences are found in the line."""
    whole, flat = read_notice(TEXT), read_notice(TEXT.replace("\n", " "))

    assert (whole.windows, whole.newest.known) == (flat.windows, flat.newest.known)


def test_another_system_in_the_title() -> None:
    """A title that names another system than the text is reported."""
    notice = read_notice(TEXT.replace("BEERS", "WINES", 1).replace("beer", "wine", 1))

    assert (["title-body-differ"], False) == (codes(notice), notice.complete)


def test_unavailable_or_limited() -> None:
    """A title that says unavailable, over a text that says limited, is reported."""
    title, system = "Transport of malt (MALT) is unavailable\n", "the process Transport of malt (MALT)"
    text = f"{title}The availability of {system} is limited from Friday 05-02-2027 07:50.\n"

    assert "title-body-differ" in codes(read_notice(text))


def test_emergency_maintenance() -> None:
    """Emergency maintenance under a title that says scheduled is reported."""
    text = TEXT.replace("You may submit", "Emergency maintenance: You may submit")

    assert ["title-body-differ"] == codes(read_notice(text))


def test_a_page_of_notices() -> None:
    """A page that lists several notices is reported, and nothing of one counts for the state."""
    items = "\n".join(
        f"{n}. Recovery action following disruption BEERS\nService message\nThe issue has been solved."
        for n in (1, 2, 3)
    )
    notice = read_notice(items, authority="douane")

    assert ("several-notices" in codes(notice), NoticeState.UNCLEAR, False) == (True, notice.state, notice.complete)


def test_a_stamp_that_is_mistyped() -> None:
    """A notice whose stamp cannot be read is not complete, and the time is not known."""
    notice = read_notice(TEXT.replace("03-02-2027, 09:15", "33-02-2027, 09:15"))

    assert (False, None) == (notice.complete, notice.newest.known)


HEAD = "Publication date 04-02-2027, 14:05\n"
DOWN = f"{HEAD}The process Transport of malt (MALT) is unavailable from Thursday 04-02-2027 13:40.\n"


@pytest.mark.parametrize(
    ("sentence", "systems"),
    [
        ("The processes AGS, DMS and AGS are unavailable from 04-02-2027 13:40.", ["AGS", "DMS"]),
        ("The Process Entry (A), Exit (B) is unavailable from 04-02-2027 13:40.", ["Entry (A)", "Exit (B)"]),
        ("The process Entry (A - B) is unavailable from 04-02-2027 13:40.", ["Entry (A - B)"]),
        ("The process you will see is unavailable from 04-02-2027 13:40.", []),
        ("The process Entry (A) is available again since 04-02-2027 13:40.", ["Entry (A)"]),
        ("04-02-2027 7.23 - 13.24 uur: Entry (A) - storing;", ["Entry (A)"]),
        ("04-02-2027 7.23 - 13.24 uur: you will see - storing;", []),
    ],
)
def test_names_of_processes(sentence: str, systems: list[str]) -> None:
    """A list of processes is cut where a name surely ends; a sentence that names none gives no system."""
    notice = read_notice(HEAD + sentence, authority="douane")

    assert systems == [row.system for row in notice.windows if row.system is not None]


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        ("This has an impact on the following messages:\n• Report\n• Report\n• Invalidation request", 2),
        ("This has an impact on: MALT - sending messages MALT - receiving messages", 2),
        ("This has an impact on the following messages:\nReport\nA line that ends is no name of a message.", 1),
    ],
)
def test_lists_of_messages(lines: str, messages: int) -> None:
    """A row is limited to the messages of a list, each once, also where its line ends were lost."""
    notice = read_notice(DOWN + lines)

    assert [messages] == [len(row.messages) for row in notice.windows]


def test_an_end_in_another_sentence() -> None:
    """A start alone, and the same start with an end, are one window."""
    more = "The process Transport of malt (MALT) is unavailable from Thursday 04-02-2027 13:40 until 15:00.\n"
    (row,) = read_notice(DOWN + more).windows

    assert "2027-02-04T15:00:00" == (row.end and row.end.isoformat())


@pytest.mark.parametrize("first", ["en", "nl"])
def test_two_languages(first: str) -> None:
    """Two versions that state the same are one notice, whichever stands first."""
    other = "nl" if first == "en" else "en"
    texts = [
        (Path(__file__).parent / "notices" / f"nl-planned-{name}.txt").read_text("utf-8") for name in (first, other)
    ]
    notice = read_notice("\n".join(texts))

    assert ("nl+en", [], 1) == (notice.language, codes(notice), len(notice.windows))


def test_an_hour_without_a_day() -> None:
    """A text that gives an hour and no day for the start is reported."""
    text = "Update on MALT disruption\nPublication date 04-02-2027, 14:05\nWe expect a list by 2 PM.\n"

    assert "time-without-date" in codes(read_notice(text, authority="douane"))


@pytest.mark.parametrize(
    "sentence",
    [
        "Please submit the declarations again, except those with a reply.",
        "See previous message: of yesterday.",
        "(the) availability of the process of nothing at all is limited.",
        "The process of the day is unavailable.",
    ],
)
def test_sentences_that_are_left_unread(sentence: str) -> None:
    """A sentence with a word that turns its sense, or without a name where one must stand, is not understood."""
    notice = read_notice(DOWN + sentence)

    assert (1, False) == (len(notice.unread), notice.complete)


def test_contradicting_orders_for_two_systems() -> None:
    """Orders that contradict each other are reported once, for however many systems."""
    systems = DOWN.replace("process Transport of malt (MALT) is", "processes Malt (MALT) and Hops (HOP) are")
    orders = "Please submit again with the same LRN.\nPlease make a new declaration with a different LRN.\n"

    assert 1 == codes(read_notice(systems + orders)).count("contradiction")


def test_a_stamp_alone() -> None:
    """A page with nothing but its time is no notice that states anything."""
    notice = read_notice(HEAD, authority="douane")

    assert ((), False) == (notice.windows, notice.complete)
