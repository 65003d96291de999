"""Check the arguments of a delivery, and put the errors of the operating system into words."""

from __future__ import annotations

import errno
import math
import re
from typing import Final

from htpoort._disk import may_pass
from htpoort.core.errors import HtpoortError, InputError, Problem
from htpoort.core.text import Redaction
from htpoort.delivery.contract import DeliveryError

_SECRET: Final = 4  # characters; a shorter argument is part of many words


def is_argument(value: object) -> bool:
    """Check whether the operating system accepts a value as an argument or a path."""
    return isinstance(value, str) and "\0" not in value


def program(argv: tuple[str, ...]) -> str:
    """Show a command without its arguments, which may contain a password."""
    return repr(argv[0]) if len(argv) == 1 else f"{argv[0]!r} and {len(argv) - 1} arguments"


def redaction(argv: tuple[str, ...]) -> Redaction:
    """Hide the arguments of a command that may be passwords, but not paths, names of options and scripts."""
    values = [_value(argument) for argument in argv[1:]]
    secrets = (value for value in values if len(value) >= _SECRET and not re.match(r"\.*/|.*\s", value))
    return Redaction(*secrets, width=_SECRET + 2)


def _value(argument: str) -> str:
    """Return the value of an option: after the equals sign, or after the letter, as in ``-pgeheim``."""
    if argument.startswith("--"):
        return argument.partition("=")[2]
    return argument[2:] if argument.startswith("-") else argument


def timeout(value: object) -> list[Problem]:
    """Check a timeout."""
    if isinstance(value, (int, float)) and 0 < value < math.inf:
        return []
    return [Problem("delivery.timeout", f"timeout is {value!r}; give seconds above 0.")]


def why(error: Exception) -> str:
    """Explain an error of the operating system, without its file names: the target shows them."""
    return f"{getattr(error, 'strerror', None) or error}."


def self_test_error(code: str, system: str, target: str, error: OSError) -> HtpoortError:
    """Make the error of a self-test: an InputError if no delivery can ever succeed, otherwise a DeliveryError."""
    if may_pass(error):
        return DeliveryError(target, why(error))
    hint = " Its folders tmp and new must be on one file system." if error.errno == errno.EXDEV else ""
    message = f"Replies of {system} cannot be delivered to {target}: {why(error)}{hint}"
    return InputError("", (Problem(code, message),))
