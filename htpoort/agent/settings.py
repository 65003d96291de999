"""The settings of an agent: where it sends, where it receives, and how long it waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import RETRY_SCHEDULE
from htpoort.delivery import DELIVERY_SCHEDULE
from htpoort.transport import Pop3Account, SmtpServer

__all__ = ["Outbox", "Pop3Inbox", "Timing"]

PAUSE_SCHEDULE: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30))
"""The pause of a server that cannot be used, after each failed attempt."""

_MAX_CONNECTIONS: Final = 64  # connections at once; a gateway closes some if there are more


@final
@attrs.frozen(kw_only=True)
class Outbox:
    """
    Where the declarations of some systems are sent.

    Args:
        server: The mail server that accepts them.
        systems: Names of systems; if empty, every system of the directory.
        connections: The most connections at once, 1 to 64. Each sends one message at a time and is kept open.
        per_hour: The most attempts an hour, counted over all agents of the ledger; None for no limit. The
            business test environment accepts 100 (seen in the field).
        retry_schedule: The delay after each deferred attempt. When it is used up, the declaration has failed.

    Raises:
        InputError: *connections* or *per_hour* is out of range.
    """

    server: SmtpServer
    systems: tuple[str, ...] = ()
    connections: int = 4
    per_hour: int | None = None
    retry_schedule: tuple[timedelta, ...] = RETRY_SCHEDULE

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        if not 1 <= self.connections <= _MAX_CONNECTIONS:
            problems.append(
                Problem("outbox.connections", f"connections is {self.connections}; give 1 to {_MAX_CONNECTIONS}.")
            )
        if self.per_hour is not None and self.per_hour < 1:
            problems.append(
                Problem("outbox.per-hour", f"per_hour is {self.per_hour}; give at least 1, or leave it out.")
            )
        if problems:
            raise InputError("", tuple(problems))


@final
@attrs.frozen(kw_only=True)
class Pop3Inbox:
    """
    A mailbox that replies are fetched from by POP3.

    Args:
        server: The mailbox.
        poll_interval: The time between two polls. A random tenth at most is added, so that many agents do not
            poll at the same moment.
    """

    server: Pop3Account
    poll_interval: timedelta = timedelta(minutes=1)


@final
@attrs.frozen(kw_only=True)
class Timing:
    """
    How long an agent waits.

    Args:
        poll_interval: Between two polls of the ledger, for what another process has queued.
        lease: How long a worker may be silent before other agents take over its work. The exchange that it was
            sending is unknown then.
        grace: How long work in progress may take when the agent stops. Ending it takes a few seconds more.
        retry_delay: Between two attempts to write to a ledger that fails.
        redelivery_schedule: The delay after each failed delivery; the last one is repeated.
        pause_schedule: The pause after each failed attempt to use a mail server or mailbox; the last one is repeated.
        login_pause: The shortest pause after a refused login, because many servers lock an account.
        delivery_timeout: How long one delivery may take before it is cancelled and has failed. Choose more than
            the timeout of a command or Maildir: its error explains more.

    Raises:
        InputError: A time is not above 0, or a schedule is empty.
    """

    poll_interval: timedelta = timedelta(seconds=1)
    lease: timedelta = timedelta(minutes=2)
    grace: timedelta = timedelta(seconds=30)
    retry_delay: timedelta = timedelta(seconds=5)
    redelivery_schedule: tuple[timedelta, ...] = DELIVERY_SCHEDULE
    pause_schedule: tuple[timedelta, ...] = PAUSE_SCHEDULE
    login_pause: timedelta = timedelta(minutes=15)
    delivery_timeout: timedelta = timedelta(minutes=5)

    def __attrs_post_init__(self) -> None:
        names = ("poll_interval", "lease", "grace", "retry_delay", "login_pause", "delivery_timeout")
        times: dict[str, timedelta] = {name: getattr(self, name) for name in names}
        for name in ("redelivery_schedule", "pause_schedule"):
            times |= {f"{name}[{number}]": delay for number, delay in enumerate(getattr(self, name))}
        problems = tuple(
            Problem("timing.value", f"{name} is {value}; give a time above 0.")
            for name, value in times.items()
            if value <= timedelta(0)
        )
        if not self.redelivery_schedule:
            message = "redelivery_schedule is empty; give at least one delay: delivery is repeated until it succeeds."
            problems += (Problem("timing.value", message),)
        if not self.pause_schedule:
            message = "pause_schedule is empty; give at least one pause: a server is tried until it works."
            problems += (Problem("timing.value", message),)
        if problems:
            raise InputError("", problems)
