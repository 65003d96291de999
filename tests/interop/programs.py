"""Run foreign programs: each starts in a session of its own, and ends with the block that started it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import tempfile
import tomllib
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

HERE: Final = Path(__file__).parent
LIMIT: Final = 60.0
"""Seconds after which a program that does nothing is an error; no test waits that long on purpose."""

PROGRAMS: Final[list[dict[str, Any]]] = tomllib.loads((HERE / "programs.toml").read_text(encoding="utf-8"))["program"]

LAYERS: Final = Path(os.environ.get("HTPOORT_LAYERS", tempfile.gettempdir())).absolute()
"""The folder of the layers, for programs that cannot be installed side by side; see layer.sh."""

_PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+|\d{8}\.\d+")


@attrs.define
class Program:
    """One running program, and what it has printed."""

    process: asyncio.subprocess.Process
    lines: list[str] = attrs.field(factory=list[str])
    printed: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def has(self, pattern: str, number: int = 1) -> list[re.Match[str]]:
        """Wait until a number of lines match; return the matches."""
        with _explained(self.lines, pattern):
            async with asyncio.timeout(LIMIT), self.printed:
                await self.printed.wait_for(lambda: len(self._found(pattern)) >= number or self.process.returncode)
        found = self._found(pattern)
        assert len(found) >= number, f"ended before {pattern!r}:\n" + "\n".join(self.lines)
        return found

    def _found(self, pattern: str) -> list[re.Match[str]]:
        return [found for line in self.lines if (found := re.search(pattern, line)) is not None]

    async def listen(self) -> None:
        """Keep each line that it prints, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self.printed:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                self.printed.notify_all()
        await self.process.wait()
        async with self.printed:
            self.printed.notify_all()


@contextmanager
def _explained(lines: list[str], pattern: str) -> Generator[None]:
    """Show what a program printed if the expected line did not appear."""
    try:
        yield
    except TimeoutError as error:
        raise AssertionError(f"no {pattern!r} in:\n" + "\n".join(lines)) from error


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a program: English, and without personal settings."""
    kept = {name: os.environ[name] for name in ("CLASSPATH", "NODE_PATH", "TMPDIR") if name in os.environ}
    return {"PATH": _PATH, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/"} | kept | extra


async def run(
    *command: str | Path, given: bytes = b"", env: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)
) -> bytes:
    """Run a program to its end; return its standard output, or fail with all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *_found(command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env or environment(),
        cwd=HERE / "node",  # where Node looks for modules
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(LIMIT):
            output, errors = await process.communicate(given)
    finally:
        _end(process, signal.SIGKILL)
    text = (output + errors).decode("utf-8", "replace")
    assert process.returncode in codes, f"{command[0]} ended with {process.returncode}:\n{text}"
    return output


@asynccontextmanager
async def running(
    *command: str | Path, env: Mapping[str, str] | None = None, stop: tuple[str | Path, ...] = ()
) -> AsyncGenerator[Program]:
    """Run a program for the length of the block; *stop* is a command that ends it, SIGTERM by default."""
    process = await asyncio.create_subprocess_exec(
        *_found(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=env or environment(),
        cwd=HERE / "node",
        start_new_session=True,
    )
    program = Program(process)
    listening = asyncio.create_task(program.listen())
    try:
        yield program
    finally:
        try:
            if stop and process.returncode is None:
                await run(*stop)
            _end(process, signal.SIGTERM)
            async with asyncio.timeout(LIMIT):
                await asyncio.shield(listening)
        finally:
            _end(process, signal.SIGKILL)
            await listening


def _found(command: tuple[str | Path, ...]) -> list[str]:
    """Look up a program, including those for administrators."""
    name, *arguments = map(str, command)
    program = shutil.which(name, path=_PATH)
    assert program is not None, f"{name} is not installed; run: nox -s interop"
    return [program, *arguments]


def _end(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a process that we started, and what it started in its session."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def in_layer(name: str, *command: str | Path) -> tuple[str | Path, ...]:
    """Return the command that runs another one in the layer of a package."""
    return ("sh", HERE / "layer.sh", "run", LAYERS / name, *command)


async def version_of(program: Mapping[str, Any]) -> str | None:
    """Ask a program for its version; None if it is not installed."""
    command = in_layer(program["layer"][0], *program["version"]) if "layer" in program else program["version"]
    try:
        output = await run(*command)
    except AssertionError:
        return None
    found = _VERSION.search(output.decode())
    return found[0] if found else None


# Below the ports that a system assigns to connections, so none is taken before the program starts; with a different
# start in each process, so that tests that run at the same time do not collide.
_PORTS: Final = itertools.count(12_000 + os.getpid() % 500 * 40)


def free_port() -> int:
    """Find a port for a program that cannot choose a free one."""
    while True:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def listening(port: int, program: Program) -> None:
    """Wait until a program listens on a port, or has ended."""
    async with asyncio.timeout(LIMIT):
        while program.process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                continue
            writer.close()
            await writer.wait_closed()
            return
    raise AssertionError("\n".join(program.lines))


@contextmanager
def folder() -> Generator[Path]:
    """Make a folder that servers under other users may enter; pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory(prefix="htpoort-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
