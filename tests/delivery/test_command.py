"""Delivery to a command: its exit code decides, and none of its processes outlives its timeout."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import signal
import subprocess  # noqa: S404 - a subprocess whose starter is cancelled meanwhile
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TextIO

import pytest
from disk import failing_disk
from tidy import cancel_until_done

from htpoort import InputError
from htpoort.delivery import CommandDelivery, DeliveryError
from htpoort.ledger import Reply

Made = Callable[..., Reply]

REPLY = "reply 7 of DMS for NL123456789.02.05 under 22096222734662"

PARENT = """
import os, sys, time
if os.fork() == 0:
    file = open(sys.argv[1], 'w')
    print('alive', file=file, flush=True)
time.sleep(600)
"""
"""A command whose child, too, stays until it is killed; only the child writes to the pipe."""


def command(script: str, *arguments: str, timeout: float = 30) -> CommandDelivery:
    """Run a Python script without the installed packages."""
    return CommandDelivery((sys.executable, "-S", "-E", "-c", script, *arguments), timeout=timeout)


async def failure(delivery: CommandDelivery, reply: Reply) -> str:
    """Deliver, and return the reason why it failed."""
    with pytest.raises(DeliveryError) as caught:
        await delivery(reply)
    assert (delivery.argv[0], True) == (caught.value.target, caught.value.retryable)
    return caught.value.why


class TestSecrets:
    """Arguments may be passwords, so they are hidden everywhere; other output of a command is shown."""

    ARGUMENTS = ("--key=s3cr3t+word", "-ps3cr3t+word", "s3cr3t+word", "--verbose", "/var/spool/replies", "in")

    @pytest.mark.parametrize("echo", ["{0}", "{0!r}", "{0!s:.12}", "usage: {0}"])
    @pytest.mark.parametrize("argument", ARGUMENTS[:3])
    async def test_a_command_that_repeats_one(self, reply: Made, argument: str, echo: str) -> None:
        """If a command prints its argument, as in a usage error, the argument is hidden in the error."""
        usage = f"print({echo!r}.format(sys.argv[1]), 'is no key in', sys.argv[2], file=sys.stderr)"
        script = f"import sys; {usage}; sys.exit(2)"
        why = await failure(command(script, argument, "/var/spool/replies"), reply())
        assert why.startswith("The command ended with 2: ")
        assert why.endswith(("… is no key in /var/spool/replies", "…' is no key in /var/spool/replies"))
        assert "s3cr3t" not in why

    def test_repr(self) -> None:
        """The repr shows the program, and the number of arguments."""
        shown = "CommandDelivery(argv='/usr/local/bin/store' and 6 arguments, payload=False, timeout=60.0)"
        assert shown == repr(CommandDelivery(("/usr/local/bin/store", *self.ARGUMENTS)))
        assert "CommandDelivery(argv='store', payload=False, timeout=60.0)" == repr(CommandDelivery(("store",)))


class TestDelivered:
    """A command that ends with 0 has taken the reply."""

    async def test_message_and_facts(self, tmp_path: Path, reply: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message is on standard input, and the facts are in the environment, but none of our passwords."""
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
            "HTPOORT_REDELIVERIES": "0",
            "HTPOORT_LENGTH": "90",
            "HTPOORT_SHA256": "780d19416bc1780f564995b10ca2ab3d34952d4346c937e3b6c551d3c57aec3b",
            "HTPOORT_INPUT": "message",
            "HTPOORT_PAYLOAD_PARTS": "1",
            "HTPOORT_PAYLOAD_FILE": environment["HTPOORT_PAYLOAD_FILE"],
            "HTPOORT_PAYLOAD_LENGTH": "13",
            "HTPOORT_PAYLOAD_SHA256": hashlib.sha256(b"<MetaData/>\r\n").hexdigest(),
            "HTPOORT_PAYLOAD_TYPE": "text/plain",
            "HTPOORT_PAYLOAD_CHARSET": "",
            "HTPOORT_PAYLOAD_NAME": "",
            "HTPOORT_PAYLOAD_ENDING": "xml",
            "HTPOORT_PAYLOAD_PROBLEMS": "",
        } == {name: value for name, value in environment.items() if name.startswith("HTPOORT_")}
        assert ("2026", reply().raw.decode()) == (environment["ARCHIVE"], message)

    @pytest.mark.parametrize(
        ("encoding", "name"), [(b"base64", "payload"), (b"x-unknown", "message")], ids=["decoded", "not for sure"]
    )
    async def test_the_payload_as_input(self, tmp_path: Path, reply: Made, encoding: bytes, name: str) -> None:
        """With *payload* the decoded octets are on standard input; if they are not known for sure, the message is."""
        raw = b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + base64.b64encode(b"<MetaData/>") + b"\r\n"
        script = 'cat > "$1/input"; cat "$HTPOORT_PAYLOAD_FILE" > "$1/again"; printf %s "$HTPOORT_INPUT" > "$1/name"'
        await CommandDelivery(("sh", "-c", f"{script}; true", "sh", str(tmp_path)), payload=True)(reply(raw=raw))
        expected = {"payload": b"<MetaData/>", "message": raw}[name]
        assert (name, expected) == ((tmp_path / "name").read_text(), (tmp_path / "input").read_bytes())
        assert (b"<MetaData/>" if name == "payload" else b"") == (tmp_path / "again").read_bytes()

    @pytest.mark.parametrize("octets", [b"<Response>\xff</Response>", b""])
    async def test_the_payload(self, tmp_path: Path, reply: Made, octets: bytes) -> None:
        """The decoded payload is in the file that the environment names, also for a shell, more than once."""
        lines = (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/xml; charset=x-1\r\n"
        )
        lines += b'Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="r.xml"\r\n\r\n'
        raw = lines + base64.b64encode(octets) + b"\r\n--b--\r\n"
        script = (
            'cat "$HTPOORT_PAYLOAD_FILE" > "$1/octets"; cat "$HTPOORT_PAYLOAD_FILE" > "$1/again"; '
            'echo "$HTPOORT_PAYLOAD_TYPE $HTPOORT_PAYLOAD_CHARSET $HTPOORT_PAYLOAD_NAME" > "$1/facts"'
        )
        await CommandDelivery(("/bin/sh", "-c", script, "sh", str(tmp_path)))(reply(raw=raw))
        assert octets == (tmp_path / "octets").read_bytes() == (tmp_path / "again").read_bytes()
        assert "application/xml x-1 r.xml\n" == (tmp_path / "facts").read_text()

    @pytest.mark.parametrize(
        ("head", "parts", "problems"),
        [
            (b"Content-Transfer-Encoding: base64\r\n", "1", "payload.base64"),
            (b"Content-Type: multipart/mixed; boundary=b\r\n", "2", "payload.several"),
        ],
    )
    async def test_no_payload(self, tmp_path: Path, reply: Made, head: bytes, parts: str, problems: str) -> None:
        """Without one part that can be decoded there is no file, and the environment says why."""
        script = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
        raw = head + b"\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n"
        await command(script, str(tmp_path / "facts"))(reply(raw=raw))
        facts = json.loads((tmp_path / "facts").read_text())
        assert (parts, problems) == (facts["HTPOORT_PAYLOAD_PARTS"], facts["HTPOORT_PAYLOAD_PROBLEMS"])
        assert not {"HTPOORT_PAYLOAD_FILE", "HTPOORT_PAYLOAD_LENGTH", "HTPOORT_PAYLOAD_SHA256"} & facts.keys()

    async def test_what_a_peer_declares(self, tmp_path: Path, reply: Made) -> None:
        """No declared name reaches the command that is a path, or that a shell or the system could stumble over."""
        raw = b'Content-Type: ../etc; charset="$(id)"\r\nContent-Disposition: attachment; filename="../../x\0y"\r\n\r\n'
        script = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
        await command(script, str(tmp_path / "facts"))(reply(raw=raw))
        facts = json.loads((tmp_path / "facts").read_text())
        names = ("HTPOORT_PAYLOAD_TYPE", "HTPOORT_PAYLOAD_CHARSET", "HTPOORT_PAYLOAD_NAME")
        assert ["", "", ""] == [facts[name] for name in names]

    async def test_a_large_message(self, tmp_path: Path, reply: Made) -> None:
        """2 MB with every octet arrive unchanged."""
        raw = bytes(range(256)) * 8_192
        script = (
            "import hashlib, sys\nopen(sys.argv[1], 'w').write(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())\n"
        )
        await command(script, str(tmp_path / "hash"))(reply(raw=raw))
        assert hashlib.sha256(raw).hexdigest() == (tmp_path / "hash").read_text()

    async def test_an_empty_message(self, tmp_path: Path, reply: Made) -> None:
        """An empty message is an empty standard input."""
        script = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
        await command(script, str(tmp_path / "empty"))(reply(raw=b""))
        assert b"" == (tmp_path / "empty").read_bytes()

    async def test_no_shell(self, tmp_path: Path, reply: Made) -> None:
        """Neither an argument nor what a peer wrote is interpreted by a shell."""
        script = "import os, sys; open(sys.argv[1], 'w').write(sys.argv[2] + os.environ['HTPOORT_REFERENCE'])"
        await command(script, str(tmp_path / "written"), "$HOME; `exit 3` *")(reply(reference="$(exit 4)'\""))
        assert "$HOME; `exit 3` *$(exit 4)'\"" == (tmp_path / "written").read_text()

    @pytest.mark.parametrize("script", ["import os; os.close(0)", "pass", "import sys; sys.stdin.buffer.read(10)"])
    async def test_a_command_that_does_not_read_it_all(self, reply: Made, script: str) -> None:
        """A command need not read the message."""
        await command(script)(reply(raw=b"x" * 2_000_000))

    async def test_what_is_printed(self, reply: Made) -> None:
        """Megabytes on standard output and standard error delay nothing."""
        await command("import sys; print('x' * 2_000_000); print('y' * 2_000_000, file=sys.stderr)")(reply())

    async def test_a_background_process(self, tmp_path: Path, reply: Made) -> None:
        """The delivery ends with the command, even if a process that it left behind keeps its pipes open."""
        script = (
            "import os, sys, time\n"
            "if child := os.fork():\n"
            "    open(sys.argv[1], 'w').write(str(child))\n"
            "else:\n"
            "    time.sleep(600)\n"
        )
        await command(script, str(tmp_path / "child"))(reply(raw=b"x" * 2_000_000))
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)  # it was running


