"""Delivery to a command: its exit code decides, and nothing of it outlives its time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import subprocess  # noqa: S404 - its starter is told to end while it starts
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TextIO

import pytest
from disk import failing_disk

from htpoort import InputError
from htpoort.delivery import CommandDelivery, DeliveryError
from htpoort.ledger.records import Reply

Made = Callable[..., Reply]

PARENT = """
import os, sys, time
if os.fork() == 0:
    file = open(sys.argv[1], 'w')
    print('alive', file=file, flush=True)
time.sleep(600)
"""
"""A command whose child, too, stays until it is killed; only the child writes to the pipe."""


def command(script: str, *arguments: str, timeout: float = 30) -> CommandDelivery:
    """Run a script of Python, without the packages that are installed."""
    return CommandDelivery((sys.executable, "-S", "-E", "-c", script, *arguments), timeout=timeout)


async def failure(delivery: CommandDelivery, reply: Reply) -> str:
    """Deliver, and give the reason why it failed."""
    with pytest.raises(DeliveryError) as caught:
        await delivery(reply)
    assert (delivery.argv[0], True) == (caught.value.target, caught.value.retryable)
    return caught.value.why


class TestSecrets:
    """Arguments may be passwords, so they show nowhere; what else a command says does."""

    ARGUMENTS = ("--key=s3cr3t+word", "-ps3cr3t+word", "s3cr3t+word", "--verbose", "/var/spool/replies", "in")

    @pytest.mark.parametrize("echo", ["{0}", "{0!r}", "{0!s:.12}", "usage: {0}"])
    @pytest.mark.parametrize("argument", ARGUMENTS[:3])
    async def test_a_command_that_repeats_one(self, reply: Made, argument: str, echo: str) -> None:
        """A command that prints its argument, as an error of usage does, gets it into no error."""
        said = f"print({echo!r}.format(sys.argv[1]), 'is no key in', sys.argv[2], file=sys.stderr)"
        script = f"import sys; {said}; sys.exit(2)"
        why = await failure(command(script, argument, "/var/spool/replies"), reply())
        assert why.startswith("It ended with 2: ")
        assert why.endswith(("… is no key in /var/spool/replies", "…' is no key in /var/spool/replies"))
        assert "s3cr3t" not in why

    def test_repr(self) -> None:
        """A command shows its program, and how many arguments it has."""
        shown = "CommandDelivery(argv='/usr/local/bin/store' and 6 arguments, timeout=60.0)"
        assert shown == repr(CommandDelivery(("/usr/local/bin/store", *self.ARGUMENTS)))
        assert "CommandDelivery(argv='store', timeout=60.0)" == repr(CommandDelivery(("store",)))


class TestDelivered:
    """A command that ends with 0 has the reply."""

    async def test_message_and_facts(self, tmp_path: Path, reply: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message is on standard input, the facts are in the environment, passwords of ours are not."""
        monkeypatch.setenv("HTPOORT_POP3_PASSWORD", "geheim")
        monkeypatch.setenv("HTPOORT_KEY", "other")
        monkeypatch.setenv("ARCHIVE", "2026")
        script = (
            "import json, os, sys\n"
            "with open(sys.argv[1], 'w') as file:\n"
            "    json.dump([dict(os.environ), sys.stdin.buffer.read().decode()], file)\n"
        )
        at = datetime(2026, 1, 5, 10, 30, tzinfo=timezone(timedelta(hours=1)))
        await command(script, str(tmp_path / "facts"))(reply(received=at))
        environment, message = json.loads((tmp_path / "facts").read_text())
        assert {
            "HTPOORT_KEY": "7",
            "HTPOORT_SYSTEM": "DMS",
            "HTPOORT_MAILBOX": "dms@htpoort.nl",
            "HTPOORT_PROCESS_ID": "DMS4.NL",
            "HTPOORT_PARTY": "NL123456789.02.05",
            "HTPOORT_REFERENCE": "22096222734662",
            "HTPOORT_CORRELATION": "matched",
            "HTPOORT_RECEIVED": "2026-01-05T10:30:00+01:00",
            "HTPOORT_LENGTH": "90",
            "HTPOORT_SHA256": "780d19416bc1780f564995b10ca2ab3d34952d4346c937e3b6c551d3c57aec3b",
        } == {name: value for name, value in environment.items() if name.startswith("HTPOORT_")}
        assert ("2026", reply().raw.decode()) == (environment["ARCHIVE"], message)

    async def test_a_large_message(self, tmp_path: Path, reply: Made) -> None:
        """2 MB with every octet come through."""
        raw = bytes(range(256)) * 8_192
        script = (
            "import hashlib, sys\nopen(sys.argv[1], 'w').write(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())\n"
        )
        await command(script, str(tmp_path / "hash"))(reply(raw=raw))
        assert hashlib.sha256(raw).hexdigest() == (tmp_path / "hash").read_text()

    async def test_an_empty_message(self, tmp_path: Path, reply: Made) -> None:
        """Nothing on standard input is the end of it."""
        script = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
        await command(script, str(tmp_path / "empty"))(reply(raw=b""))
        assert b"" == (tmp_path / "empty").read_bytes()

    async def test_no_shell(self, tmp_path: Path, reply: Made) -> None:
        """No argument is anything but an argument, and neither is what a peer wrote."""
        script = "import os, sys; open(sys.argv[1], 'w').write(sys.argv[2] + os.environ['HTPOORT_REFERENCE'])"
        await command(script, str(tmp_path / "said"), "$HOME; `exit 3` *")(reply(reference="$(exit 4)'\""))
        assert "$HOME; `exit 3` *$(exit 4)'\"" == (tmp_path / "said").read_text()

    @pytest.mark.parametrize("script", ["import os; os.close(0)", "pass", "import sys; sys.stdin.buffer.read(10)"])
    async def test_who_does_not_read_it_all(self, reply: Made, script: str) -> None:
        """A command need not read the message."""
        await command(script)(reply(raw=b"x" * 2_000_000))

    async def test_what_is_printed(self, reply: Made) -> None:
        """Megabytes on standard output and standard error hold nothing up."""
        await command("import sys; print('x' * 2_000_000); print('y' * 2_000_000, file=sys.stderr)")(reply())

    async def test_what_runs_on_in_the_background(self, tmp_path: Path, reply: Made) -> None:
        """When the command has ended it has ended, though it left a process that holds its pipes."""
        script = (
            "import os, sys, time\n"
            "if child := os.fork():\n"
            "    open(sys.argv[1], 'w').write(str(child))\n"
            "else:\n"
            "    time.sleep(600)\n"
        )
        await command(script, str(tmp_path / "child"))(reply(raw=b"x" * 2_000_000))
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)  # it was alive


