"""The report as people see it, of a ledger with everything in it."""

from __future__ import annotations

import os
import subprocess  # noqa: S404 - the command is a program
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import report_office
from looks.conftest import SCHEMES, WIDTHS, Looks

PARTY = "NL123456789.02.05"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a ledger with several parties, systems and windows, and write its reports."""
    folder = tmp_path_factory.mktemp("office")
    report_office.fill(folder, datetime.now(UTC))  # noqa: TID251 - the age of what is open counts from now
    for name, options in {"all.html": [], "one.html": ["--party", PARTY]}.items():
        command = [sys.executable, "-m", "htpoort", "report", "--html", name, *options]
        environment = {name: value for name, value in os.environ.items() if name != "HTPOORT_CONFIG"}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)  # noqa: S603 - our own
    return folder


@pytest.mark.parametrize("name", ["all", "one"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_report(office: Path, looks: Looks, name: str, width: int, scheme: str) -> None:
    """Nothing is cut, nothing scrolls sideways, each chart has a name, and all can be read and reached."""
    address = (office / f"{name}.html").as_uri()

    assert [] == looks.wrong(address, f"report-{name}", width=width, scheme=scheme)


def test_it_needs_no_network_and_no_script(office: Path, looks: Looks) -> None:
    """The page asks for nothing else, and without scripts it shows the same text."""
    address, asked, texts = (office / "all.html").as_uri(), [], []
    for scripts in (True, False):
        with looks.page(address, width=1_440, scheme="light", scripts=scripts) as page:
            page.on("request", lambda request: asked.append(request.url))
            page.reload(wait_until="load")
            texts.append(page.inner_text("body"))

    assert {address} == set(asked)
    assert texts[0] == texts[1]
