"""
Stop a child before and after its system calls that write, sync or send, by ptrace: Linux, no privileges.

Never does: trace a process that it did not start.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# linux/ptrace.h
_TRACEME, _POKEUSER, _SYSCALL = 0, 6, 24
_SETOPTIONS, _GET_SYSCALL_INFO = 0x4200, 0x420E
_SYSGOOD, _TRACECLONE, _EXITKILL = 1, 8, 0x100000
_WALL: Final = 0x40000000
_SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
_ENTRY, _EXIT = 1, 2
_PDEATHSIG: Final = 1

_NUMBERS: Final = {
    "x86_64": {
        1: "write",
        18: "pwrite64",
        20: "writev",
        42: "connect",
        44: "sendto",
        46: "sendmsg",
        74: "fsync",
        75: "fdatasync",
        77: "ftruncate",
        82: "rename",
        86: "link",
        87: "unlink",
        263: "unlinkat",
        264: "renameat",
        265: "linkat",
        285: "fallocate",
    },
    "aarch64": {
        35: "unlinkat",
        37: "linkat",
        38: "renameat",
        46: "ftruncate",
        47: "fallocate",
        64: "write",
        66: "writev",
        68: "pwrite64",
        82: "fsync",
        83: "fdatasync",
        203: "connect",
        206: "sendto",
        211: "sendmsg",
    },
}
WRITING: Final = _NUMBERS.get(platform.machine(), {})
"""The system calls that leave something behind, by number."""
OF_PATHS: Final = frozenset({"rename", "renameat", "link", "linkat", "unlink", "unlinkat"})
"""Those whose arguments are names, not a descriptor."""

# Offsets in `struct user` (sys/user.h) of x86_64; on other machines agents are killed, but no error is injected.
_RAX, _ORIG_RAX = 80, 120
CAN_INJECT: Final = platform.machine() == "x86_64"


class _Info(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("values", ctypes.c_uint64 * 8),
    )


_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, task: int, address: int = 0, data: object = 0) -> int:
    ctypes.set_errno(0)
    done = int(_libc.ptrace(request, task, address, data))
    if done < 0 and (number := ctypes.get_errno()):
        raise OSError(number, f"ptrace({request:#x}): {os.strerror(number)}")
    return done


@dataclass(frozen=True)
class Call:
    """
    A system call of the child, before or after it is made.

    Args:
        child: The process ID of the child.
        name: Of the call.
        arguments: The arguments, as numbers.
        result: The result; None before the call is made.
    """

    child: int
    name: str
    arguments: tuple[int, ...]
    result: int | None

    @property
    def target(self) -> str:
        """The path or name of its descriptor; ``names`` if it has none."""
        if self.name in OF_PATHS:
            return "names"
        try:
            return str(Path(f"/proc/{self.child}/fd/{self.arguments[0]}").readlink())
        except OSError:
            return "?"

    @property
    def is_alarm(self) -> bool:
        """Whether it only wakes an asyncio loop, by one octet to itself."""
        return self.name in {"sendto", "write"} and self.arguments[2] == 1


KILL: Final = object()
"""Answer of an observer: kill the child here."""
Observer = Callable[[Call], object]
"""Called with each system call; returns None, `KILL`, or, before a call, the number of an error to inject."""

_LONGEST: Final = 240.0
"""Seconds for any process: far more than a trial takes. One that hangs prints its stacks, and ends."""


def end_with_parent() -> None:
    """Let this process be killed when its parent ends; on Linux only."""
    if sys.platform == "linux":
        _libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def fork(life: Callable[[], None]) -> int:
    """Run a function in a child process, which ends with this one or when it hangs; return its process ID."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        # A thread that ended long ago may have had the same ID.
        _gone.pop(child, None)
        return child
    code = 1
    try:
        end_with_parent()
        faulthandler.dump_traceback_later(_LONGEST, exit=True)
        life()
        code = 0
    except BaseException:  # noqa: BLE001 - printed, and the exit code shows the failure
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


_gone: Final[dict[int, int]] = {}
"""Codes of other children that ended while one was traced."""


