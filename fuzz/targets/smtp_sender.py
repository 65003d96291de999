"""Our sender with a hostile server: SendError with the right meaning, or a 2xx to the dot, and no password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from fuzz.memory import SECRET, SEPARATOR, Loop, MemoryTransport, no_secret
from htpoort import SendError, SendFailure
from htpoort.transport import Accepted, Security, Sender, SmtpServer
from htpoort.transport._smtp_client import SmtpClient

_LOOP = Loop()
_SERVER = SmtpServer(host="127.0.0.1", security=Security.PLAIN, username="edi", password=SECRET)
_RAW = b"Subject: x\r\n\r\n.dot\r\n"
_QUIET = 40  # turns without an octet after which the server sends more by itself, or is gone
_script: list[bytes] = []
_transports: list[MemoryTransport] = []


class _Socket:
    def recv(self, _size: int, _flags: int) -> bytes:
        raise BlockingIOError


async def _connect(self: Any, _first: object) -> None:
    loop, pieces, answers = asyncio.get_running_loop(), iter(_script), self._answers

    def give() -> None:
        piece = next(pieces, None)
        if piece is None:
            transport.close()
        elif piece and not transport.closed:
            answers.data_received(piece)

    def watch(turns: int, before: int) -> None:
        if len(transport.written) > before:
            turns = 0
        elif turns == _QUIET:
            turns = 0
            give()
        if not transport.closed:
            loop.call_soon(watch, turns + 1, len(transport.written))

    transport = MemoryTransport(answers, lambda: loop.call_soon(give))
    _transports.append(transport)
    self._transport, self._socket, self.address = transport, _Socket(), ("127.0.0.1", 25)
    answers.connection_made(transport)
    loop.call_soon(give)
    loop.call_soon(watch, 0, 0)


SmtpClient._connect = cast("Any", _connect)


def seeds() -> Iterator[bytes]:
    """Yield dialogues: an answer for each write, of which the content and its dot are two."""
    start = b"220 hi\r\n\0|250-a\r\n250-SIZE 1000\r\n250 AUTH %s\r\n\0|"
    rest = b"250 ok\r\n\0|250 ok\r\n\0|354 go\r\n\0|\0|250 queued\r\n\0|221 bye\r\n"
    yield start % b"PLAIN" + b"235 in\r\n\0|" + rest
    yield (
        start % b"LOGIN"
        + b"334 VXNlcg==\r\n\0|334 UGFzcw==\r\n\0|235 in\r\n\0|"
        + rest.replace(b"queued", b"a\r\n554 b")
    )
    yield start % b"CRAM-MD5" + b"334 PDFAYT4=\r\n\0|235 in\r\n\0|" + rest.replace(b"250 queued", b"451 later")
    yield start % b"PLAIN" + b"535 " + SECRET.encode() + b" is wrong\r\n"
    yield b"554 no\r\n"
    yield start % b"PLAIN" + b"235 in\r\n\0|" + rest.replace(b"354", b"250")


async def _send() -> Accepted | SendError:
    try:
        async with asyncio.timeout(5), Sender(_SERVER) as sender:
            return await sender.send_raw(mail_from="edi@forwarder.example", rcpt_to="dms@htpoort.nl", raw=_RAW)
    except SendError as error:
        return error


def check(data: bytes) -> None:
    """Send one message."""
    _script[:] = data.split(SEPARATOR)
    _transports.clear()
    result = _LOOP.run(_send())
    no_secret(result)
    written = b"".join(bytes(transport.written) for transport in _transports)
    ended = written.count(b"..dot\r\n.\r\n")
    if isinstance(result, Accepted):
        assert 200 <= result.code <= 299
        assert ended == 1
    elif not ended:
        assert result.kind is not SendFailure.UNKNOWN, result
    else:
        assert ended == 1, written
        assert result.kind is SendFailure.UNKNOWN or result.code is not None, result
