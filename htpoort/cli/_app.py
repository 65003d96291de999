"""
The table of commands: which module each is in. A module is imported when one of its commands runs.

Errors of all commands end here, as a sentence and an exit code.
"""

from __future__ import annotations

import contextlib
import importlib
from collections import UserDict
from collections.abc import Sequence
from typing import Any, Final, final

import typer
from typer.core import TyperGroup

from htpoort.cli import _facts, _input, _output, _show, _usage
from htpoort.cli._output import BAD_INPUT, FAILED, QUARANTINED
from htpoort.core.errors import HtpoortError, InputError, LedgerError, SendError

__all__ = ["BAD_INPUT", "FAILED", "QUARANTINED", "app", "run"]

_MODULES: Final = {
    "parse": "message",
    "build": "message",
    "route": "message",
    "send": "send",
    "queue": "send",
    "run": "run",
    "fetch": "run",
    "status": "ledger",
    "show": "ledger",
    "unanswered": "ledger",
    "resolve": "ledger",
    "redeliver": "ledger",
    "export": "ledger",
    "prune": "ledger",
    "quarantine": "quarantine",
    "cutover": "cutover",
    "simulate": "simulate",
    "demo": "demo",
}
"""The module of each command, in the order of ``htpoort --help``."""


@final
class _Loader(UserDict[str, Any]):
    """Map the name of a command to the command, and import its module when it is asked for."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer brings a click of its own, whose types it hides
        module = importlib.import_module(f"htpoort.cli.{self.data[name]}")
        found: Any = typer.main.get_command(module.app)
        command = found if found.name == name else found.commands[name]
        for shown in (command, *getattr(command, "commands", {}).values()):
            # Without it, the lists of commands end in the middle of a sentence.
            shown.short_help = shown.help
        return _usage.in_plain_words(command)


class _Commands(TyperGroup):
    """The group of all commands. Imports nothing but what the command that runs needs."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**settings)
        self.commands = _Loader(_MODULES)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # The library that checks the values puts this before its sentence.
            error.message = error.message.removeprefix("Value error, ")
            raise


app = typer.Typer(
    cls=_Commands,
    name="htpoort",
    help="Exchange declarations with Dutch Customs by e-mail.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 quarantined.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # brackets in a help text are brackets
    pretty_exceptions_enable=False,
)
app.callback()(lambda: None)


def run(arguments: Sequence[str]) -> int:
    """
    Run one command.

    Args:
        arguments: Without the name of the program.

    Returns:
        The exit code: 0 done, 1 failed, 2 bad input or usage, 3 quarantined.
    """
    try:
        code: object = app(args=list(arguments), prog_name="htpoort", standalone_mode=False)
    except typer.Abort:
        return FAILED
    except typer.TyperException as error:
        _show.failed(_usage.sentence(error))
        return BAD_INPUT
    except (HtpoortError, OSError) as error:
        return _failed(_input.in_options(error), as_json="--json" in arguments)
    except _output.OutputLostError:
        return FAILED
    return code if isinstance(code, int) else 0


def _failed(error: HtpoortError | OSError, *, as_json: bool) -> int:
    """Report an error; returns the exit code."""
    if _output.is_committed():
        # The error came after the commit, for example when the ledger was closed.
        _show.failed(f"htpoort: The command succeeded, but afterwards: {_facts.sentence(error)}")
        return 0
    if as_json:
        with contextlib.suppress(_output.OutputLostError):
            _show.as_json(_facts.failure(error))
    else:
        _show.failed(f"htpoort: {_shortened(error)}")
    return FAILED if isinstance(error, SendError | LedgerError | OSError) else BAD_INPUT


def _shortened(error: HtpoortError | OSError) -> str:
    """Write an error for a person; of very many problems, such as one for each line of a file, only the first."""
    if not isinstance(error, InputError) or len(error.problems) <= _show.PROBLEMS:
        return _facts.sentence(error)
    first = InputError(error.text, error.problems[: _show.PROBLEMS])
    return f"{first}\nand {len(error.problems) - _show.PROBLEMS} more problems; --json lists all of them."
