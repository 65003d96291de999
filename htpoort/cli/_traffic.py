"""
Tell what happens in the simulator, as it happens.

Never does: show what a message holds beyond its envelope.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Self, TypeVar, final

from htpoort import _clock
from htpoort.cli import _show
from htpoort.cli._facts import Facts
from htpoort.envelope import RoutingEnvelope
from htpoort.simulator import Declaration, Gateway, Pop3Fault, Sent, SmtpFault

T = TypeVar("T")

_COLUMNS: Final = {"at": 8, "event": 9, "system": 6, "mailbox": 24, "reference": 14, "what": 0}
"""Facts of an event, and how many characters a line gives to each."""


@final
class Traffic:
    """
    Show what is new: rows of a table in a terminal, lines elsewhere, JSON lines for a program.

    Args:
        gateway: What is looked at.
        as_json: Whether a program reads it.
    """

    def __init__(self, gateway: Gateway, *, as_json: bool) -> None:
        self._gateway = gateway
        self._as_json = as_json
        self._seen: dict[str, int] = dict.fromkeys(("received", "refused", "sent", "shown", "pop3_shown"), 0)
        self._feed = _show.Feed("Traffic", _COLUMNS)

    def __enter__(self) -> Self:
        if not self._as_json:
            self._feed.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._as_json:
            self._feed.close()

    def tell(self) -> None:
        """Show what has happened since the last time, in its order."""
        for at, facts in sorted(self._news(), key=operator.itemgetter(0)):
            if self._as_json:
                _show.json_line({"at": at.isoformat(timespec="milliseconds"), **facts}, at_once=True)
            else:
                shown = {"at": f"{at.astimezone():%H:%M:%S}", **facts}
                self._feed.add([shown[column] for column in _COLUMNS])

    def _news(self) -> list[tuple[datetime, Facts]]:
        now = _clock.now()
        found = [(one.at, _taken(one)) for one in self._new("received", self._gateway.received)]
        found += [(now, _refused(*one)) for one in self._new("refused", self._gateway.refused)]
        found += [(one.at, _sent(one)) for one in self._new("sent", self._gateway.sent)]
        found += [(at, _fault(fault)) for at, fault in self._new("shown", self._gateway.shown)]
        found += [(at, _pop3_fault(fault)) for at, fault in self._new("pop3_shown", self._gateway.pop3_shown)]
        return found

    def _new(self, name: str, values: Sequence[T]) -> Sequence[T]:
        fresh = values[self._seen[name] :]
        self._seen[name] += len(fresh)
        return fresh


def _facts(event: str, envelope: RoutingEnvelope | None, what: str, *, system: str = "", mailbox: str = "") -> Facts:
    return {
        "event": event,
        "system": system,
        "mailbox": mailbox,
        "reference": "" if envelope is None else envelope.reference,
        "what": what,
    }


def _taken(one: Declaration) -> Facts:
    return _facts("taken", one.envelope, one.subject, system=one.system.name, mailbox=one.mailbox)


def _refused(subject: str, why: str) -> Facts:
    return _facts("refused", RoutingEnvelope.find(subject), f"{why} Subject: {subject}")


def _sent(one: Sent) -> Facts:
    parts = [one.answer.kind.value, f"by {one.way}"]
    if one.answer.fault is not None:
        parts.append(f"with fault {one.answer.fault}")
    if one.attempts > 1:
        parts.append(f"at try {one.attempts}")
    event, more = ("answered", "") if one.error is None else ("given up", f": {one.error}")
    message = one.message
    what = ", ".join(parts) + more
    return _facts(event, message.envelope, what, system=message.system, mailbox=message.rcpt_to)


def _fault(fault: SmtpFault) -> Facts:
    return _facts("fault", None, f"{fault.action} at {fault.at}")


def _pop3_fault(fault: Pop3Fault) -> Facts:
    return _facts("fault", None, f"{fault.action} at {fault.command} of POP3")
