"""
Name what is logged: each line carries an event whose name is stable, and its facts as data.

Never does: format a text, or write a line. The loggers are those of the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol, cast

__all__ = ["EVENTS", "event"]

EVENTS: Final[Mapping[str, str]] = {
    # ── declarations ──
    "declaration.queued": "A file of a watched folder was queued.",
    "declaration.accepted": "The server has accepted a declaration.",
    "declaration.deferred": "A declaration was not sent this time; the agent tries again.",
    "declaration.refused": "The server has refused a declaration; it is not sent again.",
    "declaration.unknown": "The server may have accepted a declaration; it is not sent again until this is settled.",
    "declaration.name-asked": "A file that may have arrived is uploaded again under the same name, which shows it.",
    "declaration.failed": "The retry schedule of a declaration is over; it is not sent again until a person decides.",
    "declaration.crashed": "Sending a declaration ended with an unexpected error.",
    "declaration.not-recorded": "What became of a declaration was not recorded; its lease runs out.",
    "declaration.presumed-rejected": "Declarations were sent while, as a notice says, everything was rejected.",
    "declarations.unserved": "Declarations wait, because this agent has no outbox for their system.",
    "declarations.due-corrected": "A clock was ahead: declarations were due too late, and are due now.",
    # ── replies ──
    "reply.stored": "A reply was stored, for the first time.",
    "reply.quarantined": "A message could not be routed, and is in quarantine.",
    "reply.not-stored": "The ledger could not store a message; the peer is asked to send it again.",
    "reply.too-early": "A reply came under the K of a declaration that cannot have been sent yet.",
    "reply.delivered": "A reply was delivered.",
    "reply.not-delivered": "A reply was not delivered this time; the agent tries again.",
    "reply.left-to-another": "A reply is left to another agent, because the lease of this one was lost.",
    "reply.not-recorded": "What became of a reply was not recorded; it is delivered again.",
    "reply.payload-unclear": "The payload of a reply could not be taken out, so the whole message was delivered.",
    "replies.unserved": "Replies wait, because this agent has no delivery for their system.",
    "replies.due-corrected": "A clock was ahead: replies were due too late, and are due now.",
    "parties.unserved": "Parties have no delivery, although others of the same system do.",
    "delivery.unavailable": "A delivery failed its test at the start; its replies wait.",
    "command.printed": "A command that took a reply has printed something.",
    "command.printed-reply": "A command printed a part of the reply; perhaps it does not store it.",
    # ── folders of declarations ──
    "file.refused": "A file is no declaration that can be queued, and was moved away.",
    "file.left-alone": "Files in a watched folder are left alone.",
    "folder.unavailable": "A watched folder failed its test at the start; its files wait.",
    "folder.failed": "A watched folder cannot be read or written; its files wait.",
    # ── mail servers and file gateways ──
    "server.paused": "A mail server or file gateway cannot be used, and is tried again later.",
    "server.works-again": "A server that was paused works again.",
    "server.resumed": "A paused server is tried at once, by order.",
    "server.pause-not-recorded": "The ledger could not record whether a mailbox or file gateway can be read.",
    "server.pause-not-known": "The ledger could not say whether a server is paused, so it is tried.",
    "server.pauses-not-cleared": "The pauses of an earlier agent are still in the ledger, and may be wrong.",
    "poll.failed": "A mailbox or file gateway was not polled, because a file of its TLS settings cannot be used.",
    "poll.broken-off": "A POP3 session, or that of a file gateway, broke after the login; the next poll goes on.",
    "mail.seen-again": "Mails, or files of a gateway, were fetched again that an earlier session had stored.",
    "mail.trouble": "A mail or file stays where it is, or something else was wrong with a session.",
    "mail.more-trouble": "More lines like `mail.trouble` of one poll were left out.",
    # ── notices of disruption and service windows ──
    "notice.learned": "A notice was stored.",
    "notice.unmapped": "A notice names no known system, and holds nothing.",
    "notice.other-authority": "A notice has the reference of another authority's, and changes nothing of that.",
    "notice.not-read": "A file in the folder of notices is no notice.",
    "notice.folder-failed": "The folder of notices cannot be read.",
    "window.held": "Declarations are held, because a notice says that they should not be sent.",
    "window.released": "A window is over, and declarations that were held are let go, spread out.",
    # ── the ledger ──
    "ledger.new": "There was no ledger, so an empty one was created.",
    "ledger.write-failed": "A write to the ledger failed; it is tried again.",
    "ledger.text-refused": "The ledger refused a text, so a fact was recorded without it.",
    "ledger.lock-not-written": "The lock file of the ledger cannot be written.",
    "ledger.open-to-all": "Every user of this machine can open the ledger.",
    "leases.shortened": "A clock was ahead: leases ended too far in the future.",
    # ── the agent ──
    "agent.stopping": "The agent was asked to stop, and waits for what is in progress.",
    "agent.hangup": "SIGHUP came; the agent goes on.",
    "agent.ended-at-once": "The agent was ended at once, and no declaration is left unknown.",
    "inbox.not-opened": "With `--once`, replies are not received by SMTP.",
    "worker.failed": "A step of the agent failed because of the ledger; it is repeated.",
    "worker.crashed": "A step of the agent failed with an unexpected error; it is repeated.",
    # ── the SMTP receiver ──
    "connection.refused": "A peer may not connect.",
    "connection.lost": "A peer was gone before it had its answer, and may send the message again.",
    "recipient.refused": "A peer named a mailbox that is not ours.",
    "message.refused": "A message was refused before it was stored.",
    "message.not-handled": "Storing a message failed; the peer is asked to send it again.",
    "login.not-checked": "Checking the login of a peer failed.",
    "tls.handshake-failed": "A peer and the receiver did not agree on TLS.",
    "certificate.renewed": "The receiver uses a new certificate.",
    "certificate.kept": "A new certificate cannot be used; the receiver keeps the one before.",
    "dialogue.failed": "The dialogue with a peer failed with an unexpected error.",
    "dialogue.command-failed": "A command of a peer failed with an unexpected error; it is asked to try again.",
    "listener.paused": "The system does not let connections be accepted; it is tried again.",
    "lines.left-out": "More than ten lines of one kind came in a minute, and the others were left out.",
    # ── the simulator ──
    "page.order-failed": "An order of the live page failed.",
    "simulator.lane-failed": "Work of the simulator failed with an unexpected error.",
}
"""Each event, with its meaning in one sentence."""


class Exchange(Protocol):
    """What names an exchange, as declarations and replies of the ledger do."""

    @property
    def system(self) -> str: ...
    @property
    def party(self) -> str: ...
    @property
    def reference(self) -> str: ...


def event(name: str, /, *, of: Exchange | None = None, **facts: object) -> Mapping[str, object]:
    """
    Name what a line of the log is about, for the *extra* of a logger.

    >>> event("server.works-again", server="SMTP mail.example:587")
    {'event': 'server.works-again', 'facts': {'server': 'SMTP mail.example:587'}}

    Args:
        name: One of `EVENTS`.
        of: The exchange that the line is about, for the facts system, party and reference.
        facts: Other facts. Never a payload, a password, or octets of a message.

    Returns:
        Two attributes for the record: ``event``, and ``facts``, which fit into JSON.
    """
    known = {} if of is None else {"system": of.system, "party": of.party, "reference": of.reference}
    return {"event": name, "facts": {key: _plain(value) for key, value in (known | facts).items()}}


def _plain(value: object) -> object:
    """Make a value that fits into JSON; a moment in UTC, like that of the line."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("Iterable[object]", value)]
    return str(value)
