"""
Word the help of every command and every usage error in one way.

The library that reads the command line describes values as types of Python. Here, an option is shown with the name of
its value, such as PORT, and a wrong value is answered with the option, the value and what to give.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, cast, final, get_args, get_origin

from htpoort.cli._input import LARGEST_NUMBER

__all__ = ["in_plain_words", "options_in_plain_words", "sentence"]

_VALUES: Final = {
    "business_reference": "TEXT",
    "ca_file": "FILE",
    "certificate": "FILE",
    "client_certificate": "WHETHER",
    "content_type": "TYPE",
    "date": "TIME",
    "file_name": "NAME",
    "host": "HOST",
    "interface": "INTERFACE",
    "key": "FILE",
    "key_password": "PASSWORD",
    "kind": "NAME",
    "layout": "LAYOUT",
    "transfer_encoding": "ENCODING",
    "mail_from": "ADDRESS",
    "mailbox": "ADDRESS",
    "message_id": "ID",
    "party": "ID",
    "password": "PASSWORD",
    "ftps_port": "PORT",
    "ftps_tls_port": "PORT",
    "listen_port": "PORT",
    "pop3_port": "PORT",
    "pop3s_port": "PORT",
    "port": "PORT",
    "reference": "K",
    "security": "SECURITY",
    "server": "HOST",
    "state": "STATE",
    "subject": "SUBJECT",
    "system": "NAME",
    "timeout": "SECONDS",
    "tls_port": "PORT",
    "username": "NAME",
    "web_port": "PORT",
    "why": "REASON",
}
"""The name of the value of each option that does not bring one of its own."""

_EXTRA: Final = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", re.DOTALL)
_NO_COMMAND: Final = re.compile(r"No such command (.*)\.", re.DOTALL)


def in_plain_words(command: Any) -> Any:  # noqa: ANN401 - typer brings a click of its own, whose types it hides
    """
    Show the arguments and options of a command, or of each command of a group, without types of Python.

    Args:
        command: As typer made it; it is changed.

    Returns:
        The same command.
    """
    for inner in getattr(command, "commands", {}).values():
        in_plain_words(inner)
    return options_in_plain_words(command)


def options_in_plain_words(command: Any) -> Any:  # noqa: ANN401 - as above
    """
    Show the arguments and options of a command, without those of the commands of a group.

    Args:
        command: As typer made it; it is changed.

    Returns:
        The same command.
    """
    command.get_help_option = functools.partial(_help_option, command.get_help_option)
    command.parse_args = functools.partial(_parse_args, command, command.parse_args)
    for parameter in command.params:
        choices = [str(choice.value) for choice in parameter.type_descriptor.choices or ()]
        parameter.get_runtime_param = _Reader(parameter.get_runtime_param)
        if parameter.param_type_name == "argument":
            # Its name is enough.
            parameter.display_type_rich = _no_type
            parameter.get_usage_pieces = functools.partial(_usage_pieces, parameter)
        elif parameter.metavar is None and not parameter.is_flag:
            parameter.metavar = _VALUES.get(parameter.name)
        if choices:
            parameter.help = f"{parameter.help} One of: {', '.join(choices)}."
            parameter.type_descriptor.parameter_info.case_sensitive = False
        if parameter.min is not None and parameter.param_type_name == "option":
            parameter.help = f"{parameter.help} {_range(parameter.min, parameter.max).capitalize()}."
        # What is read is checked against the limits of the annotation; these are only shown.
        parameter.min = parameter.max = None
    return command


def _usage_pieces(parameter: Any, ctx: object) -> list[str]:  # noqa: ANN401 - typer hides the types of its parameters
    """Show an argument in the line of usage: in brackets if it may be left out, with dots if it may be repeated."""
    del ctx
    name = parameter.metavar if parameter.required else f"[{parameter.metavar}]"
    return [name if parameter.nargs == 1 else f"{name}..."]


def _parse_args(command: Any, parse: Callable[[Any, list[str]], list[str]], ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
    """
    Refuse an option with two values: the library would take the last one, and one of two parties would be left out.

    Completion reads lines that are not complete.
    """
    if not ctx.resilient_parsing:
        _, _, order = command.make_parser(ctx).parse_args(args=list(args))
        options = [one for one in order if one.param_type_name == "option" and not (one.multiple or one.is_flag)]
        for option in options:
            if options.count(option) > 1:
                ctx.fail(f"{_name(option)} is there more than once, and takes one value.")
    return parse(ctx, args)


def _help_option(make: Callable[[Any], Any], ctx: Any) -> Any:  # noqa: ANN401 - typer hides the types of its parameters
    """Make the option --help; its value is False where it is not given, so that the library need not read it."""
    option = make(ctx)
    option.default = False
    return option


@final
class _Reader:
    """
    Take a text, a path or a default as it is, and let the library read numbers and choices.

    The library reads them with pydantic, which takes half as long to import as SQLAlchemy.

    Args:
        load: Returns the library's reader of the parameter.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def __call__(self) -> Self:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401 - typer hides the types of its parameters
        """Convert a value of the command line, or a default, to the type of its annotation."""
        kind = param.type_descriptor.annotation
        if get_origin(kind) is list:
            values = cast("tuple[object, ...]", value or ())
            if all(isinstance(item, get_args(kind)) for item in values):
                return list(values)
        elif value is None or isinstance(value, kind):
            return value
        elif kind is Path:
            return Path(value)
        return self._load().coerce(value, param=param, ctx=ctx)


