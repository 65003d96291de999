"""Our agent with servers of other authors: Postfix, Dovecot, npm's smtp-server and smtp-sink."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from interop.mailboxes import Account, dovecot, hosting
from interop.messages import MAILBOX, PARTY, PASSWORD, REFERENCES, declaration
from interop.programs import LIMIT
from interop.servers import Files, npm_server, postfix, sink
from interop.writers import HOST

from htpoort import AGS, Router, SendError, SendFailure, State, build
from htpoort.agent import Agent, Outbox, Pop3Inbox, SmtpInbox, Timing
from htpoort.ledger import Ledger, Reply
from htpoort.simulator import Gateway
from htpoort.transport import Pop3Mailbox, Security, SmtpServer, TlsSettings, send

QUICK = Timing(
    poll_interval=timedelta(milliseconds=20), grace=timedelta(seconds=10), retry_delay=timedelta(milliseconds=20)
)
TLS = ("1.2", "1.3")


@attrs.define
class Process:
    """A process that receives replies."""

    taken: list[Reply] = attrs.field(factory=list[Reply])
    came: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def __call__(self, reply: Reply) -> None:
        """Receive one reply."""
        async with self.came:
            self.taken.append(reply)
            self.came.notify_all()

    async def has(self, number: int) -> list[str]:
        """Wait for a number of replies; return their references."""
        async with asyncio.timeout(LIMIT), self.came:
            await self.came.wait_for(lambda: len(self.taken) >= number)
        return sorted(reply.reference for reply in self.taken)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as opened:
        yield opened


@pytest.fixture
def router() -> Router:
    """Find system and party; the ledger compares with what was sent."""
    return Router(parties=[PARTY])


def now() -> datetime:
    """Return the time of the machine."""
    return datetime.now(UTC)  # noqa: TID251 - an agent runs in real time


def queue(ledger: Ledger) -> None:
    """Queue a declaration to DMS for each length of K, and one to AGS."""
    for length in REFERENCES:
        ledger.exchanges.queue(declaration(length), at=now())
    to_ags = build(
        system=AGS,
        party=PARTY,
        mailbox=MAILBOX,
        reference="A1",
        payload=b"UNB+UNOC:3'\r\n",
        date=now(),
        message_id="<A1@forwarder.example>",
    )
    ledger.exchanges.queue(to_ags, at=now())


async def reached(ledger: Ledger, state: State, *references: str) -> None:
    """Wait until exchanges are in a state."""
    async with asyncio.timeout(LIMIT):
        while True:
            found = [await asyncio.to_thread(ledger.exchanges.find, reference, party=PARTY) for reference in references]
            if {state} == {one and one.state for one in found}:
                return
            # Reading the ledger takes a turn of another thread, so this loop need not sleep.
            await asyncio.sleep(0)


ALL_OF_DMS = sorted(REFERENCES.values())


@pytest.mark.parametrize("tls", TLS)
async def test_replies_from_a_mailbox(tls: str, files: Files, ledger: Ledger, router: Router) -> None:
    """
    What the agent sends to Postfix is answered, and the replies return through Postfix, Dovecot and POP3.

    Each reply reaches the process of its system, and the mailbox is empty then.
    """
    ags, dms = Process(), Process()
    async with Gateway(tls=files.of_gateway(tls)) as gateway:
        relay = f"inline:{{htpoort.nl=smtp:[localhost]:{gateway.smtp_port}}}"
        async with hosting(files, tls, transport_maps=relay) as (host, mail, _), dovecot(files, tls, mail) as (_, port):
            gateway.register(MAILBOX, host)
            inbox = Pop3Inbox(
                server=Account(user="edi", port=port, files=files).server, poll_interval=timedelta(milliseconds=50)
            )
            parts: dict[str, Any] = {"ledger": ledger, "router": router, "timing": QUICK}
            parts |= {"outboxes": [Outbox(server=host)], "inboxes": [inbox], "deliveries": {"AGS": ags, "DMS": dms}}
            queue(ledger)
            async with Agent(**parts):
                assert (["A1"], ALL_OF_DMS) == (await ags.has(1), await dms.has(3))
            left = [path for folder in ("new", "cur") for path in (mail / "edi" / folder).iterdir()]

    assert [] == left
    assert {("AGS", State.ANSWERED): 1, ("DMS", State.ANSWERED): 3} == ledger.status().exchanges


@pytest.mark.parametrize("tls", TLS)
async def test_replies_by_smtp(tls: str, files: Files, ledger: Ledger, router: Router) -> None:
    """Postfix relays the replies of the simulator over TLS to the agent, each for its process."""
    ags, dms = Process(), Process()
    inbox = SmtpInbox(hostname="localhost", mailboxes=(MAILBOX,), tls=files.context(tls), require_tls=True)
    async with Gateway() as gateway:
        outbox = Outbox(server=SmtpServer(host=HOST, port=gateway.smtp_port, security=Security.PLAIN))
        parts: dict[str, Any] = {"ledger": ledger, "router": router, "timing": QUICK}
        parts |= {"outboxes": [outbox], "inboxes": [inbox], "deliveries": {"AGS": ags, "DMS": dms}}
        async with Agent(**parts) as agent:
            relay = f"smtp:[localhost]:{agent.ports[0]}"
            async with postfix(files, tls, default_transport=relay) as (port, _):
                gateway.register(MAILBOX, SmtpServer(host=HOST, port=port, tls=TlsSettings(ca_file=files.ca)))
                queue(ledger)
                agent.wake()
                assert (["A1"], ALL_OF_DMS) == (await ags.has(1), await dms.has(3))

    assert {("AGS", State.ANSWERED): 1, ("DMS", State.ANSWERED): 3} == ledger.status().exchanges


@pytest.mark.parametrize("tls", TLS)
async def test_login(tls: str, files: Files, ledger: Ledger, router: Router) -> None:
    """With user name and password over STARTTLS smtp-server accepts the agent's declarations, as that user."""
    async with npm_server(files, tls, username="edi", password=PASSWORD) as (port, program):
        server = SmtpServer(host=HOST, port=port, tls=TlsSettings(ca_file=files.ca), username="edi", password=PASSWORD)
        queue(ledger)
        async with Agent(ledger=ledger, router=router, outboxes=[Outbox(server=server)], timing=QUICK):
            await reached(ledger, State.ACCEPTED, "A1", *REFERENCES.values())
        reports = [json.loads(found.string) for found in await program.has(r'^\{"raw"', 4)]

    assert [(f"TLSv{tls}", "edi")] * 4 == [(report["cipher"], report["user"]) for report in reports]


