"""The simulator's POP3 server with a hostile client: nothing is deleted without a login and QUIT."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.memory import SECRET, Loop, MemoryTransport, settle
from htpoort.simulator._pop3_server import Pop3Server
from htpoort.simulator.declarants import Mailbox

_LOOP = Loop()


def seeds() -> Iterator[bytes]:
    """Yield the commands of a client."""
    login = b"CAPA\r\nUSER edi\r\nPASS " + SECRET.encode() + b"\r\n"
    yield login + b"STAT\r\nLIST\r\nUIDL\r\nLIST 1\r\nUIDL 2\r\nTOP 1 0\r\nRETR 1\r\nDELE 1\r\nRSET\r\nNOOP\r\nQUIT\r\n"
    yield login + b"DELE 1\r\nDELE 1\r\nQUIT\r\n"
    yield b"USER edi\nPASS no\nPASS\r\nSTLS\r\nAPOP x y\r\nAUTH PLAIN\r\n"
    yield login + b"TOP 1\r\nTOP 1 99999999999\r\nRETR 00\r\nRETR \xd9\xa1\r\n" + b"x" * 3_000


async def _talk(data: bytes) -> tuple[bytes, int]:
    box = Mailbox()
    for raw in (b"A: b\r\n\r\n.\r\n..x", b"\n"):
        box.deliver(raw)
    server = Pop3Server(lambda name, password: box if (name, password) == ("edi", SECRET) else None)
    protocol = server._admitted(None, "127.0.0.1")  # type: ignore[arg-type]
    transport = MemoryTransport(protocol)
    protocol.connection_made(transport)
    protocol.data_received(data)
    await settle(transport)
    if not transport.lost:
        protocol.eof_received()
        await settle(transport)
        transport.lose()
    await settle(transport)
    assert not server._connections
    return bytes(transport.written), len(box.messages)


def check(data: bytes) -> None:
    """Talk, and look at the responses and the mailbox."""
    written, left = _LOOP.run(_talk(data))
    assert written.startswith(b"+OK")
    assert written.endswith(b"\r\n")
    assert SECRET.encode() not in written
    if SECRET.encode() not in data or b"quit" not in data.lower() or b"dele" not in data.lower():
        assert left == 2
