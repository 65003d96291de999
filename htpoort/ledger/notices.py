"""
Keep the texts of notices about service windows and disruptions, and what they mean for each system.

Never does: change or delete a text. A later text of an event is added, and says by its reference what it replaces.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from datetime import datetime
from typing import Final, final

import attrs
import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.notices import Availability, KnownNotice, Notice, NoticeName
from htpoort.ledger import _schema
from htpoort.ledger._connection import Connections, LedgerPart, reads, soon, writes
from htpoort.ledger._knowledge import NEWEST, NoticeReader, parse, stored_notice
from htpoort.ledger._statement import log, storable
from htpoort.ledger.records import LedgerEvent, NoticeForm, StoredNotice

__all__ = ["Notices", "check_notice"]

_notices: Final = _schema.notices
_orders: Final = _schema.notice_orders
_ONE_AT_A_TIME: Final = sa.select(sa.func.pg_advisory_xact_lock(_schema.ADVISORY_LOCK, 0))


@final
class Notices(LedgerPart):
    """
    The notices of a ledger; available as ``ledger.notices``.

    The texts are kept as they were read, each with the time at which it was learned, and are read again from there, so
    that a later version may understand more of them.

    Args:
        connections: The ledger's.
        reader: What all parts of the ledger know of the notices.
    """

    def __init__(self, connections: Connections, reader: NoticeReader) -> None:
        super().__init__(connections)
        self._reader = reader

    @property
    def names(self) -> tuple[NoticeName, ...]:
        """Which printed names are which systems of the directory."""
        return self._reader.names

    # ── adding ───────────────────────────────────────────────────────────────

    def add(  # noqa: PLR0913 - the columns
        self,
        text: str,
        *,
        at: datetime,
        form: NoticeForm = NoticeForm.TEXT,
        authority: str | None = None,
        source: str = "",
        replaces: int | None = None,
    ) -> StoredNotice:
        """
        Store a notice, and when it was learned.

        A text that is stored already is not stored again. A text with the reference of a stored one of its authority is
        a later text of the same event, which counts from now on.

        Args:
            text: The published text, or the table of a notice of your own.
            at: Now.
            form: Which of the two it is.
            authority: The key of the authority that published it; None to find that out from the text.
            source: Where it was read, for people: a file or a page.
            replaces: The number of a stored notice that this one is a later text of, if its reference does not say so.

        Returns:
            The notice; with *repeated* set if it was stored before.

        Raises:
            InputError: Nothing was read in the text, or the table has problems, each listed.
            UnknownError: No notice has the number *replaces*.
            LedgerError: The ledger could not be written.
        """
        new = self._new(text, form=form, authority=authority, source=source, replaces=replaces, at=at)
        return self._connections.write(_insert, new, at=at)

    def add_soon(  # noqa: PLR0913 - as above
        self,
        text: str,
        *,
        at: datetime,
        form: NoticeForm = NoticeForm.TEXT,
        authority: str | None = None,
        source: str = "",
        replaces: int | None = None,
    ) -> Future[StoredNotice]:
        """Do what `add` does, and return a future of its result at once; what is wrong with the text is raised."""
        new = self._new(text, form=form, authority=authority, source=source, replaces=replaces, at=at)
        return self._connections.write_soon(_insert, new, at=at)

    def _new(  # noqa: PLR0913 - as above
        self, text: str, *, form: NoticeForm, authority: str | None, source: str, replaces: int | None, at: datetime
    ) -> _NewNotice:
        """Read a text that is to be stored, once for all."""
        new = _read(text, form=form, authority=authority, source=source, replaces=replaces, at=at)
        self._reader.remember(new.digest, new.notice)
        return new

    # ── reading ──────────────────────────────────────────────────────────────

    @reads
    def listed(self, connection: sa.Connection) -> tuple[StoredNotice, ...]:
        """
        List the notices, in the order in which they were stored.

        Returns:
            The notices, read again from their texts.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return self._reader.knowledge(connection).stored

    @reads
    def known(self, connection: sa.Connection) -> tuple[KnownNotice, ...]:
        """
        List the notices as `htpoort.notices.Availability` takes them, each with the time at which it was learned.

        Returns:
            The notices, in the order in which they were stored; texts of one event have the same key.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return self._reader.knowledge(connection).known()

    @reads
    def availability(self, connection: sa.Connection) -> Availability:
        """
        Decide from all stored notices what holds for a system, whatever a person ordered despite them.

        Returns:
            The notices with the names that the ledger was opened with.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return self._reader.knowledge(connection).availability

    @reads
    def obeyed(self, connection: sa.Connection) -> Availability:
        """
        Decide the same as `availability`, without the notices that a person ordered not to obey.

        Returns:
            What an agent goes by.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return self._reader.knowledge(connection).obeyed

    @reads
    def orders(self, connection: sa.Connection) -> dict[str, tuple[datetime, str]]:
        """
        List the orders to send all that a notice says to hold.

        Returns:
            For each event, by its key in `known`, the time and the reason of the last one.

        Raises:
            LedgerError: The ledger could not be read.
        """
        events = self._reader.knowledge(connection).events
        rows = connection.execute(sa.select(_orders).where(_orders.c.exchange.is_(None)).order_by(_orders.c.id))
        return {events[row.notice]: (row.at, row.reason) for row in rows}

    @reads
    def find(self, connection: sa.Connection, text: str) -> tuple[StoredNotice, ...]:
        """
        Find a notice and the other texts of its event.

        Args:
            text: Its number, or one of its references, in any case.

        Returns:
            The texts in the order in which they were stored; the last one stands.

        Raises:
            UnknownError: No notice has this number or reference.
            InputError: Notices of several authorities have this reference; the numbers are named.
            LedgerError: The ledger could not be read.
        """
        return self._reader.knowledge(connection).find(text)

    @reads
    def of_another_authority(self, connection: sa.Connection, key: int) -> str:
        """
        Say that only another authority has the reference of a notice, which changes and ends nothing of it.

        Args:
            key: The number of the notice.

        Returns:
            The sentence, without its full stop; empty if that is not so.

        Raises:
            LedgerError: The ledger could not be read.
        """
        return self._reader.knowledge(connection).of_another_authority(key)

    # ── orders ───────────────────────────────────────────────────────────────

    @writes
    def overrule(self, connection: sa.Connection, key: int, *, reason: str, at: datetime) -> None:
        """
        Send although a notice says to hold, until a later text of its event comes.

        Args:
            key: The number of the notice; earlier texts of its event do not hold either.
            reason: Why, for the log.
            at: Now.

        Raises:
            UnknownError: No notice has this number.
            InputError: *reason* is empty or not printable.
            LedgerError: The ledger could not be written.
        """
        check_reason(reason)
        if all(each.key != key for each in self._reader.knowledge(connection).stored):
            raise UnknownError("notice", str(key), "the ledger")
        insert_order(connection, key, reason=reason, at=at)
        log(connection, at, LedgerEvent.NOTICE_OVERRULED.value, detail=f"notice {key}: {reason}")

    overrule_soon = soon(overrule)


def insert_order(
    connection: sa.Connection, notice: int, *, reason: str, at: datetime, exchange: int | None = None
) -> None:
    """Insert an order to send although a notice says to hold: all that it holds, or one exchange."""
    _one_at_a_time(connection)
    values = {"notice": notice, "at": at, "reason": reason, "exchange": exchange}
    connection.execute(sa.insert(_orders), values)


def _one_at_a_time(connection: sa.Connection) -> None:
    """Make numbers visible in their order, on which every reader relies."""
    if connection.dialect.name == "postgresql":
        connection.execute(_ONE_AT_A_TIME)


def check_reason(reason: str) -> None:
    """
    Refuse a reason that cannot be stored or shown.

    Raises:
        InputError: It is empty, or holds a control character.
    """
    if not reason.strip() or not reason.isprintable():
        message = "reason is blank or contains a control character; give a reason for the log."
        raise InputError("", (Problem("ledger.reason", message),))


# ── reading and storing texts ────────────────────────────────────────────────


@final
@attrs.frozen(kw_only=True)
class _NewNotice:
    """A notice that was read and is not stored yet."""

    form: NoticeForm
    text: bytes
    authority: str | None
    source: str
    replaces: int | None
    notice: Notice

    @property
    def digest(self) -> str:
        """What makes two of them the same."""
        parts = (self.form.value.encode(), (self.authority or "").encode(), self.text)
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


def check_notice(text: str, *, form: NoticeForm, at: datetime, source: str = "") -> None:
    """
    Check whether a text would be stored.

    Args:
        text: The text.
        form: How it is written.
        at: Now; a text of your own that is to be published later is refused.
        source: The file that it comes from, for problems.

    Raises:
        InputError: Nothing was read in it, or it has problems that keep it from being stored.
    """
    _read(text, form=form, authority=None, source=source, replaces=None, at=at)


def _read(  # noqa: PLR0913 - the columns
    text: str, *, form: NoticeForm, authority: str | None, source: str, replaces: int | None, at: datetime
) -> _NewNotice:
    """
    Read a text that is to be stored.

    Raises:
        InputError: Nothing was read in it, or it has problems that keep it from being stored.
    """
    notice = parse(form, text, authority, name=source, now=at)
    if not notice.revisions:
        why = " ".join(problem.message for problem in notice.problems)
        message = f"No notice was read in this text, so it is not stored. {why}".rstrip()
        raise InputError("", (Problem("ledger.no-notice", message),))
    octets = text.encode("utf-8", "surrogatepass")
    return _NewNotice(form=form, text=octets, authority=authority, source=source, replaces=replaces, notice=notice)


def _insert(connection: sa.Connection, new: _NewNotice, *, at: datetime) -> StoredNotice:
    """
    Insert a notice, or find the same one.

    Raises:
        UnknownError: There is no notice that it is to replace.
    """
    _one_at_a_time(connection)
    same = connection.execute(sa.select(_notices).where(_notices.c.digest == new.digest)).first()
    if same is not None:
        return attrs.evolve(stored_notice(same, new.notice), repeated=True)
    values: dict[str, object] = {
        "digest": new.digest,
        "form": new.form.value,
        "text": new.text,
        "authority": new.authority,
        "source": storable(new.source),
        "replaces": _replaced(connection, new),
        "learned": at,
    }
    key = connection.execute(sa.insert(_notices).returning(_notices.c.id), values).scalar_one()
    log(connection, at, LedgerEvent.NOTICE_LEARNED.value, detail=f"notice {key}")
    return stored_notice(connection.execute(sa.select(_notices).where(_notices.c.id == key)).one(), new.notice)


def _replaced(connection: sa.Connection, new: _NewNotice) -> int | None:
    """
    Find the notice that a new one is a later text of, as far as its reference does not say so.

    Raises:
        UnknownError: There is no notice of the number that a person gave.
    """
    if new.replaces is None:
        # The same text read as one of another authority takes the place of the first reading.
        query = sa.select(_notices.c.id).where(_notices.c.form == new.form.value, _notices.c.text == new.text)
        found: int | None = connection.execute(query.order_by(_notices.c.id.desc()).limit(1)).scalar()
        return found
    if connection.execute(sa.select(_notices.c.id).where(_notices.c.id == new.replaces)).first() is None:
        newest = connection.execute(sa.select(_notices.c.id).order_by(_notices.c.id.desc()).limit(NEWEST)).scalars()
        raise UnknownError("notice", str(new.replaces), "the ledger", tuple(map(str, newest)))
    return new.replaces
