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
_LONGEST = 280  # seconds; its processes end by themselves after 240, and then print their stacks


@pytest.fixture
def shown(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a proof in a separate process, which has no threads yet; return its results."""

    def ran(script: str, *options: str) -> dict[str, Any]:
        figures_file, output_file = tmp_path / "figures.json", tmp_path / "output"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        command = [sys.executable, str(PROOFS / script), "--json", str(figures_file), *options]
        # Into a file: a pipe would stay open as long as any process of the proof runs.
        with output_file.open("wb") as output:
            started = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)  # noqa: S603 - our own script
            try:
                started.wait(_LONGEST)
            except subprocess.TimeoutExpired:
                pytest.fail(f"{script} did not end: {output_file.read_text()}")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(started.pid, signal.SIGKILL)
                started.wait()
        assert figures_file.exists(), output_file.read_text()
        figures: dict[str, Any] = json.loads(figures_file.read_text())
        return figures

    return ran
