"""
The points at which `crash.py` kills an agent, and what a power cut leaves of its files.

A point is the moment before or after one system call that writes, syncs, connects or sends, or before one line.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import processes
import tracing

import htpoort

_BLOCK: Final = 4096
_LOG: Final = "of the ledger's log"
_ROOMS: Final = tuple(
    str(Path(htpoort.__file__).parent / room)
    for room in ("agent", "ledger", "transport", "delivery", "core/exchange.py")
)


@dataclass(frozen=True)
class Point:
    """
    The place where to kill.

    Args:
        by: ``syscalls`` or ``lines``.
        number: The number of the call or line, from 1.
        after: Kill after the call instead of before it.
    """

    by: str
    number: int
    after: bool = False


Peer = Callable[[tracing.Call], str]
"""Names what a call does with a connection; called before and after each such call."""
Agent = Callable[[Any], None]
"""The function of an agent, called with its scene."""


class Watch:
    """
    Count system calls, and kill at one of them; keep a copy of what is certainly on the disk.

    Args:
        scene: Where.
        point: Where to kill; None to count only.
        power: Keep a copy of what was synced.
        peer: Names what a call does with a connection. If given, several writes of the ledger's log in a row count as
            one call, so that most points are elsewhere.
    """

    def __init__(self, scene: processes.Scene, point: Point | None, *, power: bool, peer: Peer | None = None) -> None:
        self._folder = str(scene.folder)
        self._point = point
        self._power = power
        self._peer = peer
        self._last = ("", "")
        self.count = 0
        self.reached = ""

    def __call__(self, call: tracing.Call) -> object:
        """Observe one call."""
        if call.is_alarm:
            return None
        what = self._what(call)
        if what is None:
            return None
        after = call.result is not None
        if not after:
            again, self._last = (what, call.name) == self._last, (what, call.name)
            self.count += not (again and self._peer is not None and what == _LOG)
        if self._power and call.result == 0 and call.name in {"fsync", "fdatasync"}:
            _keep(Path(call.target))
        if self._point is not None and (self.count, after) == (self._point.number, self._point.after):
            self.reached = f"{'after' if after else 'before'} {call.name} {what}"
            return tracing.KILL
        return None

    def _what(self, call: tracing.Call) -> str | None:
        """Name the target of a call in words; None if it does not matter for the proof."""
        target = call.target
        if target.startswith("socket:"):
            return "to a peer" if self._peer is None else self._peer(call)
        if target == "names":
            return "of names"
        if not target.startswith(self._folder):
            return None
        name = target.removeprefix(f"{self._folder}/").split("/")[0]
        return {
            "ledger.db": "of the ledger",
            "ledger.db-wal": _LOG,
            "ledger.db-shm": "of the log's index",
            "queued.jsonl": "of the caller",
            "process.jsonl": "of the process",
        }.get(name, "of a Maildir" if name.startswith("maildir") else "of another file")


def _keep(path: Path) -> None:
    """Copy a file as it certainly is on the disk."""
    if path.is_file():
        shutil.copyfile(path, path.with_name(f"{path.name}.kept"))


def cut(scene: processes.Scene, chance: random.Random) -> None:
    """Turn every file into what a power cut may leave: any part of what was not synced."""
    share = 0.0 if scene.unsynced else chance.choice((0.0, 0.5, 1.0))
    for name in ("ledger.db", "ledger.db-wal", "process.jsonl"):
        path = scene.folder / name
        if not path.exists():
            continue
        now = path.read_bytes()
        kept_path = path.with_name(f"{name}.kept")
        kept = kept_path.read_bytes() if kept_path.exists() else b""
        length = len(now) if chance.random() < share else len(kept)
        blocks = []
        for start in range(0, length, _BLOCK):
            stop = min(start + _BLOCK, length)
            old, new = kept[start:stop].ljust(stop - start, b"\0"), now[start:stop].ljust(stop - start, b"\0")
            blocks.append(new if old == new or chance.random() < share else old)
        path.write_bytes(b"".join(blocks))
        _keep(path)
    # Nothing relies on this file; a new one is made.
    (scene.folder / "ledger.db-shm").unlink(missing_ok=True)


def by_lines(agent: Agent, scene: processes.Scene, point: Point | None, counted: Path) -> None:
    """Run an agent that kills itself before one line of htpoort."""
    count = [0]
    last = 0 if point is None else point.number

    def in_room(frame: types.FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - itself
        if event == "line":
            count[0] += 1
            if count[0] == last:
                place = Path(frame.f_code.co_filename)
                counted.write_text(f"before line of {place.parent.name}/{place.name}", encoding="ascii")
                os.kill(os.getpid(), signal.SIGKILL)
        return in_room

    def called(frame: types.FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401 - the signature of settrace
        return in_room if frame.f_code.co_filename.startswith(_ROOMS) else None

    threading.settrace(called)
    sys.settrace(called)
    try:
        agent(scene)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    counted.write_text(str(count[0]), encoding="ascii")


def live(
    agent: Agent, scene: processes.Scene, point: Point, *, power: bool, peer: Peer | None = None
) -> tuple[int, str]:
    """Run one agent until a point; return its exit code and what it was doing."""
    if point.by == "syscalls":
        watch = Watch(scene, point, power=power, peer=peer)
        return tracing.trace(lambda: agent(scene), watch), watch.reached
    counted = scene.folder / "counted"
    code = tracing.wait_for_exit(tracing.fork(lambda: by_lines(agent, scene, point, counted)))
    return code, counted.read_text() if code == -signal.SIGKILL else ""
