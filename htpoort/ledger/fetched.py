"""
Remember which mails of a POP3 mailbox are stored.

Never does: fetch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from htpoort.ledger import _fetched
from htpoort.ledger._access import Access

__all__ = ["Fetched"]


@final
class Fetched:
    """Hold the UIDLs of mails that are stored; reached as ``ledger.fetched``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def known(self, account: str) -> frozenset[str]:
        """
        Say which mails of a POP3 account are stored.

        Args:
            account: As `take_in_soon` was given it.

        Returns:
            Their UIDLs.

        Raises:
            LedgerError: It could not be read.
        """
        return self._access.read(_fetched.known, account)

    def forget(self, account: str, gone: Iterable[str]) -> None:
        """
        Forget mails that have left a POP3 mailbox.

        Args:
            account: As `take_in_soon` was given it.
            gone: Their UIDLs.

        Raises:
            LedgerError: It could not be written.
        """
        self._access.write(_fetched.forget, account, tuple(gone))
