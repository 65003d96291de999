"""Any text at all gives a notice: nothing raises, every place lies in the text, and work grows with the text."""

from __future__ import annotations

import sys
from types import FrameType

import pytest
from hypothesis import example, given, strategies as st
from notice_texts import notice_texts, random_text

from htpoort.core.notices import _text
from htpoort.notices import Notice, notice_json, read_notice

TEXTS = notice_texts()


def assert_sound(text: str, notice: Notice) -> None:
    """Check what holds of the notice of any text."""
    places = [(problem.start, problem.stop) for problem in notice.problems]
    places += [*notice.unread, *((revision.start, revision.stop) for revision in notice.revisions)]

    assert text == notice.text
    assert [] == [place for place in places if not 0 <= place[0] <= place[1] <= len(text)]
    assert notice.revisions or notice.problems
    assert "complete" in notice_json(notice)


@given(text=st.text() | st.text(st.sampled_from("0123456789 .:-,/\n|•☒abcIMNT()<>&;")))
@example("\x00")
@example("<p>")
@example("31-12-9999 24:00")
@example("00-00-2027 00:00 - 99-99-2027 99:99")
@example("\ud800 lone half of a pair")
def test_any_text(text: str) -> None:
    """Characters in any order give a notice."""
    assert_sound(text, read_notice(text))


@given(seed=st.integers(0, 2**32))
def test_pieces_of_notices(seed: int) -> None:
    """Words, lines and signs of notices in any order give a notice."""
    text = random_text(seed, TEXTS)

    assert_sound(text, read_notice(text))


@pytest.mark.parametrize("authority", ["douane", "toldstyrelsen", "nobody", ""])
@given(seed=st.integers(0, 2**32))
def test_any_authority(authority: str, seed: int) -> None:
    """An authority that is given reads any text; one that is not known never completes a notice."""
    text = random_text(seed, TEXTS)
    notice = read_notice(text, authority=authority)

    assert_sound(text, notice)
    assert not notice.complete or authority in {"douane", "toldstyrelsen"}


def lines_run(text: str) -> int:
    """Count the lines of Python that reading a text runs, which no busy machine changes."""
    count = 0

    def trace(_frame: FrameType, event: str, _: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()  # that of a measurement of coverage
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        read_notice(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_work_grows_with_the_text(name: str) -> None:
    """A text four times as long takes at most some five times the work."""
    text = TEXTS[name] + "\n\n"
    read_notice(text)  # a sentence that was read before costs less

    assert lines_run(text * 16) <= 5 * lines_run(text * 4) + 20_000


@pytest.mark.parametrize(
    "part", ["2100-", "6 June 2025, ", "a. ", "• ", "| ", "<p>", "( ", "en ", "kl. ", "until ", "- ", "X (", "; "]
)
def test_work_grows_with_a_repeated_sign(part: str) -> None:
    """The same sign again and again takes work in proportion."""
    assert lines_run(part * 2_000) <= 5 * lines_run(part * 500) + 20_000


def test_a_long_text_is_refused() -> None:
    """More than the limit is not read at all."""
    assert ["too-long"] == [problem.code for problem in read_notice("x" * (_text.LONGEST + 1)).problems]
