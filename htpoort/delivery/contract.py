"""What a delivery gets, how it fails, and when it is repeated."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar, final, runtime_checkable

import attrs

from htpoort._disk import may_pass, place_of
from htpoort.core.errors import HtpoortError, InputError, Problem
from htpoort.core.text import Redaction

__all__ = ["DELIVERY_SCHEDULE", "Deliverable", "Delivery", "DeliveryError", "SelfTestingDelivery"]


class Deliverable(Protocol):
    """
    A reply as a delivery gets it; `htpoort.ledger.Reply` is one.

    Attributes:
        key: Its number in the ledger, the same at every delivery.
        system: The name of the system that sent it.
        mailbox: The mailbox that it came from.
        process_id: V of the reply.
        party: The declarant that it is for.
        reference: K.
        correlation: ``matched``, ``unknown-reference``, ``not-checked`` or ``not-sent``.
        received: When it first came, aware; the same at every delivery.
        raw: The message as it came.
        redeliveries: How often a person ordered it to be delivered again after it had been delivered.
    """

    @property
    def key(self) -> int: ...
    @property
    def system(self) -> str: ...
    @property
    def mailbox(self) -> str: ...
    @property
    def process_id(self) -> str: ...
    @property
    def party(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def correlation(self) -> str: ...
    @property
    def received(self) -> datetime: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def redeliveries(self) -> int: ...


AnyReply = TypeVar("AnyReply", bound=Deliverable)

Delivery = Callable[[AnyReply], Awaitable[None]]
"""
Any async callable. The reply is delivered when it returns, and not delivered when it raises. After a crash between
the delivery and its record, the same reply comes again, with the same key.
"""


@runtime_checkable
class SelfTestingDelivery(Protocol):
    """A delivery that an agent tests before it starts, so that it does not start with one that can never work."""

    async def self_test(self, system: str) -> None:
        """
        Do once what a delivery needs, without a reply.

        Args:
            system: The name of the system whose replies are to come.

        Raises:
            InputError: No delivery can ever succeed as things are; the agent does not start.
            Exception: No delivery can succeed now; the agent logs this and starts.
        """


DELIVERY_SCHEDULE: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
"""The delay after each failed delivery; the last one is repeated, because no reply is abandoned."""


@final
@attrs.define(eq=False, str=False, slots=False)
class DeliveryError(HtpoortError):
    """
    Report that a reply was not delivered. It stays in the ledger and is delivered later.

    Args:
        target: The Maildir, or the program without its arguments.
        why: One or two sentences, without any content of the reply.
    """

    target: str
    why: str
    retryable = True

    def __str__(self) -> str:
        return f"Not delivered to {self.target}. {self.why}"


_SECRET: Final = 4  # characters; a shorter argument is part of many words


def is_argument(value: object) -> bool:
    """Check whether the operating system accepts a value as an argument or a path."""
    return isinstance(value, str) and "\0" not in value


def shown_program(argv: tuple[str, ...]) -> str:
    """Show a command without its arguments, which may contain a password."""
    return repr(argv[0]) if len(argv) == 1 else f"{argv[0]!r} and {len(argv) - 1} arguments"


def redaction_for(argv: tuple[str, ...]) -> Redaction:
    """Hide the arguments of a command that may be passwords, but not paths, names of options and scripts."""
    values = [_value(argument) for argument in argv[1:]]
    secrets = (value for value in values if len(value) >= _SECRET and not re.match(r"\.*/|.*\s", value))
    return Redaction(*secrets, width=_SECRET + 2)


def _value(argument: str) -> str:
    """Return the value of an option: after the equals sign, or after the letter, as in ``-pgeheim``."""
    if argument.startswith("--"):
        return argument.partition("=")[2]
    return argument[2:] if argument.startswith("-") else argument


def timeout_problems(value: object) -> list[Problem]:
    """Check a timeout."""
    if isinstance(value, (int, float)) and 0 < value < math.inf:
        return []
    return [Problem("delivery.timeout", f"timeout is {value!r}; give seconds above 0.")]


def reason_of(error: Exception) -> str:
    """Explain an error of the operating system, without its file names: the target shows them."""
    return f"{getattr(error, 'strerror', None) or error}."


def self_test_error(code: str, system: str, target: str, error: OSError) -> HtpoortError:
    """Make the error of a self-test: an InputError if no delivery can ever succeed, otherwise a DeliveryError."""
    if may_pass(error):
        return DeliveryError(target, reason_of(error))
    place = place_of(error)
    # A folder above or below the target may be the one that cannot be used.
    which = "" if place is None or str(place) == target or not place.is_absolute() else f"{place}: "
    hint = " Its folders tmp and new must be on one file system." if error.errno == errno.EXDEV else ""
    message = f"Replies of {system} cannot be delivered to {target}: {which}{reason_of(error)}{hint}"
    return InputError("", (Problem(code, message),))
