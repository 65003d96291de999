"""The Dutch pages are spelled correctly; `nox -s lint` checks the English."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from simplemma import is_known

# Names, terms of the trade, and words that the dictionary lacks.
KNOWN = {
    *("AGS", "Amsterdam", "CSV", "DMS", "EDIFACT", "HTG", "K", "S", "SMTP", "UTF", "V", "XML", "htpoort", "s"),
    *("Dutch", "From", "This", "field", "To", "from", "quickstart", "the", "to", "unknown"),
    *("LRN", "MSA", "MTA", "PHP", "anders", "antwoordberichten", "cron", "daarover", "erin", "helpdesk", "js"),
    *("waarin", "yes", "zelfde"),
    *("CSV-bestand", "SMTP-adres", "antwoordbericht", "exitcode", "generale", "ledger", "proces-ID"),
    *("daarboven", "daarheen", "daarin", "daarvan", "daarvoor", "erbij", "hierboven", "onderaan", "waarop", "waarvan"),
}
# With the search words of the page at its beginning, and the line that names the page in English.
CODE = re.compile(r"\A---\n.*?\n---\n|\*This page is [^*]*\*\n|```.*?```|`[^`]*`|\]\([^)]*\)", re.DOTALL)
WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


PAGES = [
    "docs/tutorial/snelstart.md",
    *(f"docs/how-to/{name}.md" for name in ("overstappen", "versturen", "ontvangen", "storing", "onbeantwoord")),
]


@pytest.mark.parametrize("name", PAGES)
def test_dutch(page: Callable[[str], Any], name: str) -> None:
    """Every word outside of code is a Dutch word, a name or a term that the project uses."""
    words = set(WORD.findall(CODE.sub(" ", page(name).text)))

    unknown = {word for word in words if not {word, word.lower()} & KNOWN and not is_known(word, "nl")}

    assert set() == unknown
