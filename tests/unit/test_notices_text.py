"""The text of a notice, cut into lines and sentences that know their place in the original."""

from __future__ import annotations

import pytest

from htpoort import Problem
from htpoort.core.notices._text import LONGEST, fold, read_text


def lines(text: str) -> list[str]:
    """Return the lines of a text."""
    return [line.text for line in read_text(text).lines]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text."""
    return [sentence.text for _, sentence in read_text(text).sentences]


def test_lines() -> None:
    """Lines have single blanks, and know whether an empty line stands before them."""
    text = "Title\r\n\r\n \t\r\nFirst\N{NO-BREAK SPACE}  line. \nSecond line.\n"

    assert [("Title", False), ("First line.", True), ("Second line.", False)] == [
        (line.text, line.gap) for line in read_text(text).lines
    ]


def test_places() -> None:
    """Each line and sentence knows its place in the original, whatever blanks were there."""
    text = "  One  thing.   Another\N{ZERO WIDTH SPACE}thing! \n\n•  a  third"
    read = read_text(text)

    assert ["One  thing.", "Another\N{ZERO WIDTH SPACE}thing!", "a  third"] == [
        text[sentence.start : sentence.stop] for _, sentence in read.sentences
    ]
    assert ["One thing.", "Anotherthing!", "a third"] == [sentence.text for _, sentence in read.sentences]


def test_place_of_a_problem() -> None:
    """A problem of a sentence is placed in the original; one of nothing has no width."""
    text = "One.  The   end  is 2561."
    _, sentence = list(read_text(text).sentences)[1]
    placed, missing = sentence.placed([Problem("a", "b", 11, 15), Problem("a", "b", 3, 3)])

    assert ("2561", "2561", 9, 9) == (
        sentence.text[11:15],
        text[placed.start : placed.stop],
        missing.start,
        missing.stop,
    )


def test_bullets() -> None:
    """An item of a list is a line of its own with its mark, also where the line ends were lost."""
    text = "Affected: ☒ One ☐ Two\n- Three\n* Four\n3. Five\n• Six\n-seven\n7. december 2027"

    assert [
        ("", "Affected:"),
        ("☒", "One"),
        ("☐", "Two"),
        ("-", "Three"),
        ("*", "Four"),
        ("3.", "Five"),
        ("•", "Six"),
        ("", "-seven"),
        ("", "7. december 2027"),
    ] == [(line.bullet, line.text) for line in read_text(text).lines]


def test_cells() -> None:
    """The cells of a row of a table are lines."""
    text = "| DMS | Title | 19-05-2026 |\nBody\nWO1 | 12-05-2026 |"

    assert [
        ("DMS", True),
        ("Title", True),
        ("19-05-2026", True),
        ("Body", False),
        ("WO1", True),
        ("12-05-2026", True),
    ] == [(line.text, line.cell) for line in read_text(text).lines]


def test_wrapped_lines() -> None:
    """A line that goes on with a small letter belongs to the one before, unless something parts them."""
    assert ["Files sent to Import will be processed.", "Next", "line"] == lines(
        "Files sent to Import\nwill be\nprocessed.\nNext\n\nline"
    )
    assert ["It ends.", "then more", "an item"] == lines("It ends.\nthen more\n• an item")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Begins at 08.00. Ends at 9.30 uur.", ["Begins at 08.00.", "Ends at 9.30 uur."]),
        ("Dit heeft o.a. Impact op AGS. Klaar.", ["Dit heeft o.a. Impact op AGS.", "Klaar."]),
        ("Den 7. december kl. 17.00 lukkes.", ["Den 7. december kl. 17.00 lukkes."]),
        ("He wrote “Done.” Then left.", ["He wrote “Done.”", "Then left."]),
        ("A; B", ["A; B"]),
        ("Now... Later", ["Now...", "Later"]),
        ("So approx. three hours", ["So approx. three hours"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    """A sentence ends at its mark, not at a shortened word, in a number or before a small letter."""
    assert expected == sentences(text)


def test_folded() -> None:
    """Folded text has small letters without accents, plain dashes and quotes, and as many characters."""
    printed = "PRD-Servicewíndow – “Één” ’s Lørdag År İ"

    assert ('prd-servicewindow - "een" \'s lørdag år i', len(printed)) == (fold(printed), len(fold(printed)))


PAGE = """<!DOCTYPE html><html><head><title>Not shown</title><style>p {}</style></head><body><!-- Not > shown -->
<h1>Maintenance</h1><script>if (a < b) { "</div>" }</script>
<p>From <b>06-06-2025</b> 21:00<br/>until&nbsp;07-06-2025
22:00 &amp; later &lt;x&gt;.</p><ul><li>AGS</li><li>DMS</li></ul>
<table><tr><td>one</td><td>two</td></tr></table><p>2 < 3</p></body></html>"""


def test_html() -> None:
    """HTML is read as the text that it shows."""
    read = read_text(PAGE)

    assert read.html
    assert [
        ("", "Maintenance"),
        ("", "From 06-06-2025 21:00 until 07-06-2025 22:00 & later <x>."),
        ("•", "AGS"),
        ("•", "DMS"),
        ("", "one"),
        ("", "two"),
        ("", "2 < 3"),
    ] == [(line.bullet, line.text) for line in read.lines]


def test_places_in_html() -> None:
    """A line knows where it stands in the HTML."""
    read = read_text(PAGE)
    line = read.lines[1]
    start, stop = line.span(line.text.index("until"), line.text.index("07-06") + 10)

    assert "until&nbsp;07-06-2025" == PAGE[start:stop]


@pytest.mark.parametrize(
    "struck",
    [
        "<del>AGS is down.</del>",
        "<s>AGS is <s>really</s> down.</s>",
        "<div hidden>AGS is down.</div>",
        '<div style="display: none">AGS <div>is</div> down.</div>',
        "<del>AGS is down.",
    ],
)
def test_struck_out(struck: str) -> None:
    """What a page strikes out or hides is not read, and its place is given."""
    text = f"<p>Read this.</p>{struck}"
    read = read_text(text)

    assert (["Read this."], ((17, len(text)),)) == ([line.text for line in read.lines], read.left_out)


def test_broken_html() -> None:
    """HTML that is cut or wrong is read as far as it goes."""
    assert ["a", "b <!-- c"] == lines("<p>a</p><p>b <!-- c")
    assert ["a", "<b d=2"] == lines("<p>a</p><b d=2")
    assert ["x"] == lines("<p>x</p><script>y")
    assert ["&"] == lines("<p>&amp;</p>")
    assert ["x"] == lines("<div hidden/><p>x</p><del>y</del")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t\n \N{ZERO WIDTH SPACE}", "empty"),
        ("<html><head></head><body></body></html>", "empty"),
        ("\x00\x01 text", "binary"),
        ("\ufffd\ufffd\x1b[ text", "binary"),
        ("x" * (LONGEST + 1), "too-long"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    """What is no text, or too long, has no lines and a reason."""
    read = read_text(text)

    assert (reason, ()) == (read.refused, read.lines)