async def test_wrong_password(files: Files) -> None:
    """A login that smtp-server refuses is LOGIN, and nothing was sent."""
    async with npm_server(files, "1.3", username="edi", password=PASSWORD) as (port, program):
        server = SmtpServer(host=HOST, port=port, tls=TlsSettings(ca_file=files.ca), username="edi", password="ander")
        with pytest.raises(SendError) as caught:
            await send(declaration(14), server)

    assert (SendFailure.LOGIN, 535) == (caught.value.kind, caught.value.code)
    assert 1 == len(program.lines)


@pytest.mark.parametrize(
    ("options", "state"),
    [
        (("-q", "."), State.UNKNOWN),
        (("-q", "DATA"), State.DEFERRED),
        (("-r", "RCPT"), State.DEFERRED),
        (("-f", "RCPT"), State.REFUSED),
        (("-f", "."), State.REFUSED),
        (("-r", "."), State.DEFERRED),
        (("-Q", "."), State.DEFERRED),
    ],
)
async def test_what_smtp_sink_does(options: tuple[str, str], state: State, ledger: Ledger, router: Router) -> None:
    """A connection lost after the final dot is unknown, before it deferred, as 4xx and 421 are; 5xx is refused."""
    ledger.exchanges.queue(declaration(35), at=now())
    async with sink(*options) as (port, _):
        server = SmtpServer(host=HOST, port=port, security=Security.PLAIN)
        async with Agent(ledger=ledger, router=router, outboxes=[Outbox(server=server)], timing=QUICK):
            await reached(ledger, state, REFERENCES[35])
    found = ledger.exchanges.find(REFERENCES[35], party=PARTY)

    assert found is not None
    assert 1 == found.attempts


@pytest.mark.parametrize("tls", TLS)
async def test_stls(tls: str, files: Files) -> None:
    """With Dovecot our POP3 client starts TLS by STLS as well as from the first octet."""
    found: list[bytes] = []

    async def store(_uidl: str, raw: bytes) -> None:
        found.append(raw)

    async with hosting(files, tls) as (host, mail, program):
        reply = attrs.evolve(declaration(35), mail_from="dms@htpoort.nl", rcpt_to=MAILBOX)
        await send(reply, host)
        await program.has("status=sent")
        async with dovecot(files, tls, mail) as (port, _):
            server = attrs.evolve(
                Account(user="edi", port=port, files=files).server, port=port, security=Security.STARTTLS
            )
            await Pop3Mailbox(server).fetch(store)

    (raw,) = found
    assert raw.endswith(reply.data)
