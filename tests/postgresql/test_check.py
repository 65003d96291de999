"""`htpoort check` on a database server, before and after the first run."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from agents import now

from htpoort.config import Finding, check, read_agent
from htpoort.ledger import Ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a configuration whose ledger is named by a variable."""
    path = tmp_path / "htpoort.toml"
    path.write_text('parties = ["NL123456789.02.05"]\n[ledger]\nurl_env = "HTPOORT_LEDGER_URL"\n')
    return path


async def opening(file: Path, url: str) -> Finding:
    """Check, and return what is found of the ledger first."""
    findings = await check(read_agent(file, environ={"HTPOORT_LEDGER_URL": url}), at=now())
    return next(one for one in findings if (one.part, one.check) == ("ledger", "open"))


async def test_an_empty_database_is_no_fault(file: Path, url: str) -> None:
    """As with a file that is not there, the first run creates the ledger, and the check does not."""
    found = await opening(file, url)
    advice = f"htpoort run creates an empty one. If there should be one, [ledger] of {file} has the wrong url."

    assert ("warning", advice) == (found.verdict.value, found.advice)
    assert found.message.startswith("There is no ledger at postgresql+psycopg://")
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        assert [] == connection.execute("SELECT * FROM pg_tables WHERE tablename LIKE 'htpoort%'").fetchall()


async def test_a_server_that_refuses_is_wrong(file: Path, url: str) -> None:
    """No such database is no empty ledger: the first run could not create one."""
    assert "wrong" == (await opening(file, url.replace("/ledger_", "/absent_"))).verdict.value
    Ledger.open(url).close()
    assert "ok" == (await opening(file, url)).verdict.value
