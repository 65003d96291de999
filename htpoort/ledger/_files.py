"""
Find the upload that a fetched file belongs to, and apply what a status file says about it.

Never does: take the absence of a status file for an answer, or a status file for a response.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from htpoort.core.exchange import Event, State, decide
from htpoort.core.files import FileRouter, FileStatus, RoutedFile, UnmatchedFile, correlate_file
from htpoort.core.routing import Quarantined
from htpoort.core.text import one_line
from htpoort.ledger import _attempts, _schema
from htpoort.ledger._queueing import LockedExchange, sent_files
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
        _attempts.apply_event(connection, exchange.key, exchange.state, event, at=at, detail=f"reply {reply}")


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
