"""
Stand in as process 1, as in a container: pass signals on, and take in the processes that commands leave behind.

Never does: work of its own; the agent is its child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PASSED_ON: Final = frozenset({
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
})
_WAITED_FOR: Final = _PASSED_ON | {signal.SIGCHLD}
_KILLED: Final = 128  # a shell's exit code for a signal, to which its number is added
_SET_DEATH_SIGNAL: Final = 1  # of prctl(2)
_GET_SUBREAPER: Final = 37


def stand_in() -> None:
    """
    Go on in a child where the system gives this process the orphans of others, and end as the child does.

    Only a process that waits for its children frees their numbers. An agent waits for its commands and not for what
    they leave behind: as process 1 it would keep each of these as a zombie.
    """
    if not _gets_orphans():
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    child = os.fork()
    if child:
        os._exit(_until_end_of(child))
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAITED_FOR)


def _gets_orphans() -> bool:
    """Tell whether this is process 1, or has asked the system for the orphans below it (a subreaper)."""
    if os.getpid() == 1:
        return True
    answer = ctypes.c_int(0)
    return _prctl(_GET_SUBREAPER, ctypes.byref(answer)) and bool(answer.value)


def _prctl(option: int, value: object) -> bool:
    """Call prctl(2), which Linux has and others have not; tells whether it succeeded."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def _until_end_of(child: int) -> int:
    """Pass signals on and wait for every process, until the child has ended; gives its exit code."""
    while True:
        came = signal.sigwaitinfo(_WAITED_FOR)
        # What the terminal sends, the child has got too.
        if came.si_signo in _PASSED_ON and came.si_code <= 0:
            os.kill(child, came.si_signo)
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            number, status = ended
            if number == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else _KILLED - code
