"""How every command behaves: its help, completion, Ctrl-C, output that cannot be written, and the signals of `run`."""

from __future__ import annotations

import asyncio
import operator
import os
import re
import shlex
import signal
import subprocess  # noqa: S404 - commands run as their users start them
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from agents import MAILBOX, PARTY
from command_options import build_options
from databases import new_ledger
from notice_builders import THREE_TEXTS

from htpoort import DMS, Outcome, Router, State, build
from htpoort.cli import _app
from htpoort.ledger import Ledger, NoticeForm

Run = Callable[..., Any]

PIPE: Final = asyncio.subprocess.PIPE
COMMAND: Final = (sys.executable, "-m", "htpoort")
NOON: Final = datetime(2018, 1, 5, 12, 0, 0, tzinfo=UTC)
CONFIG: Final = f"""
parties = ["{PARTY}"]
[ledger]
url = "sqlite:///htpoort.db"
[cutover]
[[cutover.move]]
party = "{PARTY}"
system = "DMS"
since = 2026-12-01
[[notices.name]]
name = "DMS Import"
system = "DMS"
[[notices.name]]
name = "DMS Eksport"
system = "DMS"
[[notices.name]]
name = "DMS Forsendelse"
system = "DMS"
[[notices.name]]
name = "Import"
system = "AGS"
[[notices.name]]
name = "Manifest"
system = "AGS"
"""
GROUPS: Final = {
    "quarantine": ("list", "show", "release", "discard", "withdraw"),
    "reply": ("list", "show"),
    "cutover": ("preview", "status", "shadows", "rehearse"),
    "windows": ("read", "add", "list", "what-now", "timeline"),
}
NOTICE = """
zone = "UTC"
[[windows]]
system = "DMS"
start = "2026-01-05T10:00"
end = "2030-01-05T11:00"
behaviour = "queued"
"""


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that commands start in, with a ledger that has something for each of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(CONFIG)
    (tmp_path / "declaration.xml").write_bytes(b"<MetaData/>")
    (tmp_path / "reply.eml").write_bytes(raw("K1"))
    (tmp_path / "notice.txt").write_text(THREE_TEXTS, encoding="utf-8")
    (tmp_path / "own.toml").write_text(NOTICE.replace("2030", "2031"))
    with Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        for reference in ("K1", "K2"):
            message = build(
                system=DMS,
                party=PARTY,
                mailbox=MAILBOX,
                reference=reference,
                payload=b"<MetaData/>",
                date=NOON,
                message_id=f"<{reference}@forwarder.example>",
            )
            ledger.exchanges.queue(message, at=NOON)
            claim = ledger.exchanges.claim_soon(["DMS"], owner="a", most=9, at=NOON, lease=timedelta(minutes=2))
            ledger.exchanges.settle_soon(claim.result()[0], Outcome.UNKNOWN, at=NOON).result()
        router = Router(parties=[PARTY])
        for sender, reference in (
            ("dms@htpoort.nl", "K9"),
            ("a@elsewhere.example", "K8"),
            ("b@elsewhere.example", "K7"),
        ):
            ledger.replies.take_in(router, raw(reference, sender), mail_from=None, at=NOON)
        ledger.notices.add(NOTICE, at=NOON, form=NoticeForm.OWN)
        ledger.servers.record_pause("SMTP x", since=NOON, next_try=NOON, why="no")
    return tmp_path


def raw(reference: str, sender: str = "dms@htpoort.nl") -> bytes:
    """Write a reply."""
    return f"From: {sender}\r\nSubject: [V=DMS4.NL][A={PARTY}][K={reference}][S=0]\r\n\r\nx\r\n".encode()


# ── help ─────────────────────────────────────────────────────────────────────


def commands() -> list[str]:
    """Name every command, and every command of a group."""
    return [*_app.COMMANDS, *(f"{group} {name}" for group, names in GROUPS.items() for name in names)]


