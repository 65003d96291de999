"""
Push messages to a declarant's mail server, as an MTA does.

Never does: wait, or remember what was not taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, final

import attrs

from htpoort import _grammar
from htpoort.errors import InputError, Problem, SendError, SendFailure
from htpoort.message import Submission
from htpoort.transport import Sender, SmtpServer

_HOSTNAME: Final = "gateway.example"

PUSH_SCHEDULE: Final = (
    *(timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30)),
    *(timedelta(hours=1), timedelta(hours=2), timedelta(hours=4), timedelta(hours=8)),
)
"""How long to wait after each attempt that failed. What the real gateway does is unknown."""


@final
class Pushing(Sender):
    """
    Send any message over one connection, with an empty MAIL FROM too.

    Args:
        server: The declarant's server.
    """

    def __init__(self, server: SmtpServer) -> None:
        # A name of its own: an empty MAIL FROM has no domain to take one from.
        super().__init__(attrs.evolve(server, local_hostname=server.local_hostname or _HOSTNAME))

    @staticmethod
    def _checked(submission: Submission) -> None:
        """Refuse only what would be another dialogue; a declarant must stand everything else."""
        for field, value in (("mail_from", submission.mail_from), ("rcpt_to", submission.rcpt_to)):
            if not _grammar.ADDRESS.fullmatch(value) and not (field == "mail_from" and not value):
                raise InputError(field, (Problem("input.mailbox", f"{field} is not a plain mailbox, name@domain."),))
        if not submission.data.endswith(b"\r\n"):
            raise InputError("data", (Problem("input.data", "data does not end with CRLF, so no dot can end it."),))


def again_after(error: SendError, attempts: int, schedule: Sequence[timedelta]) -> timedelta | None:
    """
    Say how long to wait after an attempt that failed.

    A message that may have been taken is sent again: mail servers deliver twice rather than not at all.

    Args:
        error: How it failed.
        attempts: How often it was tried, this time too.
        schedule: The waits.

    Returns:
        None where it is given up: refused for good, or tried often enough.
    """
    if error.kind is SendFailure.REFUSED or attempts > len(schedule):
        return None
    return schedule[attempts - 1]
