"""Run a proof as a program."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess  # noqa: S404 - the proofs need processes without threads
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROOFS = Path(__file__).parents[2] / "proofs"
_LONGEST = 280  # seconds; its processes end by themselves after 240, and then say where they stood


@pytest.fixture
def shown(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a proof in a process of its own, where nothing has threads yet; gives its figures."""

    def ran(script: str, *options: str) -> dict[str, Any]:
        told, said = tmp_path / "figures.json", tmp_path / "said"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        command = [sys.executable, str(PROOFS / script), "--json", str(told), *options]
        # Into a file: a pipe would stay open, and be waited for, as long as any process of the proof lives.
        with said.open("wb") as output:
            started = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - our own script
            try:
                started.wait(_LONGEST)
            except subprocess.TimeoutExpired:
                pytest.fail(f"{script} did not end: {said.read_text()}")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(started.pid, signal.SIGKILL)
                started.wait()
        assert told.exists(), said.read_text()
        figures: dict[str, Any] = json.loads(told.read_text())
        return figures

    return ran
