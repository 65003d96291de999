"""Declare the commands and their options, by typer; no other room imports it."""

from htpoort.cli._app._main import app, run
from htpoort.cli._app._options import BAD_INPUT, FAILED, QUARANTINED

__all__ = ["BAD_INPUT", "FAILED", "QUARANTINED", "app", "run"]
