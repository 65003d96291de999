"""
Turn values into plain facts, the same for a person and for `--json`.

A message's content is among them only where the user asked for it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import MAXYEAR, datetime
from typing import TYPE_CHECKING, Any, Final, final

from htpoort import _clock
from htpoort.core.cutover import differences
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import EnvelopeError, HtpoortError, InputError, LedgerError, Problem, SendError, UnknownError
from htpoort.core.exchange import Event, State, decide
from htpoort.core.message import Submission
from htpoort.core.routing import Quarantined, Routed

if TYPE_CHECKING:
    from htpoort.core.cutover import MovePreview, MoveProgress, SwitchOff
    from htpoort.core.payload import Payload
    from htpoort.ledger import (
        Entry,
        Exchange,
        Ledger,
        PausedServer,
        QuarantinedMessage,
        Reply,
        Shadow,
        Story,
    )
    from htpoort.simulator import Declaration, FailedLogin, Pop3Fault, SentReply, SmtpFault, Window

Facts = dict[str, Any]


@final
class Instant(str):  # noqa: FURB189 - json writes no other
    """A moment as ISO 8601 in UTC: so in JSON and CSV, and in local time for a person."""

    __slots__ = ()


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
EXCHANGE: Final = (
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
"""The columns of a list of exchanges."""
REPLY: Final = (
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
    "redeliveries",
    "trouble",
)
"""The columns of a list of replies."""
EXPORTED: Final = ("kind", *dict.fromkeys((*EXCHANGE, *REPLY)))
"""The columns of an export; a field that a kind does not have is empty."""


# ── messages ─────────────────────────────────────────────────────────────────


def problems(values: Iterable[Problem]) -> list[Facts]:
    """List problems."""
    return [
        {"code": problem.code, "message": problem.message, "start": problem.start, "stop": problem.stop}
        for problem in values
    ]


def envelope(parsed: RoutingEnvelope) -> Facts:
    """Describe an envelope."""
    values: Facts = {name: getattr(parsed, name) for name in _ENVELOPE}
    return {**values, "canonical": parsed.render(), "notes": problems(parsed.notes)}


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


def routing(verdict: Routed | Quarantined) -> Facts:
    """Describe where a reply belongs, or why that is not known."""
    if isinstance(verdict, Routed):
        return {
            "result": "routed",
            "system": verdict.system.name,
            "party": str(verdict.party),
            "reference": verdict.reference,
            "correlation": verdict.correlation.value,
            "mailbox": verdict.mailbox,
            "notes": problems(verdict.envelope.notes),
        }
    return {
        "result": "quarantined",
        "reason": verdict.reason.value,
        "mailbox": verdict.mailbox,
        "subject": None if verdict.envelope is None else verdict.envelope.render(),
        "problems": problems(verdict.problems),
    }


# ── errors ───────────────────────────────────────────────────────────────────


def sentence(error: HtpoortError | OSError) -> str:
    """Write what went wrong; an error of the system names the file or the address."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)


_ERRORS: Final[Mapping[type[Exception], str]] = {
    InputError: "input",
    EnvelopeError: "envelope",
    UnknownError: "unknown",
    SendError: "send",
    LedgerError: "ledger",
    OSError: "system",
}
"""The word for each kind of error, as `docs/reference/cli.md` lists them."""


def failure(error: HtpoortError | OSError) -> Facts:
    """Describe an error."""
    retryable = error.retryable if isinstance(error, HtpoortError) else False
    kind = next((word for kind_of, word in _ERRORS.items() if isinstance(error, kind_of)), "other")
    facts: Facts = {"error": kind, "message": sentence(error), "retryable": retryable}
    if isinstance(error, InputError | EnvelopeError):
        facts["problems"] = problems(error.problems)
    if isinstance(error, SendError):
        facts |= {"recipient": error.recipient, "kind": error.kind.value, "code": error.code, "reply": error.reply}
    return facts


# ── the ledger ───────────────────────────────────────────────────────────────


def moment(value: datetime | None) -> Instant | None:
    """Write a moment as ISO 8601, in UTC as the ledger has it."""
    return None if value is None else Instant(value.isoformat(timespec="seconds"))


def read_moment(text: str | None) -> datetime | None:
    """Read what `moment` wrote."""
    return None if text is None else datetime.fromisoformat(text)


def exchange(queued: Exchange) -> Facts:
    """Describe an exchange, without its message."""
    facts: Facts = {name: getattr(queued, name) for name in EXCHANGE}
    times = {name: moment(facts[name]) for name in ("due", "created", "changed")}
    return {**facts, "state": queued.state.value, **times}


def for_person(facts: Facts) -> Facts:
    """Leave out when an exchange is due, unless it waits to be sent: what has been sent is not due."""
    waits = State(facts["state"]).is_waiting
    return facts if waits else {name: value for name, value in facts.items() if name != "due"}


