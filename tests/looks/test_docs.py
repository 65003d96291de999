"""The documentation as people see it: on a telephone and on a screen, in light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from looks.conftest import ROOT, SCHEMES, WIDTHS, Looks

PAGES = sorted(
    str(path.relative_to(ROOT / "docs").with_suffix(""))
    for path in (ROOT / "docs").rglob("*.md")
    if "_build" not in path.parts and path.name != "exchange-table.md"
)
IN_EACH_WAY = ("index", "how-to/index", "how-to/run", "reference/standard", "reference/glossary", "tutorial/snelstart")
"""Pages that are opened at each width in light and dark, with axe; the others at 390 in light and at 1,440 in dark."""
RIGHT = {
    "cron": "how-to/cron",
    "PHP": "how-to/php",
    "Docker": "how-to/container",
    "Prometheus": "how-to/monitor",
    "certificate": "how-to/certificates",
    "glossary": "reference/glossary",
    "troubleshooting": "how-to/troubleshooting",
    "wrong party": "how-to/troubleshooting",
    "exit codes": "reference/codes",
    "metrics": "reference/metrics",
    "MRN": "reference/glossary",
    "LRN": "reference/glossary",
    "Windows": "how-to/install",
    "service window": "how-to/service-windows",
}
"""The page that each search is to find first."""


def ways(page: str) -> list[tuple[int, str]]:
    """Choose how a page is opened."""
    if page in IN_EACH_WAY:
        return [(width, scheme) for width in WIDTHS for scheme in SCHEMES]
    return list(zip(WIDTHS, SCHEMES, strict=True))


@pytest.mark.parametrize("page", PAGES)
def test_a_page(docs: str, looks: Looks, page: str) -> None:
    """Nothing is cut or scrolls sideways, code fits a screen, each graphic has a name, all can be read and reached."""
    name = page.replace("/", "-")
    found = {
        way: wrong
        for way in ways(page)
        if (wrong := looks.wrong(f"{docs}/{page}.html", name, width=way[0], scheme=way[1], axe=page in IN_EACH_WAY))
    }

    assert {} == found


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in PAGES if page not in IN_EACH_WAY])
def test_a_page_with_axe(docs: str, looks: Looks, page: str) -> None:
    """The other pages have no fault that axe finds either."""
    address, name = f"{docs}/{page}.html", page.replace("/", "-")

    assert [[], []] == [looks.wrong(address, name, width=width, scheme=scheme) for width, scheme in ways(page)]


@pytest.mark.parametrize("words", RIGHT)
def test_search_finds_the_right_page_first(docs: str, looks: Looks, words: str) -> None:
    """Who searches the documentation for a word of the trade finds its page first."""
    with looks.page(f"{docs}/search.html?q={words.replace(' ', '+')}", width=1_440, scheme="light") as opened:
        opened.wait_for_selector("ul.search li a")
        first = opened.locator("ul.search li a").first.get_attribute("href") or ""

    assert Path(first.partition(".html")[0]).as_posix().endswith(RIGHT[words])
