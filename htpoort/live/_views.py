"""
Turn what a gateway keeps into the facts that the templates show.

Never does: interpret what a message claims about itself further than needed to show it as text.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import starmap
from typing import Any, Final

from htpoort.core.directory import Directory
from htpoort.core.message import header_texts, read
from htpoort.core.payload import Part
from htpoort.core.text import one_line
from htpoort.simulator import (
    Behaviour,
    Declaration,
    Dialogue,
    FailedLogin,
    Gateway,
    JournalEntry,
    PlannedReply,
    Pop3Fault,
    RefusedMessage,
    SentReply,
    SimulatedClock,
    SmtpFault,
    TimePassed,
    Window,
)

__all__ = [
    "dialogue_facts",
    "gateway_facts",
    "message_facts",
    "parts_of",
    "payload_facts",
    "raw_of",
    "row",
    "session_row",
]

Facts = dict[str, Any]

_LONGEST: Final = 100_000  # characters of a payload that are shown; the download has all of it
_SESSIONS: Final = 20  # sessions on the first page
_CHARSETS: Final = frozenset((
    *("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1"),
    *("iso-8859-15", "windows-1252", "utf-16"),
))
"""Those that are used for text here; a peer must not choose among all of Python's, some of which are slow."""
_TEXT: Final = frozenset("\t\r\n\f")


_BEHAVIOURS: Final = {
    Behaviour.REJECT: "declarations are refused",
    Behaviour.LOSE: "declarations are accepted, and never answered",
    Behaviour.QUEUE: "declarations are accepted, and answered when it ends",
    Behaviour.DELAY: "declarations are accepted, and answered later",
}


# ── the list of what happened ──


def row(entry: JournalEntry) -> Facts:
    """Describe an entry in one row of the list."""
    facts: Facts = {"number": entry.number, "at": entry.at, "dialogue": entry.dialogue, "flag": ""}
    what = entry.what
    if isinstance(what, Declaration):
        facts |= {"kind": "declaration", "label": "Declaration", "title": what.envelope.reference}
        facts |= {"text": f"{what.system.name} from {what.mailbox}", "message": True}
    elif isinstance(what, RefusedMessage):
        facts |= {"kind": "refused", "label": "Refused", "title": _subject(what.raw), "text": what.reason}
        facts |= {"message": True}
    elif isinstance(what, SentReply):
        facts |= _reply_row(what)
    elif isinstance(what, SmtpFault | Pop3Fault):
        protocol = "SMTP" if isinstance(what, SmtpFault) else "POP3"
        facts |= {"kind": "fault", "label": "Fault", "title": f"{what.action} at {what.place}", "message": False}
        facts |= {"text": f"by {protocol}, as the scenario orders"}
    elif isinstance(what, FailedLogin):
        facts |= {"kind": "login", "label": "Failed login", "title": one_line(what.username[:200]) or "(no name)"}
        facts |= {"text": f"by {what.protocol}", "message": False}
    else:
        facts |= _time_row(what, entry.at)
    return facts


def _reply_row(what: SentReply) -> Facts:
    undelivered = what.error is not None
    way = "pushed to" if what.channel == "push" else "to the POP3 mailbox of"
    return {
        "kind": "undelivered" if undelivered else "reply",
        "label": "Undelivered" if undelivered else "Reply",
        "title": what.declaration.envelope.reference,
        "text": f"{what.scripted.kind} of {what.declaration.system.name}, {way} {what.message.rcpt_to}",
        "flag": "" if what.scripted.fault is None else f"fault: {what.scripted.fault}",
        "message": True,
    }


def _time_row(what: TimePassed, now: datetime) -> Facts:
    return {
        "kind": "time",
        "label": "Clock",
        "title": f"moved ahead by {span(now - what.since)}",
        "text": "replies that were due meanwhile were sent",
        "message": False,
    }


def span(length: timedelta) -> str:
    """
    Write a length of time as a person would.

    >>> span(timedelta(days=3, seconds=-7)), span(timedelta(minutes=90)), span(timedelta(seconds=-1))
    ('3 days', '1 hour 30 minutes', '0 seconds')

    Args:
        length: The length.

    Returns:
        Its two largest units, rounded: what was planned for three days is not "2 days 23 hours" a second later.
    """
    seconds = max(length.total_seconds(), 0)
    smallest = next((small for large, small in ((86_400, 3_600), (3_600, 60)) if seconds >= large - small / 2), 1)
    left = int(seconds / smallest + 0.5) * smallest
    words: list[str] = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}{'' if count == 1 else 's'}")
        if len(words) == 2 or (words and not count):  # noqa: PLR2004 - two units are enough for a person
            break
    return " ".join(words) or "0 seconds"


