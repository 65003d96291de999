"""Guard standard output and standard error, so that a failure to print is handled in one place; and exit codes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Final, TextIO, cast, final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

FAILED: Final = 1
BAD_INPUT: Final = 2
QUARANTINED: Final = 3
ATTENTION: Final = 4
INTERRUPTED: Final = 130
"""The exit codes beside 0, which means success."""

_ESCAPE: Final = "backslashreplace"  # for a character that the encoding of a stream lacks


class OutputLostError(Exception):
    """Stop a command whose result could not be printed. Not an OSError, which would be an error of the command."""


@final
class _Guarded(io.FileIO):
    """
    Write to a descriptor until a write fails; then drop everything.

    Args:
        descriptor: The descriptor; it stays open.
        error: Why nothing can be written, if this is known from the start.
        optional: Whether a failure is only recorded; otherwise, the first failure is also raised.
    """

    def __init__(self, descriptor: int, error: OSError | None, *, optional: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.lost: OSError | None = None
        """Why something was dropped; None if everything was written."""
        self.optional = optional
        self.committed = False
        self._error = error

    def write(self, data: ReadableBuffer, /) -> int:
        """
        Write, or record why it failed.

        Raises:
            OutputLostError: It failed for the first time, and the output is not optional.
        """
        if self._error is None:
            try:
                return self._written(data)
            except OSError as error:
                self._error = error
        first, self.lost = self.lost is None, self._error
        if first and not self.optional:
            raise OutputLostError
        # Claim success: what stays in a buffer would fail again when the interpreter ends, and change the exit code.
        return memoryview(data).nbytes

    def _written(self, data: ReadableBuffer) -> int:
        # None: the pipe is full, and the parent process has made it non-blocking.
        while (number := cast("int | None", super().write(data))) is None:
            select.select((), (self.fileno(),), ())
        return number


def guard() -> None:
    """
    Guard both streams of this process; what is written to a closed stream is dropped.

    Call this first: no file that is opened later may get the descriptor of a closed stream.
    """
    _, out, err = (_open_if_closed(descriptor) for descriptor in range(3))
    sys.stdout = _guarded(sys.stdout, 1, out, optional=False)
    sys.stderr = _guarded(sys.stderr, 2, err, optional=True)


def _open_if_closed(descriptor: int) -> OSError | None:
    """Open the null device in place of a closed descriptor; returns the error, if it was closed."""
    try:
        os.fstat(descriptor)
    except OSError as error:
        # This gets the lowest free descriptor, which is the closed one: those below it are open.
        os.open(os.devnull, os.O_RDWR)
        return error
    return None


def _guarded(stream: TextIO | None, descriptor: int, error: OSError | None, *, optional: bool) -> TextIO:
    """Put a guard in place of a stream, which is None if it was closed."""
    before = cast("io.TextIOWrapper | None", stream)
    return io.TextIOWrapper(
        io.BufferedWriter(_Guarded(descriptor, error, optional=optional)),
        encoding="utf-8" if before is None else before.encoding,
        errors=_ESCAPE,
        line_buffering=before is not None and (before.line_buffering or before.write_through),
    )


def _of_stdout() -> _Guarded | None:
    """Return the guard of standard output; None in a program that calls the commands itself."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Guarded) else None


def make_optional() -> None:
    """Keep the exit code independent of standard output, which only describes what the command does."""
    if (guarded := _of_stdout()) is not None:
        guarded.optional = True


def mark_committed() -> None:
    """Record that the command has succeeded: from now on the exit code is 0, even if printing fails."""
    if (guarded := _of_stdout()) is not None:
        guarded.optional = guarded.committed = True


def is_committed() -> bool:
    """Return whether the command has succeeded, whatever happens to its output."""
    return (guarded := _of_stdout()) is not None and guarded.committed


def interrupted() -> int:
    """Report Ctrl-C; returns the exit code, which is 0 if the command had succeeded by then."""
    if is_committed():
        sys.stderr.write("htpoort: The command had succeeded when Ctrl-C stopped it.\n")
        return 0
    sys.stderr.write("htpoort: Stopped by Ctrl-C before it was done.\n")
    return INTERRUPTED


def end(code: int) -> int:
    """
    Write what is left, and report once if standard output could not be written.

    Args:
        code: How the command ended.

    Returns:
        The exit code: 1 in place of 0 if the result was lost; *code* otherwise.
    """
    with contextlib.suppress(OutputLostError):
        sys.stdout.flush()
    guarded = _of_stdout()
    if guarded is None or guarded.lost is None:
        return code
    why = "it is closed" if guarded.lost.errno == errno.EBADF else guarded.lost.strerror
    if guarded.optional:
        start = "The command succeeded, but standard" if guarded.committed else "Standard"
        sys.stderr.write(f"htpoort: {start} output could not be written: {why}.\n")
        return code
    if guarded.lost.errno != errno.EPIPE:  # a reader that closes its pipe has read enough
        sys.stderr.write(f"htpoort: The result could not be written to standard output: {why}.\n")
    return code or 1
