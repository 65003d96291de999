"""A report on a ledger in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import report_office

from htpoort.ledger import Ledger
from htpoort.report import gather, report_page

NOW = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)


def test_both_databases_give_the_same_report(local: Ledger, tmp_path: Path) -> None:
    """What happened in the same way is reported in the same way, in every figure, line and chart."""
    report_office.fill(tmp_path, NOW)
    report_office.fill_ledger(local, NOW)
    with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as file:
        here, there = (
            gather(
                ledger,
                parties=report_office.PARTIES,
                whole=True,
                at=NOW,
                since=NOW - timedelta(days=30),
                until=NOW,
                systems=["AGS", "DMS"],
                limits=lambda _: timedelta(hours=24),
            )
            for ledger in (local, file)
        )

    assert here == there
    assert report_page(here) == report_page(there)
