"""
Watch the folders that other programs write declarations into, for an agent.

`htpoort.agent.folder` knows what becomes of a file; here are the waiting, the log and the trouble.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final, final

from htpoort._aio import run_in_thread
from htpoort._disk import may_pass, place_of
from htpoort._log import event
from htpoort.agent._context import LOG, WorkerContext, wait_for_event
from htpoort.agent.dispatch import Dispatcher
from htpoort.agent.folder import BAD, DeclarationFiles, FileOutcome
from htpoort.agent.settings import DeclarationFolder
from htpoort.core.errors import InputError, Problem
from htpoort.core.text import one_line

FILES: Final = logging.getLogger("htpoort.agent.files")
"""Logs what became of each file; a program that reports that in another way sets its level."""
_SELF_TEST_TIMEOUT: Final = 10.0  # seconds; a disk may not be mounted yet
_OTHERS_INTERVAL: Final = timedelta(minutes=1)
"""How often an agent looks for files that it leaves alone."""


@final
class FolderWorker:
    """
    Watch a folder for declarations.

    Args:
        context: What the workers of the agent share.
        folder: The folder.
        dispatcher: Queues the declarations.
        wake: Called when something was queued.
    """

    def __init__(
        self, context: WorkerContext, folder: DeclarationFolder, dispatcher: Dispatcher, wake: Callable[[], None]
    ) -> None:
        self._context = context
        self._dispatcher = dispatcher
        self._folder = folder
        self._wake = wake
        self._reported = ""
        self._left_alone: set[str] = set()
        self._others_due: datetime | None = None
        self.taken = asyncio.Event()
        """Set when the folder was looked through, as far as it could be."""

    async def self_test(self) -> tuple[Problem, ...]:
        """Test the folder; return why it can never be used, and log what may pass."""
        folder = self._folder
        try:
            async with asyncio.timeout(_SELF_TEST_TIMEOUT):
                await run_in_thread(DeclarationFiles(folder).self_test)
        except OSError as error:
            why = f"{error.strerror or 'it does not answer'}."
            if may_pass(error):
                LOG.warning(
                    "Declarations in %s cannot be queued now, and wait: %s",
                    *(folder.path, why),
                    extra=event("folder.unavailable", folder=folder.path, why=why),
                )
                return ()
            place = place_of(error)
            if place not in {None, folder.path}:
                why = f"{place}: {why}"
            hint = " Its folders sent and bad must be on the same file system." if error.errno == errno.EXDEV else ""
            return (Problem("folder.path", f"Declarations in {folder.path} cannot be queued: {why}{hint}"),)
        return ()

    async def run(self) -> None:
        """Watch until the agent is asked to stop."""
        await self._context.run_repeatedly(f"folder {self._folder.path}", self._take)

    async def _take(self) -> None:
        context, stop = self._context, self._context.stop_event
        loop = asyncio.get_running_loop()

        def take() -> None:
            for outcome in DeclarationFiles(self._folder).take(
                self._dispatcher, at=context.clock, proceed=lambda: not stop.is_set()
            ):
                log(self._folder, outcome)
                if outcome.dispatched is not None:
                    loop.call_soon_threadsafe(self._wake)
            self._report_others(context.clock())

        delay = context.timing.poll_interval
        try:
            await run_in_thread(take)
        except OSError as error:
            why = f"{error.filename or self._folder.path}: {error.strerror or error}"
            if why != self._reported:  # not at every poll
                LOG.error(
                    "Declarations in %s wait: %s",
                    *(self._folder.path, one_line(why)),
                    extra=event("folder.failed", folder=self._folder.path, why=one_line(why)),
                )
            self._reported, delay = why, context.timing.retry_delay
        else:
            self._reported = ""
        self.taken.set()
        await wait_for_event(stop, delay)

    def _report_others(self, now: datetime) -> None:
        """Log the files that are left alone, each once."""
        # A moment that is too late was set while the clock was ahead.
        if self._others_due is not None and now < self._others_due <= now + _OTHERS_INTERVAL:
            return
        self._others_due = now + _OTHERS_INTERVAL
        files = DeclarationFiles(self._folder)
        left_alone = files.content(only_others=True).left_alone(now)
        if new := [name for name in left_alone if name not in self._left_alone]:
            FILES.warning(
                "%s: %s",
                *files.left_alone_in_words(new),
                extra=event("file.left-alone", folder=self._folder.path, number=len(new)),
            )
        self._left_alone = set(left_alone)


def folder_workers(
    context: WorkerContext,
    folders: Iterable[DeclarationFolder],
    dispatcher: Dispatcher | None,
    wake: Callable[[], None],
) -> list[FolderWorker]:
    """
    Make a worker for each folder.

    Raises:
        InputError: There are folders, and no dispatcher that queues their declarations.
    """
    listed = list(folders)
    if listed and dispatcher is None:
        message = "dispatcher is not given, but folders are; give the Dispatcher that queues their declarations."
        raise InputError("", (Problem("agent.no-dispatcher", message),))
    return [FolderWorker(context, folder, dispatcher, wake) for folder in listed if dispatcher is not None]


def log(folder: DeclarationFolder, outcome: FileOutcome) -> None:
    """Log what became of a file."""
    file, place = one_line(outcome.file), folder.path
    if outcome.dispatched is None:
        why = one_line(outcome.refusal)
        FILES.warning(
            "%s in %s was refused and is in %s: %s",
            *(file, place, BAD, why),
            extra=event("file.refused", file=file, folder=place, why=why),
        )
        return
    exchange = outcome.dispatched.exchange
    how = "was queued before" if exchange.repeated else "was queued"
    facts = (exchange.system, exchange.party, exchange.reference)
    FILES.info(
        "%s in %s %s for %s of %s under %s",
        *(file, place, how, *facts),
        extra=event("declaration.queued", of=exchange, file=file, folder=place, repeated=exchange.repeated),
    )