def _no_type(ctx: object) -> None:
    """Show nothing beside the name of an argument."""
    del ctx


def sentence(error: Any) -> str:  # noqa: ANN401 - typer hides the types of its errors
    """
    Word a usage error.

    Args:
        error: Any error of the library that reads the command line.

    Returns:
        A sentence for standard error; the help where a group was called without a command.
    """
    command = getattr(getattr(error, "ctx", None), "command_path", "htpoort")
    text = str(error.message)
    if text.startswith("Usage: "):
        return text
    return f"htpoort: {_of_value(error) or _of_option(error, command) or _of_argument(text, command) or text}"


def _of_value(error: Any) -> str:  # noqa: ANN401 - typer hides the types of its errors
    """Word a value that is missing or cannot be read; empty for another error."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        return ""
    name = _name(parameter)
    if error.__cause__ is None:
        return f"{name} is missing."
    return f"{name} is {_wrong(error.__cause__)!r}; give {_right(parameter)}."


def _name(parameter: Any) -> str:  # noqa: ANN401 - typer hides the types of its parameters
    """Name an option, or an argument as the help does."""
    return str(parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0])


def _wrong(cause: Any) -> str:  # noqa: ANN401 - an error of pydantic, which typer reads values with
    """Find the value that could not be read; of several, the first that is wrong."""
    first = cause.errors()[0]
    inner = first.get("ctx", {}).get("error")
    return _wrong(inner) if hasattr(inner, "errors") else str(first["input"])


def _right(parameter: Any) -> str:  # noqa: ANN401 - typer hides the types of its parameters
    """Say what an option or argument takes."""
    values = parameter.type_descriptor
    if values.choices:
        *others, last = (str(choice.value) for choice in values.choices)
        return f"{', '.join(others)} or {last}"
    given = values.parameter_info
    if given.max == LARGEST_NUMBER:
        return "a number such as 17"
    kind = "a number" if values.annotation is float else "a whole number"
    return f"{kind}, {_range(given.min, given.max)}"


def _range(least: float, most: float | None) -> str:
    """Write the limits of a number."""
    return f"{least} or more" if most is None else f"{least} to {most}"


def _of_option(error: Any, command: str) -> str:  # noqa: ANN401 - typer hides the types of its errors
    """Word an option that does not exist, or that is given with or without a value; empty for another error."""
    option = getattr(error, "option_name", None)
    if option is None:
        return ""
    if "not take a value" in error.message:
        return f"{option} takes no value."
    if "requires" in error.message:
        return f"{option} needs a value after it."
    nearest = " or ".join(sorted(getattr(error, "possibilities", None) or ()))
    meant = f"; did you mean {nearest}?" if nearest else "."
    return f"{option} is not an option of {command}{meant} For all options: {command} --help"


def _of_argument(text: str, command: str) -> str:
    """Word an argument that has no place, or a command that does not exist; empty for another error."""
    if found := _EXTRA.fullmatch(text):
        return (
            f"{found[1]!r} is too many for {command}; put a value that has spaces in quotes. "
            f"For all arguments: {command} --help"
        )
    if found := _NO_COMMAND.fullmatch(text):
        return f"{found[1]} is not a command of {command}. For all commands: {command} --help"
    return ""
