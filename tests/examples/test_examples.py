"""The examples: each is short, runs by itself, and prints what it promises."""

from __future__ import annotations

import subprocess  # noqa: S404 - examples are programs
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

PRINTED = {
    "route_replies.py": """\
AGS for NL123456789.02.05: K=22096222734662, matched
    <Response/>
DMS for NL123456789.03.05: K=22096222734663, matched
    <Response/>
quarantine: ambiguous-from: The From header does not hold exactly one plain mailbox.
quarantine: other-system: The reference 22096222734662 was sent to AGS, but DMS answers.
""",
    "send_declaration.py": """\
dms@htpoort.nl accepted [V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0], code 250
DMS answered NL123456789.02.05 about 22096222734662 (not-checked)
""",
}


def test_every_example_is_run() -> None:
    """Every example is run below; those that are tests are run by tests/testing."""
    scripts = {path.name for path in EXAMPLES.glob("*.py") if not path.name.startswith("test_")}

    assert sorted(PRINTED) == sorted(scripts)


@pytest.mark.parametrize("name", PRINTED)
def test_prints_what_happened(name: str, tmp_path: Path) -> None:
    """An example is a script: it runs in any folder, exits with 0, and prints exactly these lines."""
    ran = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-W", "error", EXAMPLES / name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (PRINTED[name], "", 0) == (ran.stdout, ran.stderr, ran.returncode)


@pytest.mark.parametrize("name", PRINTED)
def test_is_short(name: str) -> None:
    """An example has fewer than 40 lines."""
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 40
