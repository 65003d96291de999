"""
The `htpoort` command: the library for people, and for programs in any language.

Each module without an underscore holds a group of commands; `_app` has the table of all commands and their modules.
The others are what all commands share: their options (`_input`), values as facts (`_facts`), facts on a screen
(`_show`), and standard output itself (`_output`); `_bulk` is what `queue` does with many files.
"""

from __future__ import annotations

import sys

from htpoort._extras import how_to_install
from htpoort.cli import _output

__all__ = ["main"]


def main() -> None:
    """Run the command line; where a library is missing, print how to install it."""
    _output.guard()
    try:
        from htpoort.cli import _app  # noqa: PLC0415 - so that a missing library can be named

        code = _app.run(sys.argv[1:])
    except KeyboardInterrupt:  # while the libraries were imported
        sys.exit(_output.interrupted())
    except ModuleNotFoundError as error:
        sys.stderr.write(f"htpoort: {error.name} is missing; {how_to_install('cli')}\n")
        sys.exit(_output.FAILED)
    sys.exit(_output.end(code))
