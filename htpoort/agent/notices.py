"""
Obey the notices of the ledger: hold declarations before a window opens, and let them go after its end, spread out.

What may be sent is decided by the ledger when it is claimed; this worker marks what waits, and reports it. It also
watches a folder of notices: each file is read once, by its content, and stays where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, final

import attrs

from htpoort import _clock
from htpoort._aio import run_in_thread
from htpoort._log import event
from htpoort.agent._context import LOG, WorkerContext, wait_for_event
from htpoort.core.errors import InputError
from htpoort.core.text import decoded_text, one_line
from htpoort.ledger import Concern, Ledger, NoticeForm, Release, StoredNotice
from htpoort.ledger.notices import check_notice

__all__ = ["NoticeFiles", "NoticeOutcome"]

_OWN: Final = ".toml"
_LONGEST: Final = 10_000_000
"""Octets of a file that is read; a notice has some thousands."""
_JITTER: Final = 1.1  # up to a tenth is added to the spread
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_NAMED: Final = 3
"""Declarations that a line of the log names."""


@final
@attrs.frozen(kw_only=True)
class NoticeOutcome:
    """
    What became of one file.

    Args:
        file: Its name.
        notice: The notice in the ledger; None if nothing could be read in the file.
        refusal: Why not, in one line; empty if it was stored.
    """

    file: str
    notice: StoredNotice | None
    refusal: str


@final
@attrs.define(eq=False)
class NoticeFiles:
    """
    The notices of a folder.

    Args:
        folder: The folder. Files whose name begins with a dot are left alone.
        settle: Seconds for which a file must not have changed; a younger one may still be written.
    """

    folder: Path
    settle: float = 2.0
    _states: dict[str, tuple[int, int]] = attrs.field(init=False, factory=dict[str, tuple[int, int]])
    _contents: set[str] = attrs.field(init=False, factory=set[str])
    _early: set[str] = attrs.field(init=False, factory=set[str])

    def take(self, ledger: Ledger, *, at: Callable[[], datetime]) -> Iterator[NoticeOutcome]:
        """
        Store what is new in the folder, by name. Waits for the disk and the ledger.

        Args:
            ledger: Where the notices are stored.
            at: Returns the current time, aware.

        Yields:
            What became of each file whose content was not seen by this object before.

        Raises:
            LedgerError: The ledger could not be written; the file is read again the next time.
            OSError: The folder cannot be read.
        """
        for place in self._files():
            status = place.stat()
            state = status.st_mtime_ns, status.st_size
            if self._states.get(place.name) == state or self._unsettled(status):
                continue
            octets = _read(place)
            # A file of another form with the same content is another notice.
            content = f"{place.suffix == _OWN} {sha256(octets).hexdigest()}"
            if content not in self._contents:
                outcome = _stored(ledger, place, octets, at())
                if outcome.notice is None and not _outcome(place, octets, _checked(_LATEST)).refusal:
                    # Its time is to come: it is read again then, and reported once.
                    if content not in self._early:
                        yield outcome
                    self._early.add(content)
                    continue
                yield outcome
            self._contents.add(content)
            self._states[place.name] = state

    def seconds_until_settled(self) -> float:
        """
        Calculate how long `take` leaves a file alone that has just changed.

        Returns:
            The seconds until all that is in the folder now can be read; 0 if nothing has just changed.

        Raises:
            OSError: The folder cannot be read.
        """
        return max((self._unsettled(place.stat()) for place in self._files()), default=0.0)

    def _unsettled(self, status: os.stat_result) -> float:
        """Calculate for how many seconds a file is too young; a time far in the future, of another clock, is not."""
        age = time.time() - status.st_mtime
        return self.settle - age if abs(age) < self.settle else 0.0

    def refused(self, *, at: datetime) -> list[NoticeOutcome]:
        """
        List the files that cannot be read as notices; nothing is stored.

        Args:
            at: Now, aware.

        Returns:
            The files, by name, each with the reason.

        Raises:
            OSError: The folder cannot be read.
        """
        outcomes = (_outcome(place, _read(place), _checked(at)) for place in self._files())
        return [outcome for outcome in outcomes if outcome.refusal]

    def _files(self) -> Iterator[Path]:
        """List the files that are read, by name."""
        return (place for place in sorted(self.folder.iterdir()) if not place.name.startswith(".") and place.is_file())


def _checked(at: datetime) -> Callable[[str, NoticeForm, str], None]:
    return lambda text, form, name: check_notice(text, form=form, at=at, source=name)


def _read(place: Path) -> bytes:
    with place.open("rb") as file:
        return file.read(_LONGEST + 1)


def _stored(ledger: Ledger, place: Path, octets: bytes, at: datetime) -> NoticeOutcome:
    """Store one file."""
    return _outcome(place, octets, lambda text, form, name: ledger.notices.add(text, at=at, form=form, source=name))


def _outcome(place: Path, octets: bytes, use: Callable[[str, NoticeForm, str], StoredNotice | None]) -> NoticeOutcome:
    """Use the text of one file, unless it is refused."""
    if len(octets) > _LONGEST:
        return NoticeOutcome(file=place.name, notice=None, refusal=f"It has more than {_LONGEST:,} octets.")
    form = NoticeForm.OWN if place.suffix == _OWN else NoticeForm.TEXT
    # TOML is UTF-8: an octet that is not is kept, so that the reader can report its line.
    text = octets.decode("utf-8-sig", "surrogateescape") if form is NoticeForm.OWN else decoded_text(octets)
    try:
        return NoticeOutcome(file=place.name, notice=use(text, form, place.name), refusal="")
    except InputError as error:
        refusal = " ".join(_without_file(problem.message, place.name) for problem in error.problems)
        return NoticeOutcome(file=place.name, notice=None, refusal=one_line(refusal))


def _without_file(message: str, name: str) -> str:
    """Leave out the name of the file, which stands beside the message; its line stays."""
    numbered = re.sub(rf"\A{re.escape(name)}:([0-9]+): ", r"line \1: ", message)
    return numbered.removeprefix(f"{name}: ")


@final
class NoticeWorker:
    """
    Obey the notices of the ledger, and watch a folder of notices.

    Args:
        context: What the workers of the agent share.
        systems: The systems that this agent sends to.
        files: The notices of a folder; None for none.
        wake: Called when something was let go.
    """

    def __init__(
        self, context: WorkerContext, systems: Sequence[str], *, files: NoticeFiles | None, wake: Callable[[], None]
    ) -> None:
        self._context = context
        self._systems = systems
        self._files = files
        self._wake = wake
        self._last = 0
        self._trouble = ""

    async def start(self) -> None:
        """
        Read what is in the folder and hold what is to be held, before anything is sent.

        A file that has just been saved is waited for, once: it may hold what is sent next.

        Raises:
            LedgerError: The ledger cannot be read or written.
        """
        ledger = self._context.ledger
        self._last = max((each.key for each in await run_in_thread(ledger.notices.listed)), default=0)
        _warn_of_presumed(await run_in_thread(lambda: ledger.recoveries.presumed_rejected(at=self._context.clock())))
        if self._files is not None:
            with contextlib.suppress(OSError):  # reported when the folder is read
                seconds = await run_in_thread(self._files.seconds_until_settled)
                await wait_for_event(self._context.stop_event, timedelta(seconds=seconds))
        await self._obey()

    async def run(self) -> None:
        """Obey until the agent is asked to stop."""

        async def step() -> None:
            await wait_for_event(self._context.stop_event, self._context.timing.poll_interval)
            await self._obey()

        await self._context.run_repeatedly("notices", step)

    async def _obey(self) -> None:
        if self._files is not None:
            await run_in_thread(self._take)
        await self._report_new()
        await self._hold_and_let_go()

    # ── the folder ───────────────────────────────────────────────────────────

    def _take(self) -> None:
        """Store what is new in the folder."""
        if self._files is None:
            return
        context = self._context
        try:
            for outcome in self._files.take(context.ledger, at=context.clock):
                file = one_line(outcome.file)
                if outcome.notice is None:
                    folder, why = self._files.folder, outcome.refusal
                    LOG.warning(
                        "%s in %s was not read as a notice: %s",
                        *(file, folder, why),
                        extra=event("notice.not-read", file=file, folder=folder, why=why),
                    )
        except OSError as error:
            why = f"{error.filename or self._files.folder}: {error.strerror or error}"
            if why != self._trouble:  # not at every poll
                LOG.error(
                    "Notices in %s are not read: %s",
                    *(self._files.folder, one_line(why)),
                    extra=event("notice.folder-failed", folder=self._files.folder, why=one_line(why)),
                )
            self._trouble = why
        else:
            self._trouble = ""

    # ── what was learned ─────────────────────────────────────────────────────

    async def _report_new(self) -> None:
        """Log each notice that was learned since the last time, and what was sent into a window of it that rejects."""
        ledger = self._context.ledger
        # Numbers grow in the order in which notices are stored.
        new = [each for each in await run_in_thread(ledger.notices.listed) if each.key > self._last]
        if not new:
            return
        self._last = new[-1].key
        presumed = await run_in_thread(lambda: ledger.recoveries.presumed_rejected(at=self._context.clock()))
        for notice in new:
            LOG.info(
                "Notice %d was learned: %s",
                *(notice.key, _described(await run_in_thread(lambda: ledger.notices.find(str(notice.key))))),  # noqa: B023
                extra=event("notice.learned", notice=notice.key, understood=notice.notice.complete),
            )
            if unmapped := _names_without_system(ledger, notice, self._systems):
                LOG.warning(
                    "Notice %d concerns %s, and no name of a system: it holds nothing. If it is one of your systems, "
                    "add it as [[notices.name]]",
                    *(notice.key, ", ".join(unmapped)),
                    extra=event("notice.unmapped", notice=notice.key, names=unmapped),
                )
            if elsewhere := await run_in_thread(lambda: ledger.notices.of_another_authority(notice.key)):  # noqa: B023
                LOG.warning(
                    "%s", one_line(elsewhere), extra=event("notice.other-authority", notice=notice.key, why=elsewhere)
                )
        _warn_of_presumed(presumed)

    # ── holding and letting go ───────────────────────────────────────────────

    async def _hold_and_let_go(self) -> None:
        context, windows = self._context, self._context.ledger.windows
        if not self._systems:
            return
        at = context.clock()
        review = await run_in_thread(lambda: windows.review(self._systems, at=at))
        if review.to_hold:
            held = await asyncio.wrap_future(windows.hold_soon(review.to_hold, at=at))
            for system, advice in held.items():
                until = "until a notice ends it" if advice.until is None else f"until {_clock.local(advice.until)}"
                why = one_line(advice.reason)
                LOG.warning(
                    "Declarations to %s are held %s: %s",
                    *(system, until, why),
                    extra=event("window.held", system=system, until=advice.until, why=why),
                )
        for system, release in review.to_release.items():
            await self._let_go(system, release, at)

    async def _let_go(self, system: str, release: Release, at: datetime) -> None:
        """Let go of a part of what was held, so that the last is gone when the spread is over."""
        context = self._context
        spread, longest = context.timing.release_spread, context.timing.release_spread * _JITTER
        by = release.by
        # A time that is too late was set while a clock was ahead.
        if by is None or by > at + longest:
            # Not all installations end at the same moment.
            by = at + spread * (1 + context.rng.random() * (_JITTER - 1))
            why = f"Let go {release.order}" if release.order else f"The window of {system} is over"
            LOG.info(
                "%s; declarations to %s that were held are let go: %d",
                *(one_line(why), system, release.waiting),
                extra=event("window.released", system=system, number=release.waiting, by=by, why=one_line(why)),
            )
        poll, jitter = context.timing.poll_interval, context.rng.random()
        most = release_share(release.waiting, left=by - at, poll=poll, jitter=jitter)
        if most or not release.waiting or by != release.by:
            await asyncio.wrap_future(context.ledger.windows.let_go_soon(system, at=at, most=most, by=by))
            self._wake()


def release_share(waiting: int, *, left: timedelta, poll: timedelta, jitter: float) -> int:
    """
    Calculate how many held declarations to let go at a poll.

    >>> release_share(600, left=timedelta(minutes=10), poll=timedelta(seconds=1), jitter=0.5)
    1
    >>> release_share(7, left=timedelta(0), poll=timedelta(seconds=1), jitter=0.5)
    7

    Args:
        waiting: How many are held.
        left: The time until the last one is to be gone.
        poll: The time between two polls.
        jitter: A random number from 0 to 1, from the caller.

    Returns:
        The number; with many polls left and few that wait, it is 1 at some polls and 0 at the others.
    """
    if left <= poll:
        return waiting
    # The fraction that is left over is rounded by chance, so that few declarations are spread out too.
    return min(waiting, math.floor(waiting * (poll / left) + jitter))


def _described(texts: Sequence[StoredNotice]) -> str:
    """Describe the newest text of an event in a line of the log; one that only ends it is of the kind of the first."""
    read = texts[-1].notice
    shown = read if read.windows else next((each.notice for each in texts if each.notice.windows), read)
    names = ", ".join(dict.fromkeys(window.system for window in shown.windows if window.system)) or "no system"
    reference = f"{read.references[0]}, " if read.references else ""
    unsure = "" if read.complete else "; not all of it was understood, so read it"
    return one_line(f"{reference}{shown.kind}, {read.state}, about {names}{unsure}; htpoort windows list shows it")


def _names_without_system(ledger: Ledger, notice: StoredNotice, systems: Sequence[str]) -> tuple[str, ...]:
    """List the names of a notice, if none of them is known to be a system."""
    known = {*systems, *(name.system for name in ledger.notices.names)}
    availability = ledger.notices.availability()
    unmapped = availability.names_without_system(notice.notice, known)
    # Without those that the configuration says concern no system.
    printed = availability.names_without_system(notice.notice, ())
    return unmapped if len(unmapped) == len(printed) else ()


def _warn_of_presumed(presumed: Sequence[Concern]) -> None:
    """Warn of what was sent while everything was rejected, once for each notice."""
    by_notice: dict[str, list[Concern]] = {}
    for concern in presumed:
        by_notice.setdefault(concern.window.notice, []).append(concern)
    for notice, concerns in by_notice.items():
        named = ", ".join(f"{each.exchange.reference} of {each.exchange.party}" for each in concerns[:_NAMED])
        more = f" and {len(concerns) - _NAMED} more" if len(concerns) > _NAMED else ""
        LOG.warning(
            "Presumed rejected, because it was sent in a window of notice %s: %s%s. What to do: %s. "
            "Nothing is sent again without an order; see htpoort recover %s",
            *(notice, named, more, concerns[0].rule.to_do, notice),
            extra=event(
                "declaration.presumed-rejected",
                notice=notice,
                number=len(concerns),
                references=[each.exchange.reference for each in concerns[:_NAMED]],
            ),
        )
