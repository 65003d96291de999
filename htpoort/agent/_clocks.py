"""
Look for moments of the future in the ledger, which a clock that was ahead has left there.

Never does: believe them; what is due later than the longest wait is due now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, ParamSpec, final

from htpoort.agent._common import LOG, Common, forever
from htpoort.delivery import DELIVERY_SCHEDULE
from htpoort.exchange import RETRY_SCHEDULE

P = ParamSpec("P")

_JITTER: Final = 1.1  # up to a tenth is added to each wait
_LEASE: Final = timedelta(hours=1)  # other agents of the ledger may have longer leases than this one


@final
class Clocks:
    """
    Disbelieve moments of the future for the systems of one agent.

    Args:
        common: What the parts of an agent share.
        sending: The retry schedule of each system that has an outbox here.
        delivering: The names of the systems that have a delivery here.
    """

    def __init__(
        self, common: Common, *, sending: Mapping[str, tuple[timedelta, ...]], delivering: tuple[str, ...]
    ) -> None:
        self._common = common
        # Never less than the schedule that other agents have if no person has set another.
        self._sending = {system: max(*own, *RETRY_SCHEDULE) * _JITTER for system, own in sending.items()}
        self._delivering = delivering
        self._delivery = max(*common.timing.redeliver, *DELIVERY_SCHEDULE) * _JITTER

    async def run(self) -> None:
        """Look until the sign to stop."""
        await forever("clocks", self._common, self._turn)

    async def _turn(self) -> None:
        common, ledger = self._common, self._common.ledger
        at, lease = common.clock(), common.timing.lease
        for system, longest in self._sending.items():
            if number := await self._looked(ledger.exchanges.disbelieve_due, [system], at=at, longest=longest):
                LOG.warning(
                    "Declarations to %s were due later than any wait (%d), because a clock was ahead; they are due now",
                    *(system, number),
                )
        for system in self._delivering:
            if number := await self._looked(ledger.replies.disbelieve_due, system, at=at, longest=self._delivery):
                LOG.warning(
                    "Replies of %s were due later than any wait (%d), because a clock was ahead; they are due now",
                    *(system, number),
                )
        longest = max(lease, _LEASE)
        if number := await self._looked(ledger.disbelieve_leases, at=at, length=lease, longest=longest):
            LOG.warning("Leases ended in the far future (%d), because a clock was ahead; they are shortened", number)
        await common.pause(lease / 3)

    async def _looked(self, look: Callable[P, int], *args: P.args, **options: P.kwargs) -> int:
        """Ask the ledger beside the loop; once the agent is to end, nothing more is asked."""
        return 0 if self._common.stopping.is_set() else await asyncio.to_thread(look, *args, **options)
