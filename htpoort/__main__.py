"""Start the `htpoort` command as ``python -m htpoort``."""

from __future__ import annotations

from htpoort.cli import main

if __name__ == "__main__":
    main()
