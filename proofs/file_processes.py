"""
The processes of the proof of files: an agent with a file gateway, and the gateway that it uploads to and fetches from.

As those of `processes.py`, each is a function for a separate process, and leaves what must outlive it in files.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import hashlib
import logging
import mmap
import random
import re
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import attrs
import processes

from htpoort import HTPOORT, Router, State
from htpoort.agent import Agent, FileGatewaySettings
from htpoort.core.directory import Mark
from htpoort.delivery import MaildirDelivery
from htpoort.files import MANIFEST_2020, Fact, FileSubmission, GatewayUser, build_file
from htpoort.ledger import Ledger
from htpoort.simulator import (
    MANIFEST,
    ClientCertificate,
    DeletedFile,
    FileGateway,
    FileScenario,
    FileScript,
    FileUser,
    GatewayTls,
    NameReuse,
    OutFile,
    OutKind,
    PutOut,
    UploadedFile,
)
from htpoort.transport import FtpsAccount, TlsSettings

_T = TypeVar("_T")

USER: Final = FileUser(user=GatewayUser.parse("CVR_12345678_UI_12345678"), password="geheim")  # noqa: S106 - of the simulated gateway
FOREIGN: Final = "newsletter.xml"
"""A file in ``out`` that answers nothing."""
OVERWRITES: Final = "overwrites"
"""The mode of a gateway that takes a name twice."""
MODES: Final = (*(f"{reuse.value}{seen}" for reuse in NameReuse for seen in ("", " listed")), OVERWRITES)
"""How a gateway refuses a used name, and whether what was uploaded can be listed."""
ENDS: Final = frozenset({State.ANSWERED, State.FAILED, State.REFUSED, State.CLOSED})
DECLARED: Final = 2
_PUT_OUT: Final = (OutKind.HANDED_OVER, OutKind.ANSWERED)
_FASTER: Final = 100  # the time of the gateway, so that its error for a used name comes after 0.1 s instead of 10
_FIRST: Final = timedelta(seconds=6)
_POLL_INTERVAL: Final = 0.01  # seconds between two checks
_STILL: Final = 20  # checks without a change, after which nothing is in transit
_SLOT: Final = 128  # octets of memory for one connection
_SLOTS: Final = 1024
_COMMAND: Final = re.compile(rb"[A-Z]{3,4}(?: [ -~]*)?\r\n")


def digest(octets: bytes) -> str:
    """Return a digest of all octets of a file."""
    return hashlib.sha256(octets).hexdigest()[:16]


@dataclass(frozen=True)
class FileScene(processes.Scene):
    """
    The place of a trial with files.

    Args:
        mode: One of `MODES`.
    """

    declared: int = DECLARED
    mode: str = MODES[0]

    def files(self) -> Iterator[FileSubmission]:
        """Make the files, always the same for a seed: of one octet to many pieces."""
        chance = random.Random(self.seed)  # noqa: S311 - not a secret
        for number in range(self.declared):
            filling = "x" * chance.choice((0, 1_000, 40_000))
            yield build_file(
                service=MANIFEST,
                user=USER.user,
                name=f"P{self.seed % 10_000:04d}_{number}",
                payload=f"<Manifest>{self.seed}-{number}{filling}</Manifest>\n".encode(),
            )

    def reserve(self) -> None:
        """Copy an empty ledger, which is on the disk, and make the memory that an agent shares with its tracer."""
        empty = Path(_prepared()[1].name, self.database.name)
        for name in (self.database.name, f"{self.database.name}.kept"):
            shutil.copy(empty, self.folder / name)
        (self.folder / "steps").write_bytes(bytes(_SLOT * _SLOTS))


class Steps:
    """
    What an agent does on each of its connections, in memory that it shares with the one that traces it.

    What it sends is encrypted, so that the tracer cannot see which command it is.

    Args:
        scene: Where.
    """

    def __init__(self, scene: processes.Scene) -> None:
        with (scene.folder / "steps").open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def note(self, descriptor: int, text: bytes) -> None:
        """Note what is done next on a connection."""
        if 0 <= descriptor < _SLOTS:
            start = descriptor * _SLOT
            self._memory[start : start + _SLOT] = text[:_SLOT].ljust(_SLOT, b"\0")

    def at(self, descriptor: int) -> str:
        """Return what is done on a connection: a command as it is sent, or words."""
        start = descriptor * _SLOT
        return self._memory[start : start + _SLOT].rstrip(b"\0").decode("ascii", "replace")

    def follow(self) -> None:
        """Note each step of every connection with TLS of this process."""
        steps = self

        class Followed(ssl.SSLSocket):
            def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - of the standard library
                steps.note(self.fileno(), b"TLS")
                super().do_handshake(block)

            def send(self, data: bytes | memoryview, flags: int = 0) -> int:
                octets = bytes(data)
                steps.note(self.fileno(), octets.strip() if _COMMAND.fullmatch(octets) else b"octets of a file")
                return super().send(data, flags)

            def unwrap(self) -> socket.socket:
                steps.note(self.fileno(), b"the end of a transfer")
                return super().unwrap()

        ssl.SSLContext.sslsocket_class = Followed


@functools.cache
def _prepared() -> tuple[GatewayTls, tempfile.TemporaryDirectory[str]]:
    """
    Make certificates and an empty ledger, once for all processes that begin after this one has.

    `crash.py` without ``--files`` also kills agents that make their ledger; here every point is of files.
    """
    folder = tempfile.TemporaryDirectory(prefix="htpoort-crash-files-")
    hosts = [processes.Scene(Path(folder.name), number).host for number in range(33)]
    tls = GatewayTls.made(folder.name, client=ClientCertificate.REQUIRED, names=hosts)
    scene = FileScene(Path(folder.name))
    with Ledger.open(f"sqlite:///{scene.database}"):
        pass
    # So that no world has to load what a gateway needs.
    asyncio.run(_start_and_stop(_gateway(scene, tls)))
    return tls, folder


async def _start_and_stop(gateway: FileGateway) -> None:
    async with gateway:
        pass


# ── the world ────────────────────────────────────────────────────────────────


class _FastClock:
    """A clock that runs faster than that of the machine."""

    def __init__(self) -> None:
        self._began = processes.now()

    def __call__(self) -> datetime:
        return self._began + (processes.now() - self._began) * _FASTER

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until a moment."""
        while (left := (moment - self()).total_seconds()) > 0:  # noqa: ASYNC110 - no event reports the time
            await asyncio.sleep(left / _FASTER)


