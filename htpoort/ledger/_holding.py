"""
Find which systems the notices hold now, and which exchanges of them a person ordered to send all the same.

Never does: write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, final

import attrs
import sqlalchemy as sa

from htpoort.core.exchange import State
from htpoort.core.notices import Advice
from htpoort.core.notices.consequences import HOLD_LEAD, hold_advice
from htpoort.ledger import _attempts, _schema
from htpoort.ledger._knowledge import Knowledge

_exchanges: Final = _schema.exchanges
_orders: Final = _schema.notice_orders
NOT_SENT_YET: Final = (*_attempts.WAITING, State.HELD)


@final
@attrs.frozen(kw_only=True)
class Exempt:
    """
    An exchange of a system that is held, which may be sent all the same.

    Args:
        key: Its number.
        system: The system.
        state: Its state: it waits or is held.
    """

    key: int
    system: str
    state: State


@final
@attrs.frozen(kw_only=True)
class Holding:
    """
    What the notices hold.

    Args:
        advice: The systems that are held, with the advice that says so.
        exempt: The exchanges of these that a person ordered to send, and that no other notice holds.
    """

    advice: Mapping[str, Advice]
    exempt: tuple[Exempt, ...] = ()

    def waiting(self) -> list[int]:
        """List the numbers of the exempt exchanges that wait to be sent."""
        return [each.key for each in self.exempt if each.state is not State.HELD]


def find_holding(connection: sa.Connection, knowledge: Knowledge, systems: Iterable[str], *, at: datetime) -> Holding:
    """
    Find what is held of some systems.

    Without orders for single exchanges, this asks the database nothing.
    """
    found = ((system, hold_advice(knowledge.obeyed, system, at=at)) for system in systems)
    advice = {system: each for system, each in found if each is not None}
    if not advice or not knowledge.exemptions:
        return Holding(advice=advice)
    holding = {
        window.notice for system in advice for window in knowledge.obeyed.windows(system, start=at, stop=at + HOLD_LEAD)
    }
    ordered = sa.select(_orders.c.exchange).where(
        _orders.c.notice.in_([each.key for each in knowledge.stored if knowledge.events[each.key] in holding])
    )
    query = sa.select(_exchanges.c.id, _exchanges.c.system, _exchanges.c.state).where(
        _exchanges.c.id.in_(ordered),
        _exchanges.c.system.in_(tuple(advice)),
        _exchanges.c.state.in_([state.value for state in NOT_SENT_YET]),
    )
    rows = [Exempt(key=key, system=system, state=State(state)) for key, system, state in connection.execute(query)]
    exempt = (each for each in rows if hold_advice(knowledge.obeyed_for(each.key), each.system, at=at) is None)
    return Holding(advice=advice, exempt=tuple(exempt))
