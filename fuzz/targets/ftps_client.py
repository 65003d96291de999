"""Our FTP client with a hostile server, but for TLS: FtpsError and nothing else, and no password in it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any, cast

from fuzz.memory import SECRET, SEPARATOR, ScriptedSocket, at_once, finish, no_secret, only
from htpoort.transport import FtpsAccount, FtpsError
from htpoort.transport._ftps_client import FtpsClient
from htpoort.transport._ftps_dialogue import NoFtpError, OutOfStepError, RefusedError

_ACCOUNT = FtpsAccount(host="gateway.example", username="CVR_12345678_UI_12345678", password=SECRET)
_CONTEXT = ssl.create_default_context()
FtpsClient._run = cast("Any", at_once)


def seeds() -> Iterator[bytes]:
    """Yield dialogues: an answer for each command."""
    greeting = b"220 ready\r\n\0|331 password\r\n\0|230 in\r\n\0|"
    yield (
        greeting + b"200 ok\r\n\0|200 ok\r\n\0|211-Features:\r\n MLST size*;\r\n UTF8\r\n211 End\r\n\0|200 ok\r\n\0|"
        b"200 noop\r\n\0|250 cwd\r\n\0|213 12\r\n\0|250 gone\r\n\0|229 Extended (|||36000|)\r\n\0|221 bye\r\n"
    )
    yield greeting + b"500 no\r\n\0|" * 6 + b"227 Entering (127,0,0,1,140,160)\r\n"
    yield b"220-a\r\n220-b\r\n220 c\r\n\0|530 " + SECRET.encode() + b" is wrong\r\n"
    yield b"421 busy\r\n"
    yield b"type=file;size=3; A1.xml\r\ntype=dir; b\r\n; \r\n\xff\n"


def check(data: bytes) -> None:
    """Go through a session, and read the octets as a list too."""
    client = FtpsClient(_ACCOUNT, cast("Any", ScriptedSocket(data)), _CONTEXT)
    steps = (
        client.log_in,
        client.set_up,
        client.noop,
        lambda: client.enter("/CVR_12345678/UI_12345678/Manifest"),
        lambda: client.size("A1"),
        lambda: client.delete("A1"),
        client.quit,
    )
    try:
        client._dialogue.answer()
        client._dialogue.passive()
    except (NoFtpError, OutOfStepError, RefusedError, ConnectionResetError):
        pass
    client = FtpsClient(_ACCOUNT, cast("Any", ScriptedSocket(SEPARATOR + data)), _CONTEXT)
    for step in steps:
        with only(FtpsError):
            finish(cast("Any", step)())
    for facts in (False, True):
        listing = client._listing(data, facts=facts)
        no_secret(listing.problems)
        for file in listing.files:
            assert "/" not in file.name
            assert file.name not in {"", ".", ".."}
    client.close()