KILLED = """
import asyncio, sys
from datetime import datetime, timezone
from types import SimpleNamespace
from htpoort.delivery import CommandDelivery

facts = dict.fromkeys(("system", "mailbox", "process_id", "party", "reference", "correlation"), "x")
raw = b"0123456789abcde\\n" * 20_000
reply = SimpleNamespace(key=7, received=datetime(2026, 1, 5, tzinfo=timezone.utc), raw=raw, **facts)
asyncio.run(CommandDelivery(tuple(sys.argv[1:]))(reply))
"""
"""A process that delivers 320,000 octets to a command."""

READS = """
import hashlib, os, sys
folder, first = sys.argv[1], int(sys.argv[2])
read = os.read(0, first) if first else b""
open(f"{folder}/begun", "w").close()
open(f"{folder}/go").close()
while part := os.read(0, 65_536):
    read += part
told = os.environ.get("HTPOORT_LENGTH"), os.environ.get("HTPOORT_SHA256")
with open(f"{folder}/read", "w") as file:
    print(len(read), (str(len(read)), hashlib.sha256(read).hexdigest()) == told, file=file)
"""
"""A command that waits in the middle of its message until it may read on."""


class TestWhole:
    """The end of what a command reads is the end of the message, and never that of the process that started it."""

    @pytest.mark.parametrize("first", [0, 1, 4_096, 65_536, 200_000])
    async def test_its_starter_is_killed(self, tmp_path: Path, first: int) -> None:
        """A command whose starter dies by SIGKILL while it reads still gets every octet, as length and digest say."""
        for name in ("begun", "go", "read"):
            os.mkfifo(tmp_path / name)
        reads = (sys.executable, "-S", "-E", "-c", READS, str(tmp_path), str(first))
        starter = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, *reads)
        async with asyncio.timeout(60):
            await asyncio.to_thread((tmp_path / "begun").read_text)
            starter.kill()
            assert -signal.SIGKILL == await starter.wait()
            await asyncio.to_thread((tmp_path / "go").write_text, "")
            assert "320000 True\n" == await asyncio.to_thread((tmp_path / "read").read_text)

    async def test_leaves_no_file(self, tmp_path: Path, reply: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        """While a command runs, and so after a crash too, no file with a name holds the reply."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "room"))
        (tmp_path / "room").mkdir()
        script = "import os, sys; open(sys.argv[2], 'w').write(repr(os.listdir(sys.argv[1])))"
        await command(script, str(tmp_path / "room"), str(tmp_path / "seen"))(reply())
        assert "[]" == (tmp_path / "seen").read_text()

    async def test_it_can_be_read_again(self, tmp_path: Path, reply: Made) -> None:
        """Standard input is a file that stands at its first octet; its size is that of the message."""
        script = (
            "import os, sys\n"
            "before = os.lseek(0, 0, os.SEEK_CUR), os.fstat(0).st_size\n"
            "sys.stdin.buffer.read(); os.lseek(0, 0, os.SEEK_SET)\n"
            "open(sys.argv[1], 'w').write(f'{before} {len(sys.stdin.buffer.read())}')\n"
        )
        await command(script, str(tmp_path / "seen"))(reply())
        assert "(0, 90) 90" == (tmp_path / "seen").read_text()

    async def test_no_room_for_it(self, tmp_path: Path, reply: Made) -> None:
        """Where the whole message cannot be written, no command starts, and the error says where there is no room."""
        deliver = command("import sys; open(sys.argv[1], 'w').close()", str(tmp_path / "started"))
        with failing_disk():
            why = await failure(deliver, reply())
        assert (f"The reply cannot be written for it in {tempfile.gettempdir()}: File too large.", False) == (
            why,
            (tmp_path / "started").exists(),
        )


class TestPrinted:
    """What a command prints is logged, within limits, and never the reply itself."""

    @pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
    def all_of_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """Log what goes well too."""
        caplog.set_level(logging.INFO, logger="htpoort.delivery")

    async def test_by_one_that_has_it(self, reply: Made, caplog: pytest.LogCaptureFixture) -> None:
        """Both streams of a command that ended with 0 are in the log, each on one line of at most 500 characters."""
        script = "import sys; print('stored\\n as 7'); print('y' * 2_000_000, file=sys.stderr)"
        deliver = command(script)
        await deliver(reply())
        assert [
            ("INFO", f"{deliver.argv[0]} printed on standard output for reply 7 of DMS: stored as 7"),
            ("INFO", f"{deliver.argv[0]} printed on standard error for reply 7 of DMS: {'y' * 500}"),
        ] == [(record.levelname, record.getMessage()) for record in caplog.records]

    @pytest.mark.parametrize(
        "script",
        [
            "import sys; print(sys.stdin.read(), end='')",
            "import sys; print('took:', sys.stdin.read().replace('\\n', '\\n    '))",
            "import sys; print(''.join(sys.stdin.read().split()))",
        ],
    )
    async def test_the_reply_itself(self, reply: Made, caplog: pytest.LogCaptureFixture, script: str) -> None:
        """A command that prints the reply, as cat does, is warned of; the log has no payload."""
        raw = reply().raw + b"<Declaration>of one hundred crates of secrets</Declaration>\r\n"
        deliver = command(script)
        await deliver(reply(raw=raw))
        told = f"{deliver.argv[0]} printed reply 7 of DMS, or a part of it, and ended with 0. "
        told += "No one reads what a command prints; check that it stores the reply too."
        assert [("WARNING", told)] == [(record.levelname, record.getMessage()) for record in caplog.records]

    async def test_the_reply_itself_in_a_failure(self, reply: Made) -> None:
        """No error quotes the reply, though the command did."""
        script = "import sys; sys.exit('cannot read:\\n' + sys.stdin.read())"
        raw = reply().raw + b"<Declaration>of one hundred crates of secrets</Declaration>\r\n"
        why = await failure(command(script), reply(raw=raw))
        assert "It ended with 1: (it printed a part of the reply, which is not repeated here)" == why

    async def test_on_standard_output_alone(self, reply: Made) -> None:
        """A command that fails and says why on standard output is quoted too."""
        assert "It ended with 3: no room" == await failure(command("print('no room'); raise SystemExit(3)"), reply())

    async def test_nothing(self, reply: Made, caplog: pytest.LogCaptureFixture) -> None:
        """A command that prints nothing leaves no line in the log."""
        await command("pass")(reply())
        assert [] == caplog.messages


class TestNotDelivered:
    """A command that ends otherwise has not got the reply; the error says how, and nothing of the reply."""

    async def test_another_exit_code(self, reply: Made) -> None:
        """The code and what was said on standard error, on one line, are in the error."""
        script = "import sys; print('no\\n\\troom \\x1b[31m', file=sys.stderr); sys.exit(3)"
        assert "It ended with 3: no room [31m" == await failure(command(script), reply())

    async def test_silence(self, reply: Made) -> None:
        """A command that says nothing is quoted as such."""
        assert "It ended with 1: it said nothing" == await failure(command("raise SystemExit(1)"), reply())

    async def test_much_said(self, reply: Made) -> None:
        """Of megabytes the last 500 characters are kept, whatever octets they are."""
        script = (
            "import os, sys\n"
            "for _ in range(100): os.write(2, b'x' * 30_000)\n"
            "os.write(2, '\u20ac'.encode() * 499 + b'\\xff')\n"
            "sys.exit(3)\n"
        )
        assert "It ended with 3: " + "\u20ac" * 499 + "\ufffd" == await failure(command(script), reply())

    async def test_a_signal(self, reply: Made) -> None:
        """A command that was killed by somebody else says by what."""
        script = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
        assert "It was ended by Terminated: it said nothing" == await failure(command(script), reply())

    async def test_standard_error_that_stays_open(self, tmp_path: Path, reply: Made) -> None:
        """What was said before the end is told, though a process in the background could say more."""
        script = (
            "import os, sys, time\n"
            "if child := os.fork():\n"
            "    open(sys.argv[1], 'w').write(str(child))\n"
            "    sys.exit('no room')\n"
            "time.sleep(600)\n"
        )
        why = await failure(command(script, str(tmp_path / "child")), reply())
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
        assert "It ended with 1: no room" == why

    @pytest.mark.parametrize(
        ("program", "why"),
        [
            ("no-such-program", "It cannot be started: No such file or directory."),
            ("/", "It cannot be started: Permission denied."),
            ("a\udcff\ud800", None),
        ],
    )
    async def test_no_program(self, reply: Made, program: str, why: str | None) -> None:
        """A program that cannot be started is told with the reason."""
        told = await failure(CommandDelivery((program,)), reply())
        assert why is None or why == told

    async def test_a_fact_that_no_environment_can_carry(self, reply: Made) -> None:
        """A NUL, which no router lets pass, is an error of the delivery and of nothing else."""
        why = await failure(command("pass"), reply(reference="a\0b"))
        assert "It cannot be started: embedded null byte." == why


class TestTooLong:
    """Time is limited: what is over it is killed, with everything that it started."""

    async def test_a_command_that_hangs(self, reply: Made) -> None:
        """It is killed after its time, though it wants to hear no signal and read no message."""
        script = (
            "import signal, time\n"
            "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
            "time.sleep(600)\n"
        )
        why = await failure(command(script, timeout=0.3), reply(raw=b"x" * 2_000_000))
        assert "It took more than 0.3 s and was killed." == why

    @pytest.mark.parametrize("cancelled", [True, False])
    async def test_its_children_die_too(
        self, tmp_path: Path, reply: Made, monkeypatch: pytest.MonkeyPatch, *, cancelled: bool
    ) -> None:
        """Over its time, and when it is cancelled, no process of its group is left."""
        loop = asyncio.get_running_loop()
        later = loop.time() + 1_000
        os.mkfifo(tmp_path / "fifo")
        delivery = command(PARENT, str(tmp_path / "fifo"), timeout=600)
        task = asyncio.create_task(delivery(reply()))
        with await asyncio.to_thread((tmp_path / "fifo").open) as fifo:
            assert "alive\n" == await asyncio.to_thread(fifo.readline)
            if cancelled:
                task.cancel()
            else:  # its time is over now, and not before it has a child, however slow its start was
                monkeypatch.setattr(loop, "time", lambda: later)
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            # The end of the pipe is the end of the last process that could write to it.
            assert not await asyncio.to_thread(fifo.readline)
        assert isinstance(outcome, asyncio.CancelledError if cancelled else DeliveryError)

    async def test_told_to_end_again_and_again(self, tmp_path: Path, reply: Made) -> None:
        """Who is told to end more than once has ended its command, too, before it ends."""
        os.mkfifo(tmp_path / "fifo")
        script = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'w')); time.sleep(600)"
        task = asyncio.create_task(command(script, str(tmp_path / "fifo"))(reply()))
        pid = int(await asyncio.to_thread((tmp_path / "fifo").read_text))
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_told_to_end_while_it_starts(
        self, tmp_path: Path, reply: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a command starts at once dies with it, also where it was told to end before it was known to run."""
        path = tmp_path / "fifo"
        os.mkfifo(path)
        task = asyncio.create_task(command(PARENT, str(path))(reply()))
        files: list[TextIO] = []

        class Told(subprocess.Popen[bytes]):
            """A process whose starter is told to end while the loop has not heard yet that it runs."""

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                files.append(path.open())
                assert "alive\n" == files[0].readline()
                task.cancel()

        monkeypatch.setattr(subprocess, "Popen", Told)
        with pytest.raises(asyncio.CancelledError):
            await task
        with files[0] as fifo:
            assert not await asyncio.to_thread(fifo.readline)

    async def test_one_that_hangs_delays_no_other(self, reply: Made) -> None:
        """Commands run beside one another."""
        hanging = asyncio.create_task(command("import time; time.sleep(600)")(reply()))
        await command("pass")(reply(key=8))
        assert not hanging.done()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging


class TestCommand:
    """What may be said about a command."""

    @pytest.mark.parametrize(
        ("argv", "options", "codes"),
        [
            ((), {}, ["delivery.command"]),
            (("",), {}, ["delivery.command"]),
            ("archive --all", {}, ["delivery.command"]),
            (["archive"], {}, ["delivery.command"]),
            (("archive", 7), {}, ["delivery.command"]),
            (("archive", "a\0b"), {}, ["delivery.command"]),
            (("archive",), {"timeout": 0}, ["delivery.timeout"]),
            (("archive",), {"timeout": "60"}, ["delivery.timeout"]),
            (("archive",), {"timeout": float("inf")}, ["delivery.timeout"]),
            ((), {"timeout": float("nan")}, ["delivery.command", "delivery.timeout"]),
        ],
    )
    def test_what_cannot_be(self, argv: Any, options: dict[str, Any], codes: list[str]) -> None:
        """A text is no command, and no time is no limit; everything is told at once."""
        with pytest.raises(InputError) as caught:
            CommandDelivery(argv, **options)
        assert codes == [problem.code for problem in caught.value.problems]

    def test_an_empty_argument(self) -> None:
        """An argument may be empty, a program may not."""
        assert ("archive", "") == CommandDelivery(("archive", "")).argv
