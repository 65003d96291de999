"""The measured traps of the wire: each is shown to exist, and then to be avoided."""

from __future__ import annotations

import asyncio
import email.message
import email.policy
import logging
import re
from collections.abc import Callable
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.controller import Controller

from htpoort import SendError, SendFailure, Submission
from htpoort.transport import Incoming, Receiver, Security, Sender, SmtpServer, send

Build = Callable[..., Submission]
Context = Callable[..., Any]

PAYLOAD = "payload of NL123456789.02.05"


def plain(port: int, **settings: Any) -> SmtpServer:
    """Describe how to reach a server of a test."""
    return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN, **settings)


class Store:
    """Keep the octets of each message."""

    def __init__(self) -> None:
        self.raws: list[bytes] = []

    async def __call__(self, incoming: Incoming) -> None:
        self.raws.append(incoming.raw)


def receiver(handler: Callable[[Incoming], Any], **settings: Any) -> Receiver:
    """Make a receiver for one mailbox."""
    return Receiver(handler, hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"], **settings)


class TestTrap02FoldedByTheClient:
    """Trap 2: aiosmtplib renders an EmailMessage again with its own policy, and folds the Subject."""

    SUBJECT = "[V=NL123456789.02.05][A=DMS4.NL][K=ABCDEFGHIJKLMNOPQRSTUVWXYZ012345][S=0]"

    async def test_the_trap_is_there(self, stock: Context) -> None:
        """A message whose policy forbids folding arrives with an empty first Subject line."""
        message = email.message.EmailMessage(policy=email.policy.SMTP.clone(max_line_length=998))
        message["From"], message["To"], message["Subject"] = "edi@forwarder.example", "dms@htpoort.nl", self.SUBJECT
        message.set_content("<MetaData/>")
        async with stock() as server:
            await aiosmtplib.send(message, hostname="127.0.0.1", port=server.port, start_tls=False, local_hostname="a")
        assert f"Subject: {self.SUBJECT}\r\n".encode() not in server.sink.contents[0]

    @pytest.mark.parametrize("length", [1, 28, 29, 32, 35])
    async def test_it_does_not_bite(self, stock: Context, submission: Build, length: int) -> None:
        """Octets passed to send arrive unchanged, Subject on one physical line, whatever the length of K."""
        reference = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345678"[:length]
        message = submission(reference=reference)
        async with stock() as server:
            await send(message, plain(server.port))
        assert [message.data] == server.sink.contents
        subject = f"\r\nSubject: [V=NL123456789.02.05][A=DMS4.NL][K={reference}][S=0]\r\n"
        assert subject.encode() in server.sink.contents[0]


class TestTrap09TheErrorIsTold:
    """Trap 9: aiosmtpd answers a failing handler with 500 and its text, and delivers what is not clean."""

    async def failing(self, *_: object) -> str:
        """Fail with a text that must not show."""
        raise LookupError(PAYLOAD)

    async def test_the_trap_is_there(self, stock: Context, raw: Context) -> None:
        """Stock aiosmtpd sends the exception to the peer, with a permanent code."""
        handler = type("Handler", (), {"handle_DATA": self.failing})()
        async with stock(handler) as server, raw(server.port) as client:
            await client.ready()
            reply = await client.ask(b"x\r\n.\r\n")
        assert reply == f"500 Error: (LookupError) {PAYLOAD}"

    async def test_it_does_not_bite(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """The peer gets 451 without the text; the log has the error's class and line without the text."""
        with caplog.at_level(logging.DEBUG):
            async with receiver(self.failing) as ours, raw(ours.port) as client:
                await client.ready()
                reply = await client.ask(f"Subject: x\r\n\r\n{PAYLOAD}\r\n.\r\n".encode())
        assert reply == "451 4.3.0 Not taken, try again later"
        assert PAYLOAD not in caplog.text
        logged = [record.getMessage() for record in caplog.records if record.name == "htpoort.transport"]
        assert len(logged) == 1
        assert re.fullmatch(r"The handler failed; answered 451: LookupError at .*test_traps\.py:\d+", logged[0])

    async def test_a_failing_authenticator_reveals_nothing(
        self, raw: Context, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An authenticator that fails is 454, and its text is neither sent nor logged."""

        def broken(_username: str, _password: str) -> bool:
            raise ConnectionResetError(PAYLOAD)

        async with receiver(lambda _: asyncio.sleep(0), authenticator=broken) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            reply = await client.ask(b"AUTH PLAIN AGVkaQBnZWhlaW0=\r\n")
        assert reply == "454 4.7.0 Login cannot be checked, try again later"
        assert PAYLOAD not in caplog.text
        assert "The authenticator failed; answered 454: ConnectionResetError at " in caplog.text

    async def test_an_internal_error_reveals_nothing(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """An error inside aiosmtpd, here a password that never ends, is 451 without its text."""
        async with receiver(Store(), authenticator=lambda *_: True) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            await client.ask(b"AUTH LOGIN\r\n")
            reply = await client.ask(b"A" * 300_000 + b"\r\n")
        assert reply == "451 4.3.0 Not taken, try again later"
        assert "A command failed; answered 451: ValueError at " in caplog.text
        assert "AAAA" not in caplog.text

    async def test_a_stock_controller_takes_no_port_0(self) -> None:
        """Stock aiosmtpd's Controller cannot listen on a port that is free; it tries to connect to port 0."""
        controller = Controller(object(), hostname="127.0.0.1", port=0, ready_timeout=1)
        try:
            with pytest.raises(OSError, match=r"."):
                await asyncio.to_thread(controller.start)
        finally:
            await asyncio.to_thread(controller.stop, no_assert=True)

    async def test_ours_does(self) -> None:
        """A receiver on port 0 reports the port it listens on."""
        ours = receiver(lambda _: asyncio.sleep(0))
        assert ours.port == 0
        async with ours:
            assert ours.port > 0

    @pytest.mark.parametrize("bad", [b"\n", b"\r", b"\0"], ids=["LF", "CR", "NUL"])
    async def test_stock_delivers_what_is_not_clean(self, stock: Context, raw: Context, bad: bytes) -> None:
        """Stock aiosmtpd delivers content with a bare CR, a bare LF or a NUL."""
        async with stock() as server, raw(server.port) as client:
            await client.ready()
            assert (await client.ask(b"a" + bad + b"b\r\n.\r\n"))[:3] == "250"
        assert server.sink.contents == [b"a" + bad + b"b\r\n"]

    @pytest.mark.parametrize("bad", [b"\n", b"\r", b"\0"], ids=["LF", "CR", "NUL"])
    async def test_ours_refuses_it(self, raw: Context, bad: bytes) -> None:
        """The receiver refuses the same content with 550, and the handler never sees it."""
        store = Store()
        async with receiver(store) as ours, raw(ours.port) as client:
            await client.ready()
            reply = await client.ask(b"a" + bad + b"b\r\n.\r\n")
        assert (reply, store.raws) == ("550 5.6.0 Bare CR, bare LF or NUL in the message", [])


class TestTrap10OneAnswerForOneMessage:
    """Trap 10: one answer to the final dot cannot be true of two recipients."""

    async def test_the_trap_is_there(self, stock: Context, raw: Context) -> None:
        """Stock aiosmtpd accepts any recipient, and a second one."""
        async with stock() as server, raw(server.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            await client.ask(b"MAIL FROM:<dms@htpoort.nl>\r\n")
            replies = [
                await client.ask(b"RCPT TO:<%s>\r\n" % name)
                for name in (b"anybody@else.example", b"edi@forwarder.example")
            ]
        assert [reply[:3] for reply in replies] == ["250", "250"]

    async def test_it_does_not_bite(self, raw: Context) -> None:
        """An unknown mailbox is 550 at RCPT, ours is 250 in either case of letters, a second one is 452."""
        async with receiver(lambda _: asyncio.sleep(0)) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            await client.ask(b"MAIL FROM:<dms@htpoort.nl>\r\n")
            replies = [
                await client.ask(b"RCPT TO:<%s>\r\n" % name)
                for name in (b"anybody@else.example", b"EDI@Forwarder.Example", b"edi@forwarder.example")
            ]
        assert [reply[:3] for reply in replies] == ["550", "250", "452"]


class TestTrap11DroppedAfterTheFinalDot:
    """Trap 11: if a connection is lost after the final dot, the message may or may not have been taken."""

    async def test_the_trap_is_there(self, fixed: Context, submission: Build) -> None:
        """The library aiosmtplib raises the same error for a loss before the content and after the final dot."""
        names = []
        for verb in ("DATA", "dot"):
            async with fixed(**{verb: "drop"}) as server:
                client = aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port, start_tls=False, local_hostname="a")
                await client.connect()
                with pytest.raises(aiosmtplib.SMTPException) as caught:
                    await client.sendmail("edi@forwarder.example", ["dms@htpoort.nl"], submission().data)
                client.close()
                names.append(type(caught.value).__name__)
        assert names == ["SMTPServerDisconnected", "SMTPServerDisconnected"]

    @pytest.mark.parametrize(
        "how", ["drop", "close", "stall", b"hello there\r\n", b"354 more\r\n", b"2 5 0\r\n", (b"250", "close")]
    )
    async def test_it_does_not_bite(self, fixed: Context, submission: Build, how: Any) -> None:
        """Anything but a plain answer to the final dot is UNKNOWN, and never retryable."""
        async with fixed(dot=how) as server, Sender(plain(server.port, final_timeout=0.1)) as sender:
            with pytest.raises(SendError) as caught:
                await sender.send(submission())
        assert (SendFailure.UNKNOWN, None, False) == (caught.value.kind, caught.value.code, caught.value.retryable)
        assert server.contents == [submission().data + b".\r\n"]


class TestTrap18LongLines:
    """Trap 18: aiosmtpd refuses lines over 1,001 octets, and with them a reply of one line."""

    XML = b"Subject: x\r\n\r\n<MetaData>" + b"<A>22096222734662</A>" * 100_000 + b"</MetaData>\r\n"

    async def test_the_trap_is_there(self, stock: Context, raw: Context) -> None:
        """Stock aiosmtpd answers 500 to a line of 2 MB."""
        async with stock() as server, raw(server.port) as client:
            await client.ready()
            reply = await client.ask(self.XML + b".\r\n")
        assert (reply, []) == ("500 Line too long (see RFC5321 4.5.3.1.6)", server.sink.contents)

    async def test_it_does_not_bite(self, raw: Context) -> None:
        """The receiver accepts the same line, octet for octet."""
        store = Store()
        async with receiver(store) as ours, raw(ours.port) as client:
            await client.ready()
            reply = await client.ask(self.XML + b".\r\n")
        assert (reply, store.raws) == ("250 OK", [self.XML])
