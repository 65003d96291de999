"""Our POP3 client with a hostile server: FetchError and nothing else, and no password in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from fuzz.memory import SECRET, ScriptedSocket, at_once, finish, no_secret, only
from htpoort.transport import FetchError, Pop3Account
from htpoort.transport._pop3_client import Pop3Client

_ACCOUNT = Pop3Account(host="pop.forwarder.example", username="edi", password=SECRET, mail_limit=1_000)
Pop3Client._run = cast("Any", at_once)


def seeds() -> Iterator[bytes]:
    """Yield dialogues: an answer for each command."""
    start = b"+OK hello\r\n\0|+OK\r\n\0|+OK in\r\n\0|+OK\r\n\0|+OK 1 9\r\n\0|"
    yield (
        start + b"+OK\r\n1 abc\r\n2 def\r\n.\r\n\0|+OK\r\n1 9\r\n2 2000\r\n.\r\n\0|"
        b"+OK\r\nA: b\r\n\r\n..\r\n.\r\n\0|+OK\r\nA: b\r\n.\r\n\0|+OK bye\r\n"
    )
    yield start + b"-ERR no UIDL\r\n\0|+OK\r\n1 9\r\n.\r\n\0|+OK\r\n\n.\n.\r\n"
    yield b"+OK\r\n\0|+OK\r\n\0|-ERR " + SECRET.encode() + b" is wrong\r\n"
    yield start + b"+OK\r\n1\r\nx\r\n.\r\n+OK\r\n"


def check(data: bytes) -> None:
    """Go through a session."""
    client = Pop3Client(_ACCOUNT, cast("Any", ScriptedSocket(data)))
    with only(FetchError):
        finish(client.secure(None))
        finish(client.log_in())
        no_secret(finish(client.stat()))
        listing = finish(client.listing())
        no_secret(listing)
        for mail in listing.mails[:3]:
            assert mail.size >= 0
            content = finish(client.content(mail, 1_000))
            if isinstance(content, bytes):
                assert len(content) <= 1_000
                assert content in data.replace(b"\r\n..", b"\r\n.") or b".." in data
            else:
                no_secret(content)
    client.close()
