"""
Recognise a declaration that is queued again, although its message was built anew.

Never does: read a database.
"""

from __future__ import annotations

from htpoort import _mime
from htpoort.message import Submission, read


def repeats(submission: Submission, stored: bytes) -> bool:
    """
    Tell whether a message carries the declaration that a stored one carries.

    That is the same payload, in the same envelope, from the same mailbox. A caller that repeats itself builds the
    message anew: Date and Message-ID differ then, and the transfer encoding may, with the version of this library.

    Args:
        submission: The message that is to be queued.
        stored: The message that was queued before under the same K.

    Returns:
        Whether they do; False for a stored message that `htpoort.build` cannot have built, unless both are the same.
    """
    if stored == submission.data:
        return True
    there = read(stored)
    payload = _mime.payload_of(stored)
    return (
        payload is not None
        and payload == _mime.payload_of(submission.data)
        and there.envelope == submission.envelope
        and there.mailbox == submission.mail_from.lower()
    )
