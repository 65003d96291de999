"""
Fetch status files and responses from a gateway: store each one first, delete it there afterwards.

A file is deleted only after the ledger has synced it, and only if it is still as it was fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, final

import attrs

from htpoort import _clock
from htpoort._aio import run_in_thread
from htpoort.agent._context import WorkerContext
from htpoort.agent._polling import Polled, PollTrouble, PollWorker
from htpoort.agent.inbox import Intake
from htpoort.agent.settings import FileGatewaySettings
from htpoort.core.errors import InputError, Problem
from htpoort.core.files import FileRouter, StatusFile, entity
from htpoort.ledger import Ledger, Stored
from htpoort.transport import FtpsAccount, FtpsConnection, FtpsError, FtpsFailure, RemoteFile

__all__ = ["FileFetchReport", "LeftFile", "fetch_files_once"]

_MAX_FILES: Final = 100  # fetched in one poll, before any is deleted; the next poll follows at once
_MAX_BREAKING_FILES: Final = 4  # files of one poll that may break a session before the poll ends
_LEFT_ALONE: Final = frozenset({"ftps.not-deleted", "ftps.too-large"})
_OF_FILE: Final = frozenset({FtpsFailure.REFUSED, FtpsFailure.DEFERRED, FtpsFailure.INCOMPLETE, FtpsFailure.LIMIT})
"""Failures that are about one file, so that the next one may be fetched."""


@final
@attrs.frozen
class LeftFile:
    """
    A file that stays on the gateway.

    Args:
        name: Its name.
        problem: Why: ``ftps.empty``, ``ftps.changed``, ``ftps.not-fetched``, ``ftps.breaks``,
            ``ftps.too-large`` or ``ftps.name``; or ``ftps.not-deleted`` for one that is stored.
    """

    name: str
    problem: Problem


@final
@attrs.frozen(kw_only=True)
class FileFetchReport:
    """
    The result of one poll of the ``out`` folder of a gateway.

    Args:
        account: The gateway, as ``user@host:port``.
        stored: What became of each file that was fetched. All of it is synced.
        seen_again: The names of the files among them that an earlier poll had stored but not deleted.
        deleted: The names of the files that the gateway has deleted.
        left: The files that stay there, each with the reason.
        problems: Other problems, such as names that no file can have here.
        error: Why the poll could not go on; None if it reached its end.
        more: The number of files that this poll did not reach.
    """

    account: str
    stored: tuple[Stored, ...] = ()
    seen_again: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    left: tuple[LeftFile, ...] = ()
    problems: tuple[Problem, ...] = ()
    error: FtpsError | None = None
    more: int = 0


async def fetch_files_once(  # noqa: PLR0913 - one argument for each thing that takes part
    ledger: Ledger,
    router: FileRouter,
    server: FtpsAccount,
    *,
    clock: Callable[[], datetime] = _clock.now,
    on_stored: Callable[[Stored], object] | None = None,
    skip: frozenset[str] = frozenset(),
) -> FileFetchReport:
    """
    Poll the ``out`` folder of a user once: fetch each file, store it, then delete it on the gateway.

    At most 100 files are fetched, status files first, because they announce responses. Then the folder is listed
    again: a file that has grown meanwhile stays there, and the next poll fetches all of it. A file that cannot be
    fetched does not stop the others.

    Args:
        ledger: The open ledger.
        router: Knows the user and the services.
        server: The gateway.
        clock: Returns the current time, aware.
        on_stored: Called with each file as soon as it is synced.
        skip: The names of files to leave alone.

    Returns:
        What was stored, deleted and left, and the error if the poll could not go on.

    Raises:
        LedgerError: A file could not be stored; it stays on the gateway.
        InputError: A file of the TLS settings cannot be used.
    """
    async with FtpsConnection(server) as connection:
        poll = _FilePoll(ledger, router, connection, server.ledger_name, clock, on_stored)
        try:
            await poll.run(skip)
        except FtpsError as error:
            poll.error = poll.error or error
        return poll.report()


def file_fetch_worker(context: WorkerContext, intake: Intake, gateway: FileGatewaySettings) -> PollWorker:
    """Make the worker that polls a file gateway; *intake* reports each file that is stored."""
    router = FileRouter(services=gateway.services, user=gateway.user)

    async def poll(skip: frozenset[str]) -> Polled:
        report = await fetch_files_once(
            context.ledger, router, gateway.server, clock=context.clock, on_stored=intake.report, skip=skip
        )
        return Polled(
            trouble=None if report.error is None else _trouble(report.error),
            stored=bool(report.stored),
            seen_again=len(report.seen_again),
            problems=(*report.problems, *(left.problem for left in report.left)),
            leave_alone=[left.name for left in report.left if left.problem.code in _LEFT_ALONE],
            # If nothing has left the folder, the same files would come again at once.
            more=bool(report.more and report.deleted),
        )

    name = f"FTPS {gateway.server.label}, out"
    return PollWorker(context, "FTPS", name, interval=gateway.poll_interval, things="files", poll=poll)


def _trouble(error: FtpsError) -> PollTrouble:
    return PollTrouble(
        kind=error.kind,
        reason=str(error),
        text=f"Not fetched from {error}",
        logged_in=not error.is_server_trouble,
        login_refused=error.kind is FtpsFailure.LOGIN and not error.retryable,
    )


@final
@attrs.define(eq=False)
class _FilePoll:
    """One poll and what it has come to so far."""

    _ledger: Ledger
    _router: FileRouter
    _connection: FtpsConnection
    _account: str
    _clock: Callable[[], datetime]
    _on_stored: Callable[[Stored], object] | None
    error: FtpsError | None = None
    _stored: list[Stored] = attrs.field(factory=list[Stored])
    _sizes: dict[str, int] = attrs.field(factory=dict[str, int])
    _seen_again: list[str] = attrs.field(factory=list[str])
    _deleted: list[str] = attrs.field(factory=list[str])
    _staying: list[LeftFile] = attrs.field(factory=list[LeftFile])
    _problems: tuple[Problem, ...] = ()
    _more: int = 0
    _breaking: int = 0

    async def run(self, skip: frozenset[str]) -> None:
        """
        Fetch, store and delete.

        Raises:
            FtpsError: The gateway cannot be used.
        """
        listing = await self._connection.listed(self._out)
        self._problems = listing.problems
        known = await run_in_thread(self._ledger.fetched.known, self._account)
        if listing.whole and (gone := known - {file.name for file in listing.files}):
            await run_in_thread(self._ledger.fetched.forget, self._account, gone)
        waiting = sorted((file for file in listing.files if file.name not in skip), key=self._order)
        self._more = max(0, len(waiting) - _MAX_FILES)
        for file in waiting[:_MAX_FILES]:
            if self._breaking >= _MAX_BREAKING_FILES:
                break
            await self._take(file, known)
        if self._sizes:
            await self._delete()

    @property
    def _out(self) -> str:
        return self._router.user.out

    def _order(self, file: RemoteFile) -> bool:
        """Sort status files first, which announce responses."""
        return StatusFile.parse(file.name, self._router.services) is None

    async def _take(self, file: RemoteFile, known: frozenset[str]) -> None:
        """
        Fetch a file and store it.

        Raises:
            FtpsError: The gateway cannot be used.
        """
        try:
            octets = await self._connection.fetch(self._out, file.name)
        except FtpsError as error:
            if error.is_server_trouble:
                raise
            self._leave_unfetched(file.name, error)
            return
        if not octets:
            self._left(file.name, "ftps.empty", "is empty, so it may still be written; the next poll fetches it")
            return
        try:
            raw = entity(file.name, octets)
        except InputError as error:
            self._left(file.name, "ftps.name", f"has a name that cannot be stored: {error.problems[0].message}")
            return
        submitted = self._ledger.replies.take_in_file_soon(self._router, raw, at=self._clock(), account=self._account)
        result = await asyncio.wrap_future(submitted)
        self._stored.append(result)
        self._sizes[file.name] = len(octets)
        if result.repeated and file.name in known:
            self._seen_again.append(file.name)
        if self._on_stored is not None:
            self._on_stored(result)

    def _leave_unfetched(self, name: str, error: FtpsError) -> None:
        """Leave a file that cannot be fetched now."""
        if error.kind is FtpsFailure.LIMIT:
            self._left(name, "ftps.too-large", f"exceeds the limits and stays there: {error.summary}")
        elif error.kind in _OF_FILE:
            self._left(name, "ftps.not-fetched", f"was not fetched: {error.summary}")
        else:
            self._left(name, "ftps.breaks", f"breaks the connection and stays there: {error.summary}")
            self.error = self.error or error
            self._breaking += 1

    def _left(self, name: str, code: str, why: str) -> None:
        self._staying.append(LeftFile(name, Problem(code, f"The file {name} {why.rstrip('.')}.")))

    async def _delete(self) -> None:
        """
        Delete what is stored and still as it was fetched.

        Raises:
            FtpsError: The gateway cannot be used.
        """
        sizes: Mapping[str, int | None] = {
            file.name: file.size for file in (await self._connection.listed(self._out)).files
        }
        for name, octets in self._sizes.items():
            if name not in sizes:
                continue  # another agent has deleted it
            if sizes[name] not in {None, octets}:
                self._left(name, "ftps.changed", "has changed since it was fetched; the next poll fetches it again")
                continue
            try:
                await self._connection.delete(self._out, name)
            except FtpsError as error:
                if error.is_server_trouble:
                    raise
                self._left(name, "ftps.not-deleted", f"is stored, but was not deleted: {error.summary}")
            else:
                self._deleted.append(name)

    def report(self) -> FileFetchReport:
        """Return the result."""
        return FileFetchReport(
            account=self._account,
            stored=tuple(self._stored),
            seen_again=tuple(self._seen_again),
            deleted=tuple(self._deleted),
            left=tuple(self._staying),
            problems=self._problems,
            error=self.error,
            more=self._more,
        )
