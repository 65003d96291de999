"""
What can go wrong, as data: every error holds the place, the reason and what to do.

This module never catches, logs or prints anything, and never shows a payload or a password.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable
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
_NAMED: Final = 10  # names that a sentence lists
_COMPARED: Final = 1_000  # names that are compared with one that is unknown
_LONGEST_NAME: Final = 256
_NEAR: Final = 0.65  # two letters exchanged, of three


@final
@attrs.frozen
class Problem:
    """
    Describe one thing that is wrong, or that was forgiven, and its place.

    >>> problem = Problem("envelope.key-missing", "The key K is missing.", 0, 0)
    >>> problem.code, problem.message, problem.source
    ('envelope.key-missing', 'The key K is missing.', '')

    Args:
        code: Stable, dotted; programs may compare it.
        message: One sentence for people.
        start: The first character concerned, as an offset from 0 in the text that was read.
        stop: One past the last character concerned; equal to *start* if something is missing.
        source: The document that makes the rule; empty if it is a limit of this library.
    """

    code: str
    message: str
    start: int = 0
    stop: int = 0
    source: str = ""


class HtpoortError(Exception):
    """Base of every error that this library raises on purpose."""

    # Not a ClassVar: for a SendError it depends on the server's reply.
    retryable: bool = False
    """Whether the same call may succeed later without a change."""


def _pointed(text: str, problem: Problem) -> str:
    """Show the sentence, then the text with a caret under the place."""
    if not text:
        return problem.message
    first = 0 if len(text) <= _SHOWN else max(0, min(problem.start, len(text)) - _SHOWN // 2)
    window = text[first : first + _SHOWN]
    # One column for each character, or the caret points to the wrong place.
    line = "".join(c if c.isascii() and c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in window)
    index = max(0, min(problem.start - first, len(window)))
    width = max(1, min(problem.stop, first + len(window)) - problem.start)
    return f"{problem.message}\n  {line}\n  {' ' * index}{'^' * width}"


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
    Report that a value of the caller is invalid.

    Args:
        text: The value or the name of the field, as the caller gave it.
        problems: Everything that is wrong with it; never empty. The message of a problem with one argument begins with
            the name of that argument: a reader of a file or of options replaces it by the key or the option.
    """


@final
@attrs.define(eq=False, str=False, slots=False)
class EnvelopeError(_TextError, ValueError):
    """
    Report that a Subject that was received holds no valid envelope.

    Args:
        text: The text that was read.
        problems: Everything that is wrong with it; never empty.
    """


def near_names(key: str, known: Iterable[str]) -> tuple[str, ...]:
    """List the known names that *key* may be a slip of, the nearest first, in any case."""
    # Here, because few programs ask for an unknown name.
    import difflib  # noqa: PLC0415

    spelled: dict[str, str] = {}
    for name in itertools.islice(known, _COMPARED):
        spelled.setdefault(name.lower(), name)
    # No name is that long, and comparing would take long.
    if len(key) > _LONGEST_NAME:
        return ()
    return tuple(spelled[name] for name in difflib.get_close_matches(key.lower(), spelled, cutoff=_NEAR))


def did_you_mean(near: tuple[str, ...]) -> str:
    """End a sentence about an unknown name with a question, if there are names near it."""
    return f"; did you mean {' or '.join(near)}?" if near else "."


@final
@attrs.define(eq=False, str=False, slots=False)
class UnknownError(HtpoortError, LookupError):
    """
    Report that a name is not in the directory, the configuration or the ledger.

    >>> raise UnknownError("system", "DSM", "the directory", ("AGS", "DMS"))
    Traceback (most recent call last):
        ...
    htpoort.core.errors.UnknownError: system 'DSM' is not in ...; did you mean DMS? ...

    Args:
        kind: What it is the name of, such as ``party``.
        key: The name that was looked for.
        place: Where such names are defined, such as ``htpoort.toml (parties)``.
        known: The names that are defined there, sorted; of very many the first.
        more: How many more there are.
    """

    kind: str
    key: str
    place: str
    known: tuple[str, ...] = ()
    more: int = attrs.field(default=0, repr=False)

    @property
    def near(self) -> tuple[str, ...]:
        """The known names that *key* may be a slip of, the nearest first."""
        return near_names(self.key, self.known)

    @property
    def hint(self) -> str:
        """The end of the sentence: the names that *key* may be a slip of, and those that are known."""
        # A ledger or a service provider may have a hundred thousand, too many to read in a sentence.
        named = ", ".join(self.known[:_NAMED])
        left = len(self.known[_NAMED:]) + self.more
        question = did_you_mean(self.near)
        return f"{question} Known: {named}{f' and {left} more' if left else ''}." if named else question

    def __str__(self) -> str:
        return f"{self.kind} {self.key!r} is not in {self.place}{self.hint}"