def session_row(dialogue: Dialogue) -> Facts:
    """Describe a session in one row."""
    last = next((line.text for line in reversed(dialogue.lines) if line.speaker == "gateway"), "")
    count = dialogue.left_out + len(dialogue.lines)
    return {
        "number": dialogue.number,
        "protocol": dialogue.protocol,
        "began": dialogue.began,
        "is_open": dialogue.ended is None,
        "text": last,
        "lines": count,
    }


def dialogue_facts(dialogue: Dialogue, gateway: Gateway) -> Facts:
    """Describe a session with its lines, and what happened in it."""
    return {
        **session_row(dialogue),
        "peer": dialogue.peer,
        "ended": dialogue.ended,
        "said": dialogue.lines,
        "left_out": dialogue.left_out,
        "entries": [row(entry) for entry in reversed(gateway.journal.entries) if entry.dialogue == dialogue.number],
    }


# ── the gateway ──


def gateway_facts(gateway: Gateway) -> Facts:
    """Describe the gateway as it is now."""
    now = gateway.clock()
    journal = gateway.journal
    ports = {
        "SMTP": gateway.smtp_port,
        "SMTP, implicit TLS": gateway.smtps_port,
        "POP3": gateway.pop3_port,
        "POP3, implicit TLS": gateway.pop3s_port,
    }
    return {
        "now": now,
        "movable": isinstance(gateway.clock, SimulatedClock),
        "runs": not isinstance(gateway.clock, SimulatedClock) or gateway.clock.runs,
        "version": journal.version,
        "limits": journal.limits,
        "traffic": [row(entry) for entry in reversed(journal.entries)],
        "dropped": journal.entries[0].number - 1 if journal.entries else 0,
        "listed": _SESSIONS,
        "sessions": [session_row(dialogue) for dialogue in journal.dialogues[: -_SESSIONS - 1 : -1]],
        "planned": [planned_facts(planned, now) for planned in gateway.planned],
        "windows": [_window_facts(window, now) for window in gateway.windows],
        "left_out": gateway.played.left_out,
        "ports": {name: port for name, port in ports.items() if port is not None},
        "systems": _systems(gateway.directory),
        "declarants": [_declarant_facts(gateway, one.mailbox) for one in gateway.declarants],
    }


def _systems(directory: Directory) -> list[Facts]:
    return [{"name": one.name, "mailbox": one.mailbox, "process_id": one.process_id} for one in directory]


def planned_facts(planned: PlannedReply, now: datetime) -> Facts:
    """Describe a reply that is still to come."""
    return {
        "number": planned.number,
        "kind": planned.scripted.kind,
        "fault": planned.scripted.fault,
        "reference": planned.declaration.envelope.reference,
        "system": planned.declaration.system.name,
        "due": planned.due,
        "wait": span(planned.due - now),
        "attempts": planned.attempts,
    }


def _window_facts(window: Window, now: datetime) -> Facts:
    state = "now" if window.covers(now) else "later" if now < window.begins else "over"
    return {
        "system": window.system,
        "behaviour": window.behaviour,
        "what": _BEHAVIOURS[window.behaviour],
        "begins": None if window.begins.year < 1971 else window.begins,  # noqa: PLR2004 - of a notice without a start
        "ends": None if window.ends.year >= 9999 else window.ends,  # noqa: PLR2004 - of a notice without an end
        "state": state,
    }


def _declarant_facts(gateway: Gateway, mailbox: str) -> Facts:
    one = next(each for each in gateway.declarants if each.mailbox == mailbox)
    facts: Facts = {"mailbox": mailbox, "server": None, "waiting": None, "fetched": None}
    if one.server is not None:
        facts["server"] = f"{one.server.host}:{one.server.port}"
    if one.password is not None:
        box = gateway.mailbox(mailbox)
        facts |= {"waiting": len(box.messages), "fetched": len(box.fetched)}
    return facts


# ── one message ──


def raw_of(entry: JournalEntry) -> bytes | None:
    """Return the octets of the message that an entry is about; None if it is about none."""
    what = entry.what
    if isinstance(what, SentReply):
        return what.message.data
    return what.raw if isinstance(what, Declaration | RefusedMessage) else None


def parts_of(entry: JournalEntry) -> tuple[Part, ...]:
    """Return what the message of an entry carries."""
    raw = raw_of(entry)
    return () if raw is None else read(raw).payload.parts


