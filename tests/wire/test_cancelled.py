"""Cancelled in the middle: nothing goes on after the caller, and no answer is read as that to another command."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pop3_server import PASSWORD, Pop3Box
from ports import none_listens, own_port
from tidy import cancel_until_done

from htpoort import Submission
from htpoort._aio import run_in_thread
from htpoort.transport import Accepted, Incoming, Pop3Account, Pop3Mailbox, Receiver, Security, Sender, SmtpServer
from htpoort.transport._pop3_client import Pop3Client

Context = Callable[..., Any]
Build = Callable[..., Submission]

REPLY = b"From: dms@htpoort.nl\r\nSubject: [V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]\r\n\r\n<MetaData/>\r\n"


def plain(port: int, **settings: Any) -> SmtpServer:
    """Describe a server on loopback."""
    return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN, **settings)


def receiver(handler: Callable[[Incoming], Any], **settings: Any) -> Receiver:
    """Make a receiver for one mailbox."""
    settings.setdefault("mailboxes", ["edi@forwarder.example"])
    return Receiver(handler, hostname="mx.forwarder.example", **settings)


class TestSender:
    """A dialogue that was cancelled in the middle is not continued."""

    async def test_while_a_refused_message_is_taken_back(self, fixed: Any, submission: Build) -> None:
        """An answer to RSET that arrives too late is not read as the answer to the next MAIL."""
        late = asyncio.Event()

        class Late(fixed):  # type: ignore[misc]  # a fixture's class
            """Answer RSET on request."""

            async def _answer(self, name: str, *streams: Any) -> object:
                if name == "RSET":
                    self.reached[name].set()
                    await late.wait()
                    name = "answered"
                return await super()._answer(name, *streams)

        async with (
            Late(RCPT=[b"550 no\r\n", b"250 ok\r\n"], answered=b"250 reset\r\n") as server,
            Sender(plain(server.port)) as sender,
        ):
            task = asyncio.create_task(sender.send(submission(reference="K1")))
            await server.reached["RSET"].wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            late.set()
            accepted = await sender.send(submission(reference="K2"))
        assert (250, [submission(reference="K2").data + b".\r\n"]) == (accepted.code, server.contents)

    @pytest.mark.parametrize(
        ("place", "begun"),
        [("connect", False), ("EHLO", False), ("MAIL", False), ("RCPT", False), ("DATA", False), ("dot", True)],
    )
    async def test_what_has_left(self, fixed: Any, submission: Build, place: str, *, begun: bool) -> None:
        """A Sender reports of a cancelled message whether anything of its content may have been sent."""
        usual = {"connect": b"220 hi\r\n", "DATA": fixed.GO_ON}
        answers = {place: ["stall", usual.get(place, b"250 ok\r\n")]}
        async with fixed(**answers) as server, Sender(plain(server.port)) as sender:
            begun_at = [sender.content_begun]
            task = asyncio.create_task(sender.send(submission()))
            await server.reached[place].wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            begun_at.append(sender.content_begun)
            await sender.send(submission())
            begun_at.append(sender.content_begun)
        assert [False, begun, True] == begun_at

    async def test_another_message_after_it(self, fixed: Any, submission: Build) -> None:
        """What was sent of one message has no effect on the next."""
        async with fixed(MAIL=[b"250 ok\r\n", "stall"]) as server, Sender(plain(server.port)) as sender:
            await sender.send(submission(reference="K1"))
            server.reached["MAIL"].clear()
            task = asyncio.create_task(sender.send(submission(reference="K2")))
            await server.reached["MAIL"].wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not sender.content_begun

    async def test_while_it_waits_to_close(self, submission: Build) -> None:
        """If closing is cancelled while another task sends, that message is completed, and no connection is kept."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: Incoming) -> None:
            begun.set()
            await go_on.wait()

        async def left() -> None:
            async with sender:
                sending.append(asyncio.create_task(sender.send(submission())))
                await begun.wait()
                leaves.set()

        sending: list[asyncio.Task[Accepted]] = []
        leaves = asyncio.Event()
        async with receiver(slow, mailboxes=["dms@htpoort.nl"]) as ours:
            sender = Sender(plain(ours.port))
            leaving = asyncio.create_task(left())
            await leaves.wait()
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            go_on.set()
            accepted = await sending[0]
            async with asyncio.timeout(5):
                while ours._tracker.connections:  # noqa: ASYNC110 - no event reports it
                    await asyncio.sleep(0)
        assert 250 == accepted.code
        with pytest.raises(RuntimeError, match="not open"):
            await sender.send(submission())


