"""
Check the mailboxes that a user configures, by email-validator.

Never does: look a domain up, or judge what a peer sent.
"""

from __future__ import annotations

from htpoort import _grammar
from htpoort.errors import Problem


def mailbox_problems(field: str, text: object) -> tuple[Problem, ...]:
    """
    Find what keeps a text from being a mailbox that htpoort writes to.

    Args:
        field: The name of the field, for the message.
        text: The value as given; 1 to 254 ASCII characters.

    Returns:
        No problem, or one with code ``input.mailbox``.
    """
    if not isinstance(text, str):
        return (Problem("input.type", f"{field} is {type(text).__name__}; give a str."),)
    if not text.isascii():
        at = next(offset for offset, character in enumerate(text) if not character.isascii())
        message = (
            f"{field} holds U+{ord(text[at]):04X}; a look-alike of a letter is another mailbox. Write it in ASCII."
        )
        return (Problem("input.mailbox", message, at, at + 1),)
    # The form first and by a pattern of ours: it must not change with the validator's version.
    if not _grammar.ADDRESS.fullmatch(text):
        return (Problem("input.mailbox", f"{field} is not a plain mailbox, name@domain.", 0, len(text)),)
    # Here, because only a call pays for it: `import htpoort` loads the core alone.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        # A name behind the VPN may have no dot and need not be in the public DNS.
        validate_email(text, allow_smtputf8=False, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        return (Problem("input.mailbox", f"{field} is not a mailbox: {error}", 0, len(text)),)
    return ()
