"""
Hold what the gateway took, and what it answered.

Never does: judge or send.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import final

import attrs

from htpoort.directory import DeclarationSystem
from htpoort.envelope import RoutingEnvelope
from htpoort.errors import SendError
from htpoort.message import Submission
from htpoort.simulator.scenarios import Answer

__all__ = ["Declaration", "Sent", "Way"]


@final
@attrs.frozen(kw_only=True)
class Declaration:
    """
    Hold one declaration that the gateway took.

    Args:
        number: Counted from 1, in the order in which they were taken.
        at: When it was taken, by the gateway's clock.
        system: The system that it was for.
        mailbox: The declarant's mailbox, from MAIL FROM.
        subject: The Subject as it stood on the wire.
        envelope: What the Subject says.
        raw: The whole message.
        payload: The body, not decoded.
    """

    number: int
    at: datetime
    system: DeclarationSystem
    mailbox: str
    subject: str
    envelope: RoutingEnvelope
    raw: bytes = attrs.field(repr=False)
    payload: bytes = attrs.field(repr=False)


class Way(enum.StrEnum):
    """Tell how an answer goes to a declarant."""

    PUSH = "push"
    """By SMTP to the declarant's server."""
    POP3 = "pop3"
    """Into the declarant's mailbox at the gateway."""


@final
@attrs.frozen(kw_only=True)
class Sent:
    """
    Hold one answer that was given, or given up.

    Args:
        declaration: What it answers.
        answer: What the script says about it.
        message: The message itself; with a fault, it may name other mailboxes than the declaration.
        at: When that was known, by the gateway's clock.
        way: How it went.
        attempts: How often it was tried.
        error: Why it was given up; None where it was taken.
    """

    declaration: Declaration
    answer: Answer
    message: Submission
    at: datetime
    way: Way
    attempts: int = 1
    error: SendError | None = None
