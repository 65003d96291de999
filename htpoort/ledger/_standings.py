"""
Ask how parties stand with systems: what they sent, what is open, what came back.

Never does: read a row of a party that was not asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs
import sqlalchemy as sa

from htpoort.cutover import Standing
from htpoort.exchange import State
from htpoort.ledger import _schema

_exchanges: Final = _schema.exchanges
_replies: Final = _schema.replies

_AT_ONCE: Final = 500  # of the parameters that a statement may have, SQLite takes 999 everywhere
_TAKEN: Final = (State.ACCEPTED.value, State.ANSWERED.value, State.UNKNOWN.value)
_OVER: Final = (State.ANSWERED.value, State.CLOSED.value)

_sent: Final = sa.func.count().filter(_exchanges.c.state.in_(_TAKEN))
_open: Final = sa.func.count().filter(_exchanges.c.state.not_in(_OVER))
_oldest: Final = sa.func.min(_exchanges.c.created).filter(_exchanges.c.state.not_in(_OVER))
_EXCHANGES: Final = (
    sa
    .select(
        _exchanges.c.party_key,
        _exchanges.c.system,
        _sent.label("sent"),
        _open.label("open"),
        sa.type_coerce(_oldest, _schema.Moment).label("oldest"),
    )
    .where(_exchanges.c.party_key.in_(sa.bindparam("parties", expanding=True)))
    .group_by(_exchanges.c.party_key, _exchanges.c.system)
)
_REPLIES: Final = (
    sa
    .select(
        _replies.c.party,
        _replies.c.system,
        sa.func.count().label("replies"),
        sa.func.max(_replies.c.received).label("last_reply"),
    )
    .where(_replies.c.party.in_(sa.bindparam("parties", expanding=True)))
    .group_by(_replies.c.party, _replies.c.system)
)


def standings(connection: sa.Connection, parties: Iterable[str]) -> dict[tuple[str, str], Standing]:
    """Tell how each of some parties stands with each system that it has to do with."""
    # Exchanges have a column for the comparison; of replies an index finds the spellings that are in use.
    spellings = {text for party in parties for text in (party, party.upper(), party.lower())}
    found: dict[tuple[str, str], Standing] = {}
    for some in pieces({party.lower() for party in spellings}):
        for row in connection.execute(_EXCHANGES, {"parties": some}):
            found[row.party_key, row.system] = Standing(sent=row.sent, open=row.open, oldest=row.oldest)
    for some in pieces(spellings):
        for row in connection.execute(_REPLIES, {"parties": some}):
            key = row.party.lower(), row.system
            before = found.get(key, Standing())
            last = max(filter(None, (before.last_reply, row.last_reply)))
            found[key] = attrs.evolve(before, replies=before.replies + row.replies, last_reply=last)
    return found


def pieces(texts: set[str]) -> Iterator[list[str]]:
    """Divide what does not fit into one statement."""
    ordered = sorted(texts)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
