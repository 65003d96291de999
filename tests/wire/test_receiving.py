"""Receiving: which peers and mailboxes are accepted, and what 250 means."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import smtplib
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiosmtplib
import pytest

from htpoort import InputError, Submission
from htpoort.transport import Incoming, Receiver, Refusal, SmtpInbox, SmtpServer, TlsSettings, send, server_context

Context = Callable[..., Any]

REPLY = b"From: dms@htpoort.nl\r\nSubject: [V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]\r\n\r\n<MetaData/>\r\n"


class Store:
    """Keep the messages; fail on request."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[Incoming] = []
        self.error = error

    async def __call__(self, incoming: Incoming) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(incoming)

    @property
    def raws(self) -> list[bytes]:
        """The octets of each message."""
        return [incoming.raw for incoming in self.taken]


def receiver(handler: Callable[[Incoming], Any], **settings: Any) -> Receiver:
    """Make a receiver for one mailbox."""
    settings.setdefault("mailboxes", ["edi@forwarder.example"])
    return Receiver(handler, hostname="mx.forwarder.example", **settings)


class TestTaken:
    """A message reaches the handler as it arrived, and 250 depends on the handler."""

    async def test_from_smtplib(self) -> None:
        """A message of smtplib arrives octet for octet, with sender, mailbox and peer."""
        store = Store()

        def sent(port: int) -> dict[str, Any]:
            with smtplib.SMTP("127.0.0.1", port, local_hostname="dms.example") as client:
                return client.sendmail("dms@htpoort.nl", ["EDI@forwarder.example"], REPLY)

        async with receiver(store) as ours:
            assert await asyncio.to_thread(sent, ours.port) == {}
        assert store.taken == [
            Incoming(
                mail_from="dms@htpoort.nl", rcpt_to="edi@forwarder.example", peer="127.0.0.1", tls=False, raw=REPLY
            )
        ]
        assert "MetaData" not in repr(store.taken[0])

    async def test_many_from_aiosmtplib(self) -> None:
        """Many messages use one connection."""
        store = Store()
        async with receiver(store) as ours:
            client = aiosmtplib.SMTP(
                hostname="127.0.0.1", port=ours.port, start_tls=False, local_hostname="dms.example"
            )
            async with client:
                for number in range(50):
                    await client.sendmail("dms@htpoort.nl", ["edi@forwarder.example"], b"%d\r\n" % number)
        assert [b"%d\r\n" % number for number in range(50)] == store.raws

    async def test_from_our_own_sender(self, submission: Callable[..., Submission], authority: SimpleNamespace) -> None:
        """Our Receiver accepts what our Sender sends, over TLS and after a login."""
        store = Store()
        tls = server_context(TlsSettings(certificate=authority.host))
        settings = {"tls": tls, "require_tls": True, "mailboxes": "dms@htpoort.nl"}
        async with receiver(store, authenticator=lambda *login: login == ("edi", "geheim"), **settings) as ours:
            trusting = TlsSettings(ca_file=authority.ca)
            server = SmtpServer(host="localhost", port=ours.port, tls=trusting, username="edi", password="geheim")
            accepted = await send(submission(b"..\r\n.\r\n"), server)
        assert (250, [submission(b"..\r\n.\r\n").data]) == (accepted.code, store.raws)

    async def test_four_at_once(self, raw: Context) -> None:
        """Four connections at once give four messages."""
        store = Store()
        async with receiver(store) as ours, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(raw(ours.port)) for _ in range(4)]
            for client in clients:
                await client.ready()
            replies = await asyncio.gather(*(client.ask(REPLY + b".\r\n") for client in clients))
        assert (["250 OK"] * 4, [REPLY] * 4) == (replies, store.raws)

    @pytest.mark.parametrize(
        ("written", "mail_from"),
        [
            (b"<>", ""),
            (b"<> SIZE=10", ""),
            (b"<dms@htpoort.nl> SIZE=10 BODY=8BITMIME", "dms@htpoort.nl"),
            (b"dms@htpoort.nl", "dms@htpoort.nl"),
            (b"<a+b=c@mx_1.example>", "a+b=c@mx_1.example"),
            (b'<"a b"@c.example>', '"a b"@c.example'),
            (b'<"a<>b"@c.example>', '"a<>b"@c.example'),
            (b"<@relay.example:dms@htpoort.nl>", "dms@htpoort.nl"),
            (b"<dms@[192.0.2.1]>", "dms@[192.0.2.1]"),
        ],
    )
    async def test_senders(self, raw: Context, written: bytes, mail_from: str) -> None:
        """MAIL FROM is passed on as it was written, the null sender of a bounce as an empty text."""
        store = Store()
        async with receiver(store) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(b"MAIL FROM:" + written + b"\r\n"))[:3] == "250"
            await client.ask(b"RCPT TO:<edi@forwarder.example>\r\n")
            await client.ask(b"DATA\r\n")
            assert (await client.ask(REPLY + b".\r\n"))[:3] == "250"
        assert [mail_from] == [incoming.mail_from for incoming in store.taken]

    async def test_250_comes_after_the_handler(self, raw: Context) -> None:
        """While the handler runs, the peer has no answer."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: Incoming) -> None:
            begun.set()
            await go_on.wait()

        async with receiver(slow) as ours, raw(ours.port) as client:
            await client.ready()
            answer = asyncio.create_task(client.ask(REPLY + b".\r\n"))
            await begun.wait()
            assert not answer.done()
            go_on.set()
            assert await answer == "250 OK"

    async def test_a_failure_is_451_and_the_next_message_is_taken(self, raw: Context) -> None:
        """After a handler failed, the same connection continues."""
        store = Store(OSError("disk full"))
        async with receiver(store) as ours, raw(ours.port) as client:
            await client.ready()
            assert await client.ask(REPLY + b".\r\n") == "451 4.3.0 Not taken, try again later"
            store.error = None
            await client.ready()
            assert await client.ask(REPLY + b".\r\n") == "250 OK"
        assert store.raws == [REPLY]

    @pytest.mark.parametrize(("code", "text"), [(452, "4.3.1 Full"), (550, "5.7.1 No"), (599, "!")])
    async def test_a_refusal_chooses_the_answer(self, raw: Context, code: int, text: str) -> None:
        """A Refusal of the handler is sent word for word, and the connection continues."""
        async with receiver(Store(Refusal(code, text))) as ours, raw(ours.port) as client:
            await client.ready()
            assert await client.ask(REPLY + b".\r\n") == f"{code} {text}"
            assert await client.ask(b"NOOP\r\n") == "250 OK"

    async def test_421_closes_the_connection(self, raw: Context) -> None:
        """After a Refusal with 421 the connection ends."""
        async with receiver(Store(Refusal(421, "4.3.2 Later"))) as ours, raw(ours.port) as client:
            await client.ready()
            assert await client.ask(REPLY + b".\r\n") == "421 4.3.2 Later"
            assert await client.reader.read() == b""

    @pytest.mark.parametrize(
        ("code", "text"),
        [(250, "OK"), (399, "x"), (600, "x"), (550, ""), (550, "a\r\nb"), (550, "é"), (550, "a" * 501)],
    )
    def test_a_refusal_fits_on_one_line(self, code: int, text: str) -> None:
        """A code that is not a refusal, or a text that is not one line, is InputError."""
        with pytest.raises(InputError) as caught:
            Refusal(code, text)
        assert len(caught.value.problems) == 1


class TestRefused:
    """A message that is not for us is refused at the command that shows it."""

    @pytest.mark.parametrize(
        ("command", "reply"),
        [
            (b"MAIL FROM:<a@b.example>\r\n", "503"),
            (b"DATA\r\n", "503"),
            (b"VRFY edi@forwarder.example\r\n", "252"),
            (b"VRFY unknown@forwarder.example\r\n", "252"),
            (b"VRFY\r\n", "252"),
            (b"EXPN list\r\n", "502"),
            (b"NONSENSE\r\n", "500"),
            (b"\r\n", "500"),
            (b"\xff\xfe\r\n", "500"),
            (b"EHLO\r\n", "501"),
            (b"STARTTLS\r\n", "454"),
            (b"A" * 600 + b"\r\n", "500"),
            (b"A" * 2_000_000 + b"\r\n", "500"),
        ],
    )
    async def test_before_ehlo(self, raw: Context, command: bytes, reply: str) -> None:
        """Commands out of order, unknown or too long are refused, and the dialogue continues."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            assert (await client.ask(command))[:3] == reply
            assert await client.ask(b"NOOP\r\n") == "250 OK"

    @pytest.mark.parametrize(
        "path", [b"<", b"dms@[", b"dms@", b"<a@>", b"<<a@b.example>>", b"<a\x00b@c.example>", b"<\x1b@c.example>"]
    )
    async def test_addresses_that_are_none(self, raw: Context, path: bytes) -> None:
        """A malformed address is 553, including those on which the stdlib's parser crashes (trap 6)."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(b"MAIL FROM:" + path + b"\r\n"))[:3] == "553"

    async def test_vrfy_reveals_nothing(self, raw: Context) -> None:
        """VRFY gives the same answer for a mailbox of ours and for any other."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            one = await client.ask(b"VRFY edi@forwarder.example\r\n")
            other = await client.ask(b"VRFY unknown@forwarder.example\r\n")
        assert one == other

    @pytest.mark.parametrize("data", [b"DATA\r\n", b"DATA now\r\n"])
    async def test_data_out_of_order(self, raw: Context, data: bytes) -> None:
        """DATA without a recipient, or with an argument, is refused."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            await client.ask(b"MAIL FROM:<dms@htpoort.nl>\r\n")
            if b"now" in data:
                await client.ask(b"RCPT TO:<edi@forwarder.example>\r\n")
            assert (await client.ask(data))[:3] == ("501" if b"now" in data else "503")

    async def test_commands_sent_together_are_answered_in_order(self, raw: Context) -> None:
        """A whole dialogue in one packet, with garbage in it, gets one answer for each command."""
        store = Store()
        async with receiver(store) as ours, raw(ours.port) as client:
            client.writer.write(
                b"EHLO dms.example\r\nGARBAGE\r\nMAIL FROM:<dms@htpoort.nl>\r\nRCPT TO:<edi@forwarder.example>\r\n"
                b"DATA\r\n.a\r\n..\r\n.\r\nNOOP\r\nQUIT\r\n"
            )
            replies = [await client.reply() for _ in range(8)]
        assert ["250", "500", "250", "250", "354", "250", "250", "221"] == [reply[:3] for reply in replies]
        assert store.raws == [b"a\r\n.\r\n"]

    async def test_a_peer_from_elsewhere(self, raw: Context) -> None:
        """A peer outside of the networks gets 554 instead of a greeting, and the connection ends."""
        async with (
            receiver(Store(), networks=["192.0.2.0/24", "2001:db8::/32"]) as ours,
            raw(ours.port, greeting=False) as client,
        ):
            assert await client.reply() == "554 5.7.1 No service for you here"
            assert await client.reader.read() == b""

    async def test_nonsense_ends(self, raw: Context) -> None:
        """A peer that sends only unknown commands is disconnected."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            replies = [await client.ask(b"GET / HTTP/1.1\r\n") for _ in range(5)]
            assert [reply[:3] for reply in replies] == ["500", "500", "500", "500", "502"]
            assert await client.reader.read() == b""

    async def test_silence_ends(self, raw: Context) -> None:
        """A silent peer is disconnected after the timeout."""
        async with receiver(Store(), timeout=0.5) as ours, raw(ours.port) as client:
            assert await client.reader.read() == b""

    async def test_the_greeting_names_no_software(self, raw: Context) -> None:
        """The greeting shows our host name and no version."""
        async with receiver(Store()) as ours, raw(ours.port, greeting=False) as client:
            assert await client.reply() == "220 mx.forwarder.example ESMTP"


