"""Read the clock and make unique names. The core cannot import this: there, both are arguments."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from htpoort.core import grammar


def now() -> datetime:
    """Return the time of the machine, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the only place that reads the clock


def local(moment: datetime) -> str:
    """
    Write a moment as the clock on the wall shows it, with its distance from UTC, for a text that a person reads.

    Args:
        moment: The moment, aware.

    Returns:
        Such as ``2026-11-30 09:05:07+01:00``: also clear where the text is read later, or on another machine.
    """
    return moment.astimezone().isoformat(" ", "seconds")


def message_id(mailbox: str) -> str:
    """
    Make a new Message-ID.

    Args:
        mailbox: Its domain follows the at sign; an invalid one, which `htpoort.build` refuses, is left out.

    Returns:
        ``<32 hexadecimal digits@domain>``.
    """
    found = f"<{unique()}@{mailbox.rpartition('@')[2]}>"
    valid = len(found) <= grammar.MESSAGE_ID_LIMIT and grammar.MESSAGE_ID.fullmatch(found)
    # No user gave this Message-ID, so no error may be about it.
    return found if valid else f"<{unique()}@localhost>"


def unique() -> str:
    """Return 32 hexadecimal digits that are unique."""
    return uuid.uuid4().hex
