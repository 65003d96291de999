"""Start the `htpoort` command, also as ``python -m htpoort.cli``."""

from __future__ import annotations

import sys

from htpoort.cli import _output

__all__ = ["main"]


def main() -> None:
    """Run the command line; where a library is missing, print how to install it."""
    _output.guard()
    try:
        from htpoort.cli import _app  # noqa: PLC0415 - so that a missing library can be named

        code = _app.run(sys.argv[1:])
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"htpoort: {error.name} is missing; install the command line with: pip install 'htpoort[cli]'\n"
        )
        sys.exit(_output.FAILED)
    sys.exit(_output.end(code))


if __name__ == "__main__":
    main()
