"""`htpoort run --once`: an exit code for what needs a person; tests/docs/test_jobs.py runs it as cron does."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agents import MAILBOX, PARTY, declaration, mail_servers, now
from wall_clock import ahead

from htpoort.ledger import Ledger, NoticeForm
from htpoort.simulator import Declarant, Gateway
from htpoort.transport import Security, Sender, SmtpServer

BASE = f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
FOLDER = f"""
[[folder]]
path = "out"
mailbox = "{MAILBOX}"
pattern = "{{party}}/{{reference}}.xml"
system = "DMS"
settle = "1ms"
"""
DELIVERY = """
[[delivery]]
system = "DMS"
directory = "replies/{system}/{party}"
payload = true
"""


def configuration(smtp_port: int | None, pop3_port: int | None) -> str:
    """Write a whole configuration."""
    return BASE + mail_servers(smtp_port, pop3_port) + FOLDER + DELIVERY


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
        (office / "htpoort.toml").write_text(configuration(running.smtp_port, running.pop3_port))
        yield running


def put(office: Path, number: int, party: str = PARTY) -> None:
    """Write a declaration, as another program does."""
    folder = office / "out" / party
    folder.mkdir(exist_ok=True)
    (folder / f"A{number}.xml").write_bytes(f"<Number>{number}</Number>".encode())


async def once(*options: str) -> tuple[int, str, str]:
    """Run the command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "htpoort", "run", "--once", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_what_needs_a_person(office: Path) -> None:
    """Exit code 4 and a sentence for each kind: a refused file, a message in quarantine, a server that is away."""
    put(office, 1, "NL000000000")
    (office / "htpoort.toml").write_text(configuration(1, 1))
    put(office, 2)
    code, out, err = await once()
    assert (4, False) == (code, "Traceback" in err)
    bad = f"{office}/out/bad/NL000000000/A1.xml"
    why = "party 'NL000000000' is not in htpoort.toml (parties). Known: NL123456789.02.05."
    refused, *others = out.splitlines()
    assert f"{bad} was refused: {why} The reason is in {bad}.reason.txt" == refused
    # Once: the log does not repeat it.
    assert "A1.xml" not in err
    assert [
        f"  Next: mend the cause, then: htpoort resume 'POP3 127.0.0.1:1 as {MAILBOX}'",
        f"  Next: mend the cause, then: htpoort resume 'SMTP 127.0.0.1:1 as {MAILBOX}'",
        f"POP3 127.0.0.1:1 as {MAILBOX} has failed",
        f"SMTP 127.0.0.1:1 as {MAILBOX} has failed",
    ] == sorted(line.partition(" since ")[0] for line in others)
    code, out, _ = await once("--json")
    facts = json.loads(out)
    assert 4 == code
    assert {
        "needs_attention": 0,
        "quarantined": 0,
        "undelivered": 0,
        "paused": [f"POP3 127.0.0.1:1 as {MAILBOX}", f"SMTP 127.0.0.1:1 as {MAILBOX}"],
        "refused_files": [bad],
        "let_go": [],
    } == {name: sorted(value) if name == "paused" else value for name, value in facts.items() if name != "attention"}
    assert [f"POP3 127.0.0.1:1 as {MAILBOX} has failed", f"SMTP 127.0.0.1:1 as {MAILBOX} has failed"] == sorted(
        one["what"] for one in facts["attention"]
    )


async def test_each_document_is_a_line(office: Path) -> None:
    """A collector of logs that reads standard output gets whole documents, also of a run that fails."""
    put(office, 1)
    async with asyncio.timeout(60), gateway(office):
        code, out, _ = await once("--json")
    (office / "htpoort.toml").write_text("parties = 1\n")
    failed, wrong, _ = await once("--json")

    assert (0, 1, 2, 1) == (code, len(out.splitlines()), failed, len(wrong.splitlines()))
    assert {"attention", "error"} <= json.loads(out).keys() | json.loads(wrong).keys()


async def test_what_waits_for_its_turn(office: Path) -> None:
    """What a window held and is let go later, spread out, is named with its time; that needs no person."""
    begin = (now() - timedelta(hours=2)).replace(second=0, microsecond=0)
    notice = f"""
zone = "UTC"
[[windows]]
system = "DMS"
start = {begin:%Y-%m-%dT%H:%M:%S}
end = {begin + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}
behaviour = "rejected"
"""
    async with asyncio.timeout(60), gateway(office):
        with Ledger.open(f"sqlite:///{office / 'htpoort.db'}") as ledger:
            ledger.notices.add(notice, at=begin, form=NoticeForm.OWN)
            for number in range(5):
                ledger.exchanges.queue(declaration(f"K{number}"), at=begin)
            ledger.windows.hold(["DMS"], at=begin)
        code, out, _ = await once()
        json_code, text, _ = await once("--json")

    (line,) = out.splitlines()
    what, _, number = line.partition(", let go by ")[0].rpartition(": ")
    (held,) = json.loads(text)["let_go"]
    assert (0, 0, True) == (code, json_code, 3 <= int(number) <= 5)
    assert "Still held for DMS" == what
    assert line.endswith("; the next htpoort run --once sends those whose turn it is by then")
    assert ("DMS", True) == (held["system"], 1 <= held["number"] <= int(number))