class Recording(asyncio.Transport):
    """A connection that records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


class TestAnswers:
    """The answer to a command is whole, and lists what is available."""

    async def test_ehlo_in_one_write(self) -> None:
        """All lines of the answer to EHLO leave in one write: a peer that reads once sees them all."""
        ours = receiver(Store())
        dialogue = ours._dialogue(ours._tracker, "127.0.0.1")
        connection = Recording()
        dialogue.connection_made(connection)
        dialogue.data_received(b"EHLO dms.example\r\n")
        while len(connection.writes) < 2:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
        dialogue.connection_lost(None)
        await asyncio.sleep(0)
        assert [
            b"220 mx.forwarder.example ESMTP\r\n",
            b"250-mx.forwarder.example\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 HELP\r\n",
        ] == connection.writes

    async def test_help_names_every_command(self, raw: Context, authority: SimpleNamespace) -> None:
        """HELP lists the available commands: STARTTLS with a context, AUTH with an authenticator."""
        usual = "DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET"
        tls = server_context(TlsSettings(certificate=authority.host))
        settings: list[dict[str, Any]] = [{}, {"tls": tls}, {"authenticator": lambda *_: True}]
        replies: list[str] = []
        for setting in settings:
            async with receiver(Store(), **setting) as ours, raw(ours.port) as client:
                replies.append(await client.ask(b"HELP\r\n"))
        assert [
            f"250 Supported commands: {usual} VRFY",
            f"250 Supported commands: {usual} STARTTLS VRFY",
            f"250 Supported commands: AUTH {usual} VRFY",
        ] == replies

    @pytest.mark.parametrize(
        ("command", "reply"),
        [
            (b"HELP DATA\r\n", "250 Syntax: DATA"),
            (b"HELP vrfy\r\n", "250 Syntax: VRFY <address>"),
            (b"HELP MAIL\r\n", "250 Syntax: MAIL FROM: <address> [SP <mail-parameters>]"),
            (b"HELP STARTTLS\r\n", "501 Supported commands: DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET VRFY"),
            (b"HELP \xff\r\n", "500 Error: strict ASCII mode"),
        ],
    )
    async def test_help_for_one(self, raw: Context, command: bytes, reply: str) -> None:
        """HELP with a command shows its syntax; with an unknown one, 501 and the known ones."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert reply == await client.ask(command)