def world(scene: FileScene) -> None:
    """Run the gateway: take files, and put status files and responses out."""
    asyncio.run(_world(scene))


def _gateway(scene: FileScene, tls: GatewayTls) -> FileGateway:
    out = tuple(PutOut(kind=kind, after=_FIRST * number) for number, kind in enumerate(_PUT_OUT, start=1))
    reuse, _, seen = scene.mode.partition(" ")
    rules = MANIFEST_2020.new
    if reuse == OVERWRITES:
        taken_twice = Fact(value=False, mark=Mark.UNKNOWN, source="the proof")
        rules = attrs.evolve(rules, unique_names=taken_twice)
        reuse = NameReuse.STATUS.value
    return FileGateway(
        tls=tls,
        users=[USER],
        script=FileScript(
            scenarios=(FileScenario(out=out),),
            names=NameReuse(reuse),
            lists_uploads=bool(seen) or rules != MANIFEST_2020.new,
        ),
        rules=rules,
        host=scene.host,
        clock=_FastClock(),
    )


async def _world(scene: FileScene) -> None:
    async with _gateway(scene, _prepared()[0]) as gateway:
        gateway.put(USER, FOREIGN, b"<News/>\r\n")
        record = _Record(scene, gateway)
        record.write()
        processes.write_file(scene.folder / "gateway", str(gateway.port))
        while True:
            record.write()
            await asyncio.sleep(_POLL_INTERVAL)


