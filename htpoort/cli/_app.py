"""
The table of commands: which module each is in. A module is imported when one of its commands runs.

Errors of all commands end here, as a sentence and an exit code.
"""

from __future__ import annotations

import contextlib
import importlib
from collections import UserDict
from collections.abc import Sequence
from typing import Annotated, Any, Final, final

import typer
from typer.core import TyperGroup

from htpoort.cli import _facts, _input, _output, _show, _usage
from htpoort.cli._output import ATTENTION, BAD_INPUT, FAILED, INTERRUPTED, QUARANTINED
from htpoort.core.errors import HtpoortError, InputError, LedgerError, SendError

__all__ = ["ATTENTION", "BAD_INPUT", "FAILED", "INTERRUPTED", "QUARANTINED", "app", "run"]

_NAGIOS_UNKNOWN: Final = 3

COMMANDS: Final = {
    "parse": ("message", "Read the routing envelope in a Subject."),
    "build": ("message", "Build the message that carries a declaration, and write it to standard output or a file."),
    "route": ("message", "Show which process a reply belongs to; exit code 3 if it must be quarantined."),
    "send": ("send", "Build a message and send it to one mail server."),
    "init": ("setup", "Ask what you have, and write a configuration with comments, and a ledger; no file is replaced."),
    "check": (
        "setup",
        "Check configuration, ledger, clock, disks, servers and deliveries; exit code 4 if there are only warnings.",
    ),
    "queue": ("send", "Put a declaration, or many files, into the ledger; an agent sends them."),
    "run": ("run", "Run the agent: send what is queued, take in replies and deliver them, until SIGTERM or Ctrl-C."),
    "fetch": (
        "run",
        "Fetch once from every POP3 mailbox and file gateway, and store it; exit code 1 if one could not be read.",
    ),
    "status": (
        "attention",
        "Show what needs attention, why, and what to type next; and count exchanges, replies and quarantine.",
    ),
    "report": (
        "report",
        "Write a page that needs no network: exchanges over time, and all that is open, late or in trouble.",
    ),
    "resume": ("attention", "Try servers again now that pause after a failure; a running agent obeys within seconds."),
    "show": ("ledger", "Show all that is known of a K: its exchange, what happened, and its replies."),
    "list": ("ledger", "List exchanges, oldest first: all of them, or by state, system, party and time."),
    "reply": ("ledger", "List replies, or show one with what it carries."),
    "unanswered": (
        "recovery",
        "List declarations that were sent, or may have been, and have no reply; for example for Customs.",
    ),
    "recover": ("recovery", "Show what a notice says to do for each exchange that it concerns, and do it with --yes."),
    "resolve": (
        "ledger",
        "Settle an exchange that may or may not have been sent, send it again, or close it; or many, by --state.",
    ),
    "redeliver": (
        "ledger",
        "Deliver replies again now: those that failed, and delivered ones that you name by NUMBER or --since.",
    ),
    "export": ("ledger", "Print every exchange and every reply, as JSON lines or as CSV."),
    "prune": ("ledger", "Delete finished exchanges older than the retention period; used references are kept."),
    "quarantine": (
        "attention",
        "List, show, release or discard messages whose process is not known.",
    ),
    "windows": (
        "windows",
        "Read notices about service windows and disruptions, and show what to do now.",
    ),
    "cutover": (
        "cutover",
        "Move parties from one declaration system to another, as [cutover] in htpoort.toml describes it.",
    ),
    "simulate": ("simulate", "Play the gateway on loopback until Ctrl-C."),
    "demo": (
        "demo",
        "Show the whole exchange on loopback, offline; exit code 1 if a message went to the wrong process.",
    ),
}
"""The module of each command and its line in ``htpoort --help``, which is the first of its own help."""

GROUPS: Final = {
    "Set it up": ("init", "check"),
    "Run the exchange": ("run", "queue", "fetch"),
    "See what happened, and decide": (
        "status",
        "report",
        "show",
        "list",
        "reply",
        "unanswered",
        "recover",
        "resolve",
        "redeliver",
        "resume",
        "quarantine",
    ),
    "Know when a system is down": ("windows",),
    "Keep the ledger": ("export", "prune"),
    "Move from one system to another": ("cutover",),
    "Read, build and send one message, without a ledger": ("parse", "build", "route", "send"),
    "Try it out, offline": ("demo", "simulate"),
}
"""The commands as ``htpoort --help`` lists them."""

