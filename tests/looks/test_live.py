"""The live page of the simulator as people see it, with everything on it that can happen."""

from __future__ import annotations

from collections.abc import Iterator

import live_traffic
import pytest
from looks.conftest import SCHEMES, WIDTHS, Looks

LINKS = "() => [...new Set([...document.querySelectorAll('main a')].map(each => each.href.split('#')[0]))]"


@pytest.fixture(scope="module")
def running() -> Iterator[live_traffic.Running]:
    """Serve the page of a gateway with traffic, faults and a failed login."""
    with live_traffic.in_a_thread() as started:
        yield started


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_page(running: live_traffic.Running, looks: Looks, width: int, scheme: str) -> None:
    """Nothing is cut, nothing scrolls sideways, and all can be read and reached."""
    assert [] == looks.wrong(running.url, "live", width=width, scheme=scheme)


def test_each_message_and_session(running: live_traffic.Running, looks: Looks) -> None:
    """The page of each declaration, reply and session has no fault, whatever hostile text is in it."""
    with looks.page(running.url, width=1_440, scheme="light") as page:
        links = [link for link in page.evaluate(LINKS) if link.startswith(running.url) and link != running.url]
    found = {}
    for number, link in enumerate(links):
        for width, scheme in zip(WIDTHS, SCHEMES, strict=True):
            if wrong := looks.wrong(link, f"live-{number}", width=width, scheme=scheme):
                found[link, width] = wrong

    assert len(links) > 5
    assert {} == found


def test_it_works_without_scripts(running: live_traffic.Running, looks: Looks) -> None:
    """Without scripts, the page shows what has happened so far, and its title is its own."""
    with looks.page(running.url, width=390, scheme="light", scripts=False) as page:
        text = page.inner_text("main")
        assert "22096222734662" in text
        assert "owned" != page.title()
