"""
Keep in memory what the notices of a ledger say, and read what was added since.

Never does: write.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, final

import attrs
import sqlalchemy as sa

from htpoort.core.errors import InputError, Problem, UnknownError
from htpoort.core.notices import Availability, KnownNotice, Notice, NoticeName, PlacedWindow, read_own_notice
from htpoort.core.notices.consequences import RecoveryRule, hold_advice, recovery_rule, sent_in
from htpoort.core.notices.notice import Recovery
from htpoort.ledger import _schema
from htpoort.ledger._statement import Statement
from htpoort.ledger.records import NoticeForm, StoredNotice

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_notices: Final = _schema.notices
_orders: Final = _schema.notice_orders
_NO_ORDER: Final = (0, 0)
NEWEST: Final = 10
"""Numbers of notices that an error names."""
_LAST_ORDER: Final = _orders.c.id.desc()
# Both questions in one: a claim asks them each time. The time, because the last order may be of a transaction that was
# undone since, and its number may be another's now.
_SINCE: Final = Statement(
    sa
    .select(
        _notices.c.id,
        _notices.c.digest,
        sa.select(_orders.c.id).order_by(_LAST_ORDER).limit(1).scalar_subquery(),
        sa.select(_orders.c.at).order_by(_LAST_ORDER).limit(1).scalar_subquery(),
    )
    .where(_notices.c.id >= sa.bindparam("first"))
    .order_by(_notices.c.id)
)


@final
@attrs.frozen
class SendingOrder:
    """
    An order to send although a notice says to hold.

    Args:
        notice: The number of the notice; earlier texts of its event do not hold either.
        reason: Why.
        exchange: The number of the only exchange that it is about; None for all that the notice holds.
    """

    notice: int
    reason: str = ""
    exchange: int | None = None

    def __str__(self) -> str:
        return f"by order: notice {self.notice}: {self.reason}"


@final
@attrs.frozen(kw_only=True)
class Knowledge:
    """
    All that the notices of a ledger say, kept until one is added.

    Args:
        stored: The notices, in the order in which they were stored.
        events: For the number of each of them, what it has in common with the other texts of its event.
        availability: What they say.
        obeyed: The same without the notices that a person ordered not to obey.
        names: Which printed names are which systems of the directory.
        orders: The orders to send all that a notice says to hold.
        exemptions: The orders to send a single exchange, by its number.
        digest: The digest of the last notice.
        last_order: The number and the time of the last order.
    """

    stored: tuple[StoredNotice, ...] = ()
    events: Mapping[int, str]
    availability: Availability
    obeyed: Availability
    names: tuple[NoticeName, ...] = ()
    orders: tuple[SendingOrder, ...] = ()
    exemptions: Mapping[int, tuple[SendingOrder, ...]] = attrs.field(factory=dict[int, tuple[SendingOrder, ...]])
    digest: str = ""
    last_order: tuple[int, int] = _NO_ORDER
    _without: dict[frozenset[int], Availability] = attrs.field(
        init=False, factory=dict[frozenset[int], Availability], eq=False
    )

    @property
    def last(self) -> int:
        """The number of the last notice; 0 if there is none."""
        return self.stored[-1].key if self.stored else 0

    @classmethod
    def of(
        cls,
        stored: tuple[StoredNotice, ...],
        names: tuple[NoticeName, ...],
        given: Iterable[SendingOrder] = (),
        *,
        digest: str = "",
        last_order: tuple[int, int] = _NO_ORDER,
    ) -> Knowledge:
        """Combine the notices with the orders not to obey some of them."""
        listed = tuple(given)
        events = _events(stored)
        orders = tuple(order for order in listed if order.exchange is None)
        exemptions: dict[int, tuple[SendingOrder, ...]] = {}
        for order in listed:
            if order.exchange is not None:
                exemptions[order.exchange] = (*exemptions.get(order.exchange, ()), order)
        return cls(
            stored=stored,
            events=events,
            availability=Availability(_known(stored, events), names),
            obeyed=_obeyed(stored, events, names, {order.notice for order in orders}),
            names=names,
            orders=orders,
            exemptions=exemptions,
            digest=digest,
            last_order=last_order,
        )

    def without(self, numbers: Iterable[int]) -> Availability:
        """Decide what would be obeyed if some notices were not either; kept, because a claim may ask each time."""
        more = frozenset(numbers)
        if not more:
            return self.obeyed
        found = self._without.get(more)
        if found is None:
            overruled = {*more, *(order.notice for order in self.orders)}
            found = self._without[more] = _obeyed(self.stored, self.events, self.names, overruled)
        return found

    def obeyed_for(self, exchange: int) -> Availability:
        """Decide what is obeyed for one exchange, by its number."""
        return self.without(order.notice for order in self.exemptions.get(exchange, ()))

    def known(self) -> tuple[KnownNotice, ...]:
        """Give the notices as `Availability` takes them."""
        return _known(self.stored, self.events)

    def windows(self, system: str, *, until: datetime) -> tuple[PlacedWindow, ...]:
        """List all periods until a moment in which notices concern a system."""
        return self.availability.windows(system, start=_EARLIEST, stop=until)

    @functools.cached_property
    def unsure(self) -> frozenset[str]:
        """The events of which the last text was not wholly understood."""
        latest = {self.events[each.key]: each.notice.complete for each in self.stored}
        return frozenset(event for event, complete in latest.items() if not complete)

    def resending_rule(self, system: str, *, sent: datetime, at: datetime) -> RecoveryRule | None:
        """
        Say which notices forbid to send a declaration again that the gateway may have; None if no notice states it.

        Args:
            system: Its system.
            sent: When it may have been sent.
            at: Now.
        """
        windows = self.windows(system, until=at)
        # A notice that leaves the recovery open forbids nothing here: nothing shows that the gateway has it.
        stated = [each for each in windows if each.window.recovery is not Recovery.UNSTATED and sent_in(each, sent)]
        return recovery_rule(stated) if stated else None

    def order_behind(self, system: str, *, at: datetime) -> str:
        """
        Say which order makes a system free that notices would hold; empty if none of them would.

        Args:
            system: The system.
            at: Now.
        """
        advice = hold_advice(self.availability, system, at=at) if self.orders else None
        if advice is None:
            return ""
        of_event = [order for order in self.orders if self.events[order.notice] == advice.notice]
        return str((of_event or self.orders)[-1])

    def find(self, text: str) -> tuple[StoredNotice, ...]:
        """
        Find the texts of an event by a number or a reference.

        Raises:
            UnknownError: No notice has it.
            InputError: Notices of several authorities have it.
        """
        wanted = text.strip().casefold()
        # A number is exact, and a reference of two digits is none.
        found = {self.events[each.key] for each in self.stored if wanted == str(each.key)} or {
            self.events[each.key]
            for each in self.stored
            if wanted in {reference.casefold() for reference in each.notice.references}
        }
        if not found:
            known = tuple(dict.fromkeys(reversed(list(self.events.values()))))
            raise UnknownError("notice", text, "the ledger", known[:NEWEST], max(0, len(known) - NEWEST))
        texts = tuple(each for each in self.stored if self.events[each.key] in found)
        if len(found) > 1 and len({each.notice.authority for each in texts}) > 1:
            first = {self.events[each.key]: each for each in reversed(texts)}
            listed = ", ".join(f"{each.key} ({each.notice.authority})" for each in reversed(first.values()))
            message = (
                f"Several authorities have a notice with the reference {text!r}; give the number of one: {listed}."
            )
            raise InputError("notice", (Problem("ledger.notice-ambiguous", message),))
        return texts

    def of_another_authority(self, number: int) -> str:
        """Say that only another authority has the reference of a notice; empty if that is not so, by its number."""
        same = [each.notice for each in self.stored if self.events[each.key] == self.events.get(number)]
        asked = next((each.notice for each in self.stored if each.key == number), None)
        if asked is None or not asked.references or len(same) > 1:
            return ""
        reference = asked.references[0]
        others = [
            each
            for each in self.stored
            if each.key < number and reference in each.notice.references and each.notice.authority != asked.authority
        ]
        if not others:
            return ""
        authority, own = others[-1].notice.authority, asked.authority
        which = f"of {own}" if own else "of no known authority"
        whose = f"of {authority}" if authority else "of a notice without a known authority"
        advice = f'; if it is about the same, store it with authority = "{authority}"' if authority else ""
        return (
            f"Notice {number} is {which}, but {reference} is a reference {whose} (notice {others[-1].key}), "
            f"so it changes and ends nothing of that{advice}"
        )


def _events(stored: Iterable[StoredNotice]) -> dict[int, str]:
    """
    Give the texts of one event one key: its first reference, or the number of its first text.

    A reference is that of its authority: the event of another authority with the same one has its number as its key.
    """
    listed = tuple(stored)
    authorities = {each.key: each.notice.authority for each in listed}
    for old, new in reversed(_read_again(listed).items()):
        authorities[old] = authorities[new]
    keys: dict[int, str] = {}
    by_reference: dict[tuple[str | None, tuple[str, ...]], str] = {}
    taken: set[str] = set()
    for each in listed:
        if each.replaces in keys:
            keys[each.key] = keys[each.replaces]
            continue
        number, *references = str(each.key), *each.notice.references[:1]
        place = authorities[each.key], each.notice.references[:1]
        if not references or place not in by_reference:
            keys[each.key] = next(key for key in (*references, number, f"notice {number}") if key not in taken)
            taken.add(keys[each.key])
            by_reference[place] = keys[each.key]
        else:
            keys[each.key] = by_reference[place]
    return keys


def _read_again(listed: Sequence[StoredNotice]) -> dict[int, int]:
    """Find the texts that were read again as those of another authority, each with the later reading."""
    texts = {each.key: each.text for each in listed}
    return {
        each.replaces: each.key
        for each in listed
        if each.replaces is not None and texts.get(each.replaces) == each.text
    }


def _obeyed(
    stored: Iterable[StoredNotice],
    events: Mapping[int, str],
    names: Iterable[NoticeName],
    overruled: Iterable[int],
) -> Availability:
    """Decide what holds without some notices and the earlier texts of their events."""
    last: dict[str, int] = {}
    for number in overruled:
        last[events[number]] = max(number, last.get(events[number], 0))
    return Availability(_known((each for each in stored if each.key > last.get(events[each.key], 0)), events), names)


def _known(stored: Iterable[StoredNotice], keys: Mapping[int, str]) -> tuple[KnownNotice, ...]:
    """Give notices as `Availability` takes them, which finds the texts of one event by their first reference."""
    listed = tuple(stored)
    # Read again as a text of another authority: the first reading does not count beside the second.
    read_again = _read_again(listed)
    known: list[KnownNotice] = []
    for each in listed:
        if each.key in read_again:
            continue
        key, notice = keys[each.key], each.notice
        if each.replaces is not None:
            notice = attrs.evolve(notice, references=tuple(dict.fromkeys((key, *notice.references))))
        known.append(KnownNotice(notice=notice, learned=each.learned, key=key))
    return tuple(known)


@final
class NoticeReader:
    """
    Read the notices of a ledger, once for all of its parts.

    Args:
        names: Which printed names are which systems of the directory.
    """

    def __init__(self, names: Iterable[NoticeName] = ()) -> None:
        self.names = tuple(names)
        self._lock = threading.Lock()
        self._read: dict[str, Notice] = {}
        self._nothing = Knowledge.of((), self.names)
        self._knowledge = self._nothing

    def knowledge(self, connection: sa.Connection) -> Knowledge:
        """Read what was added since the last call: one query by the key, which finds nothing new nearly always."""
        with self._lock:
            before = self._knowledge
            rows = _SINCE.rows(connection, {"first": before.last})
            # The last one may be of a transaction that was undone since, and its number may be another's now.
            if before.stored and (not rows or rows[0][:2] != (before.last, before.digest)):
                before = self._nothing
                rows = _SINCE.rows(connection, {"first": 0})
            if rows:
                number, digest, *order = rows[-1]
                last_order = order[0] or 0, order[1] or 0
                if (number, last_order) != (before.last, before.last_order):
                    before = self._read_on(connection, before, digest, last_order)
            self._knowledge = before
            return before

    def remember(self, digest: str, notice: Notice) -> None:
        """Keep what was read in a text that is to be stored, so that it is not read again from the ledger."""
        with self._lock:
            self._read[digest] = notice

    def _read_on(
        self, connection: sa.Connection, before: Knowledge, digest: str, last_order: tuple[int, int]
    ) -> Knowledge:
        query = sa.select(_notices).where(_notices.c.id > before.last).order_by(_notices.c.id)
        new = connection.execute(query).all()
        stored = (*before.stored, *(stored_notice(row, self._read.get(row.digest)) for row in new))
        self._read.clear()
        rows = connection.execute(sa.select(_orders).order_by(_orders.c.id))
        orders = [SendingOrder(row.notice, row.reason, row.exchange) for row in rows]
        return Knowledge.of(stored, self.names, orders, digest=digest, last_order=last_order)


def parse(form: NoticeForm, text: str, authority: str | None, *, name: str = "", now: datetime | None = None) -> Notice:
    """
    Read a text of a form.

    Raises:
        InputError: It is a notice of one's own that has problems.
    """
    if form is NoticeForm.OWN:
        return read_own_notice(text, name=name, now=now)
    # Here, because a ledger without notices must not pay for the rules of the reader.
    from htpoort.core.notices import read_notice  # noqa: PLC0415

    return read_notice(text, authority=authority)


def stored_notice(row: sa.Row[Any], notice: Notice | None = None) -> StoredNotice:
    """Make the record of a row, by reading its text again unless that was just done."""
    text = row.text.decode("utf-8", "surrogatepass")
    form = NoticeForm(row.form)
    if notice is None:
        try:
            notice = parse(form, text, row.authority)
        except InputError as error:
            # A later version may refuse what an earlier one took: it is shown, and has no effect.
            notice = Notice(text=text, problems=error.problems)
    return StoredNotice(
        key=row.id,
        form=form,
        text=text,
        authority=row.authority,
        source=row.source,
        replaces=row.replaces,
        learned=row.learned,
        notice=notice,
    )