_GO_ON: Final = " \\\n    "
"""What continues a command on the next line, so that an example fits a terminal of 80 columns."""
_DECLARATION: Final = f"--system DMS --party NL123456789.02.05{_GO_ON}--mailbox edi@forwarder.example --reference K1"
EXAMPLES: Final = {
    "parse": "htpoort parse '[V=DMS4.NL][A=NL123456789.02.05][K=K1][S=0]'",
    "build": f"htpoort build declaration.xml {_DECLARATION}{_GO_ON}--output declaration.eml",
    "route": "htpoort route reply.eml --party NL123456789.02.05",
    "send": f"htpoort send declaration.xml {_DECLARATION}{_GO_ON}--server smtp.forwarder.example --port 587",
    "queue": f"htpoort queue declaration.xml {_DECLARATION}",
    "run": "htpoort run --config /etc/htpoort/htpoort.toml",
    "fetch": "htpoort fetch --json",
    "status": "htpoort status --nagios",
    "report": "htpoort report --html report.html",
    "resume": "htpoort resume smtp.forwarder.example",
    "show": "htpoort show K1",
    "unanswered": "htpoort unanswered --older-than 24 --csv > unanswered.csv",
    "recover": "htpoort recover INC1234567 --do same-reference --yes",
    "resolve": "htpoort resolve K1 --sent",
    "redeliver": "htpoort redeliver --system DMS",
    "export": "htpoort export --csv > ledger.csv",
    "prune": "htpoort prune --older-than 2557",
    "quarantine": "htpoort quarantine list",
    "quarantine list": "htpoort quarantine list --all",
    "quarantine show": "htpoort quarantine show 3 --raw",
    "quarantine release": "htpoort quarantine release 3 --system DMS --party NL123456789.02.05",
    "quarantine discard": "htpoort quarantine discard 3 --why advertising",
    "quarantine withdraw": "htpoort quarantine withdraw 3 --why typo",
    "init": "htpoort init",
    "check": "htpoort check",
    "list": "htpoort list --state unknown",
    "reply": "htpoort reply list",
    "reply list": "htpoort reply list --system DMS",
    "reply show": "htpoort reply show 17 --payload > reply.xml",
    "windows": "htpoort windows what-now DMS",
    "windows read": "htpoort windows read notice.txt",
    "windows add": "htpoort windows add outage.toml",
    "windows list": "htpoort windows list --json",
    "windows what-now": "htpoort windows what-now DMS --at 2026-11-30T21:00",
    "windows timeline": "htpoort windows timeline --svg windows.svg",
    "cutover": "htpoort cutover status",
    "cutover preview": "htpoort cutover preview --on 2026-12-01",
    "cutover status": "htpoort cutover status --party NL123456789.02.05",
    "cutover shadows": "htpoort cutover shadows --csv > shadows.csv",
    "cutover rehearse": "htpoort cutover rehearse",
    "simulate": "htpoort simulate --declarant edi@forwarder.example",
    "demo": "htpoort demo",
}
"""An example for the help of each command, and of each command of a group."""


@final
class _Loader(UserDict[str, Any]):
    """Map the name of a command to the command, and import its module when it is asked for."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer brings a click of its own, whose types it hides
        module = importlib.import_module(f"htpoort.cli.{self.data[name][0]}")
        found: Any = typer.main.get_command(module.app)
        command = found if found.name == name else found.commands[name]
        for inner, shown in getattr(command, "commands", {}).items():
            # Without it, the list of commands ends in the middle of a sentence.
            shown.short_help = shown.help
            shown.epilog = _example(f"{name} {inner}")
        command.epilog = _example(name)
        return _usage.in_plain_words(command)


def _example(name: str) -> str:
    """Give the last lines of a command's help, which are not folded, so that they can be copied."""
    return f"\b\nExample:\n  {EXAMPLES[name]}"


