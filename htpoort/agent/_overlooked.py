"""
Tell of what waits in the ledger and nobody here works off.

Never does: tell it twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Final, final

from htpoort.agent._common import LOG, Common, forever
from htpoort.exchange import State

_WAITING: Final = (State.QUEUED, State.DEFERRED)


@final
class Overlooked:
    """
    Look for declarations without an outbox and for replies without a delivery.

    Once for each system: another agent of the ledger may be there for it.

    Args:
        common: What the parts of an agent share.
        sending: The names of the systems that have an outbox.
        delivering: The names of the systems that have a delivery.
    """

    def __init__(self, common: Common, *, sending: AbstractSet[str], delivering: AbstractSet[str]) -> None:
        self._common = common
        # A system that was told is one less to tell of.
        self._sending = set(sending)
        self._delivering = set(delivering)

    async def run(self) -> None:
        """Look until the sign to stop."""
        await forever("what waits", self._common, self._turn)

    async def _turn(self) -> None:
        status = await asyncio.to_thread(self._common.ledger.status)
        declarations: Counter[str] = Counter()
        for (system, state), number in status.exchanges.items():
            if state in _WAITING:
                declarations[system] += number
        for system in sorted(declarations.keys() - self._sending):
            LOG.warning(
                "Declarations to %s wait (%d), because this agent has no outbox for %s",
                *(system, declarations[system], system),
            )
        for system in sorted(status.undelivered.keys() - self._delivering):
            LOG.warning(
                "Replies of %s wait (%d), because this agent has no delivery for %s",
                *(system, status.undelivered[system], system),
            )
        self._sending |= declarations.keys()
        self._delivering |= status.undelivered.keys()
        await self._common.pause(self._common.timing.lease)
