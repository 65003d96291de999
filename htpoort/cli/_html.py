"""Write a result as a page of HTML: the option `--html` of several commands, and the file that it names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from htpoort import _disk
from htpoort._extras import how_to_install
from htpoort.cli import _input, _show

STANDARD_OUTPUT: Final = "-"
DAYS: Final = timedelta(days=30)
"""The period of charts that is not chosen."""
AlsoHtml = Annotated[
    str | None,
    typer.Option("--html", metavar="FILE", help="Write it as a page into this file as well; - writes that alone."),
]


def writer(html: str | None, name: str, *, csv: bool = False, json: bool = False) -> Callable[[Any], bytes] | None:
    """
    Load what writes a page.

    Args:
        html: The value of --html; None if it is not given.
        name: The function of `htpoort.report`.
        csv: Whether --csv is given.
        json: Whether --json is given.

    Returns:
        The function; None if no page is wanted.

    Raises:
        InputError: The page is for standard output, and so is something else; or the library that it needs is not
            installed.
    """
    if html is None:
        return None
    if html == STANDARD_OUTPUT and (csv or json):
        message = f"Give --html - or {'--json' if json else '--csv'}, not both; --html FILE goes with either."
        raise _input.refusal("input.usage", message)
    try:
        write: Callable[[Any], bytes] = getattr(importlib.import_module("htpoort.report"), name)
    except ModuleNotFoundError as error:
        message = f"--html needs {error.name}; {how_to_install('report')}"
        raise _input.refusal("input.usage", message) from None
    return write


def put(html: str, page: bytes) -> None:
    """
    Put a page into its file, which is replaced as a whole or not at all; or write it to standard output.

    Raises:
        InputError: The file cannot be written.
    """
    if html == STANDARD_OUTPUT:
        _show.octets(page)
        return
    try:
        _disk.replace_private(Path(html), page)
    except (OSError, ValueError) as error:  # a name with a null character is a ValueError
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise _input.refusal("input.file", f"--html: {html} cannot be written: {reason}.") from None


def last_days(now: datetime) -> datetime:
    """Give the midnight, by the clock on the wall, at which the period of charts begins."""
    return datetime.combine((now - DAYS).astimezone().date(), time.min).astimezone()
