"""
Remember which mails of a POP3 mailbox are stored, by UIDL.

Never does: fetch.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from htpoort.ledger import _schema

_table: Final = _schema.fetched


def known(connection: sa.Connection, account: str) -> frozenset[str]:
    """Give the UIDLs of an account that are stored and may still be in its mailbox."""
    return frozenset(connection.execute(sa.select(_table.c.uidl).where(_table.c.account == account)).scalars())


def remember(connection: sa.Connection, account: str, uidl: str, at: datetime) -> bool:
    """Note that a mail is stored, in the same transaction as the mail; says whether its UIDL was not known."""
    there = sa.select(_table.c.at).where(_table.c.account == account, _table.c.uidl == uidl)
    # Equal mails may share a UIDL (RFC 1939, section 7), and a mail may come again after a session that broke.
    if connection.execute(there).first() is not None:
        return False
    connection.execute(sa.insert(_table), {"account": account, "uidl": uidl, "at": at})
    return True


def forget(connection: sa.Connection, account: str, gone: Iterable[str]) -> None:
    """Forget mails that have left the mailbox; a UIDL may come again for another mail (RFC 1939, section 7)."""
    for uidl in gone:
        connection.execute(sa.delete(_table).where(_table.c.account == account, _table.c.uidl == uidl))
