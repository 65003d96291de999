"""
Turn values into plain facts, the same for a person and for `--json`.

A message's content is among them only where the user asked for it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from htpoort.core.cutover import differences
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import EnvelopeError, HtpoortError, InputError, Problem, SendError
from htpoort.core.exchange import State
from htpoort.core.message import Submission
from htpoort.core.routing import Quarantined, Routed

if TYPE_CHECKING:
    from htpoort.core.cutover import MovePreview, MoveProgress, SwitchOff
    from htpoort.ledger import Entry, Exchange, Ledger, QuarantinedMessage, Reply, Shadow, Story

Facts = dict[str, Any]

UNANSWERED: Final = ("system", "party", "reference", "business_reference", "accepted", "state")
"""The columns of the list of unanswered declarations."""
ATTENTION: Final = ("system", "party", "reference", "state", "since")
"""The columns of the list of exchanges that need attention."""
NEED_ATTENTION: Final = tuple(state for state in State if state.needs_attention)
"""The states in which they do."""
PREVIEW: Final = ("party", "kind", "before", "after", "open", "oldest", "oldest_days", "changes", "untested")
"""The columns of a preview of a move."""
SHADOWS: Final = ("party", "reference", "system", "shadow_system", "what", "sent", "shadow")
"""The columns of the differences of shadows."""

_MOST: Final = 20  # exchanges that `status` names

_ENVELOPE: Final = ("sender", "addressee", "reference", "s")
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
"""The columns of an export; a field that a kind does not have is empty."""


# ── messages ─────────────────────────────────────────────────────────────────


def problems(found: Iterable[Problem]) -> list[Facts]:
    """List problems."""
    return [
        {"code": problem.code, "message": problem.message, "start": problem.start, "stop": problem.stop}
        for problem in found
    ]


def envelope(found: RoutingEnvelope) -> Facts:
    """Describe an envelope."""
    values: Facts = {name: getattr(found, name) for name in _ENVELOPE}
    return {**values, "canonical": found.render(), "notes": problems(found.notes)}


def submission(built: Submission) -> Facts:
    """Describe a message that was built; its data is ASCII."""
    return {
        "system": built.system,
        "mail_from": built.mail_from,
        "rcpt_to": built.rcpt_to,
        "subject": built.envelope.render(),
        "message_id": built.message_id,
        "data": built.data.decode("ascii"),
    }


def routing(found: Routed | Quarantined) -> Facts:
    """Describe where a reply belongs, or why that is not known."""
    if isinstance(found, Routed):
        return {
            "result": "routed",
            "system": found.system.name,
            "party": str(found.party),
            "reference": found.reference,
            "correlation": found.correlation.value,
            "mailbox": found.mailbox,
            "notes": problems(found.envelope.notes),
        }
    return {
        "result": "quarantined",
        "reason": found.reason.value,
        "mailbox": found.mailbox,
        "subject": None if found.envelope is None else found.envelope.render(),
        "problems": problems(found.problems),
    }


# ── errors ───────────────────────────────────────────────────────────────────


def sentence(error: HtpoortError | OSError) -> str:
    """Write what went wrong; an error of the system names the file or the address."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)


def failure(error: HtpoortError | OSError) -> Facts:
    """Describe an error."""
    retryable = error.retryable if isinstance(error, HtpoortError) else False
    facts: Facts = {"error": type(error).__name__, "message": sentence(error), "retryable": retryable}
    if isinstance(error, InputError | EnvelopeError):
        facts["problems"] = problems(error.problems)
    if isinstance(error, SendError):
        facts |= {"recipient": error.recipient, "kind": error.kind.value, "code": error.code, "reply": error.reply}
    return facts


# ── the ledger ───────────────────────────────────────────────────────────────


def moment(value: datetime | None) -> str | None:
    """Write a moment as ISO 8601, in UTC as the ledger has it."""
    return None if value is None else value.isoformat(timespec="seconds")


def exchange(found: Exchange) -> Facts:
    """Describe an exchange, without its message."""
    facts: Facts = {name: getattr(found, name) for name in _EXCHANGE}
    times = {name: moment(facts[name]) for name in ("due", "created", "changed")}
    return {**facts, "state": found.state.value, **times}


def reply(found: Reply) -> Facts:
    """Describe a reply, without its content."""
    facts: Facts = {name: getattr(found, name) for name in _REPLY}
    return {**facts, "received": moment(found.received), "delivered": moment(found.delivered)}


def held(found: QuarantinedMessage) -> Facts:
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
    """Describe the counts of a ledger, and the oldest exchanges that need attention."""
    found = ledger.status()
    exchanges: dict[str, dict[str, int]] = {}
    for (system, state), number in sorted(found.exchanges.items(), key=lambda item: (item[0][0], item[0][1].value)):
        exchanges.setdefault(system, {})[state.value] = number
    return {
        "exchanges": exchanges,
        "oldest_open": {system: moment(at) for system, at in sorted(found.oldest.items())},
        "undelivered": dict(sorted(found.undelivered.items())),
        "quarantined": found.quarantined,
        "asks": [_in_short(one) for one in ledger.exchanges.needing_attention(most=_MOST)],
        "resting": [
            {"server": one.name, "since": moment(one.since), "next_try": moment(one.next_try), "why": one.why}
            for one in ledger.servers.resting()
        ],
        "early": found.not_sent_replies,
        "early_replies": [_in_short(one) for one in ledger.exchanges.with_not_sent_replies(most=_MOST)],
    }


