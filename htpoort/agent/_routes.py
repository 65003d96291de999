"""
The two ways on which declarations leave: as messages to a mail server, and as files to a gateway.

A worker claims, sends and records in the same way on both. A way says where its connections are made, and what the end
of an attempt means.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import TracebackType
from typing import Final, Self, TypeAlias, final

import attrs

from htpoort.agent.settings import FileGatewaySettings, Outbox
from htpoort.core.errors import InputError, Problem, SendError, SendFailure
from htpoort.core.exchange import Outcome
from htpoort.core.files import octets_of
from htpoort.ledger import Claimed
from htpoort.transport import FtpsConnection, FtpsError, FtpsFailure, Presence, Sender

SendingError: TypeAlias = SendError | FtpsError
Checkpoint: TypeAlias = Callable[[], Awaitable[None]]

_ANSWERED: Final = frozenset({
    *(SendFailure.REFUSED, SendFailure.DEFERRED),
    *(FtpsFailure.REFUSED, FtpsFailure.DEFERRED, FtpsFailure.NAME_USED, FtpsFailure.INCOMPLETE),
})
_OUTCOMES: Final = {
    SendFailure.REFUSED: Outcome.REFUSED,
    SendFailure.UNKNOWN: Outcome.UNKNOWN,
    FtpsFailure.REFUSED: Outcome.REFUSED,
    FtpsFailure.NAME_USED: Outcome.NAME_USED,
}


@final
class Link:
    """
    One connection that carries declarations, one after another.

    Args:
        connection: The connection, which connects when there is something to send.
        user: The only user whose files a gateway takes on it; None for a mail server.
    """

    def __init__(self, connection: Sender | FtpsConnection, user: str | None = None) -> None:
        self._connection = connection
        self._user = user

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, traceback)

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as is known."""
        return self._connection.connected

    @property
    def content_begun(self) -> bool:
        """Whether octets of the last declaration may have left."""
        return self._connection.content_begun

    async def send(self, claimed: Claimed, checkpoint: Checkpoint) -> str:
        """
        Send a declaration.

        Args:
            claimed: The declaration.
            checkpoint: Awaited when the server is ready for it. If it raises, the attempt ends without acceptance.

        Returns:
            The answer of the server that it has it.

        Raises:
            InputError: It cannot be sent; nothing was.
            SendError: A mail server did not accept it, or that is unknown.
            FtpsError: The same of a file gateway.
        """
        if isinstance(self._connection, Sender):
            accepted = await self._connection.send_raw(
                mail_from=claimed.mail_from, rcpt_to=claimed.rcpt_to, raw=claimed.raw, checkpoint=checkpoint
            )
            return f"{accepted.code} {accepted.reply}"
        if claimed.party != self._user:
            message = f"The file is of {claimed.party}, and {self._user} uploads to this gateway; nothing was sent."
            raise InputError("", (Problem("gateway.other-user", message),))
        uploaded = await self._connection.upload(
            folder=claimed.rcpt_to, name=claimed.reference, octets=octets_of(claimed.raw), checkpoint=checkpoint
        )
        return f"{uploaded.code} {uploaded.reply}"


@final
@attrs.frozen(kw_only=True)
class Route:
    """
    Where the declarations of some systems go.

    Args:
        server: The name of its server among those that may be paused.
        systems: The names of the systems.
        link: Makes a connection.
        connections: As in `Outbox`, like the next two.
        per_hour: The most attempts an hour.
        retry_schedule: The delay after each deferred attempt.
        asks_names: Whether what may have arrived is sent again under the same name, because the server refuses a name
            that was used.
    """

    server: str
    systems: tuple[str, ...]
    link: Callable[[], Link]
    connections: int
    per_hour: int | None
    retry_schedule: tuple[timedelta, ...]
    asks_names: bool = False


def mail_route(outbox: Outbox, systems: tuple[str, ...]) -> Route:
    """Make the way of an outbox, for its systems."""
    return Route(
        server=f"SMTP {outbox.server.label}",
        systems=systems,
        link=lambda: Link(Sender(outbox.server)),
        connections=outbox.connections,
        per_hour=outbox.per_hour,
        retry_schedule=outbox.retry_schedule,
    )


def file_route(gateway: FileGatewaySettings) -> Route:
    """Make the way to a file gateway."""
    return Route(
        server=f"FTPS {gateway.server.label}",
        systems=tuple(service.name for service in gateway.services),
        link=lambda: Link(FtpsConnection(gateway.server), str(gateway.user)),
        connections=gateway.connections,
        per_hour=gateway.per_hour,
        retry_schedule=gateway.retry_schedule,
        asks_names=gateway.unique_names,
    )


def outcome_of(error: SendingError) -> Outcome:
    """Say what an attempt that failed has come to."""
    if isinstance(error, FtpsError) and error.presence is not Presence.ABSENT:
        return Outcome.ACCEPTED if error.presence is Presence.PRESENT else Outcome.UNKNOWN
    if error.is_server_trouble:
        # The declaration did not cause the failure, and waits as before.
        return Outcome.RETURNED
    return _OUTCOMES.get(error.kind, Outcome.DEFERRED)


def may_have_arrived(error: SendingError, *, content_begun: bool) -> bool:
    """Say whether the server may have the content of an attempt that failed after this much of it."""
    # A file gateway lists what it has: what it refused and does not list, it does not have.
    return content_begun and not (isinstance(error, FtpsError) and error.presence is Presence.ABSENT)


def shows_that_server_works(error: SendingError) -> bool:
    """Whether the server has answered about this declaration, so that it would take others."""
    return error.kind in _ANSWERED
