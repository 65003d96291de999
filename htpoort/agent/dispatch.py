"""
Choose the system that a declaration goes to, build its message, and queue it in a ledger.

An agent sends what is queued.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import final

import attrs

from htpoort import _clock
from htpoort.core.cutover import CutoverPlan
from htpoort.core.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.core.errors import InputError, Problem
from htpoort.core.message import Layout, Submission, TransferEncoding, build
from htpoort.core.party import PartyId, find_party, read_parties
from htpoort.ledger import Exchange, Ledger

__all__ = ["Destination", "Dispatched", "Dispatcher"]


@final
@attrs.frozen(kw_only=True)
class Destination:
    """
    Where a declaration goes.

    Args:
        party: The declarant, as the dispatcher's *parties* spells it.
        system: The system that the declaration is sent to.
        shadow: The system that its message is also built for and never sent to; None without a shadow system, and
            if the declaration goes to that system itself.
    """

    party: PartyId
    system: DeclarationSystem
    shadow: DeclarationSystem | None


@final
@attrs.frozen(kw_only=True)
class Dispatched:
    """
    A declaration in the queue of the ledger, and where it goes.

    Args:
        exchange: The queued exchange; *repeated* if the declaration was queued before.
        destination: Where it goes.
    """

    exchange: Exchange
    destination: Destination


@final
@attrs.frozen(kw_only=True)
class Dispatcher:
    """
    Queue declarations, each for the system that its party uses on that day.

    The command ``htpoort queue`` uses this class with the settings of ``htpoort.toml``. Its methods wait for the
    ledger; in an event loop, call them with ``asyncio.to_thread``.

    Args:
        ledger: An open ledger. It stays open.
        parties: The declarants whose replies are accepted.
        plan: Which party uses which system from when; without a plan, every declaration needs a *system*.
        shadow: The system that every message is also built for, and never sent to.
        directory: The systems.
        source: Where *parties* are listed, for the error about an unknown party.

    Raises:
        InputError: *parties* is empty, or has values that are not party IDs. The error lists every problem.
    """

    ledger: Ledger
    parties: tuple[PartyId, ...] = attrs.field(converter=read_parties)
    plan: CutoverPlan | None = None
    shadow: DeclarationSystem | None = None
    directory: Directory = HTPOORT
    source: str = "parties"

    def choose(
        self,
        *,
        party: PartyId | str,
        reference: str,
        at: datetime,
        system: str | None = None,
        kind: str | None = None,
    ) -> Destination:
        """
        Choose where a declaration goes, without queueing it.

        If *system* is given, the declaration goes there. Otherwise, a reference that was queued before keeps its
        system, because a caller that repeats a declaration after a move must not declare it twice. Otherwise, the
        plan decides.

        Args:
            party: V, in any case.
            reference: K.
            at: Now, aware.
            system: The name of the system, in any case.
            kind: The kind of declaration, as the plan names it.

        Returns:
            The destination.

        Raises:
            UnknownError: The party is not one of *parties*, so its replies would be quarantined; or the
                directory has no such system.
            InputError: Neither *system* nor a plan is given, *kind* is not a valid kind, or *at* is not an aware
                datetime.
            LedgerError: The ledger could not be read.
        """
        _check_moment(at)
        own = find_party(self.parties, str(party), self.source)
        target = self._system(own, reference, at, system, kind)
        shadow = None if self.shadow is None or self.shadow.name == target.name else self.shadow
        return Destination(party=own, system=target, shadow=shadow)

    def dispatch(  # noqa: PLR0913 - one argument for each thing that a message has
        self,
        payload: bytes,
        *,
        party: PartyId | str,
        mailbox: str,
        reference: str,
        at: datetime,
        system: str | None = None,
        kind: str | None = None,
        shadow_payload: bytes | Callable[[], bytes] | None = None,
        business_reference: str | None = None,
        layout: Layout = "body",
        transfer_encoding: TransferEncoding | None = None,
        content_type: str | None = None,
        file_name: str | None = None,
        date: datetime | None = None,
        message_id: str | None = None,
    ) -> Dispatched:
        """
        Queue a declaration: choose where it goes, build its message, and store it in the ledger. An agent sends it.

        A caller that was interrupted may repeat the call: the same payload, party, mailbox and reference give the
        same exchange, *repeated*.

        Args:
            payload: The declaration, not empty.
            party: V, in any case; it is sent as *parties* spells it.
            mailbox: The declarant's own mailbox.
            reference: K, new for each transmission.
            at: Now, aware.
            system: The name of the system; by default as `choose` chooses it.
            kind: The kind of declaration, as the plan names it.
            shadow_payload: The declaration for the shadow system, or a function that returns it, which is called
                only if a shadow is built; by default *payload*.
            business_reference: The declarant's own reference (LRN for DMS).
            layout: As for `htpoort.build`.
            transfer_encoding: As for `htpoort.build`.
            content_type: As for `htpoort.build`; that of a *shadow_payload* is always found from its content.
            file_name: As for `htpoort.build`.
            date: The date of the message; by default *at*.
            message_id: With its angle brackets; by default a new one.

        Returns:
            The exchange and where it goes.

        Raises:
            UnknownError: The party is not one of *parties*, or the directory has no such system.
            InputError: A value cannot be sent or kept; *shadow_payload* was given, but the dispatcher has no shadow
                system; neither *system* nor a plan was given; or the party has used this reference for another
                declaration. Nothing was queued.
            LedgerError: The ledger could not be read or written. Repeat the call with the same reference.
        """
        if shadow_payload is not None and self.shadow is None:
            message = "shadow_payload is given, but the dispatcher has no shadow system; leave it out, or give shadow."
            raise InputError("", (Problem("dispatch.no-shadow", message),))
        destination = self.choose(party=party, reference=reference, at=at, system=system, kind=kind)
        # The same for both messages, so that a shadow does not differ in what is generated here.
        when = at if date is None else date
        # A mailbox that is not text is refused by `build`.
        unique = _clock.message_id(str(mailbox)) if message_id is None else message_id

        def submission(data: bytes, target: DeclarationSystem, of_type: str | None) -> Submission:
            return build(
                system=target,
                party=destination.party,
                mailbox=mailbox,
                reference=reference,
                payload=data,
                date=when,
                message_id=unique,
                layout=layout,
                transfer_encoding=transfer_encoding,
                content_type=of_type,
                file_name=file_name,
            )

        sent, shadow = submission(payload, destination.system, content_type), None
        if destination.shadow is not None and shadow_payload is None:
            shadow = submission(payload, destination.shadow, content_type)
        elif destination.shadow is not None and shadow_payload is not None:
            data = shadow_payload if isinstance(shadow_payload, bytes) else shadow_payload()
            shadow = submission(data, destination.shadow, None)
        exchange = self.ledger.exchanges.queue(sent, at=at, business_reference=business_reference, shadow=shadow)
        return Dispatched(exchange=exchange, destination=destination)

    def _system(
        self, party: PartyId, reference: str, at: datetime, system: str | None, kind: str | None
    ) -> DeclarationSystem:
        if system is not None:
            return self.directory.system(system)
        before = self.ledger.exchanges.find(reference, party=str(party))
        if before is not None and before.system in {known.name for known in self.directory}:
            return self.directory.system(before.system)
        if self.plan is None:
            message = "system is not given, and there is no plan to choose it by; give the name of a system."
            raise InputError("", (Problem("dispatch.no-system", message),))
        return self.plan.system_for(party, on=at, kind=kind)


def _check_moment(at: object) -> None:
    """
    Check the time that the caller gives.

    Raises:
        InputError: It is not an aware datetime.
    """
    if isinstance(at, datetime) and at.utcoffset() is not None:
        return
    given = f"{at.isoformat()} without a time zone" if isinstance(at, datetime) else type(at).__name__
    raise InputError("", (Problem("input.date", f"at is {given}; give an aware datetime."),))
