"""
Find the upload that a fetched file belongs to, and apply what a status file says about it.

Never does: take the absence of a status file for an answer, or a status file for a response.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import Event, State, decide
from htpoort.core.files import (
    FileName,
    FileRouter,
    FileService,
    FileStatus,
    GatewayUser,
    RoutedFile,
    StatusFile,
    UnmatchedFile,
    correlate_file,
    name_of,
    octets_of,
    read_report,
)
from htpoort.core.routing import Correlation, Objection, Quarantined, SentRecord
from htpoort.core.text import ascii_lower, one_line
from htpoort.ledger import _attempts, _schema
from htpoort.ledger._queueing import LockedExchange, sent_files, sent_records
from htpoort.ledger._statement import flush_log, log
from htpoort.ledger.records import LedgerEvent

_exchanges: Final = _schema.exchanges
_events: Final = _schema.events

_TRAIL: Final = {
    FileStatus.ERROR: LedgerEvent.ERROR_REPORTED,
    FileStatus.HANDED_OVER: LedgerEvent.HANDED_OVER,
    FileStatus.TAKEN: LedgerEvent.TAKEN,
    FileStatus.ANSWERED: LedgerEvent.RESPONSE_ANNOUNCED,
}
_ANNOUNCED_FOR: Final = timedelta(days=60)
"""How long a status file may come before the response that it announces; a gateway keeps both for 30 days."""


def route_file(connection: sa.Connection, router: FileRouter, raw: bytes, *, at: datetime) -> RoutedFile | Quarantined:
    """
    Find the upload that a fetched file belongs to.

    Raises:
        InputError: *raw* is not what `entity` wrote.
    """
    found, user = router.route_file(raw), str(router.user)
    announced: tuple[str, ...] = ()
    if isinstance(found, UnmatchedFile):
        announced = _announcing(connection, user, found.file_name, at=at)
    return correlate_file(found, sent_files(connection, user, (*found.references, *announced)), announced=announced)


def _announcing(connection: sa.Connection, user: str, response: str, *, at: datetime) -> tuple[str, ...]:
    """Find the uploads whose status files announce a response."""
    flush_log(connection)
    uploads = sa.select(_exchanges.c.reference).join(_events, _events.c.exchange == _exchanges.c.id)
    announced = uploads.where(
        _events.c.event == LedgerEvent.RESPONSE_ANNOUNCED.value,
        _events.c.at > at - _ANNOUNCED_FOR,
        _events.c.detail.endswith(_announcement(response), autoescape=True),
        _exchanges.c.party_key == user.lower(),
    )
    return tuple(connection.execute(announced).scalars())


def _announcement(response: str) -> str:
    """Return how the detail of a status file ends that announces a response."""
    return f": {response}"


def chosen_file(raw: bytes, service: FileService, user: GatewayUser, reference: str) -> RoutedFile:
    """
    Make the routing of a file that a person gives to an upload; a status file stays one.

    Raises:
        InputError: *raw* is no file of a gateway, or *reference* is no file name.
    """
    try:
        name, octets = name_of(raw), octets_of(raw)
    except InputError:
        message = f"service is {service.name}, but this is a message and no file of a gateway; give its system."
        raise InputError("", (Problem("release.file", message),)) from None
    upload, status = str(FileName.parse(reference)), StatusFile.parse(name, [service])
    return RoutedFile(
        system=service,
        party=user,
        reference=upload,
        correlation=Correlation.NOT_CHECKED,
        file_name=name,
        status=None if status is None else status.status,
        report=None if status is None else read_report(octets),
        body_start=len(raw) - len(octets),
        raw=raw,
    )


def against_file(connection: sa.Connection, routed: RoutedFile, folder: str | None) -> Iterator[tuple[Objection, str]]:
    """List what is known and contradicts what a person chose for a file, in sentences."""
    own, others = _uploads(connection, routed)
    if own and own[0].system != routed.system.name:
        message = f"{routed.reference} was uploaded to {own[0].system}, not to {routed.system.name}."
        yield Objection.OTHER_SYSTEM, message
    elif others and not own:
        # Another user's name stays out, as for messages.
        yield Objection.OTHER_PARTY, f"{routed.reference} was uploaded by another user than {routed.party}."
    named = StatusFile.parse(routed.file_name, [routed.system])
    if named is not None and str(named.name) != routed.reference:
        message = f"{routed.file_name} is the status file of {named.name}, not of {routed.reference}."
        yield Objection.OTHER_UPLOAD, message
    if folder is not None and folder != routed.mailbox:
        yield Objection.OTHER_PARTY, f"It was fetched from {folder}, which is not the folder of {routed.party}."


def correlation_of(connection: sa.Connection, routed: RoutedFile) -> Correlation:
    """Say whether the user uploaded a file of this name to this service."""
    own, _ = _uploads(connection, routed)
    known = any(upload.system == routed.system.name for upload in own)
    return Correlation.MATCHED if known else Correlation.UNKNOWN_REFERENCE


def _uploads(connection: sa.Connection, routed: RoutedFile) -> tuple[list[SentRecord], list[SentRecord]]:
    """Find what was uploaded under a name: by the user, and by others."""
    user = ascii_lower(str(routed.party))
    uploads = sent_records(connection, routed.reference)
    own = [upload for upload in uploads if ascii_lower(upload.party) == user]
    return own, [upload for upload in uploads if upload not in own]


def apply_file(
    connection: sa.Connection, exchange: LockedExchange, routed: RoutedFile, reply: int, *, at: datetime
) -> None:
    """
    Apply a fetched file to the exchange of its upload.

    A status file shows that the gateway has the file if content of an attempt may have left, as a reply does. During
    an attempt, the end of that attempt decides. The response alone is an answer, whatever a status file announces.
    """
    status, detail = routed.status, f"reply {reply}"
    if status is None or (not exchange.content_begun and exchange.state is not State.SENDING):
        _attempts.apply_reply(connection, exchange, reply, at=at)
        return
    if said := _said(routed):
        detail += _announcement(said)
    log(connection, at, _TRAIL[status].value, exchange=exchange.key, reply=reply, detail=detail)
    if exchange.state is State.SENDING:
        _attempts.let_attempt_decide(connection, exchange)
        return
    event = Event.ACCEPTED
    if status is FileStatus.ERROR:
        event = _attempts.event_of_error(detail, _attempts.AttemptSet(exchange.begun))
    # That the gateway has it is mostly known.
    if event is not Event.ACCEPTED or not decide(exchange.state, event).ignored:
        _attempts.apply_event(connection, exchange.key, exchange.state, event, at=at, detail=detail)


def _said(routed: RoutedFile) -> str:
    """Return what the content of a status file adds to its name: the response that it announces, or the error."""
    report = routed.report
    if report is None:
        return ""
    if routed.status is FileStatus.ANSWERED:
        return report.response
    if routed.status is not FileStatus.ERROR:
        return ""
    return one_line(" ".join(part for part in (report.error_code, report.error_message) if part))
