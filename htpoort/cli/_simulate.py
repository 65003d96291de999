"""
Run the simulator from the command line until it is interrupted.

Never does: listen beyond loopback, unless it is told to by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final, final

import attrs

from htpoort import _clock
from htpoort.cli import _input, _pasting, _show
from htpoort.cli._traffic import Traffic
from htpoort.directory import Directory
from htpoort.errors import InputError
from htpoort.simulator import ClientCertificate, Declarant, Gateway, GatewayTls, Script
from htpoort.transport import Security, SmtpServer

_FORM: Final = re.compile(r"([^=:]+)(?:=(.+):([0-9]+)|:(.+))?")
_LOOK: Final = 0.2  # seconds: a person sees no difference, and the machine does not feel it


@final
@attrs.frozen(kw_only=True)
class Ports:
    """Hold the ports to listen on; 0 for one that is free."""

    port: int = 0
    tls_port: int = 0
    pop3_port: int = 0
    pop3s_port: int = 0


@final
@attrs.frozen(kw_only=True)
class Certificates:
    """
    Say which certificates to make.

    Args:
        tls: Whether to make any.
        folder: Where they are written; None for a folder that is gone at the end.
        client: Whether clients show one.
    """

    tls: bool
    folder: Path | None
    client: ClientCertificate

    @contextlib.contextmanager
    def made(self) -> Generator[GatewayTls | None]:
        """
        Make them, as long as the block lasts.

        Raises:
            InputError: What makes certificates is not installed.
            OSError: They cannot be written.
        """
        if not self.tls:
            yield None
            return
        with contextlib.ExitStack() as stack:
            folder = self.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="htpoort-")))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                tls = GatewayTls.made(folder, client=self.client)
            except ModuleNotFoundError as error:
                message = f"--tls needs {error.name}; install it with: pip install 'htpoort[simulator]'"
                raise _input.refusal("input.usage", message) from None
            yield tls


def declarant(text: str) -> Declarant:
    """
    Read ``mailbox=host:port``, ``mailbox:password`` or ``mailbox``, which gets a password.

    Raises:
        InputError: The text is not of that form.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        message = (
            f"--declarant is {text!r}; give MAILBOX=HOST:PORT to push replies to,"
            " or MAILBOX:PASSWORD, or MAILBOX alone, to have them fetched by POP3."
        )
        raise _input.refusal("input.declarant", message)
    mailbox, host, port, password = match.groups()
    if host is None:
        return Declarant(mailbox=mailbox, password=password or _clock.unique()[:16])
    return Declarant(mailbox=mailbox, server=SmtpServer(host=host, port=int(port), security=Security.PLAIN))


@contextlib.contextmanager
def _as_options() -> Generator[None]:
    """Say what is wrong in the words of the command line."""
    try:
        yield
    except InputError as error:
        problems = tuple(
            attrs.evolve(one, message=one.message.replace("beyond_loopback=True", "--beyond-loopback"))
            for one in error.problems
        )
        raise InputError(error.text, problems) from None


async def simulate(  # noqa: PLR0913 - what the options say
    *,
    ports: Ports,
    declarants: list[Declarant],
    directory: Directory,
    scenario: Path | None,
    certificates: Certificates,
    record: Path | None,
    host: str,
    beyond_loopback: bool,
    as_json: bool,
) -> None:
    """
    Play the gateway until SIGINT or SIGTERM, then tell what came.

    Raises:
        InputError: The scenario, or a setting, cannot be taken.
        OSError: An address cannot be listened on, or a folder cannot be written.
    """
    script = Script() if scenario is None else Script.read(scenario)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    # aiosmtpd warns where a client certificate is required, which is what was asked for, in the middle of the traffic.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    with certificates.made() as tls:
        with _as_options():
            gateway = Gateway(
                directory=directory,
                declarants=declarants,
                script=script,
                tls=tls,
                record=record,
                host=host,
                beyond_loopback=beyond_loopback,
                **attrs.asdict(ports),
            )
        async with gateway:
            _pasting.tell(gateway, host=host, directory=directory, declarants=declarants, as_json=as_json)
            await _watched(gateway, stopped, as_json=as_json)
            facts = summary(gateway)
    (_show.as_json if as_json else _show.rows)(facts)


async def _watched(gateway: Gateway, stopped: asyncio.Event, *, as_json: bool) -> None:
    """Tell what happens until it is stopped."""
    with Traffic(gateway, as_json=as_json) as traffic:
        while not stopped.is_set():
            traffic.tell()
            # The gateway calls nobody when something happens; whoever wants to know looks.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await stopped.wait()
        traffic.tell()


def summary(gateway: Gateway) -> dict[str, object]:
    """Count what there was."""
    due = gateway.next_moment
    return {
        "taken": len(gateway.received),
        "refused": len(gateway.refused),
        "answered": sum(sent.error is None for sent in gateway.sent),
        "undelivered": len(gateway.undelivered),
        "faults": len(gateway.shown) + len(gateway.pop3_shown),
        "next_answer": None if due is None else due.isoformat(timespec="seconds"),
    }