class _Commands(TyperGroup):
    """The group of all commands. Imports nothing but what the command that runs needs."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**settings)
        self.commands = _Loader(COMMANDS)
        self._worded = False

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Word the options at their first use: those that install completion are added after the group was made."""
        if not self._worded:
            self._worded = True
            _usage.options_in_plain_words(self)
        return super().get_params(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, PLR6301 - as above; typer calls it
        del ctx
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # The library that checks the values puts this before its sentence.
            error.message = error.message.removeprefix("Value error, ")
            raise
        except KeyboardInterrupt as error:
            # The library would end without a word.
            raise typer.Abort from error


app = typer.Typer(
    cls=_Commands,
    name="htpoort",
    help="Exchange declarations with Dutch Customs by e-mail.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 quarantined, 4 a person is needed.",
    no_args_is_help=True,
    rich_markup_mode=None,  # brackets in a help text are brackets
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the value of an option
    if wanted:
        # Imported here, so that no other command pays for it.
        from importlib import metadata  # noqa: PLC0415

        _show.line(f"htpoort {metadata.version('htpoort')}")
        raise typer.Exit


@app.callback()
def _htpoort(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Exchange declarations with Dutch Customs by e-mail."""


def run(arguments: Sequence[str]) -> int:
    """
    Run one command.

    Args:
        arguments: Without the name of the program.

    Returns:
        The exit code: 0 done, 1 failed, 2 bad input or usage, 3 quarantined, 4 a person is needed.
    """
    try:
        code: object = app(args=list(arguments), prog_name="htpoort", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt) as error:
        return _stopped(error)
    except typer.TyperException as error:
        return _unusable(_usage.sentence(error), nagios="--nagios" in arguments)
    except (HtpoortError, OSError) as error:
        return _failed(_input.in_options(error), arguments)
    except _output.OutputLostError:
        return FAILED
    return code if isinstance(code, int) else 0


def _stopped(error: BaseException) -> int:
    """Report Ctrl-C, or the end of the input where a question was asked; returns the exit code."""
    if not isinstance(error.__cause__, EOFError):
        return _output.interrupted()
    _show.failed("htpoort: The input ended before the question was answered. Nothing was done.")
    return FAILED


def _unusable(text: str, *, nagios: bool) -> int:
    """Report an error of usage; returns the exit code."""
    if nagios:
        return _unknown(text.removeprefix("htpoort: "))
    _show.failed(text)
    return BAD_INPUT


def _unknown(text: str) -> int:
    """Report an error to a monitoring system, on one line; returns its exit code for a state that is not known."""
    with contextlib.suppress(_output.OutputLostError):
        _show.line(f"HTPOORT UNKNOWN - {' '.join(text.split()).replace('|', '/')}")
    return _NAGIOS_UNKNOWN


_WRITE_LINES: Final = frozenset({"run", "simulate"})
"""Commands whose JSON is one document on each line, because a collector of logs reads them while they run."""


def _failed(error: HtpoortError | OSError, arguments: Sequence[str]) -> int:
    """Report an error; returns the exit code."""
    if "--nagios" in arguments:
        return _unknown(_facts.sentence(error))
    if _output.is_committed():
        # The error came after the commit, for example when the ledger was closed.
        _show.failed(f"htpoort: The command succeeded, but afterwards: {_facts.sentence(error)}")
        return 0
    if "--json" in arguments:
        with contextlib.suppress(_output.OutputLostError):
            show = _show.json_line if arguments[0] in _WRITE_LINES else _show.as_json
            show(_facts.failure(error))
    else:
        _show.failed(f"htpoort: {_shortened(error)}")
    return FAILED if isinstance(error, SendError | LedgerError | OSError) else BAD_INPUT


def _shortened(error: HtpoortError | OSError) -> str:
    """Write an error for a person; of very many problems, such as one for each line of a file, only the first."""
    if not isinstance(error, InputError) or len(error.problems) <= _show.PROBLEMS:
        return _facts.sentence(error)
    first = InputError(error.text, error.problems[: _show.PROBLEMS])
    return f"{first}\nand {len(error.problems) - _show.PROBLEMS} more problems; --json lists all of them."
