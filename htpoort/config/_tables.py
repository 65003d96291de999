"""
Read the tables of a configuration file, by cattrs.

Never does: take one type for another, as a text for a number.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar, cast, final

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError

from htpoort.agent import Pop3Inbox, SmtpInbox, Timing
from htpoort.config import _lines
from htpoort.config._document import Document
from htpoort.cutover import reading
from htpoort.cutover.reports import QUIET_DAYS
from htpoort.exchange import RETRY_SCHEDULE
from htpoort.ledger.ledger import RETENTION_DAYS, TRANSACTION_TIMEOUT
from htpoort.transport import Security, SmtpServer
from htpoort.transport.pop3 import Pop3Server

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)

# Where the defaults come from.
_SERVER: Final = SmtpServer(host="localhost")
_SMTP: Final = SmtpInbox(hostname="localhost", mailboxes=("edi@localhost",))
_POP3: Final = Pop3Inbox(server=Pop3Server(host="localhost", username="-", password="-"))  # noqa: S106 - it is none
_TIMING: Final = Timing()

_STAND_IN: Final = "stand-in"


def needed(stand_in: object) -> Any:  # noqa: ANN401 - a field of any type
    """
    Declare a setting that is needed.

    Args:
        stand_in: What stands for it where it is missing or wrong, as tomllib would give it: valid, and held against
            nothing else, so that the rest of the table can be checked too.
    """
    return attrs.field(metadata={_STAND_IN: stand_in})


# ── the tables ───────────────────────────────────────────────────────────────


@attrs.frozen(kw_only=True)
class Tls:
    """Hold what three tables have in common."""

    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = attrs.field(default=None, repr=False)
    key_password_env: str | None = None
    key_password_file: str | None = None


@attrs.frozen(kw_only=True)
class Login(Tls):
    """Hold what two tables have in common."""

    port: int | None = None
    username: str | None = None
    # Refused in any case; that it is a setting keeps what is said about it apart from misspelt ones.
    password: str | None = attrs.field(default=None, repr=False)
    password_env: str | None = None
    password_file: str | None = None


@final
@attrs.frozen(kw_only=True)
class LedgerTable:
    """Hold ``[ledger]``."""

    url: str | None = None
    url_env: str | None = None
    retention_days: int = RETENTION_DAYS
    transaction_timeout: timedelta = TRANSACTION_TIMEOUT


@final
@attrs.frozen(kw_only=True)
class OutboxTable(Login):
    """Hold ``[[outbox]]``."""

    server: str = needed("localhost")
    security: Security = Security.STARTTLS
    connections: int = 4
    per_hour: int | None = None
    systems: tuple[str, ...] = ()
    retry: tuple[timedelta, ...] = RETRY_SCHEDULE
    timeout: timedelta = timedelta(seconds=_SERVER.timeout)
    final_timeout: timedelta = timedelta(seconds=_SERVER.final_timeout)
    local_hostname: str | None = None


@final
@attrs.frozen(kw_only=True)
class SmtpTable(Tls):
    """Hold ``[[smtp]]``."""

    hostname: str = needed("localhost")
    mailboxes: tuple[str, ...] = needed(["edi@forwarder.example"])
    host: str = _SMTP.host
    # Needed here: nobody finds a port again that is another one after each start.
    port: int = needed(0)
    require_tls: bool = _SMTP.require_tls
    networks: tuple[str, ...] = _SMTP.networks
    size_limit: int = _SMTP.size_limit
    connections: int = _SMTP.limits.connections
    connections_per_peer: int = _SMTP.limits.connections_per_peer
    held_limit: int = _SMTP.limits.held_limit
    commands_per_turn: int = _SMTP.limits.commands_per_turn
    mail_from_rewritten_by: tuple[str, ...] = ()


@final
@attrs.frozen(kw_only=True)
class Pop3Table(Login):
    """Hold ``[[pop3]]``."""

    host: str = needed("localhost")
    security: Security = Security.IMPLICIT
    every: timedelta = _POP3.every
    timeout: timedelta = timedelta(seconds=_POP3.server.timeout)
    mail_timeout: timedelta = timedelta(seconds=_POP3.server.mail_timeout)
    session_timeout: timedelta = timedelta(seconds=_POP3.server.session_timeout)
    mail_limit: int = _POP3.server.mail_limit
    listing_limit: int = _POP3.server.listing_limit


@final
@attrs.frozen(kw_only=True)
class DeliveryTable:
    """Hold ``[delivery.SYSTEM]``."""

    maildir: str | None = None
    command: tuple[str, ...] | None = None
    timeout: timedelta | None = None


@final
@attrs.frozen(kw_only=True)
class TimingTable:
    """Hold ``[timing]``."""

    poll: timedelta = _TIMING.poll
    lease: timedelta = _TIMING.lease
    grace: timedelta = _TIMING.grace
    again: timedelta = _TIMING.again
    redeliver: tuple[timedelta, ...] = _TIMING.redeliver
    delivery: timedelta = _TIMING.delivery
    rest: tuple[timedelta, ...] = _TIMING.rest
    rest_login: timedelta = _TIMING.rest_login


@final
@attrs.frozen(kw_only=True)
class CutoverTable:
    """Hold ``[cutover]``."""

    default: str = "AGS"
    leaving: str = "AGS"
    quiet_days: int = QUIET_DAYS
    mode: str = "live"
    shadow_system: str | None = None
    moves: str | None = None
    move: tuple[Any, ...] = ()


@final
@attrs.frozen(kw_only=True)
class MoveTable:
    """Hold ``[[cutover.move]]``."""

    party: str
    system: str
    since: date
    kind: str | None = None
    note: str = ""


# ── reading them ─────────────────────────────────────────────────────────────


@final
@attrs.define(eq=False, str=False, slots=False)
class _Wrong(Exception):  # noqa: N818 - half a sentence on its way to a Problem
    """Say what to give instead."""

    what: str

    def __str__(self) -> str:
        return f"give {self.what}."


_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
# Six digits are 2,700 years: no sum of two moments leaves the calendar.
_DURATION: Final = re.compile("".join(rf"(?:(?P<{name}>\d{{1,6}}){unit})?" for unit, name in _UNITS.items()), re.ASCII)
_TIMES: Final = 'above 0, as "30s", "5m" or "1h30m"'


def _duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    parts = {} if match is None else {name: int(text) for name, text in match.groupdict().items() if text is not None}
    if not any(parts.values()):
        what = f"a time {_TIMES}"
        raise _Wrong(what)
    return timedelta(**parts)


def _day(value: object) -> date:
    # A datetime is a date to Python; on which day it falls depends on the zone.
    found = reading.day(value) if isinstance(value, str) else value
    if not isinstance(found, date) or isinstance(found, datetime):
        what = "a day, as 2026-12-01"
        raise _Wrong(what)
    return found


def _exactly(kind: type[T], what: str) -> Callable[[object, type[T]], T]:
    """Take a value of one type only: True is no number, and no number is a text."""

    def taken(value: object, _: type[T]) -> T:
        if type(value) is not kind:
            raise _Wrong(what)
        return value

    return taken


def _each(value: object, take: Callable[[object], T], items: str) -> tuple[T, ...]:
    """Take an array; tells the place of each item that cannot be taken."""
    if not isinstance(value, list):
        what = f"an array of {items}"
        raise _Wrong(what)
    taken: list[T] = []
    wrong: list[str] = []
    for number, item in enumerate(cast("list[object]", value)):
        try:
            taken.append(take(item))
        except _Wrong:
            wrong.append(str(number))
    if wrong:
        what = f"an array of {items}; item {', '.join(wrong)} (from 0) is none"
        raise _Wrong(what)
    return tuple(taken)


_text: Final = _exactly(str, "a string")


def _one_of(value: object, kind: type[E]) -> E:
    names = {one.value: one for one in kind}
    if not isinstance(value, str) or value not in names:
        what = f"one of {', '.join(names)}"
        raise _Wrong(what)
    return names[value]


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        what = "a moment with its offset from UTC, as 2026-11-02T18:00:00+01:00"
        raise _Wrong(what)
    return value


def _converter() -> Converter:
    made = Converter(forbid_extra_keys=True)
    made.register_structure_hook(str, _text)
    made.register_structure_hook(int, _exactly(int, "a whole number"))
    made.register_structure_hook(bool, _exactly(bool, "true or false"))
    made.register_structure_hook(date, lambda value, _: _day(value))
    made.register_structure_hook(timedelta, lambda value, _: _duration(value))
    made.register_structure_hook(datetime, lambda value, _: _moment(value))
    made.register_structure_hook(enum.Enum, _one_of)
    made.register_structure_hook(enum.StrEnum, _one_of)  # is a str too, whose hook would take it
    made.register_structure_hook_func(
        lambda kind: kind == tuple[Any, ...],
        # What they hold is structured by itself, so that each mistake has its line.
        lambda value, _: _each(value, lambda item: item, "tables"),
    )
    made.register_structure_hook_func(
        lambda kind: kind == tuple[str, ...],
        lambda value, _: _each(value, lambda item: _text(item, str), "strings"),
    )
    made.register_structure_hook_func(
        lambda kind: kind == tuple[timedelta, ...],
        lambda value, _: _each(value, _duration, f"times {_TIMES}"),
    )
    return made


_CONVERTER: Final = _converter()
_SECRETS: Final = frozenset({"password", "key_password"})
"""Settings that there are only to be refused."""


def structured(document: Document, path: _lines.Path, value: object, kind: type[T]) -> T | None:
    """
    Make a table's value; what is wrong goes to the document, and its default or stand-in stands there instead.

    Args:
        document: Where it stands.
        path: Which table it is.
        value: What tomllib made of it.
        kind: One of the classes above.

    Returns:
        The value; None where it is no table, or where a setting is missing or wrong that nothing can stand in for.
    """
    if not isinstance(value, dict):
        document.refusal("toml.type", path, "give a table.")
        return None
    table = cast("dict[str, object]", value)
    try:
        return _CONVERTER.structure(table, kind)
    except ClassValidationError as error:
        wrong = _told(document, path, error, kind)
    right = {key: value for key, value in table.items() if key not in wrong}
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cast("Any", kind))
    instead = {
        field.name: field.metadata[_STAND_IN] for field in fields if field.name in wrong and _STAND_IN in field.metadata
    }
    try:
        return _CONVERTER.structure(right | instead, kind)
    except ClassValidationError:
        return None


def _told(document: Document, path: _lines.Path, error: ClassValidationError, kind: type[Any]) -> set[str]:
    """Keep what cattrs found; gives the keys that it concerns."""
    wrong: set[str] = set()
    noted, others = error.group_exceptions()
    for found, note in noted:
        wrong.add(note.name)
        if isinstance(found, KeyError):
            document.refusal("toml.missing", (*path, note.name), "this setting is needed.")
        else:
            document.refusal("toml.type", (*path, note.name), str(found))
    known = [field.name for field in attrs.fields(kind) if field.name not in _SECRETS]
    for other in others:
        # Beside the notes there is nothing but this one.
        for key in cast("ForbiddenExtraKeysError", other).extra_fields:
            wrong.add(key)
            unknown(document, (*path, key), known)
    return wrong


def unknown(document: Document, path: _lines.Path, known: Iterable[str]) -> None:
    """Keep the problem of a key that there is not."""
    document.refusal("toml.unknown-key", path, f"there is no such setting; known: {', '.join(sorted(known))}.")
