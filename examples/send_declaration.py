"""Send a declaration to DMS and receive the reply, all on loopback: the gateway is the simulator."""

import asyncio
from datetime import UTC, datetime

from htpoort import DMS, Routed, Router, build
from htpoort.simulator import Gateway
from htpoort.transport import Incoming, Receiver, Security, SmtpServer, send

PARTY, MAILBOX = "NL123456789.02.05", "edi@forwarder.example"


async def main() -> None:
    """Build, send, and route the reply."""
    declaration = build(
        system=DMS,
        party=PARTY,
        mailbox=MAILBOX,
        reference="22096222734662",  # K: new for each transmission
        payload=b'<MetaData xmlns="urn:wco:datamodel:WCO:DMS.Declaration:1"/>',
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id="<1@forwarder.example>",
    )
    replies: asyncio.Queue[Incoming] = asyncio.Queue()  # a program that must lose nothing stores them on disk
    async with Receiver(replies.put, hostname="mx.forwarder.example", mailboxes=[MAILBOX]) as receiver:
        ours = SmtpServer(host="127.0.0.1", port=receiver.port, security=Security.PLAIN)
        async with Gateway(declarants={MAILBOX: ours}) as gateway:
            theirs = SmtpServer(host="127.0.0.1", port=gateway.smtp_port, security=Security.PLAIN)
            accepted = await send(declaration, theirs)
            print(f"{accepted.recipient} accepted {declaration.envelope}, code {accepted.code}")
            reply = await replies.get()
    found = Router(parties=[PARTY]).route_message(reply.raw, reply.mail_from)
    if isinstance(found, Routed):
        print(f"{found.system.name} answered {found.party} about {found.reference} ({found.correlation.value})")


if __name__ == "__main__":
    asyncio.run(main())
