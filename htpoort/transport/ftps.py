"""
Upload files to a gateway by FTP over TLS, and fetch and delete what it puts out.

Never does: choose a name, upload a file twice by itself, or delete a file by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.core.errors import InputError, Problem
from htpoort.transport._ftps_client import FtpsClient, is_name
from htpoort.transport.ftps_results import FtpsError, FtpsFailure, Presence, RemoteListing, Uploaded
from htpoort.transport.servers import FtpsAccount
from htpoort.transport.tls import client_context, file_problem

T = TypeVar("T")

__all__ = ["FtpsConnection"]


async def _proceed() -> None:
    """Raise nothing."""


@final
class FtpsConnection:
    """
    Upload, list, fetch and delete files, one after another, over one connection that is kept open.

    It connects at the first operation, and again if the connection has ended in between. The files of the TLS settings
    are read for each connection, so a renewed certificate needs no new object. Several tasks may share it; they wait
    for one another.

    Args:
        account: The account at the gateway.

    Attributes:
        content_begun: Whether an octet of the last upload may have been sent: the server has begun to take the file,
            and TLS for its data is up. If not, as when `upload` was cancelled before that, the server cannot have it.
    """

    def __init__(self, account: FtpsAccount) -> None:
        self.content_begun = False
        self._account = account
        self._client: FtpsClient | None = None
        self._lock = asyncio.Lock()
        self._open = False

    async def __aenter__(self) -> Self:
        # Only to report errors early; each connection reads the files again, which may be renewed by then.
        await run_in_thread(client_context, self._account.tls)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def connected(self) -> bool:
        """Whether a connection is still open, as far as is known."""
        return self._client is not None

    async def open(self) -> None:
        """
        Connect, start TLS and log in now, instead of at the first operation.

        Raises:
            FtpsError: The server cannot be used. Has *account*, *kind*, *code*, *reply* and *retryable*.
        """
        async with self._lock:
            self._open = True
            if self._client is None:
                self._client = await self._connect()

    async def aclose(self) -> None:
        """Take leave of the server, and close the connection."""
        try:
            async with self._lock:
                client, self._client = self._client, None
                if client is not None:
                    await _leave(client)
        finally:
            # If this was cancelled while another task uploads, that task closes the connection.
            self._open = False

    async def upload(
        self, *, folder: str, name: str, octets: bytes, checkpoint: Callable[[], Awaitable[None]] = _proceed
    ) -> Uploaded:
        """
        Upload a file.

        If the connection breaks after the first octet, a new one asks the server for the file, so that the error
        separates what is certainly there from what cannot be known.

        Args:
            folder: The folder, from the root: ``/CVR_12345678/UI_12345678/Manifest``.
            name: The name of the file.
            octets: Its content; not empty.
            checkpoint: Awaited when the connection is ready, immediately before the server is asked to take the file.
                If it raises, the attempt ends and the error passes through; the server has nothing then.

        Returns:
            The server's answer that it took the file, and the size that it lists, which is the right one.

        Raises:
            InputError: Folder, name or content cannot be used; nothing was sent.
            FtpsError: It was not uploaded, or that is unknown. Has *account*, *kind*, *code*, *reply*, *presence* and
                *retryable*.
        """
        _check(folder, name, octets)
        async with self._lock:
            self.content_begun = False
            try:
                client = await self._enter(folder)
                code, reply = await client.store(name, octets, checkpoint, self._begin_content)
                size = await self._size_of(client, name)
            except FtpsError as error:
                await self._recover(error)
                if not self.content_begun or error.kind is FtpsFailure.NAME_USED:
                    raise
                raise attrs.evolve(error, presence=await self._presence(folder, name, octets, error)) from error
            except BaseException:
                # Cancelled: the dialogue is somewhere in the middle.
                self._drop()
                raise
            finally:
                self._drop_if_closed()
            if size is not None and size != len(octets):
                text = f"the server has {size} octets of {name}, and {len(octets)} were sent"
                raise FtpsError(
                    self._account.ledger_name, FtpsFailure.INCOMPLETE, None, text, presence=Presence.UNKNOWN
                )
            return Uploaded(code=code, reply=reply, size=size)

    def _begin_content(self) -> None:
        self.content_begun = True

    async def _size_of(self, client: FtpsClient, name: str) -> int | None:
        """Ask for the size of a file that the server took; without an answer, its acceptance stands."""
        try:
            return await client.stored_size(name)
        except FtpsError:
            self._drop()
            return None

    async def _presence(self, folder: str, name: str, octets: bytes, error: FtpsError) -> Presence:
        """Ask the server, on a new connection, whether a file is there after its upload failed."""
        try:
            size, listed = await self._look_for(folder, name)
        except FtpsError:
            self._drop()
            return Presence.UNKNOWN
        if size == len(octets):
            return Presence.PRESENT
        # The server itself reports that it did not take the file, and it lists none.
        refused = error.code is not None and error.code >= 500  # noqa: PLR2004 - for good (RFC 959, section 4.2)
        return Presence.ABSENT if refused and not listed else Presence.UNKNOWN

    async def _look_for(self, folder: str, name: str) -> tuple[int | None, bool]:
        """Ask for the size of a file, and whether it is listed."""
        client = await self._enter(folder)
        size = await client.size(name)
        if size is not None:
            return size, True
        files = {file.name: file.size for file in (await client.listing()).files}
        return files.get(name), name in files

    async def listed(self, folder: str) -> RemoteListing:
        """
        List the files of a folder.

        Args:
            folder: The folder, from the root.

        Returns:
            The files, and what the server lists beside them that cannot be a file here.

        Raises:
            InputError: The folder cannot be used.
            FtpsError: The server did not list it. Has *account*, *kind*, *code*, *reply* and *retryable*.
        """
        _check(folder)
        return await self._ask(folder, FtpsClient.listing)

    async def fetch(self, folder: str, name: str, *, limit: int | None = None) -> bytes:
        """
        Fetch a file; it stays on the server.

        Args:
            folder: The folder, from the root.
            name: The name of the file.
            limit: Octets of the largest file that is fetched; by default *file_limit* of the account.

        Returns:
            All of its octets, as the size that the server lists or the end of TLS shows.

        Raises:
            InputError: Folder or name cannot be used.
            FtpsError: It was not fetched. Has *account*, *kind*, *code*, *reply* and *retryable*.
        """
        _check(folder, name)
        most = self._account.file_limit if limit is None else limit
        return await self._ask(folder, lambda client: client.retrieve(name, most))

    async def delete(self, folder: str, name: str) -> None:
        """
        Delete a file.

        Args:
            folder: The folder, from the root.
            name: The name of the file.

        Raises:
            InputError: Folder or name cannot be used.
            FtpsError: It was not deleted, or the answer is missing. Has *account*, *kind*, *code*, *reply* and
                *retryable*.
        """
        _check(folder, name)
        await self._ask(folder, lambda client: client.delete(name))

    async def _ask(self, folder: str, operation: Callable[[FtpsClient], Awaitable[T]]) -> T:
        async with self._lock:
            try:
                return await operation(await self._enter(folder))
            except FtpsError as error:
                await self._recover(error)
                raise
            except BaseException:
                self._drop()
                raise
            finally:
                self._drop_if_closed()

    async def _enter(self, folder: str) -> FtpsClient:
        """Return a connection that is in a folder."""
        if not self._open:
            message = "This FtpsConnection is not open; use it as: async with FtpsConnection(account) as connection."
            raise RuntimeError(message)
        if self._client is not None:
            try:
                await self._client.enter(folder)
            except FtpsError as error:
                if error.kind is FtpsFailure.REFUSED:
                    raise
                # Closed while it was idle: nothing of this operation has begun, so a fresh connection repeats nothing.
                self._drop()
            else:
                return self._client
        self._client = await self._connect()
        await self._client.enter(folder)
        return self._client

    async def _connect(self) -> FtpsClient:
        account = self._account
        try:
            async with asyncio.timeout(account.timeout):
                context = await run_in_thread(client_context, account.tls)
        except (InputError, TimeoutError) as error:
            # The files may have changed since the start.
            why = file_problem(error) if isinstance(error, InputError) else "Reading the TLS files took too long"
            raise FtpsError(account.ledger_name, FtpsFailure.TLS, None, why, is_server_trouble=True) from error
        return await FtpsClient.open(account, context)

    async def _recover(self, error: FtpsError) -> None:
        """Keep the connection after a plain refusal, or drop it."""
        clean = error.kind in {FtpsFailure.REFUSED, FtpsFailure.DEFERRED, FtpsFailure.NAME_USED}
        if not clean or error.is_server_trouble or error.code is None:
            self._drop()

    def _drop_if_closed(self) -> None:
        """Drop the connection if the block was left in the meantime."""
        if not self._open:
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


async def _leave(client: FtpsClient) -> None:
    try:
        await client.quit()
    except FtpsError:
        pass  # everything was answered before
    finally:
        client.close()


def _check(folder: str, name: str | None = None, octets: bytes | None = None) -> None:
    """Refuse what a server would see differently than we do, such as a line end in a name."""
    problems: list[Problem] = []
    path = str(folder)
    if path != "/" and not (path.startswith("/") and all(map(is_name, path.split("/")[1:]))):
        problems.append(Problem("ftps.folder", "folder is not a path from the root, such as /out."))
    if name is not None and not is_name(name):
        problems.append(Problem("ftps.name", "name is not the name of a file, of printable characters and no slash."))
    if octets is not None and not octets:
        problems.append(Problem("ftps.content", "octets is empty; give the content of the file."))
    if problems:
        raise InputError("", tuple(problems))
