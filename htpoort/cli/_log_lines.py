"""Write the log of an agent to standard error: lines for a person, or JSON lines for a program."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Generator
from datetime import UTC, datetime
from typing import final

from htpoort.cli import _show
from htpoort.cli._facts import Facts


@contextlib.contextmanager
def logged(*, as_json: bool, verbose: bool, once: bool = False) -> Generator[None]:
    """Write the log to standard error while an agent runs; *once* reports at its end what is left."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(as_json=as_json))
    # aiosmtpd warns of every unknown command, so a peer could fill the log.
    levels = {"htpoort": logging.INFO if verbose else logging.WARNING, "mail.log": logging.ERROR}
    if once and not verbose:
        levels |= dict.fromkeys(("htpoort.agent.files", "htpoort.agent.unknown"), logging.ERROR)
    loggers = {logging.getLogger(name): level for name, level in levels.items()}
    before = {logger: logger.level for logger in loggers}
    root = logging.getLogger()
    root.addHandler(handler)
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)
        root.removeHandler(handler)


@final
class Lines(logging.Formatter):
    """Format each record so that nothing in it can control a terminal."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        at = (moment if self._as_json else moment.astimezone()).isoformat(timespec="milliseconds")
        level, message = record.levelname.lower(), record.getMessage()
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        if self._as_json:
            facts = {"at": at, "level": level, "logger": record.name, "message": message, **_event_of(record)}
            return _show.json_text({**facts, "trace": trace} if trace else facts, sys.stderr)
        lines = (f"{at} {level} {message}", *trace.splitlines())
        return "\n".join(_show.printable(line) for line in lines)


def _event_of(record: logging.LogRecord) -> Facts:
    """Return the event of a record and its facts; nothing for a line of a library."""
    name = getattr(record, "event", None)
    return {} if name is None else {"event": name, **getattr(record, "facts", {})}
