"""
Declare the command that rehearses a move.

Never does: load the ledger's libraries before it is called; they would double the start of every command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from htpoort.cli import _show
from htpoort.cli._app._options import CONFIG, FAILED, Config, Json


def rehearse(
    *,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How the gateway answers, and what it does wrong, as TOML.")
    ] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Play the plan against the simulator, offline; exit code 1 if a reply went elsewhere or got lost, or none came."""
    from htpoort.cli import _rehearsal  # noqa: PLC0415 - see above

    try:
        found = _rehearsal.played(config, scenario)
    except OSError as error:
        why = error.strerror or str(error)
        if json:
            _show.as_json({"error": type(error).__name__, "message": why, "retryable": False})
        else:
            _show.failed(f"htpoort: {why}")
        raise typer.Exit(FAILED) from None
    if json:
        _show.as_json(_rehearsal.facts(found))
    else:
        _rehearsal.show(found)
    if not found.right:
        raise typer.Exit(FAILED)
