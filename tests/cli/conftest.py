"""Run the command as its users do: give arguments and standard input, read exit code and both streams."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from htpoort.cli import _app


@attrs.frozen
class Result:
    """What a command did."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def facts(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def htpoort(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process."""

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        code = _app.run(arguments)
        out, err = capsysbinary.readouterr()
        return Result(code, out, err.decode())

    return run


@pytest.fixture
def process() -> Callable[..., Awaitable[Result]]:
    """Run a command in a process of its own, beside a server in this loop."""

    async def run(*arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "htpoort",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
        )
        out, err = await started.communicate(stdin)
        assert started.returncode is not None
        return Result(started.returncode, out, err.decode())

    return run
