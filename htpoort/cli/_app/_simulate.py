"""
Declare the command that plays the gateway.

Never does: play it; that is `htpoort.cli._simulate`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from htpoort.cli import _input, _output, _show, _simulate
from htpoort.cli._app._options import FAILED, Json, Systems
from htpoort.simulator import ClientCertificate

_LAST: Final = 65_535


def simulate(  # noqa: PLR0913 - one option for each thing that can be said
    *,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How to answer, and what to do wrong, as TOML.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every message into this folder, as .eml.")
    ] = None,
    declarant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MAILBOX[:PASSWORD]",
            help="Who sends, and fetches replies by POP3; MAILBOX=HOST:PORT has them pushed there. May be repeated.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=_LAST, help="Port for SMTP; 0 chooses a free one.")] = 0,
    tls_port: Annotated[int, typer.Option(min=0, max=_LAST, help="The same, for implicit TLS.")] = 0,
    pop3_port: Annotated[int, typer.Option(min=0, max=_LAST, help="The same, for POP3.")] = 0,
    pop3s_port: Annotated[int, typer.Option(min=0, max=_LAST, help="The same, for POP3 with implicit TLS.")] = 0,
    tls: Annotated[bool, typer.Option("--tls/--no-tls", help="Make certificates, and offer TLS.")] = False,
    certificates: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write them there; else into a folder that is gone at the end.")
    ] = None,
    client_certificate: Annotated[
        ClientCertificate, typer.Option(help="Whether clients show a certificate, with --tls.")
    ] = ClientCertificate.NONE,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    beyond_loopback: Annotated[
        bool, typer.Option("--beyond-loopback", help="Listen on, and push to, other machines too.")
    ] = False,
    systems: Systems = None,
    json: Json = False,
) -> None:
    """Play the gateway on loopback until it is interrupted."""
    if not tls and (certificates is not None or client_certificate is not ClientCertificate.NONE):
        raise _input.refusal("input.usage", "Give --tls with --certificates and --client-certificate.")
    # It goes on whether anyone reads what it prints or not.
    _output.only_informs()
    try:
        asyncio.run(
            _simulate.simulate(
                ports=_simulate.Ports(port=port, tls_port=tls_port, pop3_port=pop3_port, pop3s_port=pop3s_port),
                declarants=[_simulate.declarant(text) for text in declarant or ()],
                directory=_input.directory(systems),
                scenario=scenario,
                certificates=_simulate.Certificates(tls=tls, folder=certificates, client=client_certificate),
                record=record,
                host=host,
                beyond_loopback=beyond_loopback,
                as_json=json,
            )
        )
    except OSError as error:
        # What the system says names the address that cannot be listened on, or else the folder.
        why = str(error) if error.filename is not None else error.strerror or str(error)
        if json:
            _show.as_json({"error": type(error).__name__, "message": why, "retryable": False})
        else:
            _show.failed(f"htpoort: {why}")
        raise typer.Exit(FAILED) from None
