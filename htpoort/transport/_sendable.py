"""
Know which submissions may be sent.

Never does: change one, or send it.
"""

from __future__ import annotations

from htpoort import _address, _grammar
from htpoort.errors import InputError, Problem
from htpoort.message import Submission
from htpoort.transport import _content


def check(submission: Submission) -> None:
    """
    Refuse what a mail server would see otherwise than we do; `build` makes nothing of the kind.

    Args:
        submission: What is to be sent.

    Raises:
        InputError: A mailbox is not plain, or the octets are no message; tells all of it.
    """
    problems = [
        *_address.mailbox_problems("mail_from", submission.mail_from),
        *_address.mailbox_problems("rcpt_to", submission.rcpt_to),
    ]
    data = submission.data
    # A line too long is refused by some servers with all of the message (RFC 5321, section 4.5.3.1.6).
    short = _content.fits(data, _grammar.LINE_LIMIT)
    if not (short and data.endswith(b"\r\n") and data.isascii() and _content.is_clean(data)):
        message = "data is no message of 7-bit lines of at most 998 octets, each ended by CRLF; use htpoort.build."
        problems.append(Problem("input.data", message))
    if problems:
        raise InputError("", tuple(problems))
