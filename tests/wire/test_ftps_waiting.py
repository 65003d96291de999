"""A server that does not answer, and a task that is cancelled: every wait ends, and no thread or connection is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace

import pytest
from ftps_account import FILE, account, box, failure, outcome, upload
from ftps_box import Fault, FtpsBox
from ftps_server import MANIFEST, OUT
from tidy import cancel_until_done

from htpoort.transport import FtpsConnection, FtpsFailure, Presence, Security

CONNECT, LOST, LIMIT = FtpsFailure.CONNECT, FtpsFailure.LOST, FtpsFailure.LIMIT
ABSENT, PRESENT, UNKNOWN = Presence.ABSENT, Presence.PRESENT, Presence.UNKNOWN

Operation = Callable[[FtpsConnection], Awaitable[object]]


async def fetch(connection: FtpsConnection) -> bytes:
    """Fetch the one file."""
    return await connection.fetch(OUT, "r1")


async def delete(connection: FtpsConnection) -> None:
    """Delete it."""
    await connection.delete(OUT, "r1")


async def listed(connection: FtpsConnection) -> object:
    """List the folder."""
    return await connection.listed(OUT)


BEFORE = ["greeting", "AUTH", "USER", "PASS", "PBSZ", "PROT", "FEAT", "OPTS", "TYPE", "CWD", "EPSV"]
EVERY: list[tuple[str, Operation]] = [
    *((name, upload) for name in (*BEFORE, "STOR", "data", "STOR end", "SIZE")),
    *((name, fetch) for name in ("SIZE", "RETR", "data", "RETR end")),
    *((name, listed) for name in ("MLSD", "data", "MLSD end")),
    ("DELE", delete),
]


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread of ours."""
    yield
    for thread in [thread for thread in threading.enumerate() if thread.name == "htpoort-thread"]:
        thread.join(60)
        assert not thread.is_alive()


def silent(authority: SimpleNamespace, name: str) -> FtpsBox:
    """Make a server that stops answering at one place."""
    return box(authority, {f"{OUT}/r1": FILE}, **{name: "stall"})


class TestSilence:
    """Each wait has its time."""

    @pytest.mark.parametrize("name", [*BEFORE, "STOR", "data"])
    async def test_before_the_content(self, authority: SimpleNamespace, name: str) -> None:
        """A server that stops answering before the first octet has nothing, whatever it was asked."""
        with silent(authority, name) as server:
            error = await failure(account(server.port, authority, timeout=0.5))
        kind = CONNECT if name == "greeting" else LOST
        assert (kind, ABSENT, True) == (error.kind, error.presence, error.retryable)

    async def test_the_last_answer_never_comes(self, authority: SimpleNamespace) -> None:
        """Without the last answer, the file is looked for; the time for it is that of the transfer."""
        with silent(authority, "STOR end") as server:
            error = await failure(account(server.port, authority, timeout=0.3, transfer_timeout=1))
        assert (PRESENT, False) == (error.presence, error.retryable)
        assert error.kind in {LOST, LIMIT}

    async def test_a_last_answer_that_takes_longer_than_others(self, authority: SimpleNamespace) -> None:
        """A gateway may look at a file before it answers: it has the time of a transfer, not that of one wait."""
        go_on = threading.Event()
        with box(authority, STOR_end=(lambda: go_on.wait(60), "usual")) as server:
            async with FtpsConnection(account(server.port, authority, timeout=0.4)) as connection:
                task = asyncio.create_task(upload(connection))
                await asyncio.to_thread(server.reached["STOR end"].wait, 60)
                await asyncio.wait({task}, timeout=0.9)
                go_on.set()
                assert 8 == (await task).size

    async def test_a_server_that_reads_nothing(self, authority: SimpleNamespace) -> None:
        """A server that stops reading in the middle ends the transfer within its time: unknown."""
        with box(authority, data="deaf") as server:
            error = await failure(
                account(server.port, authority, timeout=0.5),
                lambda connection: upload(connection, octets=b"x" * 20_000_000),
            )
        assert (LOST, UNKNOWN, False, False) == outcome(error)

    @pytest.mark.parametrize(("name", "operation"), [each for each in EVERY if each[1] is not upload])
    async def test_fetching(self, authority: SimpleNamespace, name: str, operation: Operation) -> None:
        """Fetching, listing and deleting end too, and may be tried again."""
        with silent(authority, name) as server:
            error = await failure(account(server.port, authority, timeout=0.5, transfer_timeout=2), operation)
        assert (True, {f"{OUT}/r1": FILE}) == (error.retryable, server.files)
        assert error.kind in {LOST, LIMIT}

    async def test_one_octet_after_another(self, authority: SimpleNamespace) -> None:
        """A server that sends an octet before each wait ends has the time of a transfer in all."""
        octets: tuple[Fault, ...] = (b"2", lambda: threading.Event().wait(0.2)) * 20
        with box(authority, TYPE=octets) as server:
            error = await failure(account(server.port, authority, timeout=5, transfer_timeout=0.5))
        message = "the server took more than 0.5 seconds (transfer_timeout)"
        assert (LIMIT, ABSENT, message) == (error.kind, error.presence, error.reply)

    @pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
    async def test_a_port_that_takes_connections_and_is_silent(
        self, authority: SimpleNamespace, security: Security
    ) -> None:
        """A server that never greets, or never begins TLS, is no connection."""
        with box(authority, greeting="stall") as server:
            error = await failure(account(server.port, authority, timeout=0.5, security=security))
        assert (CONNECT, ABSENT, True, True) == outcome(error)


