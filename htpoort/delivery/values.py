"""
Say what a delivery gets, how it tells that it failed, and when it is made again.

Never does: deliver.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar, final, runtime_checkable

import attrs

from htpoort.errors import HtpoortError, InputError, Problem

__all__ = ["DELIVERY_SCHEDULE", "Deliverable", "Delivery", "DeliveryError", "SelfTesting", "redeliver_after"]


class Deliverable(Protocol):
    """
    What is known of a reply when it is delivered; `htpoort.ledger.records.Reply` is one.

    Attributes:
        key: Its number in the ledger, the same at every delivery.
        system: The name of the system that answers.
        mailbox: Where it came from.
        process_id: V of the reply.
        party: The declarant that it is for.
        reference: K.
        correlation: ``matched``, ``unknown-reference``, ``not-checked`` or ``not-sent``.
        received: When it first came, aware; the same at every delivery.
        raw: The message as it came.
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


AnyReply = TypeVar("AnyReply", bound=Deliverable)

Delivery = Callable[[AnyReply], Awaitable[None]]
"""
What a reply is given to: any async callable; delivered when it returns, not delivered when it raises.
The same reply may come again, after a crash between the delivery and its record: its key tells.
"""


@runtime_checkable
class SelfTesting(Protocol):
    """A delivery that an agent tries out before it starts, so that none that can never work is begun with."""

    async def try_out(self, system: str) -> None:
        """
        Do once what a delivery needs, without a reply.

        Args:
            system: The name of the system whose replies are to come.

        Raises:
            InputError: No delivery can ever succeed as it is now; the agent does not start.
            Exception: None can succeed now; the agent logs it and starts.
        """


DELIVERY_SCHEDULE: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
"""How long to wait after each delivery that failed; the last one holds for ever, because no reply is given up."""


def redeliver_after(
    attempts: int, *, schedule: tuple[timedelta, ...] = DELIVERY_SCHEDULE, jitter: float = 0.0
) -> timedelta:
    """
    Say how long to wait after a delivery that failed.

    >>> redeliver_after(1), redeliver_after(1_000)
    (datetime.timedelta(seconds=10), datetime.timedelta(seconds=3600))

    Args:
        attempts: How many there were, at least 1.
        schedule: The waits, one for each attempt; the last one for all that follow.
        jitter: From 0 to 1, by chance, given from outside: up to a tenth of the wait is added.

    Returns:
        The wait; there is always one.

    Raises:
        InputError: *attempts* or *jitter* is out of its range, or *schedule* is empty.
    """
    if attempts < 1 or not 0 <= jitter <= 1 or not schedule:
        message = f"attempts is {attempts}, jitter {jitter}, schedule {schedule}; give at least 1, 0 to 1, and waits."
        raise InputError("", (Problem("input.retry", message),))
    return schedule[min(attempts, len(schedule)) - 1] * (1 + jitter / 10)


@final
@attrs.define(eq=False, str=False, slots=False)
class DeliveryError(HtpoortError):
    """
    Tell that a reply was not delivered; it stays in the ledger and is delivered later.

    Args:
        target: The Maildir, or the program without its arguments.
        why: One or two sentences, without anything of the reply.
    """

    target: str
    why: str
    retryable = True

    def __str__(self) -> str:
        return f"Not delivered to {self.target}. {self.why}"
