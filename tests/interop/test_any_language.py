"""The programs of `docs/how-to/node.md` and `docs/how-to/php.md` queue, and read replies, by commands and JSON."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from interop.messages import MAILBOX, PASSWORD, PAYLOAD, REFERENCES
from interop.programs import environment, run

from htpoort import Router
from htpoort.ledger import Ledger
from htpoort.simulator import Declarant, Gateway, Scenario, Script, ScriptedReply

ROOT = Path(__file__).parents[2]
COMMANDS = Path(sys.executable).parent
REFERENCE = REFERENCES[14]
PARTY = "NL123456789.02.05"
REPLY = '<?xml version="1.0"?>\n<Response>ë</Response>\n'.encode()
HEAD = f"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A={PARTY}][K={REFERENCE}][S=0]\r\nMIME-Version: 1.0\r\n"
TWO_PARTS = (
    f"{HEAD}Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    "--x\r\nContent-Type: application/xml\r\n\r\n<a/>\r\n"
    "--x\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--x--\r\n"
).encode()
CUT = f"{HEAD}Content-Transfer-Encoding: base64\r\n\r\n!\r\n".encode()
WHOLE = f"{HEAD}Content-Type: application/xml\r\n\r\n<b/>\r\n".encode()
LATER = datetime(2126, 11, 2, 9, 5, 7, tzinfo=UTC)
CONFIG = """
parties = ["NL123456789.02.05"]

[ledger]
url = "sqlite:///htpoort.db"

[[outbox]]
server = "127.0.0.1"
port = SMTP_PORT
security = "plain"
username = "edi"
password_file = "password"

[[pop3]]
server = "127.0.0.1"
port = POP3_PORT
security = "plain"
username = "edi"
password_file = "password"

[[delivery]]
system = "DMS"
command = ["true"]
"""


@pytest.mark.parametrize(
    ("interpreter", "language", "path"), [("node", "js", "docs/how-to/node.md"), ("php", "php", "docs/how-to/php.md")]
)
async def test_program(tmp_path: Path, interpreter: str, language: str, path: str) -> None:
    """
    Each declaration is queued once, each reply is a whole file with the payload or none, a refusal is a sentence.

    A reply without one certain payload is a whole message, and holds no later reply up.
    """
    page = (ROOT / path).read_text(encoding="utf-8")
    (program,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    script, declaration, replies = (tmp_path / name for name in (f"customs.{language}", "declaration.xml", "replies"))
    script.write_text(program, encoding="utf-8")
    declaration.write_bytes(PAYLOAD)
    replies.mkdir()
    (tmp_path / "password").write_text(PASSWORD)
    programs = os.pathsep.join((str(COMMANDS), environment()["PATH"]))
    env = environment(PATH=programs, HTPOORT_CONFIG=str(tmp_path / "htpoort.toml"))
    scripted = Script(scenarios=(Scenario(replies=(ScriptedReply(body=REPLY),)),))
    async with Gateway(
        declarants=[Declarant(mailbox=MAILBOX, username="edi", password=PASSWORD)], script=scripted
    ) as gateway:
        ports = {"SMTP_PORT": gateway.smtp_port, "POP3_PORT": gateway.pop3_port}
        config = CONFIG
        for name, port in ports.items():
            config = config.replace(name, str(port))
        (tmp_path / "htpoort.toml").write_text(config)

        for _ in range(2):
            assert f"{REFERENCE} queued\n".encode() == await run(
                *(interpreter, script, "queue", declaration, REFERENCE), env=env
            )
        assert b"" == await run(interpreter, script, "replies", replies, env=env)
        declaration.write_bytes(b"<Other/>")
        await run(interpreter, script, "queue", declaration, REFERENCE, env=env, codes=(1,))
        # The exit code is that of the program: htpoort ends with 2.
        await run(interpreter, script, "queue", declaration, "not a K", env=env, codes=(1,))
        for _ in range(2):
            await run(COMMANDS / "htpoort", "run", "--once", env=env)
            await gateway.wait_for_due_replies()
        # A disk without room, no folder, and words that are missing: nothing has the name of a reply.
        part = replies / f"{REFERENCE}-1.xml.part"
        part.symlink_to("/dev/full")
        assert b"" == await run(interpreter, script, "replies", replies, env=env, codes=(75,))
        part.unlink()
        assert b"" == await run(interpreter, script, "replies", tmp_path / "absent", env=env, codes=(75,))
        for words in ((), ("replies",), ("queue", declaration), ("other", replies)):
            assert b"" == await run(interpreter, script, *words, env=env, codes=(2,))
        assert [] == list(replies.iterdir())
        assert f"{REFERENCE} matched\n".encode() == await run(interpreter, script, "replies", replies, env=env)
        assert b"" == await run(interpreter, script, "replies", replies, env=env)

        with Ledger.open(f"sqlite:///{tmp_path / 'htpoort.db'}") as ledger:
            for raw in (TWO_PARTS, CUT, WHOLE):
                ledger.replies.take_in(Router(parties=[PARTY]), raw, mail_from=None, at=LATER)
        assert 3 * f"{REFERENCE} matched\n".encode() == await run(interpreter, script, "replies", replies, env=env)
        assert b"" == await run(interpreter, script, "replies", replies, env=env)

    assert [(REFERENCE, PAYLOAD)] == [(taken.envelope.reference, taken.payload.octets) for taken in gateway.received]
    expected = {
        f"{REFERENCE}-1.xml": REPLY,
        f"{REFERENCE}-2.eml": TWO_PARTS,
        f"{REFERENCE}-3.eml": CUT,
        f"{REFERENCE}-4.xml": b"<b/>\r\n",
    }
    assert expected == {file.name: file.read_bytes() for file in replies.iterdir()}