def reply(stored: Reply) -> Facts:
    """Describe a reply, without its content."""
    facts: Facts = {name: getattr(stored, name) for name in REPLY}
    return {**facts, "received": moment(stored.received), "delivered": moment(stored.delivered)}


def payload(carried: Payload) -> Facts:
    """Describe what a message carries, without its content; *octets* is a number."""
    return {
        "parts": [
            {
                "part": number,
                "content_type": part.content_type,
                "charset": part.charset,
                "file_name": part.file_name,
                "ending": part.ending,
                "octets": None if part.octets is None else len(part.octets),
            }
            for number, part in enumerate(carried.parts, 1)
        ],
        "problems": problems(carried.problems),
    }


def held(message: QuarantinedMessage) -> Facts:
    """Describe a message in quarantine, without its content."""
    return {
        "key": message.key,
        "state": message.state.value,
        "received": moment(message.received),
        "reason": message.reason,
        "mailbox": message.mailbox,
        "from": message.from_text,
        "subject": message.subject,
        "subject_text": message.subject_text,
        "copies": message.copies,
        "octets": message.octets,
        "wrong_deliveries": message.wrong_deliveries,
        "problems": [{"message": problem} for problem in message.problems],
    }


def log(entries: Iterable[Entry]) -> list[Facts]:
    """List what happened to a message in quarantine."""
    return [{"at": moment(entry.at), "event": entry.event, "detail": entry.detail} for entry in entries]


def status(ledger: Ledger, paused: Iterable[PausedServer], party: str | None = None) -> Facts:
    """
    Describe the counts of a ledger, its paused servers, and the oldest exchanges that need attention.

    Of one *party*, these are the counts that its attention needs, and nothing of another.
    """
    counts = ledger.status() if party is None else ledger.reports.status(party)
    exchanges: dict[str, dict[str, int]] = {}
    for (system, state), number in sorted(counts.exchanges.items(), key=lambda item: (item[0][0], item[0][1].value)):
        exchanges.setdefault(system, {})[state.value] = number
    return {
        "exchanges": exchanges,
        "oldest_open": {system: moment(at) for system, at in sorted(counts.oldest.items())},
        "undelivered": dict(sorted(counts.undelivered.items())),
        "quarantined": counts.quarantined,
        "asks": [] if party else [_in_short(each) for each in ledger.exchanges.needing_attention(most=_MOST)],
        "paused": [
            {"server": pause.name, "since": moment(pause.since), "next_try": moment(pause.next_try), "why": pause.why}
            for pause in paused
        ],
        "held": [
            {"system": held.system, "since": moment(held.since), "until": moment(held.until), "why": held.why}
            for held in ledger.windows.held(at=_clock.now())
            if party is None or State.HELD.value in exchanges.get(held.system, ())
        ],
        "early": counts.not_sent_replies,
        "early_replies": [_in_short(each) for each in ledger.exchanges.with_not_sent_replies(most=_MOST, party=party)],
    }


def _in_short(queued: Exchange) -> Facts:
    """Name an exchange and its state."""
    return {
        "system": queued.system,
        "party": queued.party,
        "reference": queued.reference,
        "state": queued.state.value,
        "since": moment(queued.changed),
    }


def story(history: Story) -> Facts:
    """Describe an exchange with its timeline and replies, or replies without an exchange."""
    return {
        "exchange": None if history.exchange is None else exchange(history.exchange),
        "timeline": [
            {"at": moment(entry.at), "event": entry.event, "state": entry.state, "detail": entry.detail}
            for entry in history.entries
        ],
        "replies": [reply(each) for each in history.replies],
    }


