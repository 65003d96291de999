"""`send`, `simulate` and `demo`: real processes, real sockets, loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import smtplib
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_options import build_options

from htpoort.cli import demo
from htpoort.simulator import Gateway

Run = Callable[..., Any]

BY_HAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal; a job in the background ignores it
from htpoort.cli import main
main()
"""


def server_options(port: int) -> list[str]:
    """Name a server on loopback, without TLS."""
    return ["--server", "127.0.0.1", "--port", str(port), "--security", "plain"]


class TestSend:
    """`htpoort send` builds one message and gives it to one server."""

    async def test_the_gateway_takes_it(self, process: Run) -> None:
        """A declaration arrives at the mailbox of its system with the official Subject."""
        async with Gateway() as gateway:
            result = await process(
                "send", *build_options(), *server_options(gateway.smtp_port), "--json", stdin=b"<MetaData/>"
            )
            subjects = [taken.subject for taken in gateway.received]

        assert (0, "accepted", 250) == (result.code, result.facts["result"], result.facts["code"])
        assert ["[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]"] == subjects

    async def test_no_tls_is_no_sending(self, process: Run) -> None:
        """STARTTLS is required unless it was switched off; a server without it gets nothing, exit code 1."""
        async with Gateway() as gateway:
            options = ["--server", "127.0.0.1", "--port", str(gateway.smtp_port)]
            result = await process("send", *build_options(), *options, "--json", stdin=b"<MetaData/>")

        assert (1, "send", "tls", False) == (
            result.code,
            result.facts["error"],
            result.facts["kind"],
            result.facts["retryable"],
        )
        assert [] == gateway.received

    @pytest.mark.parametrize(("at", "kind", "again"), [("mail", "lost", True), ("dot", "unknown", False)])
    async def test_interrupted(self, at: str, kind: str, again: object) -> None:
        """After Ctrl-C the error says whether the server may have the message, and so whether to send it again."""
        reached = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 dms.example\r\n")
            with contextlib.closing(writer):
                while line := await reader.readline():
                    word = line.strip().lower()
                    if word.startswith(at.encode()) or (at == "dot" and word == b"."):
                        reached.set()
                    elif word == b"data":
                        writer.write(b"354 go on\r\n")
                    elif word.split(b" ")[0].split(b":")[0] in {b"ehlo", b"mail", b"rcpt"}:
                        writer.write(b"250 OK\r\n")

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            options = [*build_options(), *server_options(server.sockets[0].getsockname()[1]), "--json"]
            sending = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", BY_HAND, "send", *options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            reported = asyncio.create_task(sending.communicate(b"<MetaData/>"))
            await reached.wait()
            sending.send_signal(signal.SIGINT)
            out, err = await reported

        assert (1, b"") == (sending.returncode, err)
        facts = json.loads(out)
        assert ("send", kind, again) == (facts["error"], facts["kind"], facts["retryable"])

    async def test_nobody_listens(self, process: Run) -> None:
        """A server that cannot be reached gives exit code 1, retryable."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # its own until the end, and never listened on
            options = server_options(unused.getsockname()[1])
            result = await process("send", *build_options(), *options, "--json", stdin=b"<MetaData/>")

        assert (1, "connect", True) == (result.code, result.facts["kind"], result.facts["retryable"])

    async def test_a_refusal_is_shown_to_a_person(self, process: Run, tmp_path: Path) -> None:
        """A server's refusal is printed on standard error, without a traceback."""
        table = tmp_path / "systems.toml"
        table.write_text('[systems.EXIT]\nmailbox = "exit@customs.example"\nprocess_id = "EXIT.NL"\n')
        async with Gateway() as gateway:
            result = await process(
                "send",
                *build_options(system="EXIT"),
                *server_options(gateway.smtp_port),
                "--systems",
                str(table),
                stdin=b"<MetaData/>",
            )

        assert 1 == result.code
        assert result.err.startswith("htpoort: Not sent to exit@customs.example (refused): 550 ")
        assert "Traceback" not in result.err

    def test_there_is_no_default_server(self, htpoort: Run) -> None:
        """Without --server nothing can be sent, so nothing reaches Customs by accident."""
        assert 2 == htpoort("send", *build_options(), "--port", "25", stdin=b"<MetaData/>").code


