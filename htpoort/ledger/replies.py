"""
Take replies into a ledger, and hand them out for delivery.

Never does: deliver, or acknowledge anything to a peer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import final

import sqlalchemy as sa

from htpoort.ledger import _clocks, _fetched, _inbox, _reports
from htpoort.ledger._access import Access
from htpoort.ledger.records import Reply, Stored
from htpoort.routing import Correlation, Routed, Router, correlate

__all__ = ["Replies"]


@final
class Replies:
    """
    Hold the replies of a ledger; reached as ``ledger.replies``.

    What writes returns when it is committed and synced; what ends in ``_soon`` gives a future instead,
    for an event loop.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def take_in_soon(  # noqa: PLR0913 - one argument for each thing that is written
        self,
        router: Router,
        raw: bytes,
        *,
        mail_from: str | None,
        at: datetime,
        account: str | None = None,
        uidl: str = "",
    ) -> Future[Stored]:
        """
        Route a message and store it, in one transaction.

        Args:
            router: Where it has no *sent*, this ledger compares K with what was sent.
            raw: The message as it came.
            mail_from: As `Router.route_message` takes it.
            at: Now.
            account: The POP3 account that it came from, if one; remembered with *uidl*.
            uidl: Its number there.

        Returns:
            A future of what became of it; done when it is synced.
        """
        return self._access.soon(_route_and_store, router, raw, mail_from, at, account, uidl)

    def take_in(self, router: Router, raw: bytes, *, mail_from: str | None, at: datetime) -> Stored:
        """
        Route a message and store it, in one transaction.

        Args:
            router: Where it has no *sent*, this ledger compares K with what was sent.
            raw: The message as it came.
            mail_from: As `Router.route_message` takes it.
            at: Now.

        Returns:
            What became of it, synced.

        Raises:
            LedgerError: It could not be written.
        """
        return self.take_in_soon(router, raw, mail_from=mail_from, at=at).result()

    def claim_soon(  # noqa: PLR0913 - one argument for each thing that decides
        self,
        system: str,
        *,
        owner: str,
        most: int,
        at: datetime,
        lease: timedelta,
        without: Sequence[int] = (),
    ) -> Future[list[Reply]]:
        """Take up replies of one system that wait for delivery, *without* those that the worker is at already."""
        return self._access.soon(_inbox.claim, system, owner, most, at, lease, without)

    def delivered_soon(self, key: int, *, at: datetime) -> Future[None]:
        """Mark a reply as delivered."""
        return self._access.soon(_inbox.delivered, key, at)

    def not_delivered_soon(
        self, key: int, *, at: datetime, due: datetime, trouble: str, owner: str | None = None
    ) -> Future[None]:
        """Mark a reply as not delivered, with the time of the next try; only if it is *owner*'s, where given."""
        return self._access.soon(_inbox.not_delivered, key, at, due, trouble, owner)

    def renew_soon(self, keys: Sequence[int], *, owner: str, until: datetime) -> Future[int]:
        """Say that a worker lives and is still at these deliveries, so that its leases hold."""
        return self._access.soon(_inbox.renew, owner, keys, until)

    def free_soon(self, owner: str | None = None) -> Future[None]:
        """Let go the replies that a worker held, or everybody's."""
        return self._access.soon(_inbox.free, owner)

    def disbelieve_due(self, system: str, *, at: datetime, longest: timedelta) -> int:
        """
        Make due now each reply of a system whose next delivery is at a moment that no wait leads to.

        Args:
            system: Its name.
            at: Now.
            longest: The longest wait after a delivery that failed, jitter included.

        Returns:
            How many replies are due now by this; each is in the log. Nothing is written where there is none.

        Raises:
            LedgerError: It could not be read or written.
        """
        meant = _clocks.undelivered(system, at + longest)
        if not self._access.read(_clocks.any_there, meant):
            return 0
        return self._access.write(_clocks.deliveries, meant, at)

    def deliver_again_now(self, *, at: datetime, system: str | None = None, keys: Sequence[int] = ()) -> list[int]:
        """
        Let replies whose delivery failed be delivered again now, whatever their next try was to be.

        Args:
            at: Now.
            system: Only those of this one; its name as in the directory.
            keys: Only these numbers; all where none is given.

        Returns:
            The numbers of the replies that are due now by this. One that was delivered, or that was due already,
            is none of them.

        Raises:
            InputError: There is no reply of one or more of the numbers; names them all, and nothing has changed.
            LedgerError: It could not be written.
        """
        return self._access.write(_clocks.deliver_again, at, system, tuple(keys))

    def listed(self) -> Iterator[Reply]:
        """
        List replies, oldest first.

        Returns:
            The replies, read as they are asked for.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.stream(_reports.replies)


def _route_and_store(  # noqa: PLR0913, PLR0917 - one argument for each thing that is written
    connection: sa.Connection,
    router: Router,
    raw: bytes,
    mail_from: str | None,
    at: datetime,
    account: str | None,
    uidl: str,
) -> Stored:
    # The same octets under a known UIDL are one mail that was fetched twice, and no copy.
    again = account is not None and not _fetched.remember(connection, account, uidl, at)
    found = router.route_message(raw, mail_from)
    if isinstance(found, Routed) and found.correlation is Correlation.NOT_CHECKED:
        # A router that was not given this ledger's records must not lead to another party or system.
        found = correlate(found, _reports.sent(connection, found.reference))
    return _inbox.take_in(connection, found, raw, at, again=again)