def _in_short(found: Exchange) -> Facts:
    """Name an exchange and its state."""
    return {
        "system": found.system,
        "party": found.party,
        "reference": found.reference,
        "state": found.state.value,
        "since": moment(found.changed),
    }


def story(found: Story) -> Facts:
    """Describe an exchange with its timeline and replies, or replies without an exchange."""
    return {
        "exchange": None if found.exchange is None else exchange(found.exchange),
        "timeline": [
            {"at": moment(entry.at), "event": entry.event, "state": entry.state, "detail": entry.detail}
            for entry in found.entries
        ],
        "replies": [reply(one) for one in found.replies],
    }


def unanswered(exchanges: Iterable[Exchange]) -> Iterator[Facts]:
    """Describe unanswered declarations, one by one as they are read."""
    for found in exchanges:
        yield {
            "system": found.system,
            "party": found.party,
            "reference": found.reference,
            "business_reference": found.business_reference,
            # Empty for the state unknown. Otherwise the acceptance was the last change.
            "accepted": moment(found.changed) if found.state is State.ACCEPTED else None,
            "state": found.state.value,
        }


def exported(ledger: Ledger, *states: State, raw: bool) -> Iterator[Facts]:
    """
    List every exchange and every reply, one by one as they are read.

    Args:
        ledger: Where they are.
        states: Only exchanges in one of these, and no replies; everything if none is given.
        raw: Whether to add their messages, in base64.
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


# ── a move ───────────────────────────────────────────────────────────────────


def preview(found: MovePreview, at: datetime) -> Facts:
    """Describe what a day changes for a party."""
    oldest = found.at_old_system.oldest
    return {
        "party": str(found.party),
        "kind": found.kind,
        "before": found.before.name,
        "after": found.after.name,
        "open": found.at_old_system.open,
        "oldest": moment(oldest),
        "oldest_days": None if oldest is None else (at - oldest).days,
        "changes": [{"what": one.what, "before": one.before, "after": one.after} for one in found.changes],
        "untested": list(found.untested),
    }


def preview_cells(facts: Facts) -> Facts:
    """Write a line of a preview for a table: what changes and what is untested as texts."""
    changes = "; ".join(f"{one['what']}: {one['before']} -> {one['after']}" for one in facts["changes"])
    return {**facts, "changes": changes, "untested": " ".join(facts["untested"])}


def progress(found: MoveProgress) -> Facts:
    """Describe how far a party has moved."""
    return {
        "party": str(found.party),
        "stage": found.stage.value,
        "now": [{"kind": kind, "system": system.name} for kind, system in found.now.items()],
        "open": found.at_old_system.open,
        "oldest": moment(found.at_old_system.oldest),
        "last_reply": {name: moment(totals.last_reply) for name, totals in found.totals.items()},
        "waits_for": list(found.waits_for),
    }


def switch_off(decision: SwitchOff) -> Facts:
    """Describe whether the old system may be switched off."""
    return {
        "leaving": decision.system,
        "may_be_switched_off": decision.may_be_switched_off,
        "waits_for": list(decision.waits_for),
    }


def progress_columns(systems: Iterable[str]) -> tuple[str, ...]:
    """Name the columns of a list of parties: one for the last reply of each system."""
    return ("party", "stage", "now", "open", "oldest", *(f"last reply of {name}" for name in systems), "waits_for")


def progress_cells(facts: Facts) -> Facts:
    """Write a line of a list of parties for a table."""
    now = "; ".join(one["system"] if one["kind"] is None else f"{one['kind']}: {one['system']}" for one in facts["now"])
    plain = {name: facts[name] for name in ("party", "stage", "open", "oldest")}
    last: Mapping[str, str | None] = facts["last_reply"]
    replies = {f"last reply of {name}": at for name, at in last.items()}
    return {**plain, "now": now, **replies, "waits_for": " ".join(facts["waits_for"])}


def shadow(found: Shadow) -> Facts:
    """Describe how a shadow differs from the message that was queued."""
    exchange = found.exchange
    return {
        "party": exchange.party,
        "reference": exchange.reference,
        "system": exchange.system,
        "shadow_system": found.system,
        "differences": [
            {"what": one.what, "sent": one.sent, "shadow": one.shadow} for one in differences(found.sent, found.raw)
        ],
    }


def shadow_lines(found: Iterable[Facts]) -> Iterator[Facts]:
    """Write a line for each difference; one empty line for a shadow without any."""
    for facts in found:
        own = {name: value for name, value in facts.items() if name != "differences"}
        for one in facts["differences"] or [{"what": None, "sent": None, "shadow": None}]:
            yield {**own, **one}
