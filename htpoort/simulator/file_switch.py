"""
Play the replacement of one file gateway by another: before, during and after the switch.

This module never decides what a client should do; `htpoort.files.GatewayChange` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self, final

from htpoort.files import MANIFEST_2020, FileService, GatewayChange
from htpoort.simulator.certificates import GatewayTls
from htpoort.simulator.clock import SimulatedClock
from htpoort.simulator.file_gateway import MANIFEST, FileGateway
from htpoort.simulator.file_script import FileScript
from htpoort.simulator.files import FileUser, UploadedFile

__all__ = ["SimulatedGateways"]

_SCRIPT: Final = FileScript()
_NOT_YET: Final = "550 This gateway is not open yet"
_NO_MORE: Final = "550 This gateway takes no new files"


@final
class SimulatedGateways:
    """
    Play an old and a new gateway, and the switch from one to the other; needs `htpoort[simulator]`.

    Both listen all the time. Until the switch begins, the new one takes nothing. While it lasts, both take uploads,
    and the new one processes them. Afterwards the old one takes nothing new, but still gives out what it has, and what
    belongs to uploads from before. Each has names of its own; one that was uploaded to the old gateway during the
    switch is used at the new one too. That the gateways know nothing else of each other is inferred.

    Args:
        tls: The certificates of both.
        users: The users of both.
        services: The services of both.
        change: The rules of both, and the moments.
        script: What the new one puts out, and its faults.
        old_script: The same of the old one; by default the same values.
        clock: The time of both.

    Attributes:
        old: The old gateway.
        new: The new gateway.
        change: The rules of both, and the moments.

    Raises:
        InputError: As for `FileGateway`.
    """

    def __init__(  # noqa: PLR0913 - what two gateways need
        self,
        *,
        tls: GatewayTls,
        users: Iterable[FileUser],
        services: Iterable[FileService] = (MANIFEST,),
        change: GatewayChange = MANIFEST_2020,
        script: FileScript = _SCRIPT,
        old_script: FileScript | None = None,
        clock: SimulatedClock,
    ) -> None:
        known, folders = tuple(users), tuple(services)
        self.change = change
        self._clock = clock
        self.old = FileGateway(
            tls=tls, users=known, services=folders, rules=change.old, script=old_script or script, clock=clock
        )
        self.new = FileGateway(tls=tls, users=known, services=folders, rules=change.new, script=script, clock=clock)
        self.old.hand_on(closed=lambda: None if clock() < change.closes else _NO_MORE, successor=self._successor)
        self.new.hand_on(closed=lambda: None if clock() >= change.opens else _NOT_YET, successor=lambda: None)
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """
        Start both.

        Raises:
            InputError: A file of *tls* cannot be used.
            ModuleNotFoundError: pyftpdlib or pyOpenSSL is missing; install `htpoort[simulator]`.
            OSError: An address cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as starting:
            await starting.enter_async_context(self.old)
            await starting.enter_async_context(self.new)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._running.aclose()

    @property
    def clock(self) -> SimulatedClock:
        """The time of both."""
        return self._clock

    @property
    def next_moment(self) -> datetime | None:
        """When the next file is put out by either; None if there is none."""
        return min((moment for one in (self.old, self.new) if (moment := one.next_moment)), default=None)

    @property
    def processed(self) -> tuple[tuple[FileGateway, UploadedFile], ...]:
        """Each upload that the system behind a gateway got, with that gateway, in the order of their moments."""
        found = [(self.old, one) for one in self.old.uploads if one.processed and not one.handed_on]
        found += [(self.new, one) for one in (*self.new.handed_in, *self.new.uploads) if one.processed]
        return tuple(sorted(found, key=lambda pair: pair[1].at))

    async def wait_for_due(self) -> None:
        """Wait until every file that is due now is put out by either."""
        await self.old.wait_for_due()
        await self.new.wait_for_due()

    async def play(self, until: timedelta | None = None) -> None:
        """
        Let time pass until every file is put out by both.

        Args:
            until: How far from now, at most; the clock is moved there. None until nothing is left.

        Raises:
            InputError: *until* is below 0.
        """
        end = None if until is None else self._clock() + until
        await self.wait_for_due()
        while (moment := self.next_moment) is not None and (end is None or moment <= end):
            await self._clock.advance_to(max(moment, self._clock()))
            await self.wait_for_due()
        if end is not None:
            await self._clock.advance_to(end)

    def _successor(self) -> FileGateway | None:
        """Return the gateway that processes what is uploaded to the old one now."""
        return self.new if self.change.opens <= self._clock() else None
