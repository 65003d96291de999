"""The unit for systemd: valid as systemd itself reads it, and in agreement with its sample configuration."""

from __future__ import annotations

import configparser
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy.containers import ROOT, new_image

from htpoort.config import read_agent

SERVICE = ROOT / "examples/service"


@pytest.fixture
def unit() -> configparser.ConfigParser:
    """Read the unit."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment] # as systemd, which minds capital letters
    parser.read(SERVICE / "htpoort.service", encoding="utf-8")
    return parser


def strings(value: Any) -> Iterator[str]:
    """Give every string of a TOML document."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def test_systemd_finds_nothing_wrong() -> None:
    """`systemd-analyze verify` accepts the unit where htpoort and its man pages are installed as the unit says."""
    command = Path(sys.executable).with_name("htpoort")
    script = f"""
set -eu
mkdir -p /opt/htpoort/bin /usr/local/share/man/man1
ln -s {command} /opt/htpoort/bin/htpoort
cp {ROOT}/docs/man/*.1 /usr/local/share/man/man1
cp {SERVICE}/htpoort.service /etc/systemd/system/htpoort.service
systemd-analyze verify /etc/systemd/system/htpoort.service
"""
    with new_image() as image:
        done = image.inside("sh", "-c", script, check=False)

    assert (0, "") == (done.returncode, done.stdout)


def test_a_fault_in_the_unit_would_be_found() -> None:
    """The same check refuses a unit whose program does not exist, so it can fail."""
    with new_image() as image:
        shutil.copy(SERVICE / "htpoort.service", image.folder / "upper/htpoort.service")
        done = image.inside("systemd-analyze", "verify", "/htpoort.service", check=False)

    assert "Command /opt/htpoort/bin/htpoort is not executable" in done.stdout


def test_the_agent_may_write_where_its_configuration_says(unit: configparser.ConfigParser) -> None:
    """Each path of the sample configuration is in the only folder that the unit makes, and lets the agent write to."""
    document = tomllib.loads((SERVICE / "htpoort.toml").read_text(encoding="utf-8"))
    paths = [text.removeprefix("sqlite:///") for text in strings(document) if "/" in text]

    assert ("strict", "htpoort") == (unit["Service"]["ProtectSystem"], unit["Service"]["StateDirectory"])
    assert "HTPOORT_CONFIG=/etc/htpoort/htpoort.toml" == unit["Service"]["Environment"]
    assert [] == [path for path in paths if not path.startswith("/var/lib/htpoort/")]
    assert 3 == len(paths)


@pytest.mark.parametrize("name", ["service", "container"])
def test_each_sample_configuration_is_accepted(name: str, tmp_path: Path) -> None:
    """The configurations beside the unit and the compose file are read without a complaint, with their passwords."""
    passwords = ("HTPOORT_PASSWORD", "HTPOORT_SMTP_PASSWORD", "HTPOORT_POP3_PASSWORD")
    environ = dict.fromkeys(passwords, "geheim")
    environ["HTPOORT_LEDGER_URL"] = "postgresql+psycopg://htpoort:geheim@database/htpoort"
    path = tmp_path / "htpoort.toml"
    shutil.copy(ROOT / "examples" / name / "htpoort.toml", path)

    assert {"AGS", "DMS"} == set(read_agent(path, environ=environ).deliveries)


def test_each_secret_has_its_line() -> None:
    """The file of secrets names the environment variables that the sample configuration asks for, and no other."""
    text = (SERVICE / "htpoort.toml").read_text(encoding="utf-8")
    asked = {line.split('"')[1] for line in text.splitlines() if "_env" in line}
    secrets = (SERVICE / "secrets").read_text(encoding="utf-8")
    given = {line.partition("=")[0] for line in secrets.splitlines() if not line.startswith("#")}

    assert given == asked