def test_every_command_is_in_one_group(htpoort: Run) -> None:
    """`htpoort --help` lists each command once, below a title."""
    named = [name for names in _app.GROUPS.values() for name in names]
    text = htpoort("--help").text

    assert sorted(_app.COMMANDS) == sorted(named)
    assert [] == [title for title in _app.GROUPS if f"\n{title}:\n" not in text]


@pytest.mark.parametrize("command", commands())
def test_every_help_has_an_example(htpoort: Run, command: str) -> None:
    """The example is one, of this command, fits 80 columns, and has only options that the same help describes."""
    text = htpoort(*command.split(), "--help").text
    (lines,) = re.findall(r"\n  Example:\n    (htpoort (?:.*\\\n)*.*)\n", text)
    example = lines.replace("\\\n", " ")
    options = [word for word in shlex.split(example.partition(" > ")[0]) if word.startswith("--")]

    assert example.startswith(f"htpoort {command}")
    assert max(map(len, lines.splitlines())) <= 80
    assert [] == [option for option in options if not re.search(rf" {option}[ ,]", text.partition("Example:")[0])]


def test_a_command_that_is_misspelled(htpoort: Run) -> None:
    """The error names the command that was meant."""
    result = htpoort("statsu")

    assert (2, "htpoort: No such command 'statsu'. Did you mean 'status'?\n") == (result.code, result.err)


# ── completion ───────────────────────────────────────────────────────────────