async def test_no_outbox_for_what_is_queued(office: Path) -> None:
    """A declaration that no agent will ever send needs a person at once."""
    (office / "htpoort.toml").write_text(BASE + FOLDER + DELIVERY)
    put(office, 1)
    code, out, _ = await once()

    first, second = out.splitlines()
    assert (4, True) == (code, first.startswith("1 declaration to DMS waits, the first since "))
    assert first.endswith(": there is no [[outbox]] for DMS")
    assert "  Next: add an [[outbox]] for DMS; then htpoort check" == second


async def test_what_the_same_run_settles(office: Path) -> None:
    """A run before was killed while it sent; the reply, which is there, settles that, and nobody need know."""
    async with asyncio.timeout(60), gateway(office) as running:
        with Ledger.open(f"sqlite:///{office / 'htpoort.db'}") as ledger:
            at = now()
            ledger.exchanges.queue(declaration("K1"), at=at)
            (sent,) = ledger.exchanges.claim_soon(
                ["DMS"], owner="killed", most=1, at=at, lease=timedelta(minutes=2)
            ).result()
        account = SmtpServer(
            host="127.0.0.1",
            port=running.smtp_port,
            security=Security.PLAIN,
            username=MAILBOX,
            password="geheim",
        )
        async with Sender(account) as sender:
            await sender.send_raw(mail_from=sent.mail_from, rcpt_to=sent.rcpt_to, raw=sent.raw)
        await running.wait_for_due_replies()
        assert (0, "", "") == await once()


async def test_nothing_to_do(office: Path) -> None:
    """With nothing to do it ends with 0, and prints nothing: cron would send a mail of every line."""
    async with asyncio.timeout(60), gateway(office):
        code, out, err = await once()
        # A ledger that is new may have taken the place of another one.
        assert (0, "", True) == (code, out, "There was no ledger at " in err)
        assert (0, "", "") == await once()


async def test_a_server_that_left_the_configuration(office: Path) -> None:
    """A server that is away is reported by each run, and forgotten once the configuration names another one."""
    put(office, 1)
    async with asyncio.timeout(60), gateway(office):
        right = (office / "htpoort.toml").read_text()
        (office / "htpoort.toml").write_text(configuration(1, 1))
        away = [await once(), await once()]
        (office / "htpoort.toml").write_text(right)
        assert (0, "", "") == await once()

    assert [4, 4] == [code for code, _, _ in away]
    assert f"SMTP 127.0.0.1:1 as {MAILBOX} has failed since " in away[1][1]


def test_files_that_are_left_alone(office: Path, htpoort: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A file of another form needs a person, and is named once."""
    (office / "htpoort.toml").write_text(BASE + FOLDER)
    (office / "out" / "K9.XML").write_bytes(b"x")
    htpoort("run", "--once")
    caplog.clear()
    first = htpoort("run", "--once")
    with ahead(timedelta(minutes=2)):
        later = htpoort("run", "--once")

    assert (0, "", "") == (first.code, first.text, first.err)
    assert (4, "") == (later.code, later.err)
    sentence, next_command = later.text.splitlines()
    assert sentence.startswith(f"K9.XML in {office}/out is left alone since ")
    assert sentence.endswith(": only files of the form {party}/{reference}.xml are sent; upper and lower case differ")
    assert "  Next: rename what is to be sent, and move everything else away" == next_command


def test_a_run_that_fails_at_the_start(office: Path, htpoort: Any) -> None:
    """It may leave no trace in the ledger, but the files that wait show it: for the monitor, after ten minutes."""
    (office / "htpoort.toml").write_text(BASE + FOLDER)
    htpoort("run", "--once")
    put(office, 1)
    (office / "out" / "sent").rmdir()
    (office / "out" / "sent").write_bytes(b"in the way")
    run, early = htpoort("run", "--once"), htpoort("status", "--nagios")
    with ahead(timedelta(minutes=11)):
        late = htpoort("status", "--nagios")

    assert (2, 0, 2) == (run.code, early.code, late.code)
    assert late.text.startswith(f"HTPOORT CRITICAL - 1 file waits in {office}/out, the first since ")