class _Record:
    """Write down what happened at the gateway, in its order of each kind."""

    def __init__(self, scene: FileScene, gateway: FileGateway) -> None:
        self._scene = scene
        self._gateway = gateway
        self._seen: collections.Counter[str] = collections.Counter()
        self._numbers: dict[int, int] = {}

    def write(self) -> None:
        """Write what is new; then count the check, and whether anything is still to come."""
        gateway = self._gateway
        self._add("took", gateway.uploads, self._took)
        self._add("put", gateway.put_out, self._put)
        self._add("deleted", gateway.deleted, self._deleted)
        self._add("refused", gateway.refused, lambda one: {"subject": one.path, "why": one.reason})
        rests = gateway.next_moment is None and not gateway.out(USER)
        with (self._scene.folder / "polls").open("ab") as polls:
            polls.write(b"_" if rests else b".")

    def _add(self, kind: str, records: Sequence[_T], facts: Callable[[_T], dict[str, object]]) -> None:
        for one in records[self._seen[kind] :]:
            self._seen[kind] += 1
            self._scene.lines(kind).add(**facts(one))

    @staticmethod
    def _took(one: UploadedFile) -> dict[str, object]:
        return {"name": one.name, "raw": digest(one.octets), "processed": one.processed, "repeated": one.repeated}

    def _put(self, one: OutFile) -> dict[str, object]:
        number = self._numbers[id(one)] = len(self._numbers)
        return {
            "number": number,
            "name": one.name,
            "of": None if one.upload is None else one.upload.name,
            "raw": digest(one.octets),
            "body": processes.digest(one.octets),
        }

    def _deleted(self, one: DeletedFile) -> dict[str, object]:
        return {"number": self._numbers[id(one.file)], "fetched": one.fetched}


# ── the agent ────────────────────────────────────────────────────────────────


def agent(scene: FileScene) -> None:
    """Run an agent: queue the files, and run until every exchange is settled and nothing is out at the gateway."""
    if scene.unsynced:
        processes.break_syncing()
    Steps(scene).follow()
    asyncio.run(_agent(scene))


async def _agent(scene: FileScene) -> None:
    logging.basicConfig(filename=scene.folder / "log", level=logging.WARNING)
    tls = _prepared()[0]
    server = FtpsAccount(
        host=scene.host,
        port=scene.port("gateway"),
        username=USER.username,
        password=USER.password,
        tls=TlsSettings(ca_file=tls.ca_file, certificate=tls.client_certificate),
        timeout=20.0,
    )
    soon = timedelta(milliseconds=20)
    gateway = FileGatewaySettings(
        server=server,
        user=USER.user,
        services=(MANIFEST,),
        unique_names=scene.mode != OVERWRITES,
        poll_interval=timedelta(milliseconds=100),
        connections=2,
        retry_schedule=(soon,) * 50,
    )
    name = MANIFEST.name
    process = MaildirDelivery(scene.folder / f"maildir-{name}") if scene.maildir else processes.Process(scene, name)
    with Ledger.open(f"sqlite:///{scene.database}") as ledger:
        async with Agent(
            ledger=ledger,
            router=Router(directory=HTPOORT, parties=processes.PARTIES, sent=ledger.sent),
            file_gateways=[gateway],
            deliveries={name: process},
            timing=processes.QUICK,
        ) as running:
            for one in scene.files():
                # After an interruption, repeat exactly the same call.
                await asyncio.wrap_future(ledger.exchanges.queue_soon(one, at=processes.now()))
                scene.lines("queued").add(name=str(one.name), raw=digest(one.octets))
            running.wake()
            async with asyncio.timeout(processes.SHORT if scene.unsynced else processes.LONGEST):
                await _wait_until_settled(scene, ledger, running)


async def _wait_until_settled(scene: FileScene, ledger: Ledger, running: Agent) -> None:
    """Wait until all is answered and delivered; what a gateway that overwrites never took is ordered again."""
    while True:
        await _wait_until_idle(scene, ledger)
        unknown = list(ledger.exchanges.listed(State.UNKNOWN))
        if not unknown:
            return
        for exchange in unknown:
            scene.lines("resent").add(name=exchange.reference)
            ledger.exchanges.resend(exchange.reference, at=processes.now(), party=exchange.party)
        running.wake()


async def _wait_until_idle(scene: FileScene, ledger: Ledger) -> None:
    """Wait until the gateway has nothing out, nothing to come and no change for some checks, and the agent neither."""
    ends = ENDS | ({State.UNKNOWN} if scene.mode == OVERWRITES else set())
    since: int | None = None
    while True:
        polls = scene.poll_count
        with (scene.folder / "polls").open("rb") as checks:
            checks.seek(-1, 2)
            at_rest = checks.read() == b"_"
        status = ledger.status()
        states = {state for _, state in status.exchanges}
        at_rest = at_rest and states <= ends and not status.undelivered
        since = (polls if since is None else since) if at_rest else None
        if since is not None and polls - since >= (_STILL if State.UNKNOWN in states else 3):
            return
        await asyncio.sleep(_POLL_INTERVAL)
