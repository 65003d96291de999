"""
A plugin of pytest with a gateway, a receiver, a ledger and a clock for tests; pytest finds it by itself.

This module never imports or starts anything before a test names a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

    from htpoort.ledger import Ledger
    from htpoort.simulator import Declarant, GatewayTls
    from htpoort.testing.handles import Background, RunningClock, RunningGateway, RunningReceiver

_MARKERS = (
    (
        "htp_script(script): the script of htp_gateway: a Script, a TOML file beside the test, or the fields of "
        "a Script by name."
    ),
    "htp_scenario(*scenarios): how htp_gateway replies: Scenario values, or the fields of one by name.",
    "htp_tls(tls): TLS of htp_gateway: a GatewayTls, or fields of one by name, without its files.",
)


_ALONE = pytest.StashKey[bool]()
"""Whether the test's gateway runs without a receiver to push to."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


def _fixtures() -> ModuleType:
    """Import the module that makes the fixtures."""
    try:
        from htpoort.testing import _fixtures  # noqa: PLC0415 - only for a test that names a fixture
    except ModuleNotFoundError as error:
        from htpoort._extras import how_to_install  # noqa: PLC0415 - as above

        message = f"{error}: the fixtures of htpoort need more packages; {how_to_install('testing')}."
        raise pytest.UsageError(message) from error
    return _fixtures


@pytest.fixture
def _htp_background() -> Iterator[Background]:
    """Run an event loop in a thread of its own, so that any kind of test can use the fixtures."""
    with _fixtures().Background() as background:
        yield background


@pytest.fixture(scope="session")
def _htp_certificates(tmp_path_factory: pytest.TempPathFactory) -> GatewayTls:
    """Make certificates, once per run."""
    made: GatewayTls = _fixtures().certificates(tmp_path_factory.mktemp("htp-tls"))
    return made


@pytest.fixture
def htp_parties() -> Sequence[str]:
    """Name the parties that htp_receiver accepts replies for; override it for others."""
    return ("NL123456789.02.05",)


@pytest.fixture
def htp_declarants(request: pytest.FixtureRequest) -> Sequence[Declarant]:
    """
    Name the declarants of htp_gateway; override it for others.

    By default one, ``edi@forwarder.example``. With htp_receiver its replies are pushed there; without, it logs in with
    its mailbox and ``geheim``, and fetches its replies by POP3.
    """
    one: Sequence[Declarant] = _fixtures().declarants(pushed="htp_receiver" in request.fixturenames)
    return one


@pytest.fixture
def htp_clock(_htp_background: Background) -> RunningClock:
    """Give the simulated clock of htp_gateway; its time does not pass until a test moves it."""
    made: RunningClock = _fixtures().clock(_htp_background)
    return made


@pytest.fixture
def htp_receiver(
    request: pytest.FixtureRequest,
    _htp_background: Background,
    htp_declarants: Sequence[Declarant],
    htp_parties: Sequence[str],
) -> Iterator[RunningReceiver]:
    """Run the declarants' own mail server: it keeps what arrives, and routes it."""
    if cast("pytest.Item", request.node).stash.get(_ALONE, False):
        message = (
            "htp_gateway already runs without a receiver, and would push nothing to this one: "
            "name htp_receiver among the test's arguments."
        )
        raise pytest.UsageError(message)
    with _fixtures().receiver(_htp_background, htp_declarants, htp_parties) as receiver:
        yield receiver


@pytest.fixture
def htp_gateway(
    request: pytest.FixtureRequest,
    _htp_background: Background,
    htp_clock: RunningClock,
    htp_declarants: Sequence[Declarant],
) -> Iterator[RunningGateway]:
    """Run the gateway on free ports of loopback, as the test's markers order."""
    fixtures = _fixtures()
    node = cast("pytest.Item", request.node)
    marked = {name: [*node.iter_markers(f"htp_{name}")] for name in ("script", "scenario", "tls")}
    tls = None
    if marked["tls"]:
        tls = fixtures.tls(marked["tls"][0], lambda: request.getfixturevalue("_htp_certificates"))
    with fixtures.gateway(
        _htp_background,
        clock=htp_clock,
        declarants=htp_declarants,
        receiver=request.getfixturevalue("htp_receiver") if "htp_receiver" in request.fixturenames else None,
        script=fixtures.script(marked["script"], marked["scenario"], request.path.parent),
        tls=tls,
    ) as running:
        node.stash[_ALONE] = "htp_receiver" not in request.fixturenames
        yield running
        node.stash[_ALONE] = False


@pytest.fixture
def htp_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open an empty ledger on SQLite in the test's own folder."""
    with _fixtures().ledger(tmp_path) as ledger:
        yield ledger
