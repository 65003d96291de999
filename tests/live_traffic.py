"""A gateway with something to see: traffic of every kind, faults, failed logins, and hostile texts."""

from __future__ import annotations

import asyncio
import contextlib
import poplib
import smtplib
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from htpoort.live import LivePage
from htpoort.simulator import (
    Behaviour,
    Declarant,
    FaultAction,
    Gateway,
    Pop3Fault,
    ReplyFault,
    ReplyKind,
    Scenario,
    Script,
    ScriptedReply,
    SimulatedClock,
    SmtpFault,
    SmtpStep,
    Window,
)

MAILBOX, PASSWORD = "edi@forwarder.example", "zeer-geheim"
HOSTILE: Final = "<script>document.title='owned'</script>"
DAY: Final = timedelta(days=1)
_START: Final = datetime(2026, 11, 2, 8, tzinfo=UTC)

SCRIPT: Final = Script(
    scenarios=(
        Scenario(reference="K8", replies=(ScriptedReply(fault=ReplyFault.NO_K),)),
        Scenario(replies=(ScriptedReply(), ScriptedReply(kind=ReplyKind.RELEASE, after=3 * DAY))),
    ),
    faults=(SmtpFault(at=SmtpStep.RCPT, action=FaultAction.DEFER),),
    pop3_faults=(Pop3Fault(command="STAT", action=FaultAction.REFUSE),),
    windows=(
        Window(system="AGS", behaviour=Behaviour.QUEUE, begins=_START - DAY, ends=_START + DAY),
        Window(system="DMS", behaviour=Behaviour.REJECT, begins=_START + 5 * DAY, ends=_START + 6 * DAY),
    ),
)


def message(reference: str, *, process_id: str = "DMS4.NL", body: str = "<MetaData/>", headers: str = "") -> bytes:
    """Write a declaration."""
    subject = f"[V=NL123456789.02.05][A={process_id}][K={reference}][S=0]"
    head = f"From: {MAILBOX}\r\nTo: dms@htpoort.nl\r\nSubject: {subject}\r\n{headers}"
    return f"{head}\r\n{body}\r\n".encode()


PLAIN: Final = message("22096222734662", body='<?xml version="1.0"?>\r\n<MetaData>\r\n  <ID>één</ID>\r\n</MetaData>')
MARKUP: Final = message("K7", body=f"<MetaData>{HOSTILE}</MetaData>", headers=f"X-Note: {HOSTILE}\r\n")
BINARY: Final = message(
    "K8", body="AAECAw==", headers="Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
)
REFUSED: Final = message("K9", process_id=f"DMS.NL][{HOSTILE}")


def submit(port: int, *raws: bytes, password: str = PASSWORD, recipient: str = "dms@htpoort.nl") -> None:
    """Log in and send, by smtplib; go on whatever the server answers."""
    with contextlib.suppress(smtplib.SMTPException), smtplib.SMTP("127.0.0.1", port, "forwarder.example") as client:
        client.login(MAILBOX, password)
        for raw in raws:
            with contextlib.suppress(smtplib.SMTPException):
                client.sendmail(MAILBOX, [recipient], raw)


def submit_plainly(port: int, *raws: bytes) -> None:
    """Send without a login, by smtplib."""
    with smtplib.SMTP("127.0.0.1", port, "forwarder.example") as client:
        for raw in raws:
            client.sendmail(MAILBOX, ["dms@htpoort.nl"], raw)


def fetch(port: int | None, password: str = PASSWORD) -> None:
    """Log in and fetch, by poplib; go on whatever the server answers."""
    client = poplib.POP3("127.0.0.1", port or 0)
    with contextlib.suppress(poplib.error_proto):
        client.user(MAILBOX)
        client.pass_(password)
        with contextlib.suppress(poplib.error_proto):
            client.stat()
        client.retr(1)
        client.dele(1)
    client.quit()


def gateway(script: Script = SCRIPT, *, runs: bool = False) -> Gateway:
    """Make a gateway with one declarant, whose time can be moved."""
    declarant = Declarant(mailbox=MAILBOX, password=PASSWORD)
    return Gateway(declarants=[declarant], script=script, clock=SimulatedClock(_START, runs=runs))


async def fill(filled: Gateway) -> None:
    """Let everything happen once that a page can show; two replies are left to come."""
    await asyncio.to_thread(submit, filled.smtp_port, PLAIN)
    await asyncio.to_thread(submit, filled.smtp_port, PLAIN, MARKUP, BINARY, REFUSED)
    await asyncio.to_thread(submit, filled.smtp_port, password=HOSTILE)
    await filled.wait_for_due_replies()
    await asyncio.to_thread(fetch, filled.pop3_port, "wrong")
    await asyncio.to_thread(fetch, filled.pop3_port)
    while any(dialogue.ended is None for dialogue in filled.journal.dialogues):
        await filled.journal.wait(filled.journal.version)


@asynccontextmanager
async def serving(served: Gateway) -> AsyncGenerator[LivePage]:
    """Start a gateway and its page."""
    async with served, LivePage(served) as page:
        yield page


@attrs.frozen
class Running:
    """
    A page that is served by a thread.

    Args:
        url: Its address.
        smtp_port: Where its gateway takes more declarations.
    """

    url: str
    smtp_port: int


@contextmanager
def in_a_thread() -> Generator[Running]:
    """Serve a page with traffic in a thread, for a test that has no event loop, such as one that drives a browser."""
    started, stop = threading.Event(), threading.Event()
    found: list[Running] = []

    async def main() -> None:
        filled = gateway(runs=True)
        async with serving(filled) as page:
            await fill(filled)
            found.append(Running(page.url, filled.smtp_port))
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert started.wait(60), "the page did not start"
        yield found[0]
    finally:
        stop.set()
        thread.join()
