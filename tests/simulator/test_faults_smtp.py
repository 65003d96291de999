"""Faults as a stock client sees them: which response, how often, and for which client."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from htpoort import DMS, SendError, SendFailure, build
from htpoort.simulator import FaultAction, Gateway, GatewayTls, Script, SimulatedClock, SmtpFault, SmtpStep
from htpoort.transport import Security, Sender, SmtpServer

MAILBOX = "edi@forwarder.example"
MESSAGE = (
    "From: {}\r\nTo: dms@htpoort.nl\r\n"
    "Subject: [V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]\r\n\r\n<MetaData/>\r\n"
)
MINUTE = timedelta(minutes=1)


def sent(port: int, *, recipient: str = "dms@htpoort.nl", sender: str = MAILBOX) -> int:
    """Send a declaration by smtplib; return the last code, 250 if it was accepted."""
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="forwarder.example") as client:
            client.sendmail(sender, [recipient], MESSAGE.format(sender))
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    except smtplib.SMTPRecipientsRefused as error:
        return error.recipients[recipient][0]
    return 250


async def talked(gateway: Gateway, talk: Callable[[smtplib.SMTP], object]) -> object:
    """Send a command to the gateway by smtplib, in a thread."""

    def said() -> object:
        with smtplib.SMTP("127.0.0.1", gateway.smtp_port, local_hostname="forwarder.example") as client:
            return talk(client)

    return await asyncio.to_thread(said)


async def test_as_often_as_its_times() -> None:
    """Two faults at one step are shown in their order, each as often as its number of times."""
    faults = (
        SmtpFault(at=SmtpStep.MAIL, action=FaultAction.DEFER, times=2, code=421, text="not now"),
        SmtpFault(at=SmtpStep.MAIL, action=FaultAction.REFUSE),
    )
    async with Gateway(script=Script(faults=faults)) as gateway:
        codes = [await asyncio.to_thread(sent, gateway.smtp_port) for _ in range(4)]

    assert [421, 421, 550, 250] == codes
    assert [faults[0], faults[0], faults[1]] == [fault for _, fault in gateway.shown_faults]


async def test_for_ever() -> None:
    """A fault without a number of times is shown every time."""
    fault = SmtpFault(at=SmtpStep.DOT, action=FaultAction.REFUSE, times=None)
    async with Gateway(script=Script(faults=(fault,))) as gateway:
        codes = [await asyncio.to_thread(sent, gateway.smtp_port) for _ in range(3)]

    assert ([554, 554, 554], []) == (codes, gateway.received)


async def test_greylisting() -> None:
    """A pair of mailboxes waits from its first attempt; a second pair starts anew; a third one does not wait."""
    clock = SimulatedClock()
    grey = SmtpFault(at=SmtpStep.RCPT, action=FaultAction.GREYLIST, times=2, after=5 * MINUTE)
    async with Gateway(script=Script(faults=(grey,)), clock=clock) as gateway:

        async def tried(sender: str) -> int:
            return await asyncio.to_thread(lambda: sent(gateway.smtp_port, sender=sender))

        first = [await tried(MAILBOX), await tried(MAILBOX.upper())]
        await clock.advance(4 * MINUTE)
        second = [await tried(MAILBOX), await tried("edi@trader.example"), await tried("edi@broker.example")]
        await clock.advance(MINUTE)
        third = [await tried(MAILBOX), await tried("edi@trader.example")]
        await clock.advance(4 * MINUTE)
        fourth = await tried("edi@trader.example")

    assert ([451, 451], [451, 451, 250], [250, 451], 250) == (first, second, third, fourth)


async def test_greylisting_of_everybody() -> None:
    """Without a number of times every new pair waits."""
    grey = SmtpFault(at=SmtpStep.RCPT, action=FaultAction.GREYLIST, times=None)
    async with Gateway(script=Script(faults=(grey,)), clock=SimulatedClock()) as gateway:
        senders = ("a@forwarder.example", "b@forwarder.example", "c@forwarder.example")
        codes = [await asyncio.to_thread(sent, gateway.smtp_port, sender=sender) for sender in senders]

    assert [451, 451, 451] == codes


async def test_helo_is_a_greeting_too() -> None:
    """A client that sends HELO gets the faults of EHLO."""
    faults = (SmtpFault(at=SmtpStep.EHLO, action=FaultAction.REFUSE, text="go away"),)
    async with Gateway(script=Script(faults=faults)) as gateway:
        answers = await talked(gateway, lambda client: (client.helo(), client.helo()))

    assert ((550, b"go away"), (250, b"gateway.example")) == answers


async def test_refused_at_quit() -> None:
    """A refused QUIT does not end the session: the client may send it again."""
    faults = (SmtpFault(at=SmtpStep.QUIT, action=FaultAction.REFUSE),)
    async with Gateway(script=Script(faults=faults)) as gateway:
        answers = await talked(gateway, lambda client: (client.docmd("QUIT")[0], client.docmd("QUIT")[0]))

    assert (500, 221) == answers


@pytest.mark.parametrize(
    "at", [SmtpStep.GREETING, SmtpStep.EHLO, SmtpStep.MAIL, SmtpStep.RCPT, SmtpStep.DATA, SmtpStep.DOT]
)
async def test_a_reset_is_a_reset(at: SmtpStep) -> None:
    """A dropped connection ends with a reset, so that no client takes it for an orderly end."""
    fault = SmtpFault(at=at, action=FaultAction.DROP, accepted=at is not SmtpStep.DOT)

    def read_to_the_end(port: int) -> bool:
        lines = ("EHLO x", f"MAIL FROM:<{MAILBOX}>", "RCPT TO:<dms@htpoort.nl>", "DATA", "Subject: x\r\n\r\n.")
        with socket.create_connection(("127.0.0.1", port)) as client:
            try:
                for line in lines:
                    if not client.recv(10_000):
                        return False
                    client.sendall(f"{line}\r\n".encode())
                return bool(client.recv(10_000))
            except ConnectionResetError:
                return True

    async with Gateway(script=Script(faults=(fault,))) as gateway:
        assert await asyncio.to_thread(read_to_the_end, gateway.smtp_port)


@pytest.mark.parametrize("at", [SmtpStep.GREETING, SmtpStep.MAIL, SmtpStep.CONTENT, SmtpStep.DOT])
async def test_closing_ends_what_stalls(at: SmtpStep) -> None:
    """A gateway that stalls can still be closed, and its peer sees the end."""
    fault = SmtpFault(at=at, action=FaultAction.STALL)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def waiting(port: int) -> None:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            sent(port)
        loop.call_soon_threadsafe(ended.set)

    async with asyncio.timeout(30):
        async with Gateway(script=Script(faults=(fault,))) as gateway:
            thread = asyncio.create_task(asyncio.to_thread(waiting, gateway.smtp_port))
            while not gateway.shown_faults:  # noqa: ASYNC110 - what is awaited happens in this loop
                await asyncio.sleep(0)
        await ended.wait()
        await thread


@pytest.mark.parametrize("accepted", [True, False])
async def test_closing_says_no_code_where_the_dot_stalls(accepted: bool) -> None:  # noqa: FBT001 - a column of the table
    """A gateway that closes during a stall at the dot sends no 421, which would deny what it may have accepted."""
    fault = SmtpFault(at=SmtpStep.DOT, action=FaultAction.STALL, accepted=accepted)
    async with asyncio.timeout(30):
        async with Gateway(script=Script(faults=(fault,))) as gateway:
            server = SmtpServer(host="127.0.0.1", port=gateway.smtp_port, security=Security.PLAIN)
            declaration = build(
                system=DMS,
                party="NL123456789.02.05",
                mailbox=MAILBOX,
                reference="22096222734662",
                payload=b"<MetaData/>",
                date=datetime(2026, 11, 2, 9, tzinfo=UTC),
                message_id="<22096222734662@forwarder.example>",
            )

            async def kind() -> SendFailure | None:
                async with Sender(server) as sender:
                    try:
                        await sender.send(declaration)
                    except SendError as error:
                        return error.kind
                return None

            sending = asyncio.create_task(kind())
            while not gateway.shown_faults:  # noqa: ASYNC110 - what is awaited happens in this loop
                await asyncio.sleep(0)
        found = await sending

    assert (SendFailure.UNKNOWN, ["22096222734662"] * accepted) == (
        found,
        [one.envelope.reference for one in gateway.received],
    )


async def test_a_peer_that_leaves_ends_what_stalls() -> None:
    """When a client gives up waiting, the gateway releases the connection."""
    fault = SmtpFault(at=SmtpStep.GREETING, action=FaultAction.STALL)
    async with Gateway(script=Script(faults=(fault,))) as gateway:
        before = asyncio.all_tasks()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.smtp_port)
        while not gateway.shown_faults:  # noqa: ASYNC110 - what is awaited happens in this loop
            await asyncio.sleep(0)
        (talk,) = asyncio.all_tasks() - before
        writer.write_eof()
        async with asyncio.timeout(30):
            nothing = await reader.read()
            await asyncio.wait([talk])
        writer.close()

    assert b"" == nothing


async def test_a_trickle_is_octet_by_octet() -> None:
    """The right response arrives in as many pieces as it has octets."""
    fault = SmtpFault(at=SmtpStep.GREETING, action=FaultAction.TRICKLE)
    async with Gateway(script=Script(faults=(fault,))) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.smtp_port)
        pieces: list[bytes] = []
        while not b"".join(pieces).endswith(b"\r\n"):
            pieces.append(await reader.read(1000))
        writer.close()
        await writer.wait_closed()

    assert b"220 gateway.example ESMTP\r\n" == b"".join(pieces)
    assert len(pieces) > 3


async def test_one_fault_over_both_ports(tls: GatewayTls) -> None:
    """The ports of STARTTLS and implicit TLS share the faults: one shown at the first is used up at the second."""
    faults = (SmtpFault(at=SmtpStep.MAIL, action=FaultAction.DROP),)

    def over_tls(port: int) -> bool:
        context = ssl.create_default_context(cafile=str(tls.ca_file))
        with smtplib.SMTP_SSL("127.0.0.1", port, local_hostname="forwarder.example", context=context) as client:
            try:
                client.sendmail(MAILBOX, ["dms@htpoort.nl"], MESSAGE.format(MAILBOX))
            except smtplib.SMTPServerDisconnected:
                return False
        return True

    async with Gateway(tls=attrs.evolve(tls, require_tls=False), script=Script(faults=faults)) as gateway:
        first = await asyncio.to_thread(over_tls, gateway.smtps_port or 0)
        second = await asyncio.to_thread(sent, gateway.smtp_port)

    assert (False, 250) == (first, second)
