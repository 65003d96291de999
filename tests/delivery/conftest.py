"""Make replies to deliver, and a disk without room for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from disk import failing_disk

from htpoort.ledger import Reply

RAW = b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]\r\n\r\n<MetaData/>\r\n"


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """Make a reply as the ledger returns it."""

    def made(**facts: Any) -> Reply:
        usual: dict[str, Any] = {
            "key": 7,
            "exchange": 3,
            "system": "DMS",
            "mailbox": "dms@htpoort.nl",
            "process_id": "DMS4.NL",
            "party": "NL123456789.02.05",
            "reference": "22096222734662",
            "correlation": "matched",
            "copies": 1,
            "received": datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
            "due": datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
            "delivered": None,
            "attempts": 0,
            "trouble": "",
            "raw": RAW,
        }
        return Reply(**usual | facts)

    return made


@pytest.fixture
def a_full_disk() -> Iterator[None]:
    """Limit files to 100,000 octets."""
    with failing_disk(100_000):
        yield
