"""What a delivery gets, how it fails, and when it is repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar, final, runtime_checkable

import attrs

from htpoort.core.errors import HtpoortError

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
