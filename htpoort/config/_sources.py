"""
Look up what the file refers to: passwords, variables, other files and systems.

This module never shows a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

import attrs

from htpoort.core.directory import Directory
from htpoort.core.errors import UnknownError
from htpoort.core.text import unreadable
from htpoort.core.toml_reader import Document, KeyPath

_STAND_IN: Final = "stand-in"


@final
@attrs.frozen(kw_only=True)
class Sources:
    """
    What a configuration file may refer to.

    Args:
        document: The file; it keeps the problems.
        folder: Where its relative paths start.
        environ: The environment.
        look_up: Whether to read passwords and look at files. Otherwise stand-ins are used, so that a user who may not
            read the passwords can check the rest.
        directory: The published systems and those of the file.
    """

    document: Document
    folder: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    look_up: bool
    directory: Directory

    def path(self, text: str) -> Path:
        """Resolve a path, relative to the folder of the file."""
        return self.folder / text

    def system(self, path: KeyPath, name: str) -> str | None:
        """
        Find the proper name of a system that the file refers to.

        Args:
            path: The setting that refers to it.
            name: In any case.

        Returns:
            Its name; None if there is no such system.
        """
        try:
            return self.directory.system(name).name
        except UnknownError as error:
            # If the key itself is wrong, nothing is known about the systems of the file.
            if isinstance(self.document.table.get("systems", {}), Mapping):
                message = f"system {name!r} is neither published nor in [systems.NAME]"
                self.document.report("config.system", path, f"{message}{error.hint}")
            return None

    def variable(self, path: KeyPath, name: str) -> str | None:
        """Read a variable of the environment; an empty one counts as absent."""
        value = self.environ.get(name)
        if not value:
            message = f"the environment variable {name} is not set, or is empty."
            self.document.report("config.environment", path, message)
            return None
        return value

    def secret(
        self, table: KeyPath, key: str, *, literal: str | None, variable: str | None, file: str | None
    ) -> str | None:
        """
        Read a password.

        Args:
            table: The table that names it.
            key: Its key, such as ``password``.
            literal: The value of ``<key>``, which is always refused.
            variable: The value of ``<key>_env``.
            file: The value of ``<key>_file``.

        Returns:
            The password; None if none is named; a stand-in if it cannot be read and that was reported.
        """
        if literal is not None:
            message = f'do not write a password into this file; give {key}_env = "NAME" or {key}_file = "path".'
            self.document.report("config.secret", (*table, key), message)
            return _STAND_IN
        if variable is not None and file is not None:
            self.document.report("toml.value", (*table, f"{key}_file"), f"give {key}_env or {key}_file, not both.")
            return _STAND_IN
        if variable is not None:
            return (self.variable((*table, f"{key}_env"), variable) if self.look_up else None) or _STAND_IN
        if file is not None:
            return self._read((*table, f"{key}_file"), self.path(file)) if self.look_up else _STAND_IN
        return None

    def _read(self, path: KeyPath, file: Path) -> str:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            self.document.report("config.file", path, unreadable(file, error))
        except UnicodeDecodeError:
            self.document.report("config.file", path, f"{file} is not UTF-8.")
        except ValueError:
            # A NUL.
            self.document.report("config.file", path, f"{str(file)!r} is not a path.")
        else:
            # An editor ends a file with a line end.
            return text.removesuffix("\n").removesuffix("\r")
        return _STAND_IN
