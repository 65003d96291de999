"""Ask programs of other authors how they read the Subject of a message."""

from __future__ import annotations

import base64
import email
import json
import re
import signal
import subprocess  # noqa: S404 - the readers are programs
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from email import policy
from email.header import decode_header, make_header
from pathlib import Path
from typing import IO, Any, Final, cast

import attrs
import fast_mail_parser
from interop.programs import HERE, LIMIT, environment

from htpoort.core import _headers

FOLDER: Final = HERE / "foreign"
COMMANDS: Final = {
    "Perl": ("perl", FOLDER / "read.pl"),
    "Node": ("node", FOLDER / "read.js"),
    "Ruby": ("ruby", FOLDER / "read.rb"),
    "PHP": ("php", FOLDER / "read.php"),
}

Readings = dict[str, str]
"""What each reader finds in the Subject; a reader that finds nothing is left out."""


def _default(raw: bytes) -> str:
    return str(email.message_from_bytes(raw, policy=policy.default)["Subject"])


def _compat32(raw: bytes) -> str:
    return str(make_header(decode_header(email.message_from_bytes(raw, policy=policy.compat32)["Subject"])))


def _fast_mail_parser(raw: bytes) -> str:
    return fast_mail_parser.parse_email(raw).subject


def _nothing_decoded(raw: bytes) -> str:
    # The equals signs of an encoded word show that it is not to be read like this.
    return re.sub(r"=3[Dd]|=\?", "", _headers.scan(raw).subject or "")


OURS: Final[dict[str, Callable[[bytes], str]]] = {
    "Python email, default": _default,
    "Python email, compat32": _compat32,
    "fast-mail-parser": _fast_mail_parser,
    "a program that decodes nothing": _nothing_decoded,
}


@attrs.define
class Readers:
    """Every reader, each waiting for a message."""

    pipes: list[subprocess.Popen[bytes]]
    file: Path

    def read(self, raw: bytes) -> Readings:
        """Return what each of them reads."""
        for pipe in self.pipes:
            stdin = cast("IO[bytes]", pipe.stdin)
            stdin.write(base64.b64encode(raw) + b"\n")
            stdin.flush()
        found = dict(self._of_python(raw))
        self.file.write_bytes(raw)
        shown = subprocess.run(
            ["mhdr", "-d", "-h", "subject", self.file],  # noqa: S607 - looked up as the others are
            capture_output=True,
            check=False,
            timeout=LIMIT,
        )
        found["mblaze"] = shown.stdout.decode("utf-8", "replace")
        for pipe in self.pipes:
            answer: dict[str, Any] = json.loads(cast("IO[bytes]", pipe.stdout).readline())
            found.update({name: text for name, text in answer.items() if isinstance(text, str)})
        return found

    @staticmethod
    def _of_python(raw: bytes) -> Iterable[tuple[str, str]]:
        for name, read in OURS.items():
            try:
                yield name, read(raw)
            except Exception:  # noqa: BLE001, S112 - what a foreign reader raises is its own
                continue


@contextmanager
def started(folder: Path) -> Generator[Readers]:
    """Start the readers, and end them with the block."""
    with ExitStack() as stack:
        pipes = [stack.enter_context(_running(command)) for command in COMMANDS.values()]
        yield Readers(pipes, folder / "message.eml")


PART_COMMANDS: Final = (("node", FOLDER / "parts.js"), ("perl", FOLDER / "parts.pl"))


@attrs.define
class PartReaders:
    """Every program that lists the parts of a message, each waiting for one."""

    pipes: list[subprocess.Popen[bytes]]

    def read(self, raw: bytes) -> dict[str, list[bytes]]:
        """Return the decoded parts that each of them finds; a program that fails on the message is left out."""
        found: dict[str, list[bytes]] = {}
        for pipe in self.pipes:
            stdin = cast("IO[bytes]", pipe.stdin)
            stdin.write(base64.b64encode(raw) + b"\n")
            stdin.flush()
        for pipe in self.pipes:
            answer: dict[str, Any] = json.loads(cast("IO[bytes]", pipe.stdout).readline())
            for name, parts in answer.items():
                if parts is not None:
                    found[name] = [base64.b64decode(octets) for _, octets in parts]
        return found


@contextmanager
def part_readers() -> Generator[PartReaders]:
    """Start the programs that list parts, and end them with the block."""
    with ExitStack() as stack:
        yield PartReaders([stack.enter_context(_running(command)) for command in PART_COMMANDS])


@contextmanager
def _running(command: tuple[str | Path, ...]) -> Generator[subprocess.Popen[bytes]]:
    pipe = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
        cwd=HERE / "node",
        start_new_session=True,
    )
    with pipe:
        try:
            yield pipe
        finally:
            pipe.send_signal(signal.SIGKILL)
