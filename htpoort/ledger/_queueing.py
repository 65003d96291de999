"""
Put declarations and their shadows into the ledger, recognise one that is queued twice, and find exchanges by K.

Never does: send; no agent takes up a shadow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa

from htpoort import _clock
from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import Event, State
from htpoort.core.files import FileSubmission, octets_of
from htpoort.core.message import Submission, read
from htpoort.core.payload import Payload
from htpoort.core.routing import SentRecord
from htpoort.core.text import ascii_lower
from htpoort.ledger import _schema
from htpoort.ledger._statement import InsertIfNew, Statement, log, store_message
from htpoort.ledger.records import Exchange, Shadow

_exchanges: Final = _schema.exchanges
_shadows: Final = _schema.shadows
_messages: Final = _schema.messages

_PER_STATEMENT: Final = 500
"""Parameters of one statement; SQLite takes 999 everywhere."""

BY_K: Final = sa.select(_exchanges).where(
    _exchanges.c.party_key == sa.bindparam("party_key"), _exchanges.c.reference == sa.bindparam("reference")
)
_INSERT: Final = InsertIfNew(_exchanges)
_MESSAGE: Final = sa.select(_messages.c.raw).where(_messages.c.id == sa.bindparam("key"))
_FOR_UPDATE: Final = Statement(
    BY_K.with_only_columns(
        _exchanges.c.id, _exchanges.c.system, _exchanges.c.state, _exchanges.c.begun
    ).with_for_update()
)


def exchange_of(row: sa.Row[Any]) -> Exchange:
    """Make the record of a row."""
    return Exchange(
        key=row.id,
        system=row.system,
        party=row.party,
        reference=row.reference,
        business_reference=row.business_reference,
        state=State(row.state),
        attempts=row.attempts,
        due=row.due,
        created=row.created,
        changed=row.changed,
        message_id=row.message_id,
        content_begun=row.begun != 0,
    )


@attrs.frozen
class LockedExchange:
    """
    An exchange that no other transaction changes until this one ends.

    Args:
        key: Its number.
        system: The system that its declaration goes to.
        state: Its state.
        begun: The attempts that have ended and whose content may have left, as the column holds them.
    """

    key: int
    system: str
    state: State
    begun: int

    @property
    def content_begun(self) -> bool:
        """Whether content of an attempt that has ended may have left."""
        return self.begun != 0


def select_for_update(connection: sa.Connection, party: str, reference: str) -> LockedExchange | None:
    """Find an exchange by party and K, and lock it."""
    rows = _FOR_UPDATE.rows(connection, {"party_key": party.lower(), "reference": reference})
    if not rows:
        return None
    key, system, state, begun = rows[0]
    return LockedExchange(key, system, State(state), begun)


_SENT: Final = Statement(
    sa.select(_exchanges.c.system, _exchanges.c.party).where(_exchanges.c.reference == sa.bindparam("reference"))
)


def sent_records(connection: sa.Connection, reference: str) -> list[SentRecord]:
    """Find what was queued under a K or a name."""
    rows = _SENT.rows(connection, {"reference": reference})
    return [SentRecord(system=system, party=party, reference=reference) for system, party in rows]


def sent_files(connection: sa.Connection, user: str, names: Iterable[str]) -> list[SentRecord]:
    """Find what a user queued under some file names."""
    columns = _exchanges.c.system, _exchanges.c.party, _exchanges.c.reference
    own = sa.select(*columns).where(_exchanges.c.party_key == user.lower())
    rows = (
        row for some in in_groups(set(names)) for row in connection.execute(own.where(_exchanges.c.reference.in_(some)))
    )
    return [SentRecord(system=row.system, party=row.party, reference=row.reference) for row in rows]


def check_business_reference(text: str | None) -> None:
    """
    Refuse a declarant's own reference that cannot be stored or shown.

    Raises:
        InputError: It is empty, or holds a control character.
    """
    if text is not None and not (text and text.isprintable()):
        message = "business_reference is empty or contains a control character; correct it, or leave it out."
        raise InputError("", (Problem("input.value", message),))


@attrs.frozen
class _Address:
    """
    Which row a declaration has, and where it goes: a message from a mailbox to one, or a file into a folder.

    Args:
        party: V, or the user of the file gateway.
        reference: K, or the name of the file.
        mail_from: The declarant's mailbox; empty for a file.
        rcpt_to: The system's mailbox or folder.
        message_id: The Message-ID; empty for a file.
    """

    party: str
    reference: str
    mail_from: str
    rcpt_to: str
    message_id: str

    @classmethod
    def of(cls, submission: Submission | FileSubmission) -> _Address:
        """Take the address from what is queued."""
        if isinstance(submission, FileSubmission):
            return cls(submission.party, submission.reference, "", submission.folder, "")
        envelope = submission.envelope
        return cls(envelope.sender, envelope.reference, submission.mail_from, submission.rcpt_to, submission.message_id)

    @property
    def key(self) -> dict[str, str]:
        """What no other declaration has, for `BY_K`."""
        return {"party_key": self.party.lower(), "reference": self.reference}


def insert(
    connection: sa.Connection,
    submission: Submission | FileSubmission,
    *,
    at: datetime,
    business_reference: str | None,
    held: bool,
) -> Exchange:
    """
    Insert a declaration, or find the same one.

    Raises:
        InputError: The party has used this K, or the user this name, for another declaration.
    """
    address = _Address.of(submission)
    state = State.HELD if held else State.QUEUED
    values = {
        **attrs.asdict(address),
        **address.key,
        "system": submission.system,
        "business_reference": business_reference,
        "state": state.value,
        "attempts": 0,
        "due": at,
        "owner": None,
        "lease": None,
        "created": at,
        "changed": at,
        "begun": 0,
        "early": False,
    }
    key = _INSERT(connection, values, submission.data)
    if key is None:
        return _find_same(connection, submission, address)
    log(connection, at, Event.QUEUED.value, exchange=key, state=state.value)
    moment = at.astimezone(UTC)
    return Exchange(
        key=key,
        system=submission.system,
        party=address.party,
        reference=address.reference,
        business_reference=business_reference,
        state=state,
        attempts=0,
        due=moment,
        created=moment,
        changed=moment,
        message_id=address.message_id,
        content_begun=False,
    )


def find(connection: sa.Connection, submission: Submission | FileSubmission) -> Exchange | None:
    """
    Find the same declaration, which `insert` would return.

    Raises:
        InputError: The party has used this K, or the user this name, for another declaration.
    """
    address = _Address.of(submission)
    row = connection.execute(BY_K, address.key).first()
    return None if row is None else _find_same(connection, submission, address)


def _find_same(connection: sa.Connection, submission: Submission | FileSubmission, address: _Address) -> Exchange:
    """Return the exchange with this K or name, if it is of the same declaration."""
    row = connection.execute(BY_K, address.key).one()
    # None if the message was pruned.
    stored: bytes | None = connection.execute(_MESSAGE, {"key": row.message}).scalar()
    same_system = row.system == submission.system and row.rcpt_to == address.rcpt_to
    if same_system and stored is not None and _same_declaration(submission, stored):
        return attrs.evolve(exchange_of(row), repeated=True)
    name, place = ("name", "folder") if isinstance(submission, FileSubmission) else ("K", "mailbox")
    if row.system != submission.system:
        advice = f"This one is for {submission.system}: a {name} is used for one system only, so it needs a new {name}."
    elif stored is None:
        advice = (
            f"If this is the same declaration, there is nothing to queue; if it is another one, it needs a new {name}."
        )
    else:
        differs = "declaration" if row.rcpt_to == address.rcpt_to else f"{place} of the system"
        advice = f"The {differs} differs from that one, so nothing was queued; another declaration needs a new {name}."
    message = (
        f"{row.party} queued {row.reference} before, for {row.system} at {_clock.local(row.created)}; "
        f"it is {row.state} now (see htpoort show {row.reference} --party {row.party}). {advice}"
    )
    raise InputError("", (Problem("ledger.reference-used", message),))


def _same_declaration(submission: Submission | FileSubmission, stored: bytes) -> bool:
    """
    Check whether a message carries the same declaration as a stored one: payload, envelope and mailbox.

    A caller that repeats itself builds the message again: Date and Message-ID differ then, and the transfer encoding
    may, with the version of this library. A message that carries several parts, or anything that programs may read
    differently, must be identical. So must a file: its octets are uploaded as they are.
    """
    if stored == submission.data:
        return True
    if isinstance(submission, FileSubmission):
        return octets_of(stored) == submission.octets
    before = read(stored)
    return (
        _same_content(before.payload, read(submission.data).payload)
        and before.envelope == submission.envelope
        and before.mailbox == submission.mail_from.lower()
    )


def _same_content(first: Payload, second: Payload) -> bool:
    """
    Check whether two messages carry the same octets, in the same character set if both declare one.

    One line end at the end does not count: the message may have it where the declaration has none, and it means
    nothing in XML or EDIFACT.
    """
    if first.octets is None or second.octets is None or first.problems or second.problems:
        return False
    charsets = {ascii_lower(charset) for charset in (first.charset, second.charset) if charset is not None}
    return len(charsets) <= 1 and first.octets.removesuffix(b"\r\n") == second.octets.removesuffix(b"\r\n")


# ── shadows ──────────────────────────────────────────────────────────────────

_SHADOW: Final = (
    sa
    .select(_shadows.c.system, _messages.c.raw)
    .join(_messages, _messages.c.id == _shadows.c.message)
    .where(_shadows.c.exchange == sa.bindparam("key"))
)
_sent: Final = _messages.alias()
_ALL: Final = (
    sa
    .select(_exchanges, _sent.c.raw, _shadows.c.system.label("shadow_system"), _messages.c.raw.label("shadow"))
    .join(_shadows, _shadows.c.exchange == _exchanges.c.id)
    .join(_sent, _sent.c.id == _exchanges.c.message)
    .join(_messages, _messages.c.id == _shadows.c.message)
    .order_by(_exchanges.c.id)
)
_OF_PARTIES: Final = _ALL.where(_exchanges.c.party_key.in_(sa.bindparam("parties", expanding=True)))


def check_shadow(submission: Submission | FileSubmission, shadow: Submission) -> None:
    """
    Refuse a shadow that does not belong to a message.

    Raises:
        InputError: It is of another K or party, or for the same system; or there is no message, but a file.
    """
    if isinstance(submission, FileSubmission):
        message = "shadow is given, but a file has no shadow; leave it out."
        raise InputError("", (Problem("ledger.shadow", message),))
    envelope, other = submission.envelope, shadow.envelope
    problems: list[Problem] = []
    if (envelope.sender.lower(), envelope.reference) != (other.sender.lower(), other.reference):
        message = (
            f"shadow is of {other.sender} and {other.reference}, but the message is of {envelope.sender} and "
            f"{envelope.reference}; build both with the same party and reference."
        )
        problems.append(Problem("ledger.shadow", message))
    if submission.system.lower() == shadow.system.lower():
        message = f"shadow is for {shadow.system}, the same system as the message; build it for another system."
        problems.append(Problem("ledger.shadow", message))
    if problems:
        raise InputError("", tuple(problems))


def insert_shadow(connection: sa.Connection, exchange: Exchange, shadow: Submission, *, at: datetime) -> None:
    """
    Insert the shadow of an exchange, unless it has this one.

    Raises:
        InputError: The exchange has another shadow.
    """
    row = connection.execute(_SHADOW, {"key": exchange.key}).first()
    if row is None:
        number = store_message(connection, shadow.data)
        values = {"exchange": exchange.key, "system": shadow.system, "created": at, "message": number}
        connection.execute(sa.insert(_shadows), values)
    elif row.system != shadow.system or not _same_declaration(shadow, row.raw):
        message = f"{exchange.party} queued {exchange.reference} before with another shadow; a K has only one."
        raise InputError("", (Problem("ledger.shadow", message),))


def shadows(connection: sa.Connection, parties: Iterable[str] | None) -> Iterator[Shadow]:
    """List exchanges that have a shadow, oldest first; those of some parties in groups that fit a statement."""
    streaming = connection.execution_options(yield_per=100)
    if parties is None:
        rows: Iterable[sa.Row[Any]] = streaming.execute(_ALL)
    else:
        keys = {party.lower() for party in parties}
        rows = (row for some in in_groups(keys) for row in streaming.execute(_OF_PARTIES, {"parties": some}))
    for row in rows:
        yield Shadow(exchange=exchange_of(row), sent=row.raw, system=row.shadow_system, raw=row.shadow)


def in_groups(texts: set[str]) -> Iterator[list[str]]:
    """Divide a set into sorted groups that fit a statement."""
    ordered = sorted(texts)
    for start in range(0, len(ordered), _PER_STATEMENT):
        yield ordered[start : start + _PER_STATEMENT]