def resolved(exchanges: Iterable[Exchange], order: Event, refused: Sequence[str] | None) -> Iterator[Facts]:
    """
    Describe what an order does to each of many exchanges.

    Args:
        exchanges: The exchanges before the order.
        order: The event of the order.
        refused: Why it was refused for each, or an empty text; None if it has not been given yet.
    """
    for number, before in enumerate(exchanges):
        decision = decide(before.state, order)
        why = decision.refused if refused is None else refused[number]
        yield {
            "system": before.system,
            "party": before.party,
            "reference": before.reference,
            "state": before.state.value,
            "after": before.state.value if why else decision.state.value,
            "refused": why or None,
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
        for queued, message in ledger.exchanges.messages(*states):
            yield {"kind": "exchange", **exchange(queued), "raw": None if message is None else _base64(message)}
    else:
        for queued in ledger.exchanges.listed(*states):
            yield {"kind": "exchange", **exchange(queued)}
    if states:
        return
    for received in ledger.replies.listed():
        yield {"kind": "reply", **reply(received), **({"raw": _base64(received.raw)} if raw else {})}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# ── a move ───────────────────────────────────────────────────────────────────


def preview(move: MovePreview, at: datetime) -> Facts:
    """Describe what a day changes for a party."""
    oldest = move.at_old_system.oldest
    return {
        "party": str(move.party),
        "kind": move.kind,
        "before": move.before.name,
        "after": move.after.name,
        "open": move.at_old_system.open,
        "oldest": moment(oldest),
        "oldest_days": None if oldest is None else (at - oldest).days,
        "changes": [{"what": change.what, "before": change.before, "after": change.after} for change in move.changes],
        "untested": list(move.untested),
    }


def preview_cells(facts: Facts) -> Facts:
    """Write a line of a preview for a table: what changes and what is untested as texts."""
    changes = "; ".join(f"{change['what']}: {change['before']} -> {change['after']}" for change in facts["changes"])
    return {**facts, "changes": changes, "untested": " ".join(facts["untested"])}


def progress(moved: MoveProgress) -> Facts:
    """Describe how far a party has moved."""
    return {
        "party": str(moved.party),
        "stage": moved.stage.value,
        "now": [{"kind": kind, "system": system.name} for kind, system in moved.now.items()],
        "open": moved.at_old_system.open,
        "oldest": moment(moved.at_old_system.oldest),
        "last_reply": {name: moment(totals.last_reply) for name, totals in moved.totals.items()},
        "waits_for": list(moved.waits_for),
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
    now = "; ".join(use["system"] if use["kind"] is None else f"{use['kind']}: {use['system']}" for use in facts["now"])
    plain = {name: facts[name] for name in ("party", "stage", "open", "oldest")}
    last: Mapping[str, str | None] = facts["last_reply"]
    replies = {f"last reply of {name}": at for name, at in last.items()}
    return {**plain, "now": now, **replies, "waits_for": " ".join(facts["waits_for"])}


def shadow(built: Shadow) -> Facts:
    """Describe how a shadow differs from the message that was queued."""
    exchange = built.exchange
    return {
        "party": exchange.party,
        "reference": exchange.reference,
        "system": exchange.system,
        "shadow_system": built.system,
        "differences": [
            {"what": difference.what, "sent": difference.sent, "shadow": difference.shadow}
            for difference in differences(built.sent, built.raw)
        ],
    }


def shadow_lines(shadows: Iterable[Facts]) -> Iterator[Facts]:
    """Write a line for each difference; one empty line for a shadow without any."""
    for facts in shadows:
        own = {name: value for name, value in facts.items() if name != "differences"}
        for difference in facts["differences"] or [{"what": None, "sent": None, "shadow": None}]:
            yield {**own, **difference}


# ── the simulator ────────────────────────────────────────────────────────────


def _event(event: str, envelope: RoutingEnvelope | None, what: str, *, system: str = "", mailbox: str = "") -> Facts:
    return {
        "event": event,
        "system": system,
        "mailbox": mailbox,
        "reference": "" if envelope is None else envelope.reference,
        "what": what,
    }


def taken(one: Declaration) -> Facts:
    """Describe a declaration that the gateway took."""
    return _event("taken", one.envelope, one.subject, system=one.system.name, mailbox=one.mailbox)


def refused(subject: str, why: str) -> Facts:
    """Describe a message that the gateway refused."""
    return _event("refused", RoutingEnvelope.find(subject), f"{why} Subject: {subject}")


def sent(one: SentReply) -> Facts:
    """Describe a reply that the gateway sent, or gave up."""
    parts = [one.scripted.kind.value, f"by {one.channel}"]
    if one.scripted.fault is not None:
        parts.append(f"with fault {one.scripted.fault}")
    if one.attempts > 1:
        parts.append(f"at try {one.attempts}")
    event, more = ("answered", "") if one.error is None else ("given up", f": {one.error}")
    message = one.message
    what = ", ".join(parts) + more
    return _event(event, message.envelope, what, system=message.system, mailbox=message.rcpt_to)


def smtp_fault(fault: SmtpFault) -> Facts:
    """Describe a fault that the gateway showed over SMTP."""
    return _event("fault", None, f"{fault.action} at {fault.at}")


def pop3_fault(fault: Pop3Fault) -> Facts:
    """Describe a fault that the gateway showed over POP3."""
    return _event("fault", None, f"{fault.action} at {fault.command} of POP3")


def played_window(one: Window) -> Facts:
    """Describe a window that the gateway plays; without an end that is known, it goes on."""
    ends = None if one.ends.year == MAXYEAR else moment(one.ends)
    return {"system": one.system, "behaviour": one.behaviour.value, "begins": moment(one.begins), "ends": ends}


def failed_login(one: FailedLogin) -> Facts:
    """Describe a login with a wrong user name or password."""
    return _event("login", None, f"wrong user name or password by {one.protocol}: {one.username}")
