"""
Check the mailboxes that a user configures, to send from, to send to and to receive in: one rule for all.

This module never looks up a domain, and never judges what a peer sent.
"""

from __future__ import annotations

import functools
from typing import Final

from htpoort.core import grammar
from htpoort.core.errors import Problem

_SHORT: Final = 64  # no part of such a mailbox is too long


def mailbox_problems(field: str, text: object) -> tuple[Problem, ...]:
    """
    Find why a text is not a mailbox that htpoort writes to.

    Args:
        field: The name of the field, for the message.
        text: The value; a mailbox has 1 to 254 ASCII characters.

    Returns:
        Nothing, or one problem with the code ``input.mailbox`` or ``input.type``.
    """
    if not isinstance(text, str):
        return (Problem("input.type", f"{field} is {type(text).__name__}; give a str."),)
    if not text.isascii():
        index = next(offset for offset, character in enumerate(text) if not character.isascii())
        message = f"{field} holds U+{ord(text[index]):04X}, which makes it another mailbox; write it in ASCII."
        return (Problem("input.mailbox", message, index, index + 1),)
    why = _why_not(text)
    return () if why is None else (Problem("input.mailbox", f"{field} is {text!r}, not a {why}", 0, len(text)),)


@functools.lru_cache(maxsize=1_024)  # a sender has few mailboxes, and each message is checked
def _why_not(text: str) -> str | None:
    """Explain why an ASCII text is not a mailbox; None if it is one."""
    # The form first, by a pattern of our own: it must not change with the validator's version.
    if not grammar.ADDRESS.fullmatch(text):
        return "plain mailbox, name@domain."
    # Most mailboxes are so plain that every version of the validator accepts them. It takes long to import.
    if len(text) <= _SHORT and grammar.PLAIN_ADDRESS.fullmatch(text):
        return None
    # Imported here, so that only a call pays for it: `import htpoort` loads the core alone.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        # A host name behind the VPN may have no dot and need not be in the public DNS.
        validate_email(_neutral(text), allow_smtputf8=False, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        return f"mailbox: {error}"
    return None


def _neutral(text: str) -> str:
    """
    Replace the last label by another of the same length, so that no name is refused for its purpose.

    The validator refuses names like mail.local, which are not in the public DNS; behind a VPN they are in use.

    >>> _neutral("edi@mail.local"), _neutral("edi@localhost"), _neutral("edi@mail.a-b")
    ('edi@mail.xxxxx', 'edi@xxxxxxxxx', 'edi@mail.a-b')
    """
    start = max(text.rfind("@"), text.rfind(".")) + 1
    return text[:start] + "x" * (len(text) - start) if text[start:].isalnum() else text