class TestTls:
    """STARTTLS is offered with a context, and can be required."""

    @pytest.fixture
    def context(self, authority: SimpleNamespace) -> ssl.SSLContext:
        """Make the context of a receiver."""
        return server_context(TlsSettings(certificate=authority.host))

    async def test_a_message_over_tls(self, authority: SimpleNamespace, context: ssl.SSLContext) -> None:
        """The starttls of smtplib works, and the handler learns that the message arrived over TLS."""
        store = Store()
        trusting = ssl.create_default_context(cafile=authority.ca)

        def sent(port: int) -> None:
            with smtplib.SMTP("localhost", port, local_hostname="dms.example") as client:
                client.starttls(context=trusting)
                client.sendmail("dms@htpoort.nl", ["edi@forwarder.example"], REPLY)

        async with receiver(store, tls=context, require_tls=True) as ours:
            await asyncio.to_thread(sent, ours.port)
        assert [(True, REPLY)] == [(incoming.tls, incoming.raw) for incoming in store.taken]

    async def test_certificates_of_clients_are_nothing_to_be_warned_of(
        self, raw: Context, authority: SimpleNamespace, caplog: pytest.LogCaptureFixture
    ) -> None:
        """If clients must present a certificate, a connection logs nothing; aiosmtpd would warn at each one."""
        asking = server_context(TlsSettings(certificate=authority.host, ca_file=authority.ca))
        async with receiver(Store(), tls=asking, require_tls=True) as ours, raw(ours.port) as client:
            assert "250-STARTTLS" in await client.ask(b"EHLO dms.example\r\n")
            assert "530" == (await client.ask(b"MAIL FROM:<dms@htpoort.nl>\r\n"))[:3]
        assert [] == [record.message for record in caplog.records if record.levelno >= logging.WARNING]

    async def test_nothing_before_tls_where_it_is_required(self, raw: Context, context: ssl.SSLContext) -> None:
        """With require_tls MAIL in the clear is 530."""
        async with receiver(Store(), tls=context, require_tls=True) as ours, raw(ours.port) as client:
            offer = await client.ask(b"EHLO dms.example\r\n")
            assert "250-STARTTLS" in offer
            assert (await client.ask(b"MAIL FROM:<dms@htpoort.nl>\r\n"))[:3] == "530"

    async def test_no_second_tls(self, authority: SimpleNamespace, context: ssl.SSLContext) -> None:
        """Over TLS STARTTLS is 503, and the dialogue continues (RFC 3207, section 4.2 forbids a second one)."""
        trusting = ssl.create_default_context(cafile=authority.ca)

        def again(port: int) -> int:
            with smtplib.SMTP("localhost", port, local_hostname="dms.example") as client:
                client.starttls(context=trusting)
                code = client.docmd("STARTTLS")[0]
                client.sendmail("dms@htpoort.nl", ["edi@forwarder.example"], REPLY)
                return code

        store = Store()
        async with receiver(store, tls=context) as ours:
            code = await asyncio.to_thread(again, ours.port)
        assert (503, [REPLY]) == (code, [incoming.raw for incoming in store.taken])

    async def test_without_a_context_it_is_not_offered(self, raw: Context) -> None:
        """STARTTLS is not offered without a context, nor a login without an authenticator."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            offer = await client.ask(b"EHLO dms.example\r\n")
        assert offer.splitlines() == ["250-mx.forwarder.example", "250-SIZE 52428800", "250-8BITMIME", "250 HELP"]

    @pytest.mark.parametrize("octets", [b"GARBAGE\r\n" * 10, b"", b"\x16\x03\x01"])
    async def test_a_handshake_that_fails(self, raw: Context, context: ssl.SSLContext, octets: bytes) -> None:
        """Garbage, silence or half a handshake ends that connection, and no other."""
        async with receiver(Store(), tls=context) as ours, raw(ours.port) as client:
            async with raw(ours.port) as other:
                await other.ask(b"EHLO dms.example\r\n")
                assert (await other.ask(b"STARTTLS\r\n"))[:3] == "220"
                other.writer.write(octets)
                other.writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    await other.reader.read()
            assert await client.ask(b"NOOP\r\n") == "250 OK"

    async def test_closing_during_a_handshake(self, raw: Context, context: ssl.SSLContext) -> None:
        """A receiver closes without waiting for a handshake that never arrives."""
        async with raw_to(receiver(Store(), tls=context), raw) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(b"STARTTLS\r\n"))[:3] == "220"

    async def test_commands_sent_before_tls_are_dropped(
        self, authority: SimpleNamespace, context: ssl.SSLContext
    ) -> None:
        """A command hidden after STARTTLS in the clear is not answered under TLS."""
        trusting = ssl.create_default_context(cafile=authority.ca)
        async with receiver(Store(), tls=context) as ours:
            reader, writer = await asyncio.open_connection("localhost", ours.port)
            await reader.readline()
            writer.write(b"EHLO dms.example\r\n")
            while (await reader.readline())[3:4] == b"-":
                pass
            writer.write(b"STARTTLS\r\nVRFY injected\r\n")
            assert (await reader.readline())[:3] == b"220"
            await writer.start_tls(trusting, server_hostname="localhost")
            writer.write(b"NOOP\r\n")
            assert await reader.readline() == b"250 OK\r\n"
            writer.transport.abort()
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def raw_to(ours: Receiver, raw: Context) -> Any:
    """Connect to a receiver that closes before its client."""
    async with contextlib.AsyncExitStack() as stack, ours:
        yield await stack.enter_async_context(raw(ours.port))


class TestLogin:
    """A login is required if there is an authenticator."""

    def checker(self, username: str, password: str) -> bool:
        """Accept one user."""
        return (username, password) == ("edi", "geheim")

    async def test_smtplib_logs_in(self) -> None:
        """On loopback a login in the clear is accepted."""
        store = Store()

        def sent(port: int) -> None:
            with smtplib.SMTP("127.0.0.1", port, local_hostname="dms.example") as client:
                client.login("edi", "geheim")
                client.sendmail("dms@htpoort.nl", ["edi@forwarder.example"], REPLY)

        async with receiver(store, authenticator=self.checker) as ours:
            await asyncio.to_thread(sent, ours.port)
        assert store.raws == [REPLY]

    async def test_is_nothing_to_be_warned_of(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """A login logs nothing; aiosmtpd would warn about its own deprecation."""
        login = b"AUTH PLAIN " + base64.b64encode(b"\0edi\0geheim") + b"\r\n"
        async with receiver(Store(), authenticator=self.checker) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(login))[:3] == "235"
        assert [] == [record.message for record in caplog.records if record.levelno >= logging.WARNING]

    async def test_without_it_nothing_is_taken(self, raw: Context) -> None:
        """MAIL before the login is 530."""
        async with receiver(Store(), authenticator=self.checker) as ours, raw(ours.port) as client:
            assert "250-AUTH LOGIN PLAIN" in await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(b"MAIL FROM:<dms@htpoort.nl>\r\n"))[:3] == "530"

    @pytest.mark.parametrize("login", [b"\0edi\0wrong", b"\0edi\0\xff", b"\0\xc3\0x"])
    async def test_a_wrong_login(self, raw: Context, login: bytes) -> None:
        """A wrong password, or one that is not UTF-8, is 535; the fourth attempt ends the connection."""
        command = b"AUTH PLAIN " + base64.b64encode(login) + b"\r\n"
        async with receiver(Store(), authenticator=self.checker) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            codes = [(await client.ask(command))[:3] for _ in range(4)]
            assert codes == ["535", "535", "535", "421"]
            assert await client.reader.read() == b""

    @pytest.mark.parametrize(
        ("parameter", "code"),
        [
            (b" AUTH=<>", "250"),
            (b" auth=<>", "250"),
            (b" SIZE=10 AUTH=edi@forwarder.example", "250"),
            (b" AUTH=e+3Dmc2@example.com BODY=8BITMIME", "250"),
            (b" AUTH=" + b"a" * 480 + b"@forwarder.example", "250"),
            (b" AUTH=" + b"a" * 1000 + b"@forwarder.example", "500"),
            (b" AUTH=", "501"),
            (b" AUTH", "501"),
            (b" AUTH=a=b", "501"),
            (b" AUTH=a+3", "501"),
            (b" AUTH=<> RET=FULL", "555"),
        ],
    )
    async def test_the_claimed_author(self, raw: Context, parameter: bytes, code: str) -> None:
        """If AUTH is offered, AUTH= is accepted in MAIL with any address (RFC 4954, sections 3 and 5)."""
        login = b"AUTH PLAIN " + base64.b64encode(b"\0edi\0geheim") + b"\r\n"
        store = Store()
        async with receiver(store, authenticator=self.checker) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            await client.ask(login)
            assert code == (await client.ask(b"MAIL FROM:<dms@htpoort.nl>" + parameter + b"\r\n"))[:3]
            if code == "250":
                assert "555" == (await client.ask(b"RCPT TO:<edi@forwarder.example> AUTH=<>\r\n"))[:3]
                await client.ask(b"RCPT TO:<edi@forwarder.example>\r\n")
                await client.ask(b"DATA\r\n")
                assert "250 OK" == await client.ask(REPLY + b".\r\n")
        assert (["dms@htpoort.nl"] if code == "250" else []) == [incoming.mail_from for incoming in store.taken]

    async def test_an_authenticator_that_fails(self, raw: Context, caplog: pytest.LogCaptureFixture) -> None:
        """The peer is asked to try again (454), and however often it does, the log gets ten lines."""

        def failing(_username: str, _password: str) -> bool:
            message = "no directory"
            raise ConnectionError(message)

        command = b"AUTH PLAIN " + base64.b64encode(b"\0edi\0geheim") + b"\r\n"
        async with receiver(Store(), authenticator=failing) as ours:
            for _ in range(4):
                async with raw(ours.port) as client:
                    await client.ask(b"EHLO dms.example\r\n")
                    assert ["454"] * 3 == [(await client.ask(command))[:3] for _ in range(3)]
        lines = [record for record in caplog.records if "authenticator failed; answered 454: Conn" in record.message]
        assert (["ERROR"] * 10, "Left out 2 more") == ([r.levelname for r in lines[:-1]], lines[-1].message[:15])

    async def test_where_there_is_no_login(self, raw: Context) -> None:
        """If AUTH is not offered, AUTH= is an unknown parameter."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert "555" == (await client.ask(b"MAIL FROM:<dms@htpoort.nl> AUTH=<>\r\n"))[:3]

    async def test_without_an_authenticator_there_is_no_login(self, raw: Context) -> None:
        """AUTH is refused without an authenticator."""
        async with receiver(Store()) as ours, raw(ours.port) as client:
            await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(b"AUTH PLAIN AGVkaQBnZWhlaW0=\r\n"))[:3] == "504"

    async def test_off_this_machine_only_over_tls(self, raw: Context, authority: SimpleNamespace) -> None:
        """If the host name is not loopback, AUTH in the clear is 538."""
        context = server_context(TlsSettings(certificate=authority.host))
        # Another spelling of 127.0.0.1, which is_loopback does not recognise.
        ours = receiver(Store(), authenticator=self.checker, tls=context, host="127.1")
        async with ours, raw(ours.port) as client:
            assert "AUTH" not in await client.ask(b"EHLO dms.example\r\n")
            assert (await client.ask(b"AUTH PLAIN AGVkaQBnZWhlaW0=\r\n"))[:3] == "538"

    async def test_offered_only_where_it_is_taken(self, authority: SimpleNamespace) -> None:
        """If TLS is required, no login is offered before it; over TLS it is, on loopback too."""
        tls = server_context(TlsSettings(certificate=authority.host))

        def offers(port: int) -> tuple[bool, bool]:
            with smtplib.SMTP("localhost", port, local_hostname="dms.example") as client:
                client.ehlo()
                before = client.has_extn("auth")
                client.starttls(context=ssl.create_default_context(cafile=authority.ca))
                client.ehlo()
                return before, client.has_extn("auth")

        async with receiver(Store(), authenticator=self.checker, tls=tls, require_tls=True) as ours:
            assert (False, True) == await asyncio.to_thread(offers, ours.port)


