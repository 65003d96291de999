"""The plugin in its own run of pytest: pytest finds it, and it loads only what a test requests."""

from __future__ import annotations

import os
import re
import subprocess  # noqa: S404 - pytest is a program
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Whoever lists modules at the end of a run shows what it loaded.
LISTING = """
import sys

ROOMS = ("htpoort.simulator", "htpoort.transport", "htpoort.ledger", "htpoort.testing.handles")
FOREIGN = ("sqlalchemy", "aiosmtpd", "aiosmtplib", "trustme")


def pytest_sessionfinish():
    loaded = sorted(name for name in (*ROOMS, *FOREIGN) if name in sys.modules)
    print("LOADED:", *loaded)
"""
SENDING = """
import smtplib
from datetime import UTC, datetime

from htpoort import DMS, build


def submit(port):
    declaration = build(
        system=DMS,
        party="NL123456789.02.05",
        mailbox="edi@forwarder.example",
        reference="1",
        payload=b"<MetaData/>",
        date=datetime(2026, 11, 2, tzinfo=UTC),
        message_id="<1@forwarder.example>",
    )
    with smtplib.SMTP("127.0.0.1", port, "forwarder.example", 30) as client:
        client.sendmail(declaration.mail_from, [declaration.rcpt_to], declaration.data)
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest on some files, with warnings as errors and with the named plugins only."""

    def ran(source: str, *options: str, plugins: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        (tmp_path / "conftest.py").write_text(LISTING)
        (tmp_path / "sending.py").write_text(SENDING)
        (tmp_path / "test_mine.py").write_text(source)
        others = {"asyncio", "anyio", "xdist", "randomly"} - set(plugins)
        without = [option for name in sorted(others) for option in ("-p", f"no:{name}")]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        command = [sys.executable, "-m", "pytest", "-W", "error", "--strict-markers", "--strict-config", "-s"]
        # An option that only an absent plugin knows is a mistake in a strict configuration.
        if "asyncio" not in plugins:
            (tmp_path / "pytest.ini").write_text("[pytest]\n")
        return subprocess.run(  # noqa: S603 - our own
            [*command, "-p", "no:cacheprovider", *without, f"--basetemp={tmp_path / 'base'}", *options],
            cwd=tmp_path,
            env=env | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return ran


def outcome(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the last line without its time."""
    return re.sub(r" in [0-9.]+s.*|=+ ?| =+", "", ran.stdout.strip().splitlines()[-1])


def loaded(ran: subprocess.CompletedProcess[str]) -> str:
    """List the modules that the run had loaded at its end."""
    return next(line for line in ran.stdout.splitlines() if "LOADED:" in line).partition("LOADED:")[2].strip()


ASKS = "def test_it(htp_gateway):\n    assert htp_gateway.smtp_port\n"
ASKS_NOT = "import pytest\n\ndef test_it(tmp_path):\n    assert tmp_path.is_dir()\n"


class TestLoading:
    """The plugin costs nothing in tests that do not use it."""

    def test_collecting_loads_nothing(self, run: Run) -> None:
        """A run that collects tests with the fixtures loads neither the simulator nor a library of it."""
        ran = run(ASKS, "--collect-only")
        assert ("", 0) == (loaded(ran), ran.returncode), ran.stdout

    def test_a_test_that_does_not_ask_loads_nothing(self, run: Run) -> None:
        """A run of tests without the fixtures loads nothing either."""
        ran = run(ASKS_NOT)
        assert ("", "1 passed") == (loaded(ran), outcome(ran)), ran.stdout

    def test_a_test_that_asks_loads_it(self, run: Run) -> None:
        """The same check shows the modules of a test with a gateway, so it would have shown them above."""
        ran = run(ASKS)
        assert "1 passed" == outcome(ran), ran.stdout
        assert {"htpoort.simulator", "htpoort.transport", "aiosmtpd"} <= set(loaded(ran).split())

    def test_the_ledger_alone(self, run: Run) -> None:
        """A test that requests a ledger gets an empty one."""
        ran = run("def test_it(htp_ledger):\n    assert {} == htp_ledger.status().exchanges\n")
        assert "1 passed" == outcome(ran), ran.stdout

    def test_without_the_extra(self, run: Run) -> None:
        """If a library is missing, the error says what to install, and other tests run."""
        missing = "import sys\nsys.modules['aiosmtpd'] = None\n"
        ran = run(f"{missing}{ASKS}\ndef test_other():\n    pass\n")
        assert "1 passed, 1 error" == outcome(ran), ran.stdout
        assert "-m pip install '.[testing]'" in ran.stdout

    def test_markers_are_known(self, run: Run) -> None:
        """`pytest --markers` tells what there is."""
        ran = run("", "--markers")
        assert ["htp_script(script)", "htp_scenario(*scenarios)", "htp_tls(tls)"] == re.findall(
            r"^@pytest\.mark\.(htp_[^:]+):", ran.stdout, re.MULTILINE
        )


ANSWERED = """
from sending import submit


def test_{0}(htp_gateway, htp_receiver, tmp_path):
    submit(htp_gateway.smtp_port)
    htp_gateway.play()
    assert len(htp_receiver.routed) == 1
"""


class TestKinds:
    """Any kind of test can use the fixtures."""

    def test_synchronous(self, run: Run) -> None:
        """A synchronous test needs no plugin for asynchronous ones."""
        ran = run(ANSWERED.format("it"))
        assert "1 passed" == outcome(ran), ran.stdout

    def test_in_parallel(self, run: Run) -> None:
        """Tests in several processes have gateways of their own."""
        source = "".join(ANSWERED.format(number) for number in range(8))
        there = "\n\ndef test_process(worker_id):\n    assert worker_id in {'gw0', 'gw1'}\n"
        ran = run(source + there, "-n", "2", plugins=("xdist",))
        assert "9 passed" == outcome(ran), ran.stdout

    @pytest.mark.parametrize(("plugin", "passed"), [("asyncio", "1 passed"), ("anyio", "2 passed")])
    def test_asynchronous(self, run: Run, plugin: str, passed: str) -> None:
        """A test by pytest-asyncio, and one by anyio on asyncio and on trio, waits in a thread of its loop."""
        waiting = {
            "asyncio": "asyncio.to_thread(htp_gateway.play)",
            "anyio": "anyio.to_thread.run_sync(htp_gateway.play)",
        }
        ran = run(
            f"import {plugin}\nimport pytest\nfrom sending import submit\n\n"
            f"@pytest.mark.{plugin}\nasync def test_it(htp_gateway, htp_receiver):\n"
            "    submit(htp_gateway.smtp_port)\n"
            f"    await {waiting[plugin]}\n"
            "    assert len(htp_receiver.routed) == 1\n",
            plugins=(plugin,),
        )
        assert passed == outcome(ran), ran.stdout


class TestLoops:
    """The gateway does not depend on the event loop of a test."""

    def test_another_policy(self, run: Run) -> None:
        """With another event-loop policy, such as uvloop's, the gateway still uses asyncio's own loop."""
        ran = run(
            "import asyncio\nimport warnings\n\nmade = []\n"
            "with warnings.catch_warnings():\n"
            "    warnings.simplefilter('ignore', DeprecationWarning)\n"
            "    class Policy(asyncio.DefaultEventLoopPolicy):\n"
            "        def new_event_loop(self):\n"
            "            made.append(self)\n"
            "            return super().new_event_loop()\n\n"
            "    asyncio.set_event_loop_policy(Policy())\n\n"
            "def test_it(htp_gateway):\n    assert (htp_gateway.smtp_port > 0, []) == (True, made)\n"
        )
        assert "1 passed" == outcome(ran), ran.stdout


class TestDocuments:
    """The documented test files work."""

    def test_examples(self, run: Run) -> None:
        """Every example that is a test file passes."""
        (path,) = (ROOT / "examples").glob("test_*.py")
        ran = run(path.read_text(encoding="utf-8"))
        assert "1 passed" == outcome(ran), ran.stdout

    def test_the_guide(self, run: Run) -> None:
        """The blocks of the guide, joined, are a test file that passes with every test in it."""
        page = (ROOT / "docs/how-to/test-your-software.md").read_text(encoding="utf-8")
        source = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
        shown = re.findall(r"^ *(?:async )?def (test_\w+)", source, re.MULTILINE)
        ran = run(source, plugins=("asyncio",))
        assert len(set(shown)) == len(shown) > 0
        assert f"{len(shown)} passed" == outcome(ran), ran.stdout
