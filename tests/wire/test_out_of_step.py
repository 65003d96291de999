"""A server whose answers are out of step: no answer is read as the answer to another command."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from htpoort import SendError, SendFailure, Submission
from htpoort.transport import Security, Sender, SmtpServer, TlsSettings, send

Build = Callable[..., Submission]
Fixed = Any

STRAY = b"250 2.0.0 OK\r\n"
USUAL = {
    "connect": b"220 customs.example\r\n",
    "EHLO": b"250 customs.example\r\n",
    "MAIL": b"250 sender\r\n",
    "RCPT": b"250 recipient\r\n",
}
BIG = b"<MetaData>\r\n" + b"<A>22096222734662</A>\r\n" * 600_000 + b"</MetaData>\r\n"  # 13 MB, above any socket buffer


def plain(port: int, **settings: Any) -> SmtpServer:
    """Describe how to reach a server of a test."""
    return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN, **settings)


async def failure(submission: Submission, server: SmtpServer) -> SendError:
    """Send, and return the error."""
    with pytest.raises(SendError) as caught:
        await send(submission, server)
    return caught.value


class TestBeforeTheDot:
    """What is unread before the final dot does not answer it: without the dot nothing was taken, and that is LOST."""

    async def test_together_with_the_354(self, fixed: Fixed, submission: Build) -> None:
        """A 250 in the packet of the 354 does not answer the dot; the 554 that follows is never read as a 250."""

        class Stray(fixed):  # type: ignore[misc]  # a fixture's class
            GO_ON = b"354 go\r\n" + STRAY

        async with Stray(DATA=Stray.GO_ON, dot=b"554 5.6.0 content rejected\r\n") as server:
            error = await failure(submission(), plain(server.port))
            await server.left.wait()
        assert (SendFailure.LOST, None, True, []) == (error.kind, error.code, error.retryable, server.contents)
        assert "The server's answers are out of step; it sent this without being asked: 250 2.0.0 OK" == error.reply

    async def test_while_the_content_is_sent(self, fixed: Fixed, submission: Build) -> None:
        """A 250 that arrives in the middle of the content does not answer the dot either."""

        class Early(fixed):  # type: ignore[misc]  # a fixture's class
            async def _content(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readexactly(10_000)
                writer.write(STRAY)
                await super()._content(reader, writer)

        async with Early(dot=b"554 5.6.0 content rejected\r\n") as server:
            error = await failure(submission(BIG), plain(server.port))
            await server.left.wait()
        assert (SendFailure.LOST, None, True, []) == (error.kind, error.code, error.retryable, server.contents)

    @pytest.mark.parametrize("place", ["connect", "EHLO", "MAIL", "RCPT"])
    async def test_with_every_answer_before(self, fixed: Fixed, submission: Build, place: str) -> None:
        """A stray answer in the packet of any earlier one ends the connection before the next command."""
        async with fixed(**{place: USUAL[place] + STRAY}) as server:
            error = await failure(submission(), plain(server.port))
            await server.left.wait()
        assert (SendFailure.LOST, None, True, []) == (error.kind, error.code, error.retryable, server.contents)
        last = server.commands[-1].partition(" ")[0] if server.commands else "connect"
        assert place == last

    @pytest.mark.parametrize("place", ["MAIL", "RCPT", "DATA"])
    async def test_two_codes_in_one_answer(self, fixed: Fixed, submission: Build, place: str) -> None:
        """The lines of one answer have one code (RFC 5321, section 4.2.1); of two codes neither counts."""
        async with fixed(**{place: b"550-no\r\n250 ok\r\n"}) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.LOST, None, []) == (error.kind, error.code, server.contents)

    @pytest.mark.parametrize("piece", [1, 7])
    async def test_an_answer_in_small_pieces(self, fixed: Fixed, submission: Build, piece: int) -> None:
        """An answer of many lines that arrives in pieces is one answer, and nothing of it is left over."""
        offer = b"250-customs.example\r\n250-8BITMIME\r\n250-X 250-\r\n250 SIZE 52428800\r\n"
        steps = tuple(offer[start : start + piece] for start in range(0, len(offer), piece))

        class Slow(fixed):  # type: ignore[misc]  # a fixture's class
            async def _step(self, step: Any, *streams: Any) -> None:
                await super()._step(step, *streams)
                await asyncio.sleep(0)

        async with Slow(EHLO=steps) as server:
            accepted = await send(submission(), plain(server.port))
        assert (250, 1) == (accepted.code, len(server.contents))

    @pytest.mark.parametrize("endless", [b"250-" + b"x" * 40_000, b"250-x\r\n" * 6_000], ids=["line", "lines"])
    async def test_an_answer_without_end(self, fixed: Fixed, submission: Build, endless: bytes) -> None:
        """An answer longer than any real one is LOST, and is not client in memory."""
        async with fixed(EHLO=(endless, "stall")) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.LOST, None) == (error.kind, error.code)


class TestAtTheDot:
    """What arrives with the answer to the dot may contradict it; then the outcome is unknown."""

    @pytest.mark.parametrize(
        "both",
        [
            b"250 ok\r\n554 content rejected\r\n",
            b"250 ok\r\n451 later\r\n",
            b"554 content rejected\r\n250 ok\r\n",
            b"250-ok\r\n554 content rejected\r\n",
        ],
    )
    async def test_two_answers_that_contradict(self, fixed: Fixed, submission: Build, both: bytes) -> None:
        """Taken and not taken in one packet is UNKNOWN: an operator or a reply settles it."""
        async with fixed(dot=both) as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.UNKNOWN, None, False) == (error.kind, error.code, error.retryable)

    @pytest.mark.parametrize("more", [b"421 closing\r\n", b"250 ok\r\n", b"hello\r\n"])
    async def test_more_that_does_not_contradict(self, fixed: Fixed, submission: Build, more: bytes) -> None:
        """A 421 after the 250, or a second 250, does not change that the message was taken."""
        async with fixed(dot=b"250 queued as 4711\r\n" + more) as server:
            accepted = await send(submission(), plain(server.port))
        assert (250, "queued as 4711") == (accepted.code, accepted.reply)

    async def test_two_refusals(self, fixed: Fixed, submission: Build) -> None:
        """Two refusals are a refusal: the message was not taken."""
        async with fixed(dot=b"554 content rejected\r\n451 later\r\n") as server:
            error = await failure(submission(), plain(server.port))
        assert (SendFailure.REFUSED, 554, "content rejected") == (error.kind, error.code, error.reply)


class TestAfterIt:
    """A connection with something unread on it is dropped before its next use."""

    @pytest.mark.parametrize("more", [STRAY, b"421 closing\r\n", b"25"])
    async def test_behind_the_answer_to_the_dot(self, fixed: Fixed, submission: Build, more: bytes) -> None:
        """The next message goes over a new connection, and each message gets its own answer."""
        answers = [b"250 first\r\n" + more, b"250 second\r\n"]
        async with fixed(dot=answers) as server, Sender(plain(server.port)) as sender:
            first = await sender.send(submission(reference="K1"))
            second = await sender.send(submission(reference="K2"))
        assert ("first", "second", 2) == (first.reply, second.reply, server.connections)

    async def test_while_it_is_idle(self, fixed: Fixed, submission: Build) -> None:
        """What a server sends on an idle connection does not answer the next MAIL."""
        idle = asyncio.Event()

        class Talkative(fixed):  # type: ignore[misc]  # a fixture's class
            async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                talking = asyncio.create_task(super()._converse(reader, writer))
                if self.connections == 1:
                    await idle.wait()
                    writer.write(STRAY)
                await talking

        async with Talkative() as server, Sender(plain(server.port)) as sender:
            await sender.send(submission(reference="K1"))
            idle.set()
            client = sender._client
            async with asyncio.timeout(60):
                while client is not None and not client._answers.unread:  # noqa: ASYNC110 - no event reports it
                    await asyncio.sleep(0)
            accepted = await sender.send(submission(reference="K2"))
        assert (250, 2, 2) == (accepted.code, server.connections, len(server.contents))

    async def test_behind_the_answer_to_rset(self, fixed: Fixed, submission: Build) -> None:
        """After a refusal, more than one answer to RSET costs the connection, but no message."""
        answers: dict[str, Any] = {"RCPT": [b"550 no\r\n", b"250 ok\r\n"], "RSET": b"250 reset\r\n" + STRAY}
        async with fixed(**answers) as server, Sender(plain(server.port)) as sender:
            with pytest.raises(SendError):
                await sender.send(submission(reference="K1"))
            accepted = await sender.send(submission(reference="K2"))
        assert (250, 2) == (accepted.code, server.connections)


class TestTls:
    """What is sent in the clear before TLS does not count as sent under TLS (RFC 3207; CVE-2011-0411)."""

    async def test_an_answer_put_in_before_the_handshake(
        self, fixed: Fixed, submission: Build, authority: SimpleNamespace, foreign_tls: ssl.SSLContext
    ) -> None:
        """An EHLO answer in the packet of the 220 ends the connection before TLS, and nothing more is sent."""
        injected = b"220 go on\r\n250-customs.example\r\n250 AUTH PLAIN\r\n"
        offer = b"250-customs.example\r\n250 STARTTLS\r\n"
        tls = TlsSettings(ca_file=authority.ca)
        async with fixed(tls=foreign_tls, EHLO=offer, STARTTLS=(injected, "tls")) as server:
            target = SmtpServer(host="localhost", port=server.port, tls=tls, username="edi", password="geheim")
            error = await failure(submission(), target)
        assert (SendFailure.TLS, None, False) == (error.kind, error.code, error.retryable)
        assert ["EHLO forwarder.example", "STARTTLS"] == server.commands


class TestNumbers:
    """A size that no server can mean is ignored, and raises nothing."""

    @pytest.mark.parametrize("digits", ["9" * 5_000, "0" * 5_000, "1" + "0" * 20])
    async def test_a_size_of_many_digits(self, fixed: Fixed, submission: Build, digits: str) -> None:
        """SIZE has 20 digits at most (RFC 1870, section 4); more of them, or zeros alone, are no limit."""
        async with fixed(EHLO=f"250-customs.example\r\n250 SIZE {digits}\r\n".encode()) as server:
            accepted = await send(submission(), plain(server.port))
        assert 250 == accepted.code

    async def test_a_size_with_zeros_before_it(self, fixed: Fixed, submission: Build) -> None:
        """Zeros before a number change nothing."""
        message = submission()
        async with fixed(EHLO=b"250-customs.example\r\n250 SIZE " + b"0" * 5_000 + b"100\r\n") as server:
            error = await failure(message, plain(server.port))
        assert f"The server accepts 100 octets, the message has {len(message.data)}; nothing was sent." == error.reply