def message_facts(entry: JournalEntry, gateway: Gateway) -> Facts:
    """Describe the message of an entry, but for what it carries."""
    raw, what, now = raw_of(entry) or b"", entry.what, gateway.clock()
    received = read(raw)
    declaration = what.declaration if isinstance(what, SentReply) else what if isinstance(what, Declaration) else None
    family = [
        row(other)
        for other in gateway.journal.entries
        if other.number != entry.number and declaration is not None and _is_about(other, declaration)
    ]
    envelope = received.envelope
    return {
        **row(entry),
        "details": _details(entry),
        "envelope": None
        if envelope is None
        else [
            ("V", "from", envelope.sender),
            ("A", "to", envelope.addressee),
            ("K", "reference", envelope.reference),
            ("S", "unknown", envelope.s),
        ],
        "subject": _subject(raw),
        "notes": [note.message for note in (envelope.notes if envelope is not None else ())],
        "problems": [problem.message for problem in received.problems],
        "headers": raw[: received.body_start].decode("utf-8", "replace").rstrip(),
        "size": len(raw),
        "family": family,
        "planned": [
            planned_facts(planned, now)
            for planned in gateway.planned
            if isinstance(what, Declaration) and planned.declaration is what
        ],
    }


def payload_facts(raw: bytes) -> Facts:
    """Describe what a message carries, decoded."""
    payload = read(raw).payload
    of_parts = [problem for part in payload.parts for problem in part.problems]
    return {
        "parts": list(starmap(_part_facts, enumerate(payload.parts))),
        "payload_problems": [problem.message for problem in payload.problems if problem not in of_parts],
    }


def _is_about(entry: JournalEntry, declaration: Declaration) -> bool:
    what = entry.what
    return what is declaration or (isinstance(what, SentReply) and what.declaration is declaration)


def _subject(raw: bytes) -> str:
    return one_line(header_texts(raw, "Subject")[0][:400]) or "(no Subject)"


def _details(entry: JournalEntry) -> list[tuple[str, str]]:
    """List what is known of a message beside its octets."""
    what = entry.what
    if isinstance(what, Declaration):
        return [("System", what.system.name), ("MAIL FROM", what.mailbox), ("RCPT TO", what.system.mailbox)]
    if isinstance(what, RefusedMessage):
        return [("Refused because", what.reason), ("MAIL FROM", what.mail_from or "<>"), ("RCPT TO", what.rcpt_to)]
    if not isinstance(what, SentReply):
        return []
    details = [
        ("System", what.message.system),
        ("Kind", str(what.scripted.kind)),
        ("MAIL FROM", what.message.mail_from or "<>"),
        ("RCPT TO", what.message.rcpt_to),
        (
            "Sent by",
            "SMTP, to the declarant's server" if what.channel == "push" else "POP3, in the declarant's mailbox",
        ),
    ]
    if what.scripted.fault is not None:
        details.append(("Fault of the scenario", str(what.scripted.fault)))
    if what.attempts > 1:
        details.append(("Attempts", str(what.attempts)))
    if what.error is not None:
        details.append(("Given up because", one_line(str(what.error)[:400])))
    return details


def _part_facts(number: int, part: Part) -> Facts:
    """Describe one part, as text if it is text."""
    text = None if part.octets is None else as_text(part.octets, part.charset)
    return {
        "number": number,
        "content_type": part.content_type,
        "charset": part.charset,
        "file_name": part.file_name,
        "ending": part.ending,
        "size": None if part.octets is None else len(part.octets),
        "text": None if text is None else text[:_LONGEST],
        "is_cut": text is not None and len(text) > _LONGEST,
        "problems": [problem.message for problem in part.problems],
    }


def as_text(octets: bytes, charset: str | None) -> str | None:
    r"""
    Decode what is text.

    >>> as_text("é".encode(), None), as_text(b"\xe9", "iso-8859-1"), as_text(b"\x00\x01", None)
    ('é', 'é', None)

    Args:
        octets: The octets of a part.
        charset: The character set as declared; None if none is.

    Returns:
        The text; None if it is not text in this character set, or has control characters.
    """
    name = (charset or "utf-8").lower()
    try:
        text = octets.decode(name if name in _CHARSETS else "utf-8")
    except UnicodeDecodeError:
        return None
    is_text = all(character.isprintable() or character in _TEXT or character.isspace() for character in text[:_LONGEST])
    return text if is_text else None
