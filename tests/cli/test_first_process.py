"""`htpoort run` as the process that inherits orphans, like process 1 of a container."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from htpoort import Router
from htpoort._clock import now
from htpoort.ledger import Ledger

PARTY = "NL123456789.02.05"
REPLIES = 3

# A process that asks for the orphans below it, as any user may, and becomes `htpoort run`.
REAPER = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "htpoort", "run", "--json", "--config", sys.argv[1]])
"""
# A command that leaves a process behind, in a session of its own, which ends when the test says so.
LEAVES = """
import os, sys
folder, key = sys.argv[1], os.environ["HTPOORT_KEY"]
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    with open(f"{folder}/left{key}", "w") as file:
        file.write(str(os.getpid()))
    open(f"{folder}/end{key}").read()
"""


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """Give a configuration whose command leaves processes behind, and replies that wait for it."""
    command = [sys.executable, "-S", "-E", "-c", LEAVES, str(tmp_path)]
    with Ledger.open(f"sqlite:///{tmp_path}/htpoort.db") as ledger:
        for key in range(1, REPLIES + 1):
            subject = f"[V=DMS4.NL][A={PARTY}][K=K{key}][S=0]"
            raw = f"From: dms@htpoort.nl\r\nSubject: {subject}\r\n\r\nx\r\n".encode()
            ledger.replies.take_in(Router(parties=[PARTY]), raw, mail_from=None, at=now())
            os.mkfifo(tmp_path / f"left{key}")
            os.mkfifo(tmp_path / f"end{key}")
    (tmp_path / "htpoort.toml").write_text(
        f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n[timing]\npoll = "20ms"\n'
        f"[[delivery]]\nsystem = 'DMS'\ncommand = {json.dumps(command)}\n"
    )
    return tmp_path


def let_go(office: Path) -> None:
    """Let what was left behind and waits end."""
    for pipe in (*office.glob("left*"), *office.glob("end*")):
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


@asynccontextmanager
async def running(office: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run it until the end of the block."""
    arguments = (sys.executable, "-c", REAPER, str(office / "htpoort.toml"))
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert b"{" == (await process.stdout.readline())[:1]
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        let_go(office)
        await process.communicate()


async def gone(number: int) -> None:
    """Wait until a process is not even a zombie."""
    while await asyncio.to_thread(Path(f"/proc/{number}").exists):
        pass  # each look takes a turn of another thread


async def test_no_zombie_is_left(office: Path) -> None:
    """Every process that a command leaves behind is waited for when it ends, also outside of its session."""
    async with running(office) as process:
        for key in range(1, REPLIES + 1):
            orphan = int(await asyncio.to_thread((office / f"left{key}").read_text))
            await asyncio.to_thread((office / f"end{key}").write_text, "")
            await gone(orphan)
        process.send_signal(signal.SIGTERM)
        assert 0 == await process.wait()
    with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
        assert {} == ledger.status().undelivered


async def test_a_configuration_that_is_wrong(office: Path) -> None:
    """The exit code is that of the agent."""
    (office / "htpoort.toml").write_text("parties = 1\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", REAPER, str(office / "htpoort.toml")), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert (2, True) == (process.returncode, b'"error": "input"' in out)


async def test_the_agent_is_killed(office: Path) -> None:
    """An agent that dies by a signal ends with 128 and its number; what started it may start it again."""
    async with running(office) as process:
        agent = agent_of(process)
        os.kill(agent, signal.SIGKILL)
        assert 128 + signal.SIGKILL == await process.wait()


async def test_it_is_killed_itself(office: Path) -> None:
    """An agent does not outlive its parent process, so the next one is not refused."""
    async with running(office) as process:
        agent = agent_of(process)
        process.kill()
        await process.wait()
        # Its own process is taken in by this test's process 1, which may leave a zombie; that holds no lock.
        while await asyncio.to_thread(alive, agent):
            pass  # each look takes a turn of another thread


def agent_of(process: asyncio.subprocess.Process) -> int:
    """Find the child of a process."""
    (children,) = Path(f"/proc/{process.pid}/task").glob("*/children")
    return int(children.read_text("ascii").split()[0])


def alive(number: int) -> bool:
    """Return whether a process runs, and is not a zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
