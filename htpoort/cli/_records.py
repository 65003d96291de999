"""
Turn what the ledger tells into plain facts, the same for a person and for a program.

Never does: print, or tell a message's content where nobody asked for it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from htpoort.cli._facts import Facts
from htpoort.exchange import State

if TYPE_CHECKING:
    from htpoort.ledger import Entry, Exchange, Held, HeldSummary, Ledger, Reply, Story

UNANSWERED: Final = ("system", "party", "reference", "business_reference", "accepted")
"""The columns of the list of unanswered declarations."""

ASKS: Final = ("system", "party", "reference", "state", "since")
"""The columns of the list of exchanges that wait for a person."""
ASKING: Final = (State.UNKNOWN, State.REFUSED, State.FAILED)
"""The states in which they wait for one."""
_NAMED: Final = 20  # of them

_EXCHANGE: Final = (
    "system",
    "party",
    "reference",
    "business_reference",
    "state",
    "attempts",
    "due",
    "created",
    "changed",
    "message_id",
    "content_begun",
)
_REPLY: Final = (
    "key",
    "system",
    "mailbox",
    "process_id",
    "party",
    "reference",
    "correlation",
    "copies",
    "received",
    "delivered",
    "attempts",
    "trouble",
)
EXPORTED: Final = ("kind", *dict.fromkeys((*_EXCHANGE, *_REPLY)))
"""The columns of an export; a field that one of the two kinds lacks is empty there."""


def moment(value: datetime | None) -> str | None:
    """Write a moment as ISO 8601, in UTC as the ledger has it."""
    return None if value is None else value.isoformat(timespec="seconds")


def exchange(found: Exchange) -> Facts:
    """Tell where an exchange stands."""
    facts: Facts = {name: getattr(found, name) for name in _EXCHANGE}
    times = {name: moment(facts[name]) for name in ("due", "created", "changed")}
    return {**facts, "state": found.state.value, **times}


def reply(found: Reply) -> Facts:
    """Tell a reply, without its content."""
    facts: Facts = {name: getattr(found, name) for name in _REPLY}
    return {**facts, "received": moment(found.received), "delivered": moment(found.delivered)}


def held(found: Held | HeldSummary) -> Facts:
    """Describe a message in quarantine, without its content."""
    return {
        "key": found.key,
        "state": found.state.value,
        "received": moment(found.received),
        "reason": found.reason,
        "mailbox": found.mailbox,
        "subject": found.subject,
        "copies": found.copies,
        "octets": found.octets,
        "problems": [{"message": problem} for problem in found.problems],
    }


def log(entries: Iterable[Entry]) -> list[Facts]:
    """List what happened to a message in quarantine."""
    return [{"at": moment(entry.at), "event": entry.event, "detail": entry.detail} for entry in entries]


def status(ledger: Ledger) -> Facts:
    """Tell the counts of a ledger, and the oldest exchanges that wait for a person."""
    found = ledger.status()
    exchanges: dict[str, dict[str, int]] = {}
    for (system, state), number in sorted(found.exchanges.items(), key=lambda item: (item[0][0], item[0][1].value)):
        exchanges.setdefault(system, {})[state.value] = number
    return {
        "exchanges": exchanges,
        "oldest_open": {system: moment(at) for system, at in sorted(found.oldest.items())},
        "undelivered": dict(sorted(found.undelivered.items())),
        "quarantined": found.quarantined,
        "asks": _asks(ledger, [group for group in found.exchanges if group[1] in ASKING]),
        "resting": [
            {"server": one.name, "since": moment(one.since), "next_try": moment(one.next_try), "why": one.why}
            for one in ledger.servers.resting()
        ],
        "early": found.early,
        "early_replies": [_asking(one) for one in ledger.exchanges.with_early_replies(most=_NAMED)],
    }


def _asks(ledger: Ledger, groups: Iterable[tuple[str, State]]) -> list[Facts]:
    """Tell those of some systems and states that were queued first."""
    asking = [one for system, state in groups for one in ledger.exchanges.oldest(system, state, most=_NAMED)]
    asking.sort(key=lambda one: (one.created, one.key))
    return [_asking(one) for one in asking[:_NAMED]]


def _asking(found: Exchange) -> Facts:
    """Name an exchange that needs attention."""
    return {
        "system": found.system,
        "party": found.party,
        "reference": found.reference,
        "state": found.state.value,
        "since": moment(found.changed),
    }


def story(found: Story) -> Facts:
    """Tell the story of an exchange, or of replies that answer none."""
    return {
        "exchange": None if found.exchange is None else exchange(found.exchange),
        "timeline": [
            {"at": moment(entry.at), "event": entry.event, "state": entry.state, "detail": entry.detail}
            for entry in found.entries
        ],
        "replies": [reply(one) for one in found.replies],
    }


def unanswered(
    accepted: Iterable[Exchange], *, before: datetime | None, system: str | None, party: str | None
) -> Iterator[Facts]:
    """
    List what was accepted and has no reply, one by one as they are read.

    Args:
        accepted: The exchanges in that state.
        before: Only what was accepted before this.
        system: Only this one's.
        party: Only this one's, in any case.
    """
    for found in accepted:
        of_both = (system is None or found.system == system) and (party is None or found.party.lower() == party.lower())
        if of_both and (before is None or found.changed < before):
            yield {
                "system": found.system,
                "party": found.party,
                "reference": found.reference,
                "business_reference": found.business_reference,
                # The state's last change is the acceptance, or every later state would be another.
                "accepted": moment(found.changed),
            }


def exported(ledger: Ledger, *states: State, raw: bool) -> Iterator[Facts]:
    """
    Tell every exchange and every reply, one by one as they are read.

    Args:
        ledger: Where they are.
        states: Only exchanges in one of these, and no reply; everything where none is given.
        raw: Whether to tell their messages too, in base64.
    """
    if raw:
        for one, message in ledger.exchanges.messages(*states):
            yield {"kind": "exchange", **exchange(one), "raw": None if message is None else _base64(message)}
    else:
        for one in ledger.exchanges.listed(*states):
            yield {"kind": "exchange", **exchange(one)}
    if states:
        return
    for each in ledger.replies.listed():
        yield {"kind": "reply", **reply(each), **({"raw": _base64(each.raw)} if raw else {})}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
