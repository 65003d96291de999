"""The pages: complete in themselves, usable by everyone, and nothing of what strangers wrote is markup."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import html_pages
import pytest
import report_office
from report_office import CLIENT, PARTY

import htpoort.report
from htpoort import Reason, State
from htpoort.ledger import Ledger
from htpoort.report import Section, gather, report_page, tables
from htpoort.report.facts import SystemCounts

Write = Callable[..., bytes]

PAGES = {
    "everything": ("report",),
    "two parties": ("report", "--party", PARTY, "--party", CLIENT),
    "long": ("report", "--since", "2020-01-01"),
    "hours": ("report", "--since", "2026-11-30"),
    "empty": ("report", "--since", "2019-01-01", "--until", "2019-12-31"),
    "move": ("cutover", "status"),
    "one party's move": ("cutover", "status", "--party", PARTY),
    "rehearsal": ("cutover", "rehearse"),
}


class TestEveryPage:
    """Each page can be mailed, read with a screen reader, and used by keyboard alone."""

    @pytest.mark.parametrize("command", PAGES.values(), ids=PAGES)
    def test_it_is_complete_and_has_names(self, page: Write, command: tuple[str, ...]) -> None:
        """It loads and runs nothing; tables have captions and scopes, graphics titles, and links lead somewhere."""
        written = page(*command)

        assert [] == html_pages.faults(html_pages.read(written), written.decode())

    @pytest.mark.parametrize("command", PAGES.values(), ids=PAGES)
    def test_headings_are_in_order(self, page: Write, command: tuple[str, ...]) -> None:
        """There is one heading of the page, and no level is left out on the way down."""
        read = html_pages.read(page(*command))
        levels = [int(one.tag[1]) for one in read.all() if re.fullmatch(r"h[1-6]", one.tag)]

        assert [1] == [level for level in levels if level == 1]
        assert [] == [pair for pair in itertools.pairwise(levels) if pair[1] > pair[0] + 1]

    def test_a_browser_that_obeys_it_loads_nothing(self, page: Write) -> None:
        """The page itself forbids everything but its own style."""
        (policy,) = [
            meta.attributes["content"]
            for meta in html_pages.read(page("report")).all("meta")
            if meta.attributes.get("http-equiv") == "Content-Security-Policy"
        ]

        assert "default-src 'none'; style-src 'unsafe-inline'" == policy


class TestHostileText:
    """What a stranger wrote is shown as text."""

    def test_of_a_subject(self, page: Write) -> None:
        """Markup is escaped, and what would hide or turn text round is written as its number."""
        written = page("report").decode()
        (line,) = [
            row
            for row in html_pages.rows(html_pages.read(written.encode()), "Messages that wait")
            if row["reason"] == "no-envelope"
        ]

        assert "<script>alert('x')</script> \\u202elmx.K1\\u202c & \"quoted\"" == line["subject"]
        assert "<script" not in written
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in written

    def test_of_a_program(self, page: Write) -> None:
        """Why a delivery failed is shown as the program wrote it."""
        rows = html_pages.rows(html_pages.read(page("report")), "Replies whose last delivery failed")

        assert "the command deliver.sh ended with exit code 1: <b>cannot</b> connect" == rows[1]["why"]

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("\x00\x1b\n\x7f", "\\x00\\x1b\\x0a\\x7f"),
            ("\N{ZERO WIDTH SPACE}\N{LEFT-TO-RIGHT ISOLATE}", "\\u200b\\u2066"),
            ("\ud800", "\\ud800"),
            ("\U000e0041", "\\U000e0041"),
            ("ĳ Ω 中 שלום", "ĳ Ω 中 שלום"),
        ],
    )
    def test_characters(self, text: str, shown: str) -> None:
        """Letters of every script stay; controls, invisible characters and halves of pairs are numbers."""
        from htpoort.report.page import printable

        assert shown == printable(text)


class TestLists:
    """A list is cut, and the page shows how much is left out."""

    @pytest.fixture
    def gathered(self, office: Path) -> Callable[..., Any]:
        """Return a function that gathers a report with short lists."""

        def make(most: int) -> Any:
            now = datetime.fromisoformat("2026-11-30T14:30:00+00:00")
            with Ledger.open(f"sqlite:///{office / 'htpoort.db'}") as ledger:
                return gather(
                    ledger,
                    parties=[PARTY],
                    whole=True,
                    at=now,
                    since=now - timedelta(days=30),
                    until=now,
                    systems=["AGS", "DMS"],
                    most=most,
                )

        return make

    def test_the_rest_is_counted(self, gathered: Callable[..., Any]) -> None:
        """The first lines are shown, with how many there are besides; the numbers above are those of all."""
        report = gathered(3)
        read = html_pages.read(report_page(report))
        notes = [one.text for one in read.all("p") if one.attributes.get("class") == "rest"]

        assert 3 == len(html_pages.rows(read, "Declarations that were sent"))
        assert "These are the first 3; 7 more are not shown: htpoort unanswered lists them." == notes[0]
        assert "These are the first 3; 2 more are not shown: htpoort quarantine list lists them." == notes[1]
        assert 10 == report.whole.unanswered.total

    def test_one_more(self, gathered: Callable[..., Any]) -> None:
        """One line that is left out is in the singular."""
        read = html_pages.read(report_page(gathered(9)))

        assert "These are the first 9; 1 more is not shown: htpoort unanswered lists them." == next(
            one.text for one in read.all("p") if one.attributes.get("class") == "rest"
        )


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ({}, "No declaration has been sent yet."),
        ({State.QUEUED: 2, State.HELD: 1}, "No declaration has been sent yet."),
        ({State.QUEUED: 2, State.CLOSED: 1}, "No declaration that was sent waits for a reply."),
    ],
)
def test_no_answer_is_awaited(states: dict[State, int], shown: str) -> None:
    """Where nothing was sent, the page does not say that everything has a reply."""
    section = Section(systems=(SystemCounts(system="DMS", states=states),))

    assert shown == tables.unanswered(section).none


def test_every_reason_has_words() -> None:
    """A party that may not see what a stranger wrote sees at least what a reason means."""
    assert set(Reason) == set(tables._MEANING)


class TestColours:
    """Text and graphics stand out from what is behind them, in light and in dark."""

    style = (Path(htpoort.report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")

    @staticmethod
    def luminance(colour: str) -> float:
        """Compute the relative luminance, as WCAG 2 defines it."""
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    @pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
    def test_contrast(self, scheme: int) -> None:
        """Text has 4.5 to 1 (AA), graphics 3 to 1."""
        blocks = re.findall(r":root \{(.*?)\}", self.style, re.DOTALL)
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
        text = [
            *((name, ground) for name in ("text", "muted", "link", "bad", "warn") for ground in ("page", "panel")),
            *((name, f"{name}-panel") for name in ("bad", "warn", "good")),
        ]
        graphics = ("answered", "closed", "sent", "waiting", "decision", "hold", "late", "unclear")
        low: list[tuple[str, str]] = []
        for name, ground, least in [*((*pair, 4.5) for pair in text), *((name, "page", 3.0) for name in graphics)]:
            dark, light = sorted(map(self.luminance, (colours[name], colours[ground])))
            if (light + 0.05) / (dark + 0.05) < least:
                low.append((name, ground))

        assert [] == low


def test_a_chart_is_described(page: Write) -> None:
    """Who does not see a chart gets its figures: in a sentence, and in a table."""
    read = html_pages.read(page("report", "--party", CLIENT))
    described = [one.text for one in read.all("desc")]
    figures = html_pages.rows(read, "Declarations to DMS, by day")

    assert described[1] == (
        "11 in all: 10 answered, 1 in need of a decision. Most in one day: 5, from 2026-11-26. "
        "Shaded: 1 service window."
    )
    assert {"day": "2026-11-30", "answered": "1", "in need of a decision": "1"} == figures[-1]


def test_windows_are_shaded(page: Write) -> None:
    """Each window is behind the bars of its system, named in words, and in the table of all windows."""
    read = html_pages.read(page("report", "--party", PARTY))
    shades = [
        one.children[0].text
        for one in read.all("g")
        if any("shade" in child.attributes.get("class", "") for child in one.children)
    ]
    windows = html_pages.rows(read, "Service windows in this period")

    assert [
        "send-expect-late from 2026-11-09 00:00 until 2026-11-11 00:00, notice N2",
        "hold from 2026-11-30 09:30 until a time that is not known, notice N3",
        "hold from 2026-11-20 20:00 until 2026-11-21 06:00, notice N1",
    ] == shades
    assert {
        "system": "AGS",
        "advice": "hold",
        "from": "2026-11-30 09:30",
        "until": "not known",
        "notice": "N3",
        "sure": "yes",
    } == windows[1]


def test_the_ledger_of_these_tests_is_the_same_each_time(tmp_path: Path, filled: Path) -> None:
    """Whoever looks at pages compares like with like."""
    moment = datetime.fromisoformat("2026-11-30T14:30:00+00:00")
    report_office.fill(tmp_path, moment)
    with (
        Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as one,
        Ledger.open(f"sqlite:///{filled / 'htpoort.db'}") as two,
    ):
        first, second = ([attrs.evolve(each) for each in ledger.exchanges.listed()] for ledger in (one, two))

    assert first == second