class TestSimulate:
    """`htpoort simulate` plays the gateway until it is interrupted."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    async def test_takes_a_message_and_tells_at_the_end(self, number: signal.Signals) -> None:
        """It prints its port, takes a foreign client's message, and sums up when it is stopped."""
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "htpoort", "simulate", stdout=asyncio.subprocess.PIPE
        )
        assert started.stdout is not None
        lines = [await started.stdout.readline() for _ in range(4)]
        port = next(int(line.split()[1]) for line in lines if line.startswith(b"smtp_port"))
        await asyncio.to_thread(_submit, port)
        started.send_signal(number)
        rest, _ = await started.communicate()

        assert 0 == started.returncode
        assert [b"taken", b"1"] in [line.split() for line in rest.splitlines()]

    async def test_tells_a_program(self) -> None:
        """With --json ports and summary are one JSON document each."""
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "htpoort",
            "simulate",
            "--json",
            "--declarant",
            "edi@forwarder.example=127.0.0.1:9",
            stdout=asyncio.subprocess.PIPE,
        )
        assert started.stdout is not None
        first = json.loads(await started.stdout.readline())
        started.send_signal(signal.SIGTERM)
        rest, _ = await started.communicate()

        assert ["ags@htpoort.nl", "dms@htpoort.nl"] == first["mailboxes"]
        assert {
            "taken": 0,
            "refused": 0,
            "answered": 0,
            "undelivered": 0,
            "faults": 0,
            "failed_logins": 0,
            "next_answer": None,
        } == json.loads(rest)

    @pytest.mark.parametrize("text", ["", "=127.0.0.1:25", "a@b.example=:25", "a@b.example=h:x", ":geheim"])
    def test_a_declarant_without_a_place_is_refused(self, htpoort: Run, text: str) -> None:
        """An invalid --declarant is bad input, and nothing is started."""
        result = htpoort("simulate", "--declarant", text)

        assert 2 == result.code
        assert repr(text) in result.err


def _submit(port: int) -> None:
    subject = "[V=NL123456789.02.05][A=DMS.NL][K=22096222734662][S=0]"
    message = f"From: edi@forwarder.example\r\nTo: ags@htpoort.nl\r\nSubject: {subject}\r\n\r\nUNB+UNOC:3'\r\n"
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("edi@forwarder.example", ["ags@htpoort.nl"], message)


class TestDemo:
    """`htpoort demo` shows the whole exchange, and checks what it shows."""

    def test_everything_goes_where_it_belongs(self, htpoort: Run) -> None:
        """Three replies reach their processes, three intruders none; exit code 0."""
        result = htpoort("demo", "--json")

        assert 0 == result.code
        assert [
            ("AGS", "NL123456789.02.05", "22096222734662"),
            ("DMS", "NL123456789.02.05", "0f8fad5bd9cb469fa16570867728950e"),
            ("DMS", "NL123456789.03.05", "22096222734663"),
        ] == sorted((reply["system"], reply["party"], reply["reference"]) for reply in result.facts["replies"])
        assert ["ambiguous-from", "other-system", "unknown-addressee"] == [
            intruder["reason"] for intruder in result.facts["quarantined"]
        ]

    def test_a_person_sees_tables(self, htpoort: Run) -> None:
        """The wire Subjects and both tables are shown."""
        text = htpoort("demo").text

        assert "Sent to ags@htpoort.nl: [V=NL123456789.02.05][A=DMS.NL][K=22096222734662][S=0]" in text
        assert "ags@htpoort.nl <evil@x>" in text
        assert text.endswith("Everything went where it belongs.\n")

    async def test_a_reply_that_went_elsewhere_is_seen(self) -> None:
        """The demonstration's own check fails when one reply is missing, doubled or in another process."""
        outcome = await demo.play(lambda _: None)
        first, *others = outcome.replies
        elsewhere = (*first[:5], "another process", first[6])

        assert [True, False, False, False, False, False] == [
            demo.DemoResult(subjects=subjects, replies=replies, intruders=intruders).right
            for subjects, replies, intruders in (
                (outcome.subjects, outcome.replies, outcome.intruders),
                (outcome.subjects, others, outcome.intruders),
                (outcome.subjects, [first, *outcome.replies], outcome.intruders),
                (outcome.subjects, [elsewhere, *others], outcome.intruders),
                (outcome.subjects, outcome.replies, outcome.intruders[1:]),
                (outcome.subjects[1:], outcome.replies, outcome.intruders),
            )
        ]
