"""
Write a page of HTML from facts, by the templates beside this module.

A page is complete in itself: it loads nothing, runs nothing, and shows text from outside as text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Final

from htpoort._pages import Pages
from htpoort.report import tables
from htpoort.report.chart import HEIGHT
from htpoort.report.facts import Move, Rehearsed, Report

__all__ = ["move_page", "rehearsal_page", "report_page"]


_WORD: Final = 32
"""The longest text without a blank that a table keeps on one line, such as a K, a party or a mailbox."""


def report_page(report: Report) -> bytes:
    """
    Write a report.

    Args:
        report: Its facts.

    Returns:
        The page, in UTF-8.
    """
    return _page("report.html", report.zone, report=report)


def move_page(move: Move) -> bytes:
    """
    Write how far a move has come.

    Args:
        move: Its facts.

    Returns:
        The page, in UTF-8.
    """
    return _page("move.html", move.zone, move=move)


def rehearsal_page(rehearsed: Rehearsed) -> bytes:
    """
    Write the result of a rehearsal.

    Args:
        rehearsed: Its facts.

    Returns:
        The page, in UTF-8.
    """
    return _page("rehearsal.html", rehearsed.zone, rehearsed=rehearsed, charts=tables.rehearsal_charts(rehearsed))


def _page(template: str, zone: tzinfo | None, **facts: object) -> bytes:
    def show(value: object) -> object:
        """Write a value for a person; whatever is neither a value nor markup of a template stays as it is."""
        if isinstance(value, datetime):
            return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return f"{value:,}"
        # A template's own markup is a str that escapes nothing again.
        return printable(value) if type(value) is str else "" if value is None else value

    def zoned(moment: datetime) -> str:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"

    pages = Pages(
        "htpoort.report",
        filters={"zoned": zoned},
        tests={
            "badge": _is_a(tables.Badge),
            "link": _is_a(tables.Link),
            "moment": _is_a(datetime),
            "word": _is_word,
            "numeric": _is_number,
        },
        show=show,
    )
    return pages.render(template, tables=tables, plot_height=HEIGHT, **facts).encode()


def _is_a(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _WORD and " " not in value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def printable(text: str) -> str:
    r"""
    Escape what is not printable: it could hide text, or change the direction in which it is read.

    >>> printable("K1\u202egpj.exe")
    'K1\\u202egpj.exe'
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004
