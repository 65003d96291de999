"""
Release or discard the messages of the quarantine, and take a release back.

A message comes into quarantine in `Replies.take_in` of `htpoort.ledger.inbox`.

Never does: choose a process, delete a message, or release one against what is known unless a person names that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, Final, final

import attrs
import sqlalchemy as sa

from htpoort.core import grammar
from htpoort.core.directory import HTPOORT, DeclarationSystem, Directory
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import InputError, Problem
from htpoort.core.files import FileService, GatewayUser, RoutedFile
from htpoort.core.message import read
from htpoort.core.party import PartyId
from htpoort.core.routing import Correlation, Objection, Quarantined, Reason, Routed, correlate
from htpoort.ledger import _schema
from htpoort.ledger._connection import soon, writes
from htpoort.ledger._files import against_file, chosen_file, correlation_of
from htpoort.ledger._queueing import sent_records
from htpoort.ledger._received import HELD_MESSAGE, MESSAGE_WITH_OCTETS, QuarantineLists, message_of, message_row
from htpoort.ledger._statement import flush_log, log
from htpoort.ledger._storing import store_reply
from htpoort.ledger._withdrawing import whereabouts, withdraw_reply
from htpoort.ledger.records import (
    LedgerEvent,
    QuarantinedMessage,
    QuarantineState,
    Stored,
    WithdrawnRelease,
)

__all__ = ["Quarantine"]

_quarantine: Final = _schema.quarantine
_events: Final = _schema.events

_STATE_AFTER: Final = {
    LedgerEvent.RELEASED: QuarantineState.RELEASED,
    LedgerEvent.DISCARDED: QuarantineState.DISCARDED,
    LedgerEvent.RELEASE_WITHDRAWN: QuarantineState.HELD,
    LedgerEvent.DELIVERY_WITHDRAWN: QuarantineState.HELD,
}
_OBJECTIONS: Final = {
    Reason.OTHER_PARTY: Objection.OTHER_PARTY,
    Reason.OTHER_SYSTEM: Objection.OTHER_SYSTEM,
}
"""What `correlate` finds, by its reason."""


@final
class Quarantine(QuarantineLists):
    """
    The messages whose process is not known; available as ``ledger.quarantine``.

    Its reading methods (`listed`, `get`, `message`, …) are inherited from `QuarantineLists`.

    A method that writes returns once its work is committed and synced. Its twin in ``_soon`` returns a future instead.
    """

    @writes
    def release(  # noqa: PLR0913 - one argument for each part of the decision
        self,
        connection: sa.Connection,
        key: int,
        *,
        system: DeclarationSystem,
        party: PartyId,
        reference: str | None = None,
        at: datetime,
        directory: Directory = HTPOORT,
        despite: Collection[Objection] = (),
        reason: str | None = None,
    ) -> Stored:
        """
        Release a message to the process that a person chose; one that was discarded, too.

        The release is refused if it contradicts what is known: the K was sent by another party or to another system;
        the message came from another system's mailbox or under its process ID; or A in its envelope is another
        party. Each of these is overridden by its name alone, with a reason. If the K is another party's, or was sent
        to another system, the reply settles nothing. A K that cannot have been sent is always refused.

        Args:
            key: The number of the message.
            system: The system that it comes from.
            party: The party that it is for.
            reference: K; the one in its envelope if not given.
            at: Now.
            directory: Knows which system a mailbox or process ID belongs to; give yours if you have more systems.
            despite: What is known against it and overridden: all of that, and nothing else.
            reason: Why; logged. Needed with *despite*.

        Returns:
            How the message was routed, and which reply it is now.

        Raises:
            UnknownError: No message has this number.
            InputError: It was released before; it has no K of its own, and *reference* is missing; what is known
                contradicts the choice and is not named by *despite*, or what *despite* names contradicts nothing; or
                the reason is missing or blank. The codes are ``release.other-party``, ``release.other-system``,
                ``release.reference``, ``release.despite`` and ``ledger.reason``, and nothing has changed.
            LedgerError: The ledger could not be written.
        """
        if reason is not None or despite:
            _refuse_blank(reason or "")
        choice = _Choice(system, party, reference, directory, frozenset(despite), reason)
        return _release(connection, key, choice, at=at)

    release_soon = soon(release)

    @writes
    def release_file(  # noqa: PLR0913 - one argument for each part of the decision
        self,
        connection: sa.Connection,
        key: int,
        *,
        service: FileService,
        user: GatewayUser,
        reference: str,
        at: datetime,
        despite: Collection[Objection] = (),
        reason: str | None = None,
    ) -> Stored:
        """
        Release a file that was fetched from a gateway to the upload that a person chose; one that was discarded, too.

        The release is refused if it contradicts what is known: the name was uploaded by another user or to another
        service, or the file was fetched from another user's folder. A status file stays one, and only a response is an
        answer.

        Args:
            key: The number of the file.
            service: The service that it comes from.
            user: The user that it is for.
            reference: The name of the upload.
            at: Now.
            despite: As for `release`.
            reason: Why; logged. Needed with *despite*.

        Returns:
            How the file was routed, and which reply it is now.

        Raises:
            UnknownError: No message has this number.
            InputError: As for `release`; or the message is no file of a gateway, or *reference* is no file name.
            LedgerError: The ledger could not be written.
        """
        if reason is not None or despite:
            _refuse_blank(reason or "")
        row = _in_state(connection, key, QuarantineState.HELD, QuarantineState.DISCARDED)
        routed = chosen_file(row.raw, service, user, reference)
        known = tuple(dict.fromkeys(against_file(connection, routed, row.mailbox)))
        _refuse_contradicted(known, frozenset(despite))
        routing = attrs.evolve(routed, correlation=correlation_of(connection, routed))
        return _store_released(connection, row, routing, known=known, reason=reason, at=at)

    release_file_soon = soon(release_file)

    @writes
    def discard(self, connection: sa.Connection, key: int, *, at: datetime, reason: str) -> None:
        """
        Mark a message in quarantine as one for no process; it stays readable, and can still be released.

        Args:
            key: The number of the message.
            at: Now.
            reason: Why; logged.

        Raises:
            UnknownError: No message has this number.
            InputError: It was released or discarded before, or *reason* is blank.
            LedgerError: The ledger could not be written.
        """
        _refuse_blank(reason)
        _in_state(connection, key, QuarantineState.HELD)
        _mark(connection, key, LedgerEvent.DISCARDED, at=at, detail=reason)

    discard_soon = soon(discard)

    @writes
    def withdraw(
        self, connection: sa.Connection, key: int, *, at: datetime, reason: str, delivered: bool = False
    ) -> WithdrawnRelease:
        """
        Take a wrong release back: the message waits for a decision again, and its reply is no longer there.

        If the reply was the only answer of its exchange, that is accepted again if the mail server had accepted it or a
        person had resolved it as sent, and unknown otherwise.

        What a process has, stays there: a person must fetch it back. The log keeps when it was delivered, to which
        process, and why it was taken back.

        Args:
            key: The number of the message.
            at: Now.
            reason: Why; logged.
            delivered: Take it back although a process has the reply, or may have it.

        Returns:
            What was taken back, and whether a process has it or may have it.

        Raises:
            UnknownError: No message has this number.
            InputError: It was not released; its reply was or may have been delivered, and *delivered* is not set; a
                delivery of it, or an attempt to send the exchange of that reply, is under way; or *reason* is blank.
                Nothing has changed.
            LedgerError: The ledger could not be written.
        """
        _refuse_blank(reason)
        reply = _released_as(connection, key)
        withdrawn = withdraw_reply(connection, reply, message=key, at=at, delivered=delivered)
        event, detail = LedgerEvent.RELEASE_WITHDRAWN, f"it is no longer reply {reply}"
        if withdrawn.may_be_delivered:
            event, detail = LedgerEvent.DELIVERY_WITHDRAWN, f"{detail}, which {whereabouts(withdrawn)}"
        _mark(connection, key, event, at=at, detail=f"{detail}: {reason}", reply=reply)
        return withdrawn

    withdraw_soon = soon(withdraw)


# ── the release rule ─────────────────────────────────────────────────────────


@attrs.frozen
class _Choice:
    """
    A person's decision about a message.

    Args:
        system: The chosen system.
        party: The chosen party.
        reference: The chosen K; None for the one of the message.
        directory: Knows which system a mailbox or process ID belongs to.
        despite: What is known against it and overridden.
        reason: Why; None if none is given.
    """

    system: DeclarationSystem
    party: PartyId
    reference: str | None
    directory: Directory
    despite: frozenset[Objection]
    reason: str | None


def _release(connection: sa.Connection, key: int, choice: _Choice, *, at: datetime) -> Stored:
    """
    Check what is known against a choice, then store the message as a reply.

    Raises:
        UnknownError: No message has this number.
        InputError: The message was released before, K is not valid, or what is known against the choice is not what it
            overrides.
    """
    row = _in_state(connection, key, QuarantineState.HELD, QuarantineState.DISCARDED)
    quarantined, raw = message_of(row), row.raw
    routed = _routed(quarantined, raw, choice)
    # Two contradictions may have the same text.
    known = tuple(dict.fromkeys(_contradictions(connection, quarantined, routed, choice.directory)))
    _refuse_contradicted(known, choice.despite)
    routing = correlate(routed, sent_records(connection, routed.reference))
    if isinstance(routing, Quarantined):
        # It answers nothing: the K is another party's, or was sent to another system.
        routing = attrs.evolve(routed, correlation=Correlation.UNKNOWN_REFERENCE)
    return _store_released(connection, row, routing, known=known, reason=choice.reason, at=at)


def _store_released(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection,
    row: sa.Row[Any],
    routed: Routed | RoutedFile,
    *,
    known: tuple[tuple[Objection, str], ...],
    reason: str | None,
    at: datetime,
) -> Stored:
    """Store what a person released as a reply, and log the decision and what it overrides."""
    key: int = row.id
    stored = store_reply(connection, routed, row.raw, at=at, received=row.received)
    detail = (
        f"message {key} of the quarantine, by a person, to {routed.system.name} for {routed.party} under "
        f"{routed.reference}"
    )
    if row.state == QuarantineState.DISCARDED.value:
        detail += ", although it was discarded before"
    if earlier := _delivered_before(connection, key):
        # Without the party, which may be another one's business.
        detail += f", after a process got it by mistake as reply {' and reply '.join(map(str, earlier))}"
    if known:
        detail += f", despite {', '.join(dict.fromkeys(_code(objection) for objection, _ in known))}"
    if reason is not None:
        detail += f": {reason}"
    _mark(connection, key, LedgerEvent.RELEASED, at=at, detail=detail, reply=stored.key)
    return stored


def _routed(quarantined: QuarantinedMessage, raw: bytes, choice: _Choice) -> Routed:
    """
    Make the routing of a message; mailbox and process ID are its own, if it has them.

    Raises:
        InputError: There is no K, or it cannot have been sent.
    """
    if quarantined.reason == Reason.FOREIGN_FILE.value:
        message = f"system is {choice.system.name}, but message {quarantined.key} is a file; give a file service."
        raise InputError("", (Problem("release.file", message),))
    own = None if quarantined.subject is None else RoutingEnvelope.parse(quarantined.subject)
    reference = choice.reference if choice.reference is not None else None if own is None else own.reference
    if reference is None:
        message = f"reference is missing: message {quarantined.key} has none of its own; give one."
        raise InputError("", (Problem("release.reference", message),))
    if not grammar.WRITER_REFERENCE.fullmatch(reference):
        # Also with a reason: the process may use K as the name of a file.
        message = f"reference is {reference!r}, which no declaration can have as K; give 1 to 35 letters and digits."
        raise InputError("", (Problem("release.reference", message),))
    if own is None:
        process_id = min(choice.system.reply_ids)
        envelope = RoutingEnvelope(sender=process_id, addressee=str(choice.party), reference=reference)
    elif choice.reference is None:
        envelope = own
    else:
        envelope = RoutingEnvelope(sender=own.sender, addressee=own.addressee, reference=reference, s=own.s)
    return Routed(
        system=choice.system,
        party=choice.party,
        reference=reference,
        correlation=Correlation.NOT_CHECKED,
        mailbox=quarantined.mailbox or choice.system.mailbox,
        envelope=envelope,
        body_start=read(raw).body_start,
        raw=raw,
    )


def _contradictions(
    connection: sa.Connection, quarantined: QuarantinedMessage, routed: Routed, directory: Directory
) -> Iterator[tuple[Objection, str]]:
    """List what is known and contradicts a choice, in sentences; what is merely unknown does not."""
    own = None if quarantined.subject is None else RoutingEnvelope.parse(quarantined.subject)
    references = dict.fromkeys((routed.reference, *(() if own is None else (own.reference,))))
    for reference in references:
        known = correlate(attrs.evolve(routed, reference=reference), sent_records(connection, reference))
        if isinstance(known, Quarantined):
            yield _OBJECTIONS[known.reason], known.problems[0].message
    by_mailbox = None if quarantined.mailbox is None else directory.answering_from(quarantined.mailbox)
    if by_mailbox is not None and by_mailbox.name != routed.system.name:
        message = f"It came from {quarantined.mailbox}, the mailbox of {by_mailbox.name}, not of {routed.system.name}."
        yield Objection.OTHER_SYSTEM, message
    if own is None:
        return
    by_process = directory.answering_as(own.sender)
    if by_process is not None and by_process.name != routed.system.name:
        message = f"Its process ID is {own.sender}, that of {by_process.name}, not of {routed.system.name}."
        yield Objection.OTHER_SYSTEM, message
    if _is_another_party(own.addressee, routed.party):
        yield Objection.OTHER_PARTY, f"It is addressed to {own.addressee}, not to {routed.party}."


def _is_another_party(addressee: str, party: PartyId) -> bool:
    """Check whether A is another party's ID; with fewer or more groups it may be the same party's."""
    try:
        PartyId.parse(addressee)
    except InputError:
        return False
    return not party.covers(addressee)


def _code(objection: Objection) -> str:
    return f"release.{objection.value}"


def _refuse_contradicted(known: tuple[tuple[Objection, str], ...], despite: frozenset[Objection]) -> None:
    """
    Refuse a choice unless exactly what is known against it is overridden: a reason opens no door that it does not name.

    Raises:
        InputError: More is known against it, each with its name; or something is overridden that does not contradict.
    """
    named = [(objection, f"{objection.value}: {message}") for objection, message in known if objection not in despite]
    if named:
        names = ", ".join(dict.fromkeys(objection.value for objection, _ in named))
        problems = [Problem(_code(objection), message) for objection, message in named]
        advice = f"Choose again, or release it despite {names}, with a reason."
        problems[-1] = attrs.evolve(problems[-1], message=f"{problems[-1].message} {advice}")
        raise InputError("", tuple(problems))
    against = {objection for objection, _ in known}
    if idle := [objection.value for objection in Objection if objection in despite - against]:
        message = (
            f"despite names {' and '.join(idle)}, but nothing of that is known against this release; leave it out."
        )
        raise InputError("", (Problem("release.despite", message),))


def _refuse_blank(reason: str) -> None:
    """
    Refuse a decision without a reason.

    Raises:
        InputError: *reason* is blank.
    """
    if not reason.strip():
        raise InputError("", (Problem("ledger.reason", "reason is blank; give a reason for the log."),))


# ── rows ─────────────────────────────────────────────────────────────────────


def _in_state(connection: sa.Connection, key: int, *states: QuarantineState) -> sa.Row[Any]:
    """
    Find and lock a message in one of some states.

    Raises:
        UnknownError: No message has this number.
        InputError: It was discarded or released before.
    """
    row = message_row(connection, key, MESSAGE_WITH_OCTETS.with_for_update(of=_quarantine))
    if QuarantineState(row.state) not in states:
        message = f"Message {key} was {row.state} before; htpoort quarantine show {key} prints when and why."
        raise InputError("", (Problem("ledger.not-held", message),))
    return row


def _released_as(connection: sa.Connection, key: int) -> int:
    """
    Find and lock a message that was released; return the number of its reply.

    Raises:
        UnknownError: No message has this number.
        InputError: It is not released.
    """
    state = message_row(connection, key, HELD_MESSAGE.with_for_update(of=_quarantine)).state
    if state != QuarantineState.RELEASED.value:
        message = f"Message {key} is {state}, so there is no release to take back."
        raise InputError("", (Problem("ledger.not-released", message),))
    flush_log(connection)
    released = sa.and_(_events.c.quarantine == key, _events.c.event == LedgerEvent.RELEASED.value)
    query = sa.select(_events.c.reply).where(released).order_by(_events.c.id.desc()).limit(1)
    reply: int = connection.execute(query).scalar_one()
    return reply


def _delivered_before(connection: sa.Connection, key: int) -> list[int]:
    """List the replies that a message was, and that a process got or may have got before the release was taken back."""
    flush_log(connection)
    withdrawn = sa.and_(_events.c.quarantine == key, _events.c.event == LedgerEvent.DELIVERY_WITHDRAWN.value)
    return list(connection.execute(sa.select(_events.c.reply).where(withdrawn).order_by(_events.c.id)).scalars())


def _mark(  # noqa: PLR0913 - one argument for each thing that is written
    connection: sa.Connection, key: int, event: LedgerEvent, *, at: datetime, detail: str, reply: int | None = None
) -> None:
    """Record what a person decided about a message, and as which reply it was released."""
    connection.execute(sa.update(_quarantine).where(_quarantine.c.id == key).values(state=_STATE_AFTER[event].value))
    log(connection, at, event.value, quarantine=key, reply=reply, detail=detail)
