"""Our receiver with a hostile client: it hands over clean contents to our mailbox only, whatever the packets are."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from fuzz.memory import SECRET, Loop, MemoryTransport, settle
from htpoort.transport import Incoming, SmtpInbox
from htpoort.transport.receiver_connections import ConnectionTracker
from htpoort.transport.receiver_dialogue import ReceiverDialogue

_LOOP = Loop()
_INBOX = SmtpInbox(
    hostname="mx.forwarder.example",
    mailboxes=["edi@forwarder.example"],
    authenticator=lambda _name, password: password == SECRET,
)
_ANSWER = re.compile(rb"(?:[2-5][0-9]{2}[ -][^\r\n]*\r\n)*")
_failed: list[str] = []


class _Keeper(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "dialogue failed" in text or SECRET in text:
            _failed.append(text)


logging.getLogger("htpoort.transport").addHandler(_Keeper())
logging.getLogger("htpoort.transport").propagate = False
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


def seeds() -> Iterator[bytes]:
    """Yield the commands of a client, and its messages."""
    start = b"EHLO a\r\nAUTH PLAIN AGVkaQBjYW5hcnktZ2VoZWltLTg1MTI=\r\nMAIL FROM:<dms@htpoort.nl> SIZE=9\r\n"
    rcpt = b"RCPT TO:<edi@forwarder.example>\r\nDATA\r\n"
    yield start + rcpt + b"Subject: x\r\n\r\n..\r\n.\r\nMAIL FROM:<>\r\n" + rcpt + b"b\r\n.\r\nQUIT\r\n"
    yield start + rcpt + b"fail\r\n.\r\nQUIT\r\n"
    for end in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n\0.\r\n", b"\r\n.\r"):
        yield start + rcpt + b"a" + end + b"MAIL FROM:<x@y.example>\r\n" + rcpt + b"b\r\n.\r\nQUIT\r\n"
    yield b"HELO\r\nHELO b\r\nNOOP\r\nVRFY x\r\nHELP\r\nRSET\r\nEXPN\r\nSTARTTLS\r\nAUTH LOGIN\r\nZWRp\r\n*\r\n"
    yield b"EHLO a\r\nMAIL FROM:<a@[IPv6:::1]> BODY=8BITMIME AUTH=<>\r\nRCPT TO:<@a:b@c>\r\nRCPT TO:\r\nBDAT 1\r\n"


async def _talk(pieces: list[bytes]) -> tuple[bytes, list[Incoming]]:
    taken: list[Incoming] = []

    async def handle(incoming: Incoming) -> None:
        if b"fail" in incoming.raw:
            raise RuntimeError(SECRET)
        taken.append(incoming)

    tracker = ConnectionTracker(_INBOX, handle)
    dialogue = ReceiverDialogue(tracker, "127.0.0.1")
    transport = MemoryTransport(dialogue)
    dialogue.connection_made(transport)
    await settle(transport)
    for piece in pieces:
        if not transport.closed:
            dialogue.data_received(piece)
            await settle(transport)
    transport.lose()
    await tracker.close()
    await settle(transport)
    assert not tracker.connections
    assert tracker.held.left == _INBOX.limits.held_limit
    return bytes(transport.written), taken


def check(data: bytes) -> None:
    """Talk in one packet and in several; both must mean the same."""
    _failed.clear()
    written, taken = _LOOP.run(_talk([data]))
    assert _ANSWER.fullmatch(written), written
    assert SECRET.encode() not in written
    for incoming in taken:
        assert incoming.rcpt_to == "edi@forwarder.example"
        rest = incoming.raw.replace(b"\r\n", b"")
        assert b"\r" not in rest
        assert b"\n" not in rest
        assert b"\0" not in rest
    size = 1 + len(data) % 41
    other, taken_too = _LOOP.run(_talk([data[at : at + size] for at in range(0, len(data), size)]))
    assert [incoming.raw for incoming in taken] == [incoming.raw for incoming in taken_too], (written, other)
    assert not _failed, _failed