class TestCancelled:
    """Cancelling ends at once, wherever it is, and the connections are closed."""

    @pytest.mark.parametrize(("name", "operation"), EVERY)
    @pytest.mark.parametrize("rounds", [1, 50])
    async def test_at_each_wait(self, authority: SimpleNamespace, name: str, operation: Operation, rounds: int) -> None:
        """A task that waits for a silent server for an hour ends when it is cancelled, once or again and again."""
        with silent(authority, name) as server:
            to = account(server.port, authority, timeout=3_600, transfer_timeout=3_600)
            async with FtpsConnection(to) as connection:
                task = asyncio.ensure_future(operation(connection))
                await asyncio.to_thread(server.reached[name].wait, 60)
                if rounds == 1:
                    await cancel_until_done(task, rounds)
                else:
                    task.cancel()
                    await asyncio.wait({task}, timeout=60)
                assert task.cancelled()
                begun = name in {"STOR end", "SIZE"} and operation is upload
                assert (False, begun) == (connection.connected, connection.content_begun)
            await asyncio.to_thread(server.left.wait, 60)
        assert 0 == server.open

    async def test_in_the_middle_of_a_file(self, authority: SimpleNamespace) -> None:
        """A task that sends a file to a server that reads nothing ends when it is cancelled, and content was begun."""
        with box(authority, data="deaf") as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                task = asyncio.create_task(upload(connection, octets=b"x" * 20_000_000))
                await asyncio.to_thread(server.reached["TLS of data"].wait, 60)
                await asyncio.wait({task}, timeout=0.2)
                await cancel_until_done(task)
                assert (True, False) == (connection.content_begun, connection.connected)

    async def test_another_task_waits(self, authority: SimpleNamespace) -> None:
        """A task that waits for its turn and is cancelled changes nothing for the other."""
        go_on = threading.Event()
        with box(authority, STOR=(lambda: go_on.wait(60), "usual")) as server:
            async with FtpsConnection(account(server.port, authority)) as connection:
                first = asyncio.create_task(upload(connection))
                second = asyncio.create_task(upload(connection, name="m2"))
                await asyncio.to_thread(server.reached["STOR"].wait, 60)
                await cancel_until_done(second)
                go_on.set()
                assert 8 == (await first).size
        assert {f"{MANIFEST}/m1": FILE} == server.files

    async def test_leaving_while_another_task_uploads(self, authority: SimpleNamespace) -> None:
        """If the block is left by cancellation while another task uploads, that task ends and closes the connection."""
        go_on, entered, left = threading.Event(), asyncio.Event(), asyncio.Event()

        with box(authority, STOR=(lambda: go_on.wait(60), "usual")) as server:
            connection = FtpsConnection(account(server.port, authority))

            async def block() -> None:
                async with connection:
                    entered.set()
                    await left.wait()

            leaving = asyncio.create_task(block())
            await entered.wait()
            uploading = asyncio.create_task(upload(connection))
            await asyncio.to_thread(server.reached["STOR"].wait, 60)
            left.set()
            await asyncio.sleep(0)
            await cancel_until_done(leaving)
            go_on.set()
            assert 8 == (await uploading).size
            assert not connection.connected

    async def test_a_connection_that_is_not_open(self, authority: SimpleNamespace) -> None:
        """Without its block, or after it, nothing is connected."""
        with box(authority) as server:
            connection = FtpsConnection(account(server.port, authority))
            for _ in range(2):
                with pytest.raises(RuntimeError, match="async with FtpsConnection"):
                    await upload(connection)
                async with connection:
                    pass
            assert 0 == server.connections

    async def test_open_and_close(self, authority: SimpleNamespace) -> None:
        """A caller may connect early, and close without a block; closing again does nothing."""
        with box(authority) as server:
            connection = FtpsConnection(account(server.port, authority))
            await connection.open()
            await connection.open()
            assert (True, "TYPE I") == (connection.connected, server.commands[-1])
            await connection.aclose()
            await connection.aclose()
            assert (False, 1, "QUIT") == (connection.connected, server.connections, server.commands[-1])
