"""
Tell the time and make unique names, for the shells only.

Never does: get imported by the core, where both are arguments.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


def now() -> datetime:
    """Give the time of the machine, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that asks the machine


def message_id(mailbox: str) -> str:
    """
    Make a Message-ID that nobody has used.

    Args:
        mailbox: Its domain goes behind the at sign.

    Returns:
        ``<32 hexadecimal digits@domain>``.
    """
    return f"<{unique()}@{mailbox.rpartition('@')[2]}>"


def unique() -> str:
    """Give 32 hexadecimal digits that nobody else has."""
    return uuid.uuid4().hex