class TestClosing:
    """A receiver leaves nothing running, and a message that is being stored gets its answer."""

    async def test_an_idle_peer_gets_421(self, raw: Context) -> None:
        """An idle peer gets 421, and the connection ends."""
        async with contextlib.AsyncExitStack() as stack:
            async with receiver(Store()) as ours:
                client = await stack.enter_async_context(raw(ours.port))
            assert await client.reply() == "421 4.3.2 Closing"
            assert await client.reader.read() == b""

    async def test_what_is_being_stored_gets_its_250(self, raw: Context) -> None:
        """A receiver waits for a running handler: 250 first, then 421."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: Incoming) -> None:
            begun.set()
            await go_on.wait()

        async with contextlib.AsyncExitStack() as stack:
            async with receiver(slow) as ours:
                client = await stack.enter_async_context(raw(ours.port))
                await client.ready()
                client.writer.write(REPLY + b".\r\n")
                await begun.wait()
                asyncio.get_running_loop().call_soon(go_on.set)
            assert [await client.reply() for _ in range(2)] == ["250 OK", "421 4.3.2 Closing"]

    async def test_after_the_grace_a_handler_is_cancelled(self, raw: Context) -> None:
        """A handler that does not end within the grace is cancelled, and its peer gets no answer."""
        begun, ended = asyncio.Event(), asyncio.Event()

        async def endless(_: Incoming) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with contextlib.AsyncExitStack() as stack:
            async with receiver(endless, grace=0) as ours:
                client = await stack.enter_async_context(raw(ours.port))
                await client.ready()
                client.writer.write(REPLY + b".\r\n")
                await begun.wait()
            assert ended.is_set()
            assert await client.reader.read() == b""

    async def test_it_closes_after_an_error_too(self) -> None:
        """An error in the block closes the receiver and passes through."""
        with pytest.raises(LookupError):
            async with receiver(Store()) as ours:
                raise LookupError
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", ours.port)

    async def test_it_may_be_opened_again(self, raw: Context) -> None:
        """A receiver that was closed accepts messages when it is opened again."""
        store = Store()
        ours = receiver(store)
        for _ in range(2):
            async with ours, raw(ours.port) as client:
                await client.ready()
                assert await client.ask(REPLY + b".\r\n") == "250 OK"
        assert store.raws == [REPLY, REPLY]

    async def test_a_port_that_is_taken(self) -> None:
        """Two receivers cannot have one port: OSError, which names the address and the reason."""
        async with receiver(Store()) as first:
            with pytest.raises(OSError, match="Address already in use") as caught:
                async with receiver(Store(), port=first.port):
                    pass
        assert (f"127.0.0.1:{first.port}", "Address already in use") == (caught.value.filename, caught.value.strerror)


class TestSettings:
    """Settings are one value; what a receiver cannot work with is refused when the value is made, all at once."""

    async def test_a_value_and_arguments(self, raw: Context) -> None:
        """A receiver takes its settings as one value, and arguments replace fields of it."""
        inbox = SmtpInbox(hostname="mx.forwarder.example", mailboxes=["edi@forwarder.example"], size_limit=10)
        refused, taken = Store(), Store()
        async with Receiver(refused, inbox) as ours, raw(ours.port) as client:
            await client.ready()
            answer = await client.ask(REPLY + b".\r\n")
        async with Receiver(taken, inbox, size_limit=1000) as ours, raw(ours.port) as client:
            await client.ready()
            await client.ask(REPLY + b".\r\n")
        assert ("552", [], [REPLY]) == (answer[:3], refused.raws, taken.raws)

    def test_equal_settings(self) -> None:
        """Equal settings are equal values, and the mailboxes may come in any collection."""
        one, two = (
            SmtpInbox(hostname="mx.forwarder.example", mailboxes=boxes) for boxes in (["a@b.example"], ("a@b.example",))
        )
        assert one == two

    @pytest.mark.parametrize(
        ("settings", "code"),
        [
            ({"hostname": "mx forwarder"}, "receiver.host"),
            ({"hostname": "mx.forwarder.example\r\n250"}, "receiver.host"),
            ({"host": ""}, "receiver.host"),
            ({"host": None}, "receiver.host"),
            ({"port": -1}, "receiver.port"),
            ({"port": 65_536}, "receiver.port"),
            ({"port": "25"}, "receiver.port"),
            ({"require_tls": True}, "receiver.tls"),
            ({"host": "192.0.2.1", "authenticator": lambda *_: True}, "receiver.tls"),
            ({"size_limit": 0}, "receiver.size"),
            ({"timeout": 0}, "receiver.timeout"),
            ({"timeout": float("nan")}, "receiver.timeout"),
            ({"timeout": float("inf")}, "receiver.timeout"),
            ({"grace": -1}, "receiver.grace"),
            ({"networks": ["everywhere"]}, "receiver.network"),
            ({"networks": "127.0.0.1/8"}, "receiver.network"),
            ({"mailboxes": []}, "receiver.mailboxes"),
            ({"mailboxes": ["edi"]}, "receiver.mailboxes"),
            ({"mailboxes": "edi"}, "receiver.mailboxes"),
            ({"mailboxes": ["еdi@forwarder.example"]}, "receiver.mailboxes"),
        ],
    )
    def test_one_at_a_time(self, settings: dict[str, Any], code: str) -> None:
        """Each setting is checked, and its problem has a stable code."""
        usual: dict[str, Any] = {"hostname": "mx.forwarder.example", "mailboxes": ["edi@forwarder.example"]}
        with pytest.raises(InputError) as caught:
            Receiver(Store(), **{**usual, **settings})
        assert [code] == [problem.code for problem in caught.value.problems]

    def test_all_at_once(self) -> None:
        """Every problem is reported, not only the first."""
        with pytest.raises(InputError) as caught:
            Receiver(Store(), hostname="", mailboxes=[], port=-1, size_limit=0, timeout=0, grace=-1, networks=["x"])
        assert len(caught.value.problems) == 7

    def test_a_single_mailbox(self) -> None:
        """A text instead of a list is one mailbox, not a list of letters."""
        Receiver(Store(), hostname="mx.forwarder.example", mailboxes="edi@forwarder.example")
