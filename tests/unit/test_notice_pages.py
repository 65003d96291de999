"""Saved pages: what surrounds a notice does not count, unless it says something."""

from __future__ import annotations

import pytest

from htpoort.notices import NoticeState, read_notice

PAGE = """<!doctype html><html><body>{before}
<main><h1>Maintenance of Malt</h1>
<header><p>Last updated: 2 Feb 2027 11:20</p></header>
<p>Type<br>Scheduled unavailability</p><p>System<br>DMS Export</p><p>Message</p>
<p>PRD-service window Wednesday February 3, 2027, 0600-0700</p>
<p>Files sent to DMS Export are refused within the service window.</p></main>
{after}</body></html>"""
HEAD = "<header><a href='/'>Skat.dk</a><nav><ul><li>Import<li>Manifest</ul></nav></header>"
FOOT = "<footer><p>Ring 72 22 18 18</p><p>Copyright 2027 Skat</p></footer>"


def test_a_saved_page_can_be_complete() -> None:
    """A page with a head, menus and a foot states what the notice in it states."""
    bare = read_notice(PAGE.format(before="", after="").replace("<h1>Maintenance of Malt</h1>", ""))
    saved = read_notice(PAGE.format(before=HEAD, after=FOOT).replace("<h1>Maintenance of Malt</h1>", ""))

    assert (True, bare.windows, bare.newest.known) == (saved.complete, saved.windows, saved.newest.known)


@pytest.mark.parametrize(
    "line",
    [
        "The service window is cancelled.",
        "This page is not kept up to date.",
        "Valid until 3 February 2027.",
        "WO0000001234567",
        "Status",
    ],
)
def test_what_says_something_is_read_wherever_it_stands(line: str) -> None:
    """A line of the foot that states anything is read with the notice, which is then not complete as before."""
    page = PAGE.replace("<h1>Maintenance of Malt</h1>", "")
    plain = read_notice(page.format(before="", after=""))
    notice = read_notice(page.format(before=HEAD, after=f"<footer><p>{line}</p></footer>"))

    changed = (notice.newest.state, notice.references, notice.unread, notice.problems) != (
        plain.newest.state,
        plain.references,
        plain.unread,
        plain.problems,
    )
    assert (True, "cancelled" in line) == (changed or line == "Status", notice.state is NoticeState.CANCELLED)


@pytest.mark.parametrize("page", ["</nav><p>{}</p>", "<nav><p>{}</p>", "<nav><footer></nav></footer><p>{}</p>"])
def test_tags_that_do_not_fit(page: str) -> None:
    """Where the ends of menus are lost, nothing is taken for one."""
    text = "Files sent to DMS Export are refused within the service window. Toldstyrelsen, PRD-service window"
    assert ["DMS Export"] == [row.system for row in read_notice(page.format(text)).windows]
