"""
Start the `htpoort` command, also as ``python -m htpoort.cli``.

Never does: more than hand over, or say what is not installed.
"""

from __future__ import annotations

import sys

from htpoort.cli import _output

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say what to install."""
    _output.guard()
    try:
        from htpoort.cli import _app  # noqa: PLC0415 - so that its absence can be explained
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"htpoort: {error.name} is missing; install the command line with: pip install 'htpoort[cli]'\n"
        )
        sys.exit(1)
    sys.exit(_output.end(_app.run(sys.argv[1:])))


if __name__ == "__main__":
    main()