def wait_for_exit(child: int) -> int:
    """Wait for a process; return its exit code, negative for a signal."""
    if child in _gone:
        return _gone.pop(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_for_file(child: int, *paths: Path) -> None:
    """
    Wait until one of these files exists, while a process runs.

    Raises:
        RuntimeError: The process ended or the wait took too long, and none of the files exists.
    """
    end = time.monotonic() + _LONGEST
    while True:
        # Before checking the files: one may have been written just before the end.
        if child not in _gone and (known := os.waitpid(child, os.WNOHANG))[0]:
            _gone[child] = os.waitstatus_to_exitcode(known[1])
        if any(path.exists() for path in paths):
            return
        names = " or ".join(path.name for path in paths)
        if child in _gone:
            message = f"a process ended with {_gone[child]} before {names} existed"
            raise RuntimeError(message)
        if time.monotonic() > end:
            message = f"{names} did not exist within {_LONGEST:g} s"
            raise RuntimeError(message)
        time.sleep(0.002)


def kill(child: int) -> None:
    """Kill a process that was started here, and wait until it has ended."""
    if child not in _gone:
        os.kill(child, signal.SIGKILL)
    wait_for_exit(child)


def trace(life: Callable[[], None], observe: Observer) -> int:
    """
    Run a function in a child process, and report each system call that writes to an observer.

    Args:
        life: The function.
        observe: Called with the calls of all its threads.

    Returns:
        The exit code, negative for a signal.

    Raises:
        OSError: A process may not trace its child on this machine.
    """

    def traceable() -> None:
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        life()

    child = fork(traceable)
    _, status = os.waitpid(child, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise OSError(errno.EPERM, "the child could not be traced")
    _ptrace(_SETOPTIONS, child, 0, _SYSGOOD | _TRACECLONE | _EXITKILL)
    _ptrace(_SYSCALL, child)
    return _Tracer(child, observe).run()


class _Tracer:
    """The state of one traced child."""

    def __init__(self, child: int, observe: Observer) -> None:
        self._child = child
        self._observe = observe
        self._calls: dict[int, Call | None] = {child: None}
        self._errors: dict[int, int] = {}

    def run(self) -> int:
        """Go from stop to stop until the child has ended."""
        while True:
            task, status = os.waitpid(-1, _WALL)
            if not os.WIFSTOPPED(status):
                if task == self._child:
                    return os.waitstatus_to_exitcode(status)
                if self._calls.pop(task, self) is self:
                    _gone[task] = os.waitstatus_to_exitcode(status)
                continue
            # The child may be killed at any moment.
            with contextlib.suppress(ProcessLookupError):
                self._goes_on(task, status)

    def _goes_on(self, task: int, status: int) -> None:
        deliver = 0
        stopped_by = os.WSTOPSIG(status)
        if stopped_by == _SYSCALL_STOP:
            self._stopped(task)
        elif task not in self._calls:
            self._calls[task] = None  # a new thread
        elif status >> 16 == 0:
            deliver = stopped_by
        _ptrace(_SYSCALL, task, 0, deliver)

    def _stopped(self, task: int) -> None:
        info = _Info()
        _ptrace(_GET_SYSCALL_INFO, task, ctypes.sizeof(info), ctypes.byref(info))
        if info.op == _ENTRY:
            name = WRITING.get(info.values[0])
            call = None if name is None else Call(self._child, name, tuple(info.values[1:7]), None)
            self._calls[task] = call
            if call is not None:
                self._answer(task, self._observe(call))
        elif info.op == _EXIT and (call := self._calls.get(task)) is not None:
            self._calls[task] = None
            result = ctypes.c_int64(info.values[0]).value
            if task in self._errors:
                result = -self._errors.pop(task)
                _ptrace(_POKEUSER, task, _RAX, result)
            self._answer(task, self._observe(Call(self._child, call.name, call.arguments, result)))

    def _answer(self, task: int, answer: object) -> None:
        if answer is KILL:
            os.kill(self._child, signal.SIGKILL)
        elif isinstance(answer, int):
            # No call has this number: nothing is done, and the error is injected at its end.
            _ptrace(_POKEUSER, task, _ORIG_RAX, -1)
            self._errors[task] = answer


def can_trace() -> bool:
    """Check whether a process may trace its child on this machine."""
    if sys.platform != "linux" or not WRITING:
        return False
    seen: list[str] = []

    def life() -> None:
        reading, writing = os.pipe()
        os.write(writing, b"there")
        os.close(reading)

    def observe(call: Call) -> None:
        seen.append(call.name)

    try:
        trace(life, observe)
    except OSError:
        return False
    return "write" in seen
