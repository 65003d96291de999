"""
Check the URL of a ledger.

Never does: open what it names, or show its password.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from htpoort.errors import LedgerError

__all__ = ["check_url"]

_DRIVERS: Final = ("sqlite", "postgresql+psycopg")


def check_url(url: str) -> URL:
    """
    Check the URL of a ledger, and take it apart; nothing is opened.

    >>> check_url("sqlite:///htpoort.db").database
    'htpoort.db'

    Args:
        url: As `Ledger.open` takes it.

    Returns:
        Its parts, as SQLAlchemy has them.

    Raises:
        LedgerError: It is no URL, or of a database that htpoort does not use; says what to give.
    """
    advice = "Give sqlite:///file.db or postgresql+psycopg://user@host/database."
    try:
        parts = make_url(url)
    except (exc.ArgumentError, ValueError):
        # The text may hold a password that could not be told apart.
        where = "the given URL"
        raise LedgerError(where, "Reading", advice) from None
    if parts.drivername not in _DRIVERS:
        raise LedgerError(shown(parts), "Opening", advice)
    if parts.drivername == "sqlite" and parts.database in {None, "", ":memory:"}:
        raise LedgerError(shown(parts), "Opening", "A ledger in memory is gone with the process; name a file.")
    return parts


def shown(url: URL) -> str:
    """Show a URL without its password."""
    return url.render_as_string(hide_password=True)
