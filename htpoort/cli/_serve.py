"""
Run the simulator from the command line until it is interrupted.

Never does: listen beyond loopback.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from htpoort.cli import _input, _show
from htpoort.directory import Directory
from htpoort.simulator import Gateway
from htpoort.transport import Security, SmtpServer


def declarant(text: str) -> tuple[str, SmtpServer]:
    """
    Read ``mailbox=host:port``.

    Raises:
        InputError: The text is not of that form.
    """
    mailbox, _, place = text.partition("=")
    host, _, port = place.rpartition(":")
    if not (mailbox and host and port.isascii() and port.isdigit()):
        message = f"--declarant is {text!r}; give MAILBOX=HOST:PORT, as edi@forwarder.example=127.0.0.1:2525."
        raise _input.refusal("input.declarant", message)
    return mailbox, SmtpServer(host=host, port=int(port), security=Security.PLAIN)


async def simulate(*, port: int, declarants: Mapping[str, SmtpServer], directory: Directory, as_json: bool) -> None:
    """Play the gateway until SIGINT or SIGTERM, then tell what came."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with Gateway(directory=directory, declarants=declarants, port=port) as gateway:
        started: dict[str, Any] = {"host": "127.0.0.1", "smtp_port": gateway.smtp_port}
        mailboxes = [system.mailbox for system in directory]
        if as_json:
            _show.as_json({**started, "mailboxes": mailboxes})
        else:
            _show.rows({**started, "mailboxes": ", ".join(mailboxes)})
            _show.line("Stop with Ctrl-C.")
        await stopped.wait()
    summary = {
        "taken": len(gateway.received),
        "refused": len(gateway.refused),
        "undelivered": len(gateway.undelivered),
    }
    (_show.as_json if as_json else _show.rows)(summary)
