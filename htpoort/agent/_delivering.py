"""
Deliver replies to the process of their system.

Never does: give a reply up, or let one system's trouble wait upon another's.
"""

from __future__ import annotations

import asyncio
from typing import Final, final

from htpoort.agent._common import LOG, Common, forever
from htpoort.delivery import Delivery, redeliver_after
from htpoort.ledger import Reply

_MOST: Final = 16  # replies at once to one process; each failing one has a time limit of its own


@final
class Delivering:
    """
    Deliver the replies of one system.

    Args:
        common: What the parts of an agent share.
        system: Its name.
        delivery: Where its replies go.
    """

    def __init__(self, common: Common, system: str, delivery: Delivery[Reply]) -> None:
        self._common = common
        self._system = system
        self._delivery = delivery
        self.wake = asyncio.Event()
        """Set when a reply was stored."""

    async def run(self) -> None:
        """Deliver until the sign to stop; then end what is under way."""
        await forever(f"delivery of {self._system}", self._common, self._turn)

    async def _turn(self) -> None:
        common = self._common
        self.wake.clear()
        claimed = await asyncio.wrap_future(
            common.ledger.replies.claim_soon(
                self._system, owner=common.owner, most=_MOST, at=common.clock(), lease=common.timing.lease
            )
        )
        await asyncio.gather(*(self._deliver(reply) for reply in claimed))
        if len(claimed) < _MOST:
            await common.woken(self.wake, common.timing.poll)

    async def _deliver(self, reply: Reply) -> None:
        """Deliver one reply; marked only afterwards, so that a crash in between delivers it again."""
        self._common.delivering.add(reply.key)
        try:
            await self._tried(reply)
        finally:
            self._common.delivering.discard(reply.key)

    async def _tried(self, reply: Reply) -> None:
        common, ledger = self._common, self._common.ledger
        try:
            await self._delivery(reply)
        except Exception as error:  # noqa: BLE001 - a user's callable raises anything; the reply is kept and tried again
            LOG.warning(
                "Reply %d of %s for %s under %s was not delivered: %s",
                *(reply.key, self._system, reply.party, reply.reference, error),
            )
            at = common.clock()
            waits = common.timing.redeliver
            due = at + redeliver_after(reply.attempts, schedule=waits, jitter=common.chance.random())
            trouble = f"{type(error).__name__}: {error}"
            await common.written(lambda: ledger.replies.not_delivered_soon(reply.key, at=at, due=due, trouble=trouble))
        else:
            LOG.info(
                "Reply %d of %s for %s under %s was delivered", reply.key, self._system, reply.party, reply.reference
            )
            at = common.clock()
            await common.written(lambda: ledger.replies.delivered_soon(reply.key, at=at))