@final
@attrs.define(eq=False, str=False, slots=False)
class LedgerError(HtpoortError):
    """
    Report that the ledger could not be read or written.

    Args:
        location: Path or URL of the ledger, without a password.
        operation: What cannot be done with it, such as ``opened`` or ``written``.
        advice: What to do, in one sentence.
        retryable: Whether the trouble, such as a lock or a full disk, may pass without a change.
        is_missing: Whether the only trouble is that there is no ledger there, and none was to be created.
    """

    location: str
    operation: str
    advice: str
    retryable: bool = False
    is_missing: bool = attrs.field(default=False, repr=False)

    def __str__(self) -> str:
        return f"The ledger {self.location} cannot be {self.operation}. {self.advice}"


class SendFailure(enum.Enum):
    """The way in which sending a message failed."""

    CONNECT = "connect"
    """No connection: refused, not resolved, timed out, no greeting, or a greeting that refuses (5xx)."""
    TLS = "tls"
    """No TLS: not offered, handshake failed, certificate not trusted, or our own files are unusable."""
    LOGIN = "login"
    """The server rejected user name and password, or requires them."""
    REFUSED = "refused"
    """The server refused the message permanently (5xx)."""
    DEFERRED = "deferred"
    """The server refused the message for now (4xx)."""
    LOST = "lost"
    """The connection was lost before the final dot: the server has not accepted the message."""
    UNKNOWN = "unknown"
    """The connection was lost after the final dot: the server may or may not have accepted the message."""


_ADVICE: Final = {
    SendFailure.CONNECT: "Check server name and port; try again later.",
    SendFailure.TLS: "Check the TLS settings and the CA file; without a change, a retry fails again.",
    SendFailure.LOGIN: "Check user name and password.",
    SendFailure.REFUSED: "Read the server's reply, and do not repeat the message unchanged.",
    SendFailure.DEFERRED: "Send it again later with the same K.",
    SendFailure.LOST: "The server did not accept it; send it again with the same K.",
    SendFailure.UNKNOWN: (
        "The server may have accepted it; do not send it again until a reply comes or you know that it did not."
    ),
}
_PASSING: Final = frozenset({SendFailure.CONNECT, SendFailure.LOST, SendFailure.DEFERRED})
_TRANSIENT_REPLIES: Final = range(400, 500)


@final
@attrs.define(eq=False, str=False, slots=False)
class SendError(HtpoortError):
    """
    Report that a message was not sent, or that it is unknown whether it was.

    Args:
        recipient: The mailbox that the message was for.
        kind: The way in which it failed.
        code: The SMTP reply code, 400 to 599; None if the server gave none.
        reply: The text of the server's reply, or of the network error.
        is_server_trouble: Whether the trouble is with the server and not with this message, so that any other message
            would have failed too: all that goes wrong before MAIL is accepted, and a 421 or a required login before
            the content.

    Attributes:
        retryable: Whether a program may send the same message again without a change: after a 4xx reply, if
            there was no connection, or if the connection was lost before the final dot.
    """

    recipient: str
    kind: SendFailure
    code: int | None
    reply: str
    is_server_trouble: bool = False
    retryable: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.retryable = self.kind in _PASSING or (self.kind is SendFailure.LOGIN and self.code in _TRANSIENT_REPLIES)

    @property
    def summary(self) -> str:
        """What went wrong, without advice: for the log of a program that retries by itself."""
        reply = " ".join(part for part in (str(self.code or ""), self.reply) if part).rstrip(".")
        # "Not sent" would invite a person to send again what the server may have accepted.
        unknown = self.kind is SendFailure.UNKNOWN
        outcome = "It is not known whether the message was sent to" if unknown else "Not sent to"
        return f"{outcome} {self.recipient} ({self.kind.value}): {reply or 'no reply'}."

    def __str__(self) -> str:
        return f"{self.summary} {_ADVICE[self.kind]}"
