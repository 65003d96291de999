"""
Run an agent from the command line, or look once into its mailboxes.

Never does: start anything before the whole configuration was checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import traceback
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

from htpoort.agent import Look, Pop3Inbox, SmtpInbox, fetch_once
from htpoort.cli import _show
from htpoort.cli._facts import Facts
from htpoort.config import AgentConfig, read_agent
from htpoort.ledger import Ledger
from htpoort.routing import Quarantined

_LOG: Final = logging.getLogger("htpoort.cli")


async def run(path: Path, *, as_json: bool, verbose: bool) -> None:
    """
    Run an agent until SIGINT or SIGTERM.

    Args:
        path: The configuration.
        as_json: Print one JSON document when it has started, and log JSON lines on standard error.
        verbose: Log what goes well too.

    Raises:
        InputError: Something in the configuration cannot be taken.
        LedgerError: The ledger cannot be opened, or another agent has it.
        OSError: An address cannot be listened on.
    """
    config = read_agent(path)
    with _logged(as_json=as_json, verbose=verbose), config.ledger.open() as ledger:
        if ledger.new:
            _LOG.warning(
                "No ledger was at %s, so a new one was made, in which no K is known. "
                "If there should have been one, end this agent and look where that is.",
                ledger.where,
            )
        agent = config.agent(ledger)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, agent.stop)
        async with agent:
            _started(config, ledger, agent.ports, as_json=as_json)
            await agent.stopped()


def _started(config: AgentConfig, ledger: Ledger, ports: tuple[int, ...], *, as_json: bool) -> None:
    """Tell what runs."""
    smtp = [inbox for inbox in config.inboxes if isinstance(inbox, SmtpInbox)]
    facts: dict[str, list[str]] = {
        "smtp": [f"{inbox.host}:{port}" for inbox, port in zip(smtp, ports, strict=True)],
        "pop3": [inbox.server.account for inbox in config.inboxes if isinstance(inbox, Pop3Inbox)],
        "outbox": [f"{outbox.server.host}:{outbox.server.port}" for outbox in config.outboxes],
        "delivery": list(config.deliveries),
    }
    if as_json:
        _show.as_json({"ledger": ledger.where, **facts})
        return
    _show.rows({"ledger": ledger.where, **{name: ", ".join(values) or None for name, values in facts.items()}})
    _show.line("Stop with Ctrl-C.")


# ── one look ─────────────────────────────────────────────────────────────────


async def fetch(path: Path) -> list[Facts]:
    """
    Look once into every POP3 mailbox.

    Args:
        path: The configuration.

    Returns:
        For each mailbox how many mails were stored and where they went, or why it could not be read.

    Raises:
        InputError: Something in the configuration cannot be taken.
        LedgerError: A mail could not be stored; it stays in its mailbox.
    """
    config = read_agent(path)
    inboxes = [inbox for inbox in config.inboxes if isinstance(inbox, Pop3Inbox)]
    with config.ledger.open() as ledger:
        router = config.ledger.router(ledger)
        # At the same time, so that one that hangs keeps no other waiting.
        looks = await asyncio.gather(*(fetch_once(ledger, router, inbox.server) for inbox in inboxes))
    return [_facts(look) for look in looks]


def _facts(look: Look) -> Facts:
    """Count what one look came to; a copy of what was there before is no message in quarantine of its own."""
    new = [one for one in look.stored if not one.repeated]
    problems = [problem.message for problem in (*look.problems, *(one.problem for one in look.left))]
    if look.more:
        problems.append(f"{look.more} more mails are there; fetch again.")
    return {
        "account": look.account,
        "fetched": len(look.stored),
        "new": len(new),
        "copies": len(look.stored) - len(new),
        "quarantined": sum(isinstance(one.found, Quarantined) for one in new),
        "error": None if look.error is None else str(look.error),
        "problems": [{"message": message} for message in problems],
    }


# ── the log ──────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _logged(*, as_json: bool, verbose: bool) -> Generator[None]:
    """Write the log to standard error while an agent runs."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(as_json=as_json))
    root, ours, dialogues = (logging.getLogger(name) for name in ("", "htpoort", "mail.log"))
    before = ours.level, dialogues.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO if verbose else logging.WARNING)
    # aiosmtpd warns of each word of a peer that is no command: as many lines as the peer likes.
    dialogues.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(before[0])
        dialogues.setLevel(before[1])
        root.removeHandler(handler)


@final
class _Lines(logging.Formatter):
    """Write each record on lines that a terminal only shows."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level, message = record.levelname.lower(), record.getMessage()
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        if self._as_json:
            facts = {"at": at, "level": level, "logger": record.name, "message": message}
            return _show.json_text({**facts, "trace": trace} if trace else facts, sys.stderr)
        lines = (f"{at} {level} {message}", *trace.splitlines())
        return "\n".join(_show.printable(line) for line in lines)
