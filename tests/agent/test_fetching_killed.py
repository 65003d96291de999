"""
Rules 5 and 7 for POP3 under SIGKILL: the server kills the process that fetches at a chosen command.

Nothing is lost, and nothing is stored twice or for another mail, whatever the server does with freed UIDLs.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from agents import PARTY, reply
from pop3_server import PASSWORD, Fault, Pop3Box

from htpoort import AGS, DMS, Router
from htpoort.agent import fetch_once
from htpoort.ledger import Ledger
from htpoort.transport import Pop3Account, Security

CLIENT = "NL123456789.03.05"
STRAY = b"Subject: no envelope\r\n\r\nx\r\n"
MAILS = (reply("K1", AGS), STRAY, reply("K1", DMS, party=CLIENT))
FETCH = """
import asyncio, sys

from htpoort import Router
from htpoort.agent import fetch_once
from htpoort.ledger import Ledger
from htpoort.transport import Pop3Account, Security

url, port, password, *parties = sys.argv[1:]
server = Pop3Account(host="127.0.0.1", port=int(port), security=Security.PLAIN, username="edi", password=password)
with Ledger.open(url) as ledger:
    asyncio.run(fetch_once(ledger, Router(parties=parties), server))
"""

Act = Callable[[], object]


def points() -> list[tuple[str, str, Callable[[Act, Act], Fault]]]:
    """List the moments of a session, with the command and what the server does; *lock* prevents every commit."""
    found: list[tuple[str, str, Callable[[Act, Act], Fault]]] = []
    for number in range(1, len(MAILS) + 1):
        found += [
            ("half of it was sent", f"RETR {number}", lambda kill, _: (b"+OK\r\nFrom: ", kill)),
            ("it is not committed", f"RETR {number}", lambda kill, lock: (lock, "go on", kill)),
            ("it is committed", f"DELE {number}", lambda kill, _: kill),
            ("it is marked for deletion", f"DELE {number}", lambda kill, _: ("go on", kill)),
        ]
    return [
        *found,
        ("all is deleted, which was not answered", "QUIT", lambda kill, _: kill),
        ("all is deleted, which is not recorded", "QUIT", lambda kill, lock: (lock, "go on", kill)),
    ]


@pytest.mark.parametrize(
    ("command", "fault"), [pytest.param(*rest, id=f"{rest[0]}, {name}") for name, *rest in points()]
)
async def test_killed(tmp_path: Path, command: str, fault: Callable[[Act, Act], Fault]) -> None:
    """After a kill the next poll stores what is missing, recognises the rest, and empties the mailbox."""
    url, parties = f"sqlite:///{tmp_path / 'htpoort.db'}", (PARTY, CLIENT)
    with Ledger.open(url):
        pass  # creates the tables first
    async with Pop3Box(*MAILS) as box:
        with closing(sqlite3.connect(tmp_path / "htpoort.db", isolation_level=None)) as other:
            arguments = (url, str(box.port), PASSWORD, *parties)
            started = await asyncio.create_subprocess_exec(sys.executable, "-c", FETCH, *arguments)
            box.faults[command] = fault(started.kill, lambda: other.execute("BEGIN IMMEDIATE"))
            async with asyncio.timeout(60):
                assert -signal.SIGKILL == await started.wait()
        await box.left.wait()
        box.faults.clear()
        freed = "u1" not in box.uidls
        if freed:
            box.mails.append(("u1", reply("K2")))
        server = Pop3Account(
            host="127.0.0.1", port=box.port, security=Security.PLAIN, username="edi", password=PASSWORD
        )
        with Ledger.open(url) as ledger:
            look = await fetch_once(ledger, Router(parties=parties), server)
            replies, stray = list(ledger.replies.listed()), list(ledger.quarantine.messages())
            known = ledger.fetched.known(server.ledger_name)

    expected = [("AGS", PARTY, "K1", MAILS[0]), ("DMS", CLIENT, "K1", MAILS[2])]
    expected += [("DMS", PARTY, "K2", reply("K2"))] if freed else []
    assert (None, [], frozenset()) == (look.error, box.uidls, known)
    assert expected == [(one.system, one.party, one.reference, one.raw) for one in replies]
    assert [STRAY] == [raw for _, raw in stray]
    assert {1} == {one.copies for one in (*replies, *(held for held, _ in stray))}
    # In the moment before the kill, the last answer to DELE may be read and QUIT sent.
    if command != "DELE 3":
        assert freed == (command == "QUIT")
