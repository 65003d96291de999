"""Certificates for the tests, a check that every program is installed, and the matrix with its page."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Iterator
from importlib import metadata
from typing import Final

import attrs
import pytest
from interop import page
from interop.matrix import FETCH_HEAD, FETCH_KEYS, FILE_HEAD, FILE_KEYS, TEMPLATE, WRITE_HEAD, WRITE_KEYS
from interop.messages import PASSWORD
from interop.programs import HERE, PROGRAMS, folder, run, version_of
from interop.servers import Files
from tidy import check_tidy

from htpoort.simulator import GatewayTls

WRITES: Final = "HTPOORT_INTEROP_WRITE"
"""The variable that makes a run write the page instead of comparing with it."""


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
async def nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves a task running, or an exception that was never retrieved."""
    yield
    await check_tidy(caplog)


@pytest.fixture(scope="session", autouse=True)  # ruff: ignore[pytest-fixture-autouse]
def versions() -> list[tuple[str, str]]:
    """Ask every program for its version; fail, and name what to install, if one does not answer."""
    found = asyncio.run(_asked())
    how_to = {"debian": "apt-get install --no-install-recommends", "npm": "npm install", "layer": "in layers"}
    for kind, how in how_to.items():
        missing = [program[kind] for program in PROGRAMS if kind in program and not found[program["name"]]]
        if missing:
            pytest.fail(f"Not installed: {how} {' '.join(missing)}; or run as root: nox -s interop", pytrace=False)
    if os.geteuid() != 0:
        pytest.fail("The mail servers start as root only; run these tests as root.", pytrace=False)
    ours = [("CPython", platform.python_version()), ("aiosmtplib", metadata.version("aiosmtplib"))]
    return ours + [(name, str(version)) for name, version in found.items()]


async def _asked() -> dict[str, str | None]:
    return {program["name"]: await version_of(program) for program in PROGRAMS}


@pytest.fixture(scope="session", autouse=True)  # ruff: ignore[pytest-fixture-autouse]
def compiled(versions: list[tuple[str, str]]) -> Iterator[None]:  # noqa: ARG001 - reports first what is not installed
    """Compile the Java program of these tests, and put it on Java's class path."""
    jars = [f"/usr/share/java/jakarta-{name}.jar" for name in ("mail", "activation")]
    with folder() as place, pytest.MonkeyPatch.context() as patch:
        asyncio.run(run("javac", "-cp", ":".join(jars), "-d", place, HERE / "java/Send.java"))
        patch.setenv("CLASSPATH", ":".join([str(place), *jars]))
        yield


@pytest.fixture(scope="session")
def files() -> Iterator[Files]:
    """Use the certificates that a user gets from the simulator for every server; none is made to suit a program."""
    with folder() as place:
        GatewayTls.made(place)
        client, server = place / "client.pem", place / "server.pem"
        # Java cannot read a key in PEM.
        store = ("pkcs12", "-export", "-in", client, "-out", place / "client.p12", "-passout", f"pass:{PASSWORD}")
        asyncio.run(run("openssl", *store))

        yield Files(ca=place / "ca.pem", chain=server, key=server, both=server, client=client)


@attrs.define
class Matrix:
    """The committed page, and the results of this run."""

    seen: dict[str, page.Rows] = attrs.field(factory=dict[str, page.Rows])

    def agrees(self, heading: str, rows: page.Rows) -> None:
        """Compare rows with those of the page, unless it is to be written."""
        self.seen.setdefault(heading, {}).update(rows)
        if WRITES not in os.environ:
            committed = page.read(heading)
            assert {key: committed.get(key) for key in rows} == rows

    def written(self, heading: str, head: tuple[str, ...], keys: list[page.Key]) -> tuple[tuple[str, ...], page.Rows]:
        """Return a table in the order of its keys; rows that were not part of this run stay as they were."""
        known = (page.read(heading) if page.PATH.exists() else {}) | self.seen.get(heading, {})
        return head, {key: known[key] for key in keys if key in known}


@pytest.fixture(scope="session")
def matrix(versions: list[tuple[str, str]]) -> Iterator[Matrix]:
    """Yield what compares rows with the page; at the end write the page if requested."""
    kept = Matrix()
    yield kept
    if WRITES in os.environ:
        tables = {
            page.WRITING: kept.written(page.WRITING, WRITE_HEAD, WRITE_KEYS),
            page.FETCHING: kept.written(page.FETCHING, FETCH_HEAD, FETCH_KEYS),
            page.EXCHANGING: kept.written(page.EXCHANGING, FILE_HEAD, FILE_KEYS),
        }
        page.write(TEMPLATE, tables, versions)
