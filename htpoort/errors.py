"""
What can go wrong, as data: every error says where, why and what to do.

Never does: catch, log or print anything, or show a payload or a password.
"""

from __future__ import annotations

import enum
from typing import Final, final

import attrs

__all__ = [
    "EnvelopeError",
    "HtpoortError",
    "InputError",
    "LedgerError",
    "Problem",
    "SendError",
    "SendFailure",
    "UnknownError",
]

_SHOWN = 72  # columns of the text under which a caret still fits a terminal of 80
_NAMED: Final = 10  # things that a sentence lists


@final
@attrs.frozen
class Problem:
    """
    Say one thing that is wrong, or that was forgiven, and where.

    >>> Problem("envelope.key-missing", "The key K is missing.", 0, 0)
    Problem(code='envelope.key-missing', message='The key K is missing.', start=0, stop=0, source='')

    Args:
        code: Stable, dotted; programs may compare it.
        message: One sentence for a person.
        start: First character concerned, offset from 0 in the text read.
        stop: One past the last character concerned; equal to *start* where something is absent.
        source: The document or field that says so; empty where it is this library's own limit.
    """

    code: str
    message: str
    start: int = 0
    stop: int = 0
    source: str = ""


class HtpoortError(Exception):
    """Base of every error that this library raises on purpose."""

    # Not a ClassVar: for a SendError it depends on the answer.
    retryable: bool = False
    """Whether the same call may succeed later without a change."""


def _pointed(text: str, problem: Problem) -> str:
    """Show the sentence, and under the text a caret at the place."""
    if not text:
        return problem.message
    first = 0 if len(text) <= _SHOWN else max(0, min(problem.start, len(text)) - _SHOWN // 2)
    window = text[first : first + _SHOWN]
    # One column for each character, or the caret points beside the fault.
    line = "".join(c if c.isascii() and c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in window)
    at = max(0, min(problem.start - first, len(window)))
    width = max(1, min(problem.stop, first + len(window)) - problem.start)
    return f"{problem.message}\n  {line}\n  {' ' * at}{'^' * width}"


@attrs.define(eq=False, str=False, slots=False)
class _TextError(HtpoortError):
    """An error about a text: all its problems, shown with carets."""

    text: str = attrs.field(repr=False)
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "\n".join(_pointed(self.text, problem) for problem in self.problems)


@final
@attrs.define(eq=False, str=False, slots=False)
class InputError(_TextError, ValueError):
    """
    Tell that a value given by the caller cannot be taken.

    Args:
        text: The value or field name concerned, as given.
        problems: Everything that is wrong with it, never empty.
    """


@final
@attrs.define(eq=False, str=False, slots=False)
class EnvelopeError(_TextError, ValueError):
    """
    Tell that a Subject from somebody else holds no valid envelope.

    Args:
        text: The text that was read.
        problems: Everything that is wrong with it, never empty.
    """


@final
@attrs.define(eq=False, str=False, slots=False)
class UnknownError(HtpoortError, LookupError):
    """
    Tell that a name is not in the directory, the plan or the record.

    Args:
        key: What was looked for.
        known: What is there, sorted; of very many the first.
        more: How many more there are.
    """

    key: str
    known: tuple[str, ...]
    more: int = attrs.field(default=0, repr=False)

    def __str__(self) -> str:
        # A ledger or a service provider may have a hundred thousand, and no one reads them in a sentence.
        named = ", ".join(self.known[:_NAMED]) or "nothing"
        left = len(self.known[_NAMED:]) + self.more
        return f"{self.key!r} is not known; known: {named}{f' and {left} more' if left else ''}."


@final
@attrs.define(eq=False, str=False, slots=False)
class LedgerError(HtpoortError):
    """
    Tell that the durable record could not be read or written.

    Args:
        where: Path or URL of the ledger, without a password.
        operation: What was being done.
        advice: One sentence that says what to do.
        retryable: Whether it may pass by itself, as a lock or a full disk does.
    """

    where: str
    operation: str
    advice: str
    retryable: bool = False

    def __str__(self) -> str:
        return f"{self.operation} failed on {self.where}. {self.advice}"


class SendFailure(enum.Enum):
    """Tell in which way a message was not sent."""

    CONNECT = "connect"
    """No connection: refused, not resolved, no greeting, one that refuses (5xx), timed out."""
    TLS = "tls"
    """The server offers no TLS, the handshake failed, its certificate is not trusted, or our own files are no use."""
    LOGIN = "login"
    """User name and password were not accepted, or are needed."""
    REFUSED = "refused"
    """The server said no for good (5xx)."""
    DEFERRED = "deferred"
    """The server said not now (4xx)."""
    LOST = "lost"
    """The connection was lost before the final dot: the server has not taken the message."""
    UNKNOWN = "unknown"
    """The connection was lost after the final dot: whether the server took the message cannot be known."""


_ADVICE: Final = {
    SendFailure.CONNECT: "Check server name and port; try again later.",
    SendFailure.TLS: "Check the TLS settings and the CA file; a retry without a change fails again.",
    SendFailure.LOGIN: "Check user name and password.",
    SendFailure.REFUSED: "Do not repeat it unchanged; read the reply.",
    SendFailure.DEFERRED: "Send it again later with the same K.",
    SendFailure.LOST: "It was not taken; send it again with the same K.",
    SendFailure.UNKNOWN: "It may have been taken; do not send it again before a reply or a person has settled it.",
}
_PASSING: Final = frozenset({SendFailure.CONNECT, SendFailure.LOST, SendFailure.DEFERRED})
_TRANSIENT_REPLIES: Final = range(400, 500)


@final
@attrs.define(eq=False, str=False, slots=False)
class SendError(HtpoortError):
    """
    Tell that a message was not sent, or that nobody can know whether it was.

    Args:
        recipient: The mailbox that it was for.
        kind: In which way it failed.
        code: The SMTP reply code, 400 to 599; None where the server gave none.
        reply: The text of the server's reply, or what the network said.
        of_server: Whether it is about the server and not about this message, which any other would have met too:
            what goes wrong before MAIL is taken, and 421 or a login that is asked for before the content.

    Attributes:
        retryable: Whether the same message may be sent again by itself: after a 4xx reply, without a
            connection, and after one that was lost before the final dot.
    """

    recipient: str
    kind: SendFailure
    code: int | None
    reply: str
    of_server: bool = False
    retryable: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.retryable = self.kind in _PASSING or (self.kind is SendFailure.LOGIN and self.code in _TRANSIENT_REPLIES)

    @property
    def summary(self) -> str:
        """What went wrong, without advice: for the log of a program that repeats by itself."""
        said = " ".join(part for part in (str(self.code or ""), self.reply) if part).rstrip(".")
        return f"Not sent to {self.recipient} ({self.kind.value}): {said or 'no reply'}."

    def __str__(self) -> str:
        return f"{self.summary} {_ADVICE[self.kind]}"
