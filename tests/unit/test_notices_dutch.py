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