KILLED = """
import asyncio, sys
from datetime import datetime, timezone
from types import SimpleNamespace
from htpoort.delivery import CommandDelivery

facts = dict.fromkeys(("system", "mailbox", "process_id", "party", "reference", "correlation"), "x")
raw = b"0123456789abcde\\n" * 20_000
reply = SimpleNamespace(key=7, received=datetime(2026, 1, 5, tzinfo=timezone.utc), raw=raw, redeliveries=0, **facts)
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
expected = os.environ.get("HTPOORT_LENGTH"), os.environ.get("HTPOORT_SHA256")
with open(f"{folder}/read", "w") as file:
    print(len(read), (str(len(read)), hashlib.sha256(read).hexdigest()) == expected, file=file)
"""
"""A command that waits in the middle of its message until it may read on."""


class TestWhole:
    """A command reads to the end of the message, even if the process that started it ends."""

    @pytest.mark.parametrize("first", [0, 1, 4_096, 65_536, 200_000])
    async def test_its_starter_is_killed(self, tmp_path: Path, first: int) -> None:
        """A command whose agent is killed by SIGKILL while it reads still gets every octet, by length and digest."""
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
        """While a command runs, no named file holds the reply, so a crash leaves none behind."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "room"))
        (tmp_path / "room").mkdir()
        script = "import os, sys; open(sys.argv[2], 'w').write(repr(os.listdir(sys.argv[1])))"
        await command(script, str(tmp_path / "room"), str(tmp_path / "seen"))(reply())
        assert "[]" == (tmp_path / "seen").read_text()

    async def test_it_can_be_read_again(self, tmp_path: Path, reply: Made) -> None:
        """Standard input is a file at its first octet, with the size of the message."""
        script = (
            "import os, sys\n"
            "before = os.lseek(0, 0, os.SEEK_CUR), os.fstat(0).st_size\n"
            "sys.stdin.buffer.read(); os.lseek(0, 0, os.SEEK_SET)\n"
            "open(sys.argv[1], 'w').write(f'{before} {len(sys.stdin.buffer.read())}')\n"
        )
        await command(script, str(tmp_path / "seen"))(reply())
        assert "(0, 90) 90" == (tmp_path / "seen").read_text()

    async def test_no_room_for_it(self, tmp_path: Path, reply: Made) -> None:
        """If the whole message cannot be written, no command starts, and the error names the full folder."""
        deliver = command("import sys; open(sys.argv[1], 'w').close()", str(tmp_path / "started"))
        with failing_disk():
            why = await failure(deliver, reply())
        assert (f"The reply cannot be written to {tempfile.gettempdir()} for the command: File too large.", False) == (
            why,
            (tmp_path / "started").exists(),
        )


class TestPrinted:
    """The output of a command is logged, within limits, but never the reply itself."""

    @pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse]
    def all_of_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """Log successes too."""
        caplog.set_level(logging.INFO, logger="htpoort.delivery")

    async def test_after_a_success(self, reply: Made, caplog: pytest.LogCaptureFixture) -> None:
        """Both streams of a command that ended with 0 are logged, each as one line of at most 500 characters."""
        script = "import sys; print('stored\\n as 7'); print('y' * 2_000_000, file=sys.stderr)"
        deliver = command(script)
        await deliver(reply())
        assert [
            ("INFO", f"{deliver.argv[0]} printed on standard output for {REPLY}: stored as 7"),
            ("INFO", f"{deliver.argv[0]} printed on standard error for {REPLY}: {'y' * 500}"),
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
        """The log warns of a command that prints the reply, as cat does, without the payload."""
        raw = reply().raw + b"<Declaration>of one hundred crates of secrets</Declaration>\r\n"
        deliver = command(script)
        await deliver(reply(raw=raw))
        warning = f"{deliver.argv[0]} printed {REPLY}, or a part of it, and ended with 0. "
        warning += "The output of a command is not kept; check that the command stores the reply."
        assert [("WARNING", warning)] == [(record.levelname, record.getMessage()) for record in caplog.records]

    async def test_the_reply_itself_in_a_failure(self, reply: Made) -> None:
        """No error quotes the reply, although the command printed it."""
        script = "import sys; sys.exit('cannot read:\\n' + sys.stdin.read())"
        raw = reply().raw + b"<Declaration>of one hundred crates of secrets</Declaration>\r\n"
        why = await failure(command(script), reply(raw=raw))
        assert "The command ended with 1: (it printed a part of the reply, which is left out here)" == why

    async def test_the_payload_in_a_failure(self, reply: Made) -> None:
        """No error quotes the decoded payload either."""
        script = "import os, sys; sys.exit('cannot read: ' + open(os.environ['HTPOORT_PAYLOAD_FILE']).read())"
        declaration = b"<Declaration>\r\nof one hundred crates of secrets and one thousand more\r\n</Declaration>"
        raw = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(declaration) + b"\r\n"
        why = await failure(command(script), reply(raw=raw))
        assert "The command ended with 1: (it printed a part of the reply, which is left out here)" == why

    async def test_on_standard_output_alone(self, reply: Made) -> None:
        """The error of a command that explains its failure on standard output quotes that."""
        why = await failure(command("print('no room'); raise SystemExit(3)"), reply())
        assert "The command ended with 3: no room" == why

    async def test_nothing(self, reply: Made, caplog: pytest.LogCaptureFixture) -> None:
        """A command that prints nothing adds no line to the log."""
        await command("pass")(reply())
        assert [] == caplog.messages


class TestNotDelivered:
    """Any other end of a command means not delivered; the error explains it, without content of the reply."""

    async def test_another_exit_code(self, reply: Made) -> None:
        """The error has the exit code and the text on standard error, as one line."""
        script = "import sys; print('no\\n\\troom \\x1b[31m', file=sys.stderr); sys.exit(3)"
        assert "The command ended with 3: no room [31m" == await failure(command(script), reply())

    async def test_silence(self, reply: Made) -> None:
        """The error says that the command printed nothing."""
        assert "The command ended with 1: it printed nothing" == await failure(command("raise SystemExit(1)"), reply())

    async def test_much_output(self, reply: Made) -> None:
        """The last 500 characters of megabytes are kept, whatever their octets."""
        script = (
            "import os, sys\n"
            "for _ in range(100): os.write(2, b'x' * 30_000)\n"
            "os.write(2, '\u20ac'.encode() * 499 + b'\\xff')\n"
            "sys.exit(3)\n"
        )
        assert "The command ended with 3: " + "\u20ac" * 499 + "\ufffd" == await failure(command(script), reply())

    async def test_a_signal(self, reply: Made) -> None:
        """The error of a command that another process killed names the signal."""
        script = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
        assert "The command was ended by Terminated: it printed nothing" == await failure(command(script), reply())

    async def test_standard_error_that_stays_open(self, tmp_path: Path, reply: Made) -> None:
        """What was printed before the end is reported, although a background process keeps the pipe open."""
        script = (
            "import os, sys, time\n"
            "if child := os.fork():\n"
            "    open(sys.argv[1], 'w').write(str(child))\n"
            "    sys.exit('no room')\n"
            "time.sleep(600)\n"
        )
        why = await failure(command(script, str(tmp_path / "child")), reply())
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
        assert "The command ended with 1: no room" == why

    @pytest.mark.parametrize(
        ("program", "why"),
        [
            ("no-such-program", "The command cannot be started: No such file or directory."),
            ("/", "The command cannot be started: Permission denied."),
            ("a\udcff\ud800", None),
        ],
    )
    async def test_no_program(self, reply: Made, program: str, why: str | None) -> None:
        """The error for a program that cannot be started has the reason."""
        reason = await failure(CommandDelivery((program,)), reply())
        assert why is None or why == reason

    async def test_a_fact_that_no_environment_can_carry(self, reply: Made) -> None:
        """A NUL, which no router lets through, is a delivery error."""
        why = await failure(command("pass"), reply(reference="a\0b"))
        assert "The command cannot be started: embedded null byte." == why


class TestTooLong:
    """A command that exceeds its timeout is killed, with everything that it started."""

    async def test_a_command_that_hangs(self, reply: Made) -> None:
        """A command that ignores signals and reads nothing is killed after its timeout."""
        script = (
            "import signal, time\n"
            "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
            "time.sleep(600)\n"
        )
        why = await failure(command(script, timeout=0.3), reply(raw=b"x" * 2_000_000))
        assert "The command took more than 0.3 s and was killed." == why

    @pytest.mark.parametrize("cancelled", [True, False])
    async def test_its_children_die_too(
        self, tmp_path: Path, reply: Made, monkeypatch: pytest.MonkeyPatch, *, cancelled: bool
    ) -> None:
        """After its timeout, and when it is cancelled, no process of its group is left."""
        loop = asyncio.get_running_loop()
        later = loop.time() + 1_000
        os.mkfifo(tmp_path / "fifo")
        delivery = command(PARENT, str(tmp_path / "fifo"), timeout=600)
        task = asyncio.create_task(delivery(reply()))
        with await asyncio.to_thread((tmp_path / "fifo").open) as fifo:
            assert "alive\n" == await asyncio.to_thread(fifo.readline)
            if cancelled:
                task.cancel()
            else:  # ends the timeout now, after the child was started, however slow that was
                monkeypatch.setattr(loop, "time", lambda: later)
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            # The pipe ends with the last process that could write to it.
            assert not await asyncio.to_thread(fifo.readline)
        assert isinstance(outcome, asyncio.CancelledError if cancelled else DeliveryError)

    async def test_cancelled_again_and_again(self, tmp_path: Path, reply: Made) -> None:
        """A delivery that is cancelled more than once still waits until its command has ended."""
        os.mkfifo(tmp_path / "fifo")
        script = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'w')); time.sleep(600)"
        task = asyncio.create_task(command(script, str(tmp_path / "fifo"))(reply()))
        pid = int(await asyncio.to_thread((tmp_path / "fifo").read_text))
        await cancel_until_done(task)
        assert task.cancelled()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_cancelled_while_it_starts(
        self, tmp_path: Path, reply: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Processes that a command starts at once die with it, even if it is cancelled before it is known to run."""
        path = tmp_path / "fifo"
        os.mkfifo(path)
        task = asyncio.create_task(command(PARENT, str(path))(reply()))
        files: list[TextIO] = []

        class CancelledWhileStarting(subprocess.Popen[bytes]):
            """A process whose starter is cancelled before the loop knows that it runs."""

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                files.append(path.open())
                assert "alive\n" == files[0].readline()
                task.cancel()

        monkeypatch.setattr(subprocess, "Popen", CancelledWhileStarting)
        with pytest.raises(asyncio.CancelledError):
            await task
        with files[0] as fifo:
            assert not await asyncio.to_thread(fifo.readline)

    async def test_one_that_hangs_delays_no_other(self, reply: Made) -> None:
        """Commands run at the same time."""
        hanging = asyncio.create_task(command("import time; time.sleep(600)")(reply()))
        await command("pass")(reply(key=8))
        assert not hanging.done()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging


class TestCommand:
    """The settings of a command are checked."""

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
    def test_wrong_values(self, argv: Any, options: dict[str, Any], codes: list[str]) -> None:
        """A text is not a command, and a timeout is above 0; all problems are reported at once."""
        with pytest.raises(InputError) as caught:
            CommandDelivery(argv, **options)
        assert codes == [problem.code for problem in caught.value.problems]

    def test_an_empty_argument(self) -> None:
        """An argument may be empty, but a program may not."""
        assert ("archive", "") == CommandDelivery(("archive", "")).argv
