"""The targets of the fuzzer hold for their seeds, so that a run finds faults of the code and not of a target."""

from __future__ import annotations

import subprocess  # noqa: S404 - each target has a process of its own
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In a process of its own: some targets replace the threads of a client.
_PROGRAM = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
target = importlib.import_module("fuzz.targets." + sys.argv[2])
count = 0
for count, seed in enumerate(target.seeds(), 1):
    target.check(seed)
print(count > 0)
"""


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "fuzz/targets").glob("*.py") if path.stem != "__init__")
)
def test_each_seed_keeps_the_laws(name: str) -> None:
    """Every target takes each of its seeds."""
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-P", "-c", _PROGRAM, str(ROOT), name], capture_output=True, text=True, check=False
    )
    assert ("", "True\n", 0) == (done.stderr, done.stdout, done.returncode)
