"""
Queue, claim, settle and order the exchanges of a ledger.

Never does: send, or decide what an event means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import final

from htpoort.exchange import Outcome, State
from htpoort.ledger import _clocks, _outbox, _outcomes, _reports, _shadows
from htpoort.ledger._access import Access
from htpoort.ledger.records import Claimed, Exchange, Shadow
from htpoort.message import Submission
from htpoort.party import PartyId

__all__ = ["Exchanges"]


@final
class Exchanges:
    """
    Hold the exchanges of a ledger; reached as ``ledger.exchanges``.

    What writes returns when it is committed and synced; what ends in ``_soon`` gives a future instead,
    for an event loop.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def queue(
        self,
        submission: Submission,
        *,
        at: datetime,
        business_reference: str | None = None,
        held: bool = False,
        shadow: Submission | None = None,
    ) -> Exchange:
        """
        Put a message in, to be sent by an agent.

        Args:
            submission: What `htpoort.build` made.
            at: Now.
            business_reference: The declarant's own reference (LRN for DMS).
            held: Hold it until the service window of its system closes.
            shadow: The same declaration as another system would get it; kept in the same transaction, and never sent.

        Returns:
            The exchange. The same declaration again gives the same exchange, *repeated*, so a caller that was
            interrupted may repeat itself: the same payload, party and K, for the same system and from the same
            mailbox. Nothing else of the repeated message counts or is kept, as its Date, Message-ID and layout.

        Raises:
            InputError: The party has used this K for another declaration or with another shadow; the shadow is of
                another party or K, or for the same system; or *business_reference* is empty or not printable.
            LedgerError: It could not be written. After a crash, or on a server that was lost, it may be there all
                the same: repeat it, never under another K.
        """
        return self.queue_soon(
            submission, at=at, business_reference=business_reference, held=held, shadow=shadow
        ).result()

    def queue_soon(
        self,
        submission: Submission,
        *,
        at: datetime,
        business_reference: str | None = None,
        held: bool = False,
        shadow: Submission | None = None,
    ) -> Future[Exchange]:
        """Put a message in, as `queue` does, without waiting."""
        if shadow is not None:
            return self._access.soon(_shadows.queue, submission, shadow, business_reference, at, held=held)
        return self._access.soon(_outbox.queue, submission, business_reference, at, held=held)

    def find(self, party: str, reference: str) -> Exchange | None:
        """
        Look an exchange up.

        Args:
            party: V, in any case.
            reference: K, exactly.

        Returns:
            The exchange, or None.

        Raises:
            LedgerError: It could not be read.
        """
        return self._access.read(_outbox.find, party, reference)

    def claim_soon(  # noqa: PLR0913 - one argument for each thing that decides
        self,
        systems: Sequence[str],
        *,
        owner: str,
        most: int,
        at: datetime,
        lease: timedelta,
        per_hour: int | None = None,
    ) -> Future[list[Claimed]]:
        """Take up what is due, oldest first, for one worker; see `settle_soon`."""
        return self._access.soon(_outbox.claim, systems, owner, most, at, lease, per_hour)

    def settle_soon(  # noqa: PLR0913 - one argument for each thing that is written
        self,
        claimed: Claimed,
        outcome: Outcome,
        *,
        at: datetime,
        detail: str = "",
        due: datetime | None = None,
        content_begun: bool = True,
    ) -> Future[State]:
        """
        Record the outcome of an attempt.

        Args:
            claimed: What `claim_soon` gave.
            outcome: How the attempt ended.
            at: Now.
            detail: For the log, one line.
            due: When to send again what was deferred; without it, it has failed.
            content_begun: Whether octets of the content may have left, as `htpoort.transport.Sender.content_begun`
                says. Where no attempt got so far, no reply settles the exchange. Of an attempt that was accepted
                or lost they have left in any case.

        Returns:
            A future of the state afterwards; fails with InputError where no such attempt was begun.
        """
        return self._access.soon(
            _outcomes.settle,
            claimed.key,
            claimed.attempt,
            outcome,
            at,
            detail,
            due,
            content_begun=content_begun,
            retried=claimed.retried,
        )

    def renew_soon(self, keys: Sequence[int], *, owner: str, until: datetime) -> Future[int]:
        """Say that a worker lives and is still at these exchanges, so that its leases hold."""
        return self._access.soon(_outcomes.renew, owner, keys, until)

    def expire_soon(self, *, at: datetime, owner: str | None = None) -> Future[list[Exchange]]:
        """Take back what dead workers held, as unknown, and what is sending without a worker; all but *owner*'s."""
        return self._access.soon(_outcomes.expire, at, owner)

    def disbelieve_due(self, systems: Sequence[str], *, at: datetime, longest: timedelta) -> int:
        """
        Make due now what was deferred to a moment that no wait leads to: a clock was ahead.

        Args:
            systems: Their names.
            at: Now.
            longest: The longest wait of their retry schedule, jitter included.

        Returns:
            How many exchanges are due now by this; each is in the log. Nothing is written where there is none.

        Raises:
            LedgerError: It could not be read or written.
        """
        meant = _clocks.deferred(systems, at + longest)
        if not self._access.read(_clocks.any_there, meant):
            return 0
        return self._access.write(_clocks.declarations, meant, at)

    def hold(self, systems: Iterable[str], *, at: datetime) -> int:
        """
        Hold what waits to be sent to some systems, until `let_go`.

        Args:
            systems: Their names.
            at: Now.

        Returns:
            How many exchanges are held by this.

        Raises:
            LedgerError: It could not be written.
        """
        return self._access.write(_outcomes.hold, tuple(systems), at)

    def let_go(self, systems: Iterable[str], *, at: datetime) -> int:
        """
        Let go what is held of some systems; it is queued again.

        Args:
            systems: Their names.
            at: Now.

        Returns:
            How many exchanges are queued by this.

        Raises:
            LedgerError: It could not be written.
        """
        return self._access.write(_outcomes.let_go, tuple(systems), at)

    def resolve_as_sent(self, reference: str, *, at: datetime, party: str | None = None) -> Exchange:
        """
        Settle an exchange that is unknown: you know that the gateway has it.

        Args:
            reference: K.
            at: Now.
            party: V, needed where two parties used the K.

        Returns:
            The exchange afterwards, accepted.

        Raises:
            UnknownError: No exchange has this K.
            InputError: It is not unknown, or two parties used the K.
            LedgerError: It could not be written.
        """
        return self._access.write(_outcomes.resolve_as_sent, party, reference, at)

    def resend(self, reference: str, *, at: datetime, party: str | None = None) -> Exchange:
        """
        Send an exchange again, with the same K, at once and with the whole retry schedule before it.

        Args:
            reference: K.
            at: Now.
            party: V, needed where two parties used the K.

        Returns:
            The exchange afterwards, queued.

        Raises:
            UnknownError: No exchange has this K.
            InputError: Its state forbids it, or two parties used the K.
            LedgerError: It could not be written.
        """
        return self._access.write(_outcomes.resend, party, reference, at)

    def close(self, reference: str, *, at: datetime, party: str | None = None) -> Exchange:
        """
        Close an exchange: nothing more is to be done. Replies that still come are stored and delivered.

        Args:
            reference: K.
            at: Now.
            party: V, needed where two parties used the K.

        Returns:
            The exchange afterwards, closed.

        Raises:
            UnknownError: No exchange has this K.
            InputError: An attempt to send it is under way, or two parties used the K.
            LedgerError: It could not be written.
        """
        return self._access.write(_outcomes.close, party, reference, at)

    def listed(self, *states: State) -> Iterator[Exchange]:
        """
        List exchanges, oldest first.

        Args:
            states: Only these; all where none is given.

        Returns:
            The exchanges, read as they are asked for.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.stream(_reports.exchanges, states)

    def oldest(self, system: str, state: State, *, most: int) -> list[Exchange]:
        """
        List the exchanges of a system and a state that were queued first; no others are read, however many there are.

        Args:
            system: Its name, as in the directory.
            state: Where they stand.
            most: No more than so many.

        Returns:
            The exchanges, in the order in which they were queued.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.read(_reports.oldest, system, state, most)

    def with_early_replies(self, *, most: int) -> list[Exchange]:
        """
        List open exchanges with a reply that cannot be an answer, because no attempt got as far as the content.

        Args:
            most: No more than so many.

        Returns:
            The exchanges that are neither answered nor closed, those that were queued first.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.read(_reports.early, most)

    def messages(self, *states: State) -> Iterator[tuple[Exchange, bytes | None]]:
        """
        List exchanges with the messages that they send, oldest first.

        Args:
            states: Only these; all where none is given.

        Returns:
            Each exchange with its message as it was queued, None where that was pruned; read as they are asked for.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.stream(_reports.messages, states)

    def shadows(self, parties: Iterable[PartyId | str] | None = None) -> Iterator[Shadow]:
        """
        List exchanges that have a shadow, oldest first.

        Args:
            parties: Only those of these, in any case; nobody else's rows are read. Of more than 500 parties those of
                500 come after those of 500. All where not given.

        Returns:
            Both messages of each, read as they are asked for.

        Raises:
            LedgerError: They could not be read.
        """
        return self._access.stream(_shadows.listed, None if parties is None else tuple(map(str, parties)))
