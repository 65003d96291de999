"""`htpoort run --once`, as cron starts it: a folder in, files out, and an exit code for what needs a person."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agents import MAILBOX, PARTY

from htpoort.simulator import Declarant, Gateway

CLIENT = "NL123456789.02.06"
CONFIG = f"""
parties = ["{PARTY}", "{CLIENT}"]

[ledger]
url = "sqlite:///htpoort.db"

[[outbox]]
server = "127.0.0.1"
port = SMTP_PORT
security = "plain"
username = "{MAILBOX}"
password_env = "SECRET"

[[pop3]]
server = "127.0.0.1"
port = POP3_PORT
security = "plain"
username = "{MAILBOX}"
password_env = "SECRET"

[[folder]]
path = "out"
mailbox = "{MAILBOX}"
pattern = "{{party}}/{{reference}}.xml"
system = "DMS"
settle = "1ms"

[[delivery]]
system = "DMS"
directory = "replies/{{system}}/{{party}}"
payload = true
"""


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that commands start in, with a folder for declarations."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "geheim")
    (tmp_path / "out").mkdir()
    return tmp_path


@asynccontextmanager
async def gateway(office: Path) -> AsyncGenerator[Gateway]:
    """Play the gateway, and write a configuration for it."""
    async with Gateway(declarants=[Declarant(mailbox=MAILBOX, password="geheim")]) as running:
        ports = {"SMTP_PORT": running.smtp_port, "POP3_PORT": running.pop3_port}
        text = CONFIG
        for name, port in ports.items():
            text = text.replace(name, str(port))
        (office / "htpoort.toml").write_text(text)
        yield running


def put(office: Path, number: int, party: str = PARTY) -> None:
    """Write a declaration, as another program does."""
    folder = office / "out" / party
    folder.mkdir(exist_ok=True)
    (folder / f"A{number}.xml").write_bytes(f"<Number>{number}</Number>".encode())


async def command(*arguments: str) -> tuple[int, str, str]:
    """Run a command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "htpoort.cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def once(*options: str, kill_when: Path | None = None) -> tuple[int, str, str]:
    """Run the command; kill it when a folder has its first file."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "htpoort.cli", "run", "--once", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    if kill_when is not None:
        async with asyncio.timeout(60):
            while True:
                if files(kill_when):
                    break
                await asyncio.sleep(0)
        process.kill()
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def files(folder: Path) -> list[str]:
    """List the names in a folder; none if there is no such folder."""
    return [path.name for path in folder.glob("*")]


def replies(office: Path) -> list[str]:
    """List the files of replies, without the key of each."""
    return sorted(
        f"{Path(folder).relative_to(office)}/{name.partition('-')[0]}"
        for folder, _, names in os.walk(office / "replies")
        for name in names
    )


async def test_cron(office: Path) -> None:
    """Files of two parties, a run that is killed in the middle, and two more: each is sent and answered once."""
    for number in range(100):
        put(office, number, PARTY if number % 2 else CLIENT)
    async with asyncio.timeout(120), gateway(office) as running:
        killed, _, _ = await once(kill_when=office / "out" / "sent" / PARTY)
        assert -9 == killed
        for _ in range(2):
            await once()
            await running.wait_for_due_replies()
        # What was on the wire when the process was killed is unknown, unless its reply has come. A person decides.
        for waiting in json.loads((await command("status", "--json"))[1])["asks"]:
            assert waiting["reference"] not in {taken.envelope.reference for taken in running.received}
            assert 0 == (await command("resolve", waiting["reference"], "--resend"))[0]
        for expected in (0, 0):
            assert (expected, "", "") == await once()
            await running.wait_for_due_replies()
    accepted = sorted(taken.envelope.reference for taken in running.received)
    assert sorted(f"A{number}" for number in range(100)) == accepted
    assert replies(office) == sorted(
        f"replies/DMS/{PARTY if number % 2 else CLIENT}/A{number}" for number in range(100)
    )
    some = next((office / "replies/DMS" / PARTY).iterdir())
    assert (".xml", True) == (some.suffix, some.read_bytes().startswith(b"<?xml"))


async def test_what_needs_a_person(office: Path) -> None:
    """Exit code 4 and a sentence for each kind: a refused file, a message in quarantine, a server that is away."""
    put(office, 1, "NL000000000")
    (office / "htpoort.toml").write_text(CONFIG.replace("SMTP_PORT", "1").replace("POP3_PORT", "1"))
    put(office, 2)
    code, out, err = await once()
    assert (4, False) == (code, "Traceback" in err)
    bad = f"{office}/out/bad/NL000000000/A1.xml"
    lines = [
        f"POP3 127.0.0.1:1 as {MAILBOX} does not work; see htpoort status.",
        f"SMTP 127.0.0.1:1 as {MAILBOX} does not work; see htpoort status.",
        f"{bad} was refused; see {bad}.reason.txt.",
    ]
    assert lines == out.splitlines()
    code, out, _ = await once("--json")
    assert 4 == code
    assert {
        "needs_attention": 0,
        "quarantined": 0,
        "undelivered": 0,
        "paused": [f"POP3 127.0.0.1:1 as {MAILBOX}", f"SMTP 127.0.0.1:1 as {MAILBOX}"],
        "refused_files": [bad],
    } == json.loads(out)


async def test_nothing_to_do(office: Path) -> None:
    """With nothing to do it ends with 0, and prints nothing: cron would send a mail of every line."""
    async with asyncio.timeout(60), gateway(office):
        assert (0, "", "") == await once()
