"""`htpoort resume`: a server that was refused, and is right again, is tried at once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agents import MAILBOX, PARTY, mail_servers
from databases import new_ledger

from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, FaultAction, Gateway, Pop3Fault, Script, SmtpFault, SmtpStep

BASE = f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
DELIVERY = '[[delivery]]\nsystem = "DMS"\ndirectory = "replies"\n'
AT = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
SMTP, POP3 = "SMTP smtp.forwarder.example:587 as edi", "POP3 pop.forwarder.example:995 as edi"


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that commands start in, with a declaration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    monkeypatch.setenv("SECRET", "geheim")
    (tmp_path / "declaration.xml").write_bytes(b"<Declaration/>")
    return tmp_path


@pytest.fixture
def ledger(office: Path) -> Ledger:
    """Give a ledger in which two servers are paused."""
    (office / "htpoort.toml").write_text(BASE + mail_servers(2525, 1100) + DELIVERY)
    ledger = Ledger.open(new_ledger(office / "htpoort.db"))
    for name in (SMTP, POP3):
        ledger.servers.record_pause(name, since=AT, next_try=AT + timedelta(minutes=15), why="login: 535 no")
    return ledger


@asynccontextmanager
async def running(gateway: Gateway, office: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run the agent in a process of its own."""
    servers = mail_servers(gateway.smtp_port, gateway.pop3_port)
    (office / "htpoort.toml").write_text(BASE + servers + DELIVERY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "htpoort", "run", "--verbose"), stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.communicate()


async def test_refused_and_then_right_again(office: Path, process: Any) -> None:
    """Both logins are refused once; after `resume` the declaration goes out, its reply comes, and nothing is paused."""
    script = Script(
        faults=[SmtpFault(at=SmtpStep.AUTH, action=FaultAction.REFUSE)],
        pop3_faults=[Pop3Fault(command="PASS", action=FaultAction.REFUSE)],
    )
    declarants = [Declarant(mailbox=MAILBOX, password="geheim")]
    async with (
        asyncio.timeout(120),
        Gateway(declarants=declarants, script=script) as gateway,
        running(gateway, office) as agent,
    ):
        assert agent.stderr is not None
        options = ("--system", "DMS", "--party", PARTY, "--mailbox", MAILBOX, "--reference", "K1")
        await process("queue", "declaration.xml", *options)
        seen = set[str]()
        while len(seen) < 2:
            line = (await agent.stderr.readline()).decode()
            seen |= {line.split()[2] for _ in "x" if " is paused until " in line}
        done = await process("resume")
        while not [*(office / "replies").glob("*.eml")]:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
        status = json.loads((await process("status", "--json")).out)

    names = [f"POP3 127.0.0.1:{gateway.pop3_port} as {MAILBOX}", f"SMTP 127.0.0.1:{gateway.smtp_port} as {MAILBOX}"]
    assert (0, "") == (done.code, done.err)
    when = "at the next htpoort run --once, or within seconds by an agent that runs"
    assert [f"{name} is tried {when}; see htpoort status." for name in names] == done.text.splitlines()
    assert {"SMTP", "POP3"} == seen
    assert ([], {"DMS": {"answered": 1}}) == (status["paused"], status["exchanges"])


class TestWhich:
    """Without a name, all servers that are paused; else those with the text in their name."""

    @pytest.mark.parametrize(
        ("arguments", "servers"),
        [
            ((), [POP3, SMTP]),
            ((SMTP,), [SMTP]),
            (("POP.forwarder",), [POP3]),
            (("forwarder.example",), [POP3, SMTP]),
        ],
    )
    def test_is_ordered(self, htpoort: Any, ledger: Ledger, arguments: tuple[str, ...], servers: list[str]) -> None:
        """The order is recorded, and the next try is now."""
        result = htpoort("resume", *arguments, "--json")

        assert (0, {"result": "ordered", "servers": servers}) == (result.code, result.facts)
        assert dict.fromkeys(servers, 1) == ledger.servers.resume_orders()
        due = {pause.name for pause in ledger.servers.paused() if pause.next_try != AT + timedelta(minutes=15)}
        assert set(servers) == due

    def test_no_such_server(self, htpoort: Any, ledger: Ledger) -> None:
        """Exit code 2 and the names of those that are paused; nothing is ordered."""
        result = htpoort("resume", "stmp")

        message = "htpoort: SERVER: no server that is paused has 'stmp' in its name. Paused are: "
        assert (2, f"{message}{POP3}; {SMTP}.\n") == (result.code, result.err)
        assert {} == ledger.servers.resume_orders()

    def test_none_is_paused(self, htpoort: Any, ledger: Ledger) -> None:
        """Nothing to do is not an error."""
        ledger.servers.clear_pauses()
        result = htpoort("resume")

        assert (0, "No server is paused.\n") == (result.code, result.text)
        assert (2, True) == ((named := htpoort("resume", "x")).code, named.err.endswith(" No server is paused.\n"))
