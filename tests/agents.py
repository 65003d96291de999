"""What the tests of an agent share: a declarant, its declarations, the replies to it, and short delays."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import attrs

from htpoort import DMS, DeclarationSystem, Submission, build
from htpoort.agent import SmtpInbox, Timing
from htpoort.ledger import Reply
from htpoort.transport import Security, SmtpServer

PARTY = "NL123456789.02.05"
MAILBOX = "edi@forwarder.example"
INBOX = SmtpInbox(hostname="forwarder.example", mailboxes=(MAILBOX,))
QUICK = Timing(
    poll_interval=timedelta(milliseconds=20),
    lease=timedelta(seconds=60),
    grace=timedelta(seconds=10),
    retry_delay=timedelta(milliseconds=20),
)


def now() -> datetime:
    """Return the time of the machine."""
    return datetime.now(UTC)  # noqa: TID251 - an agent runs in real time


def server(port: int, **options: float) -> SmtpServer:
    """Describe a server on loopback."""
    return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN, **options)  # type: ignore[arg-type]  # times only


def mail_servers(smtp_port: int | None, pop3_port: int | None) -> str:
    """Write the tables of two servers on loopback, whose password is in the variable SECRET."""
    tables = {"outbox": smtp_port, "pop3": pop3_port}
    login = f'security = "plain"\nusername = "{MAILBOX}"\npassword_env = "SECRET"\n'
    return "".join(f'[[{name}]]\nserver = "127.0.0.1"\nport = {port}\n{login}' for name, port in tables.items())


def declaration(reference: str, system: DeclarationSystem = DMS, *, party: str = PARTY) -> Submission:
    """Build a declaration."""
    return build(
        system=system,
        party=party,
        mailbox=MAILBOX,
        reference=reference,
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC),
        message_id=f"<{reference}@forwarder.example>",
    )


def reply(reference: str, system: DeclarationSystem = DMS, *, party: str = PARTY) -> bytes:
    """Write an incoming reply."""
    subject = f"[V={system.process_id}][A={party}][K={reference}][S=0]"
    return f"From: {system.mailbox}\r\nSubject: {subject}\r\n\r\nx\r\n".encode()


def pushed(raw: bytes) -> Submission:
    """Wrap a reply as a message that the gateway sends to the declarant."""
    return attrs.evolve(declaration("K1"), mail_from=DMS.mailbox, rcpt_to=MAILBOX, data=raw)


@attrs.define
class Process:
    """A process that takes replies, and can be made to fail."""

    taken: list[Reply] = attrs.field(factory=list[Reply])
    fails: int = 0
    came: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def __call__(self, taken: Reply) -> None:
        """Take one reply."""
        if self.fails:
            self.fails -= 1
            message = "the process is away"
            raise ConnectionError(message)
        async with self.came:
            self.taken.append(taken)
            self.came.notify_all()

    async def has(self, number: int) -> list[str]:
        """Wait for this many replies; return their references."""
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.taken) >= number)
        return [one.reference for one in self.taken]
