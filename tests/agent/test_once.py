"""An agent that runs once does all that is there, and ends; what has to wait stays for the next run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agents import MAILBOX, PARTY, QUICK, Process, declaration, now, reply, server

from htpoort import Router, State
from htpoort.agent import Agent, DeclarationFolder, Dispatcher, Outbox, Pop3Inbox
from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, FaultAction, Gateway, Script, SmtpFault, SmtpStep
from htpoort.transport import Pop3Account, Security, SmtpServer


async def test_everything_that_is_there(tmp_path: Path, ledger: Ledger, router: Router) -> None:
    """A run sends the 40 files of a folder; after the next one, all 40 replies are fetched and delivered."""
    (tmp_path / "out").mkdir()
    for number in range(40):
        (tmp_path / "out" / f"A{number}.xml").write_bytes(f"<Number>{number}</Number>".encode())
    folder = DeclarationFolder(
        path=tmp_path / "out",
        mailbox=MAILBOX,
        party=PARTY,
        system="DMS",
        settle=0,
    )
    process = Process()
    async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as gateway, asyncio.timeout(60):
        outbox = Outbox(
            server=SmtpServer(
                host="127.0.0.1",
                port=gateway.smtp_port,
                security=Security.PLAIN,
                username=MAILBOX,
                password="geheim",
            )
        )
        pop3 = Pop3Inbox(server=account(gateway))
        sent: list[int] = []
        for _ in range(2):
            agent = Agent(
                ledger=ledger,
                router=router,
                outboxes=[outbox],
                inboxes=[pop3],
                folders=[folder],
                dispatcher=Dispatcher(ledger=ledger, parties=[PARTY]),
                deliveries={"DMS": process},
                timing=QUICK,
            )
            async with agent:
                await agent.wait_until_idle()
            sent.append(len(gateway.received))
            await gateway.wait_for_due_replies()
    assert [40, 40] == sent
    assert [State.ANSWERED] * 40 == [exchange.state for exchange, _ in ledger.exchanges.messages()]
    assert sorted(f"A{number}" for number in range(40)) == sorted(taken.reference for taken in process.taken)
    assert [] == [file.name for file in (tmp_path / "out").iterdir() if file.is_file()]


def account(gateway: Gateway) -> Pop3Account:
    """Describe the declarant's mailbox at the gateway."""
    return Pop3Account(
        host="127.0.0.1", port=gateway.pop3_port or 0, security=Security.PLAIN, username=MAILBOX, password="geheim"
    )


async def test_a_server_that_is_away(ledger: Ledger, router: Router) -> None:
    """A server that cannot be reached ends the run: the declaration waits for the next one."""
    ledger.exchanges.queue(declaration("A1"), at=now())
    outbox = Outbox(server=SmtpServer(host="127.0.0.1", port=1, security=Security.PLAIN))
    async with asyncio.timeout(60), Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK) as agent:
        await agent.wait_until_idle()
    ((exchange, _),) = ledger.exchanges.messages()
    assert State.QUEUED is exchange.state


async def test_a_process_that_is_away(ledger: Ledger, router: Router) -> None:
    """A delivery that fails ends the run: the reply waits for the next one that is due."""
    ledger.replies.take_in(router, reply("A1"), mail_from=None, at=now())
    process = Process(fails=1)
    async with (
        asyncio.timeout(60),
        Agent(ledger=ledger, router=router, deliveries={"DMS": process}, timing=QUICK) as agent,
    ):
        await agent.wait_until_idle()
    assert ([], 1) == (process.taken, ledger.status().undelivered["DMS"])


async def test_with_nothing_to_do(ledger: Ledger, router: Router) -> None:
    """Without outbox, inbox, folder or delivery, it ends at once."""
    async with asyncio.timeout(60), Agent(ledger=ledger, router=router, timing=QUICK) as agent:
        await agent.wait_until_idle()


async def test_asked_to_stop(ledger: Ledger, router: Router) -> None:
    """A signal ends a run that still waits for a server."""
    ledger.exchanges.queue(declaration("A1"), at=now())
    async with Gateway(script=Script(faults=(SmtpFault(at=SmtpStep.DATA, action=FaultAction.STALL),))) as gateway:
        outbox = Outbox(server=server(gateway.smtp_port))
        async with asyncio.timeout(60), Agent(ledger=ledger, router=router, outboxes=[outbox], timing=QUICK) as agent:
            waiting = asyncio.create_task(agent.wait_until_idle())
            agent.stop()
            await waiting