class TestReceiver:
    """A receiver whose opening or closing is cancelled accepts nothing more."""

    @pytest.mark.parametrize("rounds", range(10))
    async def test_while_it_begins(self, rounds: int) -> None:
        """Cancelled while it opens, it does not listen."""
        with own_port() as port:
            ours = receiver(lambda _: asyncio.sleep(0), port=port)
            beginning = asyncio.create_task(ours.__aenter__())  # noqa: PLC2801 - as a task of its own
            for _ in range(rounds):
                await asyncio.sleep(0)
            if beginning.cancel():
                with contextlib.suppress(asyncio.CancelledError):
                    await beginning
            if not beginning.cancelled():
                await ours.__aexit__(None, None, None)
            await none_listens(port)

    @pytest.mark.parametrize("often", [1, 20])
    async def test_while_it_closes(self, raw: Context, often: int) -> None:
        """Cancelled while it waits for a handler, it closes each connection and leaves no handler running."""
        begun, ended = asyncio.Event(), asyncio.Event()

        async def endless(_: Incoming) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def left() -> None:
            async with receiver(endless, grace=3600) as ours:
                port.set_result(ours.port)
                await begun.wait()

        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        leaving = asyncio.create_task(left())
        async with raw(await port) as client:
            await client.ready()
            client.writer.write(REPLY + b".\r\n")
            await begun.wait()
            for _ in range(3):
                await asyncio.sleep(0)
            for _ in range(often):
                leaving.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await leaving
            async with asyncio.timeout(5):
                await ended.wait()
                assert b"" == await client.reader.read()
        await none_listens(await port)

    async def test_a_handler_that_does_not_obey(self, raw: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        """A handler that ignores being cancelled keeps no receiver open, and its peer gets no answer."""
        monkeypatch.setattr("htpoort.transport.receiver_connections._MIN_CANCEL_TIME", 0.05)
        begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def stubborn(_: Incoming) -> None:
            begun.set()
            while not go_on.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await go_on.wait()
            ended.set()

        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(10), receiver(stubborn, grace=0) as ours:
                client = await stack.enter_async_context(raw(ours.port))
                await client.ready()
                client.writer.write(REPLY + b".\r\n")
                await begun.wait()
            assert b"" == await client.reader.read()
            go_on.set()
            await ended.wait()

    async def test_closed_as_soon_as_a_message_is_there(self, raw: Context) -> None:
        """A message whose handler is about to begin still gets its 250, and no 421 before it."""
        taken: list[Incoming] = []

        async def take(incoming: Incoming) -> None:
            await asyncio.sleep(0)
            taken.append(incoming)

        async with contextlib.AsyncExitStack() as stack:
            async with receiver(take) as ours:
                client = await stack.enter_async_context(raw(ours.port))
                await client.ready()
                client.writer.write(REPLY + b".\r\n")
                while not ours._tracker._handling:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0)
            answers = [await client.reply() for _ in range(2)]
        assert (["250 OK", "421 4.3.2 Closing"], [REPLY]) == (answers, [message.raw for message in taken])


def account(port: int) -> Pop3Account:
    """Describe how to reach a mailbox on loopback."""
    return Pop3Account(
        host="127.0.0.1", port=port, security=Security.PLAIN, username="edi", password=PASSWORD, timeout=60
    )


class TestPop3:
    """No thread goes on after a cancelled session."""

    @pytest.mark.parametrize("place", ["greeting", "UIDL", "RETR 1", "DELE 1", "QUIT"])
    async def test_again_and_again(self, place: str) -> None:
        """Cancelled more than once, a session has ended; what was not stored is still in the mailbox."""
        stored: list[str] = []

        async def store(uidl: str, _raw: bytes) -> None:
            await asyncio.sleep(0)
            stored.append(uidl)

        async with Pop3Box(REPLY, faults={place: "stall"}) as box:
            task = asyncio.create_task(Pop3Mailbox(account(box.port)).fetch(store))
            await box.reached[place].wait()
            await cancel_until_done(task)
            await box.left.wait()
        assert task.cancelled()
        assert {"u1"} == {*stored, *box.uidls}

    async def test_the_thread_is_waited_for(self) -> None:
        """However often it is cancelled, a session ends after its thread: what the thread opens can then be closed."""
        ours, theirs = socket.socketpair()
        begun, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def step() -> None:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait()

        with ours, theirs:
            session = Pop3Client(account(110), ours)
            task = asyncio.create_task(session._run(step))
            await begun.wait()
            for _ in range(5):
                task.cancel()
                await asyncio.sleep(0)
            over = task.done()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            session.close()
        assert not over

    @pytest.mark.parametrize("fails", [False, True])
    async def test_a_late_look_up(self, caplog: pytest.LogCaptureFixture, *, fails: bool) -> None:
        """A look-up that ends after its session affects nothing, and its thread ends."""
        go_on, threads = threading.Event(), list[threading.Thread]()

        def slow() -> None:
            threads.append(threading.current_thread())
            go_on.wait()
            if fails:
                raise socket.gaierror

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await run_in_thread(slow)
        go_on.set()
        while not threads:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)
        threads[0].join(60)
        await asyncio.sleep(0)
        assert (False, []) == (threads[0].is_alive(), caplog.messages)