def test_completion_is_installed(tmp_path: Path) -> None:
    """After --install-completion, bash completes a command and an option."""
    link = tmp_path / "htpoort"
    link.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    link.chmod(0o700)
    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}", "SHELL": "/bin/bash"}
    script = """
        htpoort --install-completion; . ~/.bash_completions/htpoort.sh
        COMP_WORDS=(htpoort unans); COMP_CWORD=1; _htpoort_completion htpoort; echo "${COMPREPLY[@]}"
        COMP_WORDS=(htpoort status --nag); COMP_CWORD=2; _htpoort_completion htpoort; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["/bin/bash", "-c", script], env=env, capture_output=True, check=True, text=True)  # noqa: S603

    assert ["unanswered", "--nagios"] == done.stdout.splitlines()[-2:]
    assert ".bash_completions/htpoort.sh" in (tmp_path / ".bashrc").read_text()


# ── output that cannot be written ────────────────────────────────────────────

OUTPUT: Final = {
    "parse": ("[V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]",),
    "build": ("declaration.xml", *build_options(reference="K1")),
    "route": ("reply.eml", "--party", PARTY),
    "send": ("declaration.xml", *build_options(), *("--server", "127.0.0.1", "--port", "1", "--security", "plain")),
    "queue": ("declaration.xml", *build_options(reference="K3")),
    "run": ("--once",),
    "fetch": (),
    "status": (),
    "report": ("--html", "report.html"),
    "resume": (),
    "show": ("K1",),
    "unanswered": (),
    "recover": ("1",),
    "resolve": ("K1", "--sent"),
    "redeliver": ("--yes",),
    "export": (),
    "prune": ("--older-than", "2600"),
    "quarantine list": (),
    "quarantine show": ("1",),
    "quarantine release": ("1", "--system", "DMS", "--party", PARTY),
    "quarantine discard": ("2", "--why", "spam"),
    "windows read": ("notice.txt",),
    "windows add": ("own.toml",),
    "windows list": (),
    "windows what-now": ("DMS",),
    "windows timeline": (),
    "cutover preview": ("--on", "2026-12-01"),
    "cutover status": (),
    "cutover shadows": (),
    "cutover rehearse": (),
    "demo": (),
    "list": (),
    "reply list": (),
    "reply show": ("1",),
}
ELSEWHERE: Final = {
    "simulate": "it goes on until Ctrl-C whether anyone reads what it prints",
    "init": "its result is the file",
    "check": "its exit code is that of what it found",
    "quarantine withdraw": "needs a message that was released",
}
"""Commands that this test does not run, and why."""
RESULT_LOST: Final = "htpoort: The result could not be written to standard output: {}.\n"
COMMITTED: Final = "htpoort: The command succeeded, but standard output could not be written: {}.\n"
OTHERS: Final = {
    "send": (1, "htpoort: Not sent to dms@htpoort.nl (connect): "),
    "run": (4, "htpoort: Standard output could not be written: {}.\n"),
}
DONE: Final = {
    "queue",
    "report",
    "fetch",
    "resolve",
    "resume",
    "redeliver",
    "quarantine release",
    "quarantine discard",
    "windows read",
    "windows add",
}


def test_no_command_is_left_out() -> None:
    """The table of this test has every command."""
    assert sorted(name for name in commands() if name not in GROUPS) == sorted({*OUTPUT, *ELSEWHERE})


@pytest.mark.parametrize("command", OUTPUT)
def test_a_full_disk_and_a_closed_pipe(office: Path, command: str) -> None:
    """
    One line on standard error at most, and the code of what was done.

    What is done is done; a result that is lost is a failure. A reader that closes its pipe has read enough.
    """
    ran = []
    for name in ("/dev/full", "pipe"):
        read, write = os.pipe()
        os.close(read)
        with Path("/dev/full").open("wb") as full:
            arguments = [*COMMAND, *command.split(), *OUTPUT[command]]
            if (name, command) == ("pipe", "resolve"):
                arguments[-2] = "K2"
            if (name, command) == ("pipe", "quarantine release"):
                arguments[-5] = "2"
            if (name, command) == ("pipe", "quarantine discard"):
                arguments[-3] = "1"
            stdout = full if name == "/dev/full" else write
            done = subprocess.run(arguments, cwd=office, stdout=stdout, stderr=subprocess.PIPE, check=False, text=True)  # noqa: S603
        os.close(write)
        lines = [line for line in done.stderr.splitlines() if not re.match(r"2\d\d\d-\d\d-\d\dT", line)]
        ran.append((done.returncode, "".join(f"{line}\n" for line in lines)))

    words = ("No space left on device", "Broken pipe")
    if command in OTHERS:
        code, text = OTHERS[command]
        assert [(code, True)] * 2 == [
            (one[0], one[1].startswith(text.format(why)) and one[1].count("\n") == 1)
            for one, why in zip(ran, words, strict=True)
        ]
    elif command in DONE:
        assert [(0, COMMITTED.format(why)) for why in words] == ran
    else:
        assert [(1, RESULT_LOST.format(words[0])), (1, "")] == ran


# ── Ctrl-C ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        ("parse", "--file", "PIPE"),
        ("build", "PIPE", *build_options()),
        ("route", "PIPE", "--party", PARTY),
        ("send", "PIPE", *build_options(), "--server", "127.0.0.1", "--port", "1"),
        ("queue", "PIPE", *build_options()),
    ],
    ids=operator.itemgetter(0),
)
def test_ctrl_c(office: Path, arguments: tuple[str, ...]) -> None:
    """A command that waits for its input ends with one line, and with 130 as the shell expects."""
    os.mkfifo(office / "PIPE")
    with (
        subprocess.Popen([*COMMAND, *arguments], stdout=PIPE, stderr=PIPE, text=True) as started,  # noqa: S603 - our own
        # Opening a pipe waits until the command opens it too.
        (office / "PIPE").open("wb"),
    ):
        started.send_signal(signal.SIGINT)
        out, err = started.communicate()

    assert (130, "", "htpoort: Stopped by Ctrl-C before it was done.\n") == (started.returncode, out, err)


# ── the signals of run ───────────────────────────────────────────────────────

SERVED: Final = f"""
parties = ["{PARTY}"]
[ledger]
url = "sqlite:///agent.db"
[[outbox]]
server = "127.0.0.1"
port = PORT
security = "plain"
"""


@asynccontextmanager
async def server_that_hangs() -> AsyncGenerator[tuple[int, asyncio.Event]]:
    """Take a message, and never answer its final dot; yields the port, and what is set when the content came."""
    came = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while not (line := await reader.readline()).startswith(b"DATA"):
            if not line:
                return
            writer.write(b"250 ok\r\n")
        writer.write(b"354 go on\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        came.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], came


async def until(stream: asyncio.StreamReader | None, text: str) -> list[str]:
    """Read the lines of a stream until one has a text."""
    assert stream is not None
    lines: list[str] = []
    while not lines or text not in lines[-1]:
        line = (await stream.readline()).decode()
        assert line, lines
        lines.append(line.rstrip("\n"))
    return lines


async def test_what_run_does_and_what_is_missing(office: Path, process: Run) -> None:
    """At the start it prints what it does, and what waits because a table is missing; at the end, that it stops."""
    (office / "htpoort.toml").write_text(f'{SERVED.replace("PORT", "1")}systems = ["DMS"]\n')
    await process("queue", "declaration.xml", *build_options())
    async with asyncio.timeout(60):
        agent = await asyncio.create_subprocess_exec(*COMMAND, "run", stdout=PIPE, stderr=PIPE)
        lines = await until(agent.stdout, "Stop with")
        agent.send_signal(signal.SIGTERM)
        rest, _ = await agent.communicate()

    assert [
        "outbox   127.0.0.1:1",
        "missing  no [[smtp]] and no [[pop3]]: no reply comes in",
        "missing  no [[delivery]]: replies are stored, and wait",
        "Stop with Ctrl-C.",
    ] == lines[1:]
    assert (0, b"Stopping.\n") == (agent.returncode, rest)


async def test_a_hang_up_and_a_second_ctrl_c(office: Path, process: Run) -> None:
    """SIGHUP ends nothing; the first Ctrl-C waits for what is being sent; the second ends at once, and names it."""
    async with asyncio.timeout(120), server_that_hangs() as (port, came):
        (office / "htpoort.toml").write_text(SERVED.replace("PORT", str(port)))
        await process("queue", "declaration.xml", *build_options(reference="K7"))
        agent = await asyncio.create_subprocess_exec(*COMMAND, "run", "--verbose", stdout=PIPE, stderr=PIPE)
        await until(agent.stdout, "Stop with")
        await came.wait()
        agent.send_signal(signal.SIGHUP)
        hung_up = (await until(agent.stderr, "SIGHUP"))[-1]
        agent.send_signal(signal.SIGINT)
        (stopping,) = await until(agent.stdout, "Stopping")
        agent.send_signal(signal.SIGINT)
        _, err = await agent.communicate()
    with Ledger.open(f"sqlite:///{office}/agent.db") as ledger:
        state = ledger.story("K7")[0].exchange.state  # type: ignore[union-attr]  # it was queued

    assert hung_up.endswith(" info SIGHUP: the agent goes on; it reads new certificates itself")
    assert (
        "Stopping: waiting up to 30 seconds for what is in progress (1 being sent). Ctrl-C again ends at once."
        == stopping
    )
    assert (130, State.UNKNOWN) == (agent.returncode, state)
    assert (
        f"Left unknown: the declaration to DMS of {PARTY} under K7; the server may have accepted it. It is not sent "
        "again until a reply or htpoort resolve K7 settles it" in err.decode()
    )


# ── an option that is there twice ────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("init", "--mailbox", "a@forwarder.example", "--yes", "--mailbox", "b@forwarder.example"), "--mailbox"),
        (("queue", "declaration.xml", "--party=NL1", "--party", "NL2"), "--party"),
        (("status", "--config", "a.toml", "--config", "a.toml"), "--config"),
        (("quarantine", "release", "3", "--system", "AGS", "--system", "DMS"), "--system"),
    ],
)
def test_one_of_two_values_is_not_taken(htpoort: Any, arguments: tuple[str, ...], option: str) -> None:
    """An option that takes one value is refused with two: neither is left out in silence."""
    done = htpoort(*arguments)

    assert (2, f"htpoort: {option} is there more than once, and takes one value.\n") == (done.code, done.err)


def test_a_switch_may_be_there_twice(htpoort: Any) -> None:
    """A switch says the same twice, and an option that may be repeated has all its values."""
    subject = "[V=DMS4.NL][A=NL123456789.02.05][K=K1][S=0]"
    done = htpoort("parse", subject, "--json", "--json")

    assert (0, "K1") == (done.code, done.facts["reference"])
