"""
Fetch what must not stand in the file: passwords, from the environment or from files of their own.

Never does: show one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

import attrs

from htpoort.config import _lines
from htpoort.config._document import Document

_STAND_IN: Final = "stand-in"


@final
@attrs.frozen
class Sources:
    """
    Give passwords and look at files, or only check that they are named.

    Args:
        document: Takes the problems.
        environ: The environment.
        real: Whether to fetch anything; otherwise a stand-in is given, so that the rest can be checked
            by somebody who may not read the passwords.
    """

    document: Document
    environ: Mapping[str, str] = attrs.field(repr=False)
    real: bool

    def path(self, text: str) -> Path:
        """Take a path as relative to the file's folder."""
        return self.document.folder / text

    def variable(self, path: _lines.Path, name: str) -> str | None:
        """Read a variable of the environment; one that is empty counts as absent."""
        value = self.environ.get(name)
        if not value:
            self.document.refusal("config.environment", path, f"the environment has no variable {name}.")
            return None
        return value

    def secret(
        self, table: _lines.Path, key: str, *, literal: str | None, variable: str | None, file: str | None
    ) -> str | None:
        """
        Fetch a password.

        Args:
            table: Where it is named.
            key: What it is, as ``password``.
            literal: The value of ``<key>``, which there must not be.
            variable: The value of ``<key>_env``.
            file: The value of ``<key>_file``.

        Returns:
            The password; None where none is named. A stand-in where it cannot be had, after the problem was kept.
        """
        if literal is not None:
            message = f'a password does not belong in this file; give {key}_env = "NAME" or {key}_file = "path".'
            self.document.refusal("config.secret", (*table, key), message)
            return _STAND_IN
        if variable is not None and file is not None:
            self.document.refusal("toml.value", (*table, f"{key}_file"), f"give {key}_env or {key}_file, not both.")
            return _STAND_IN
        if variable is not None:
            return (self.variable((*table, f"{key}_env"), variable) if self.real else None) or _STAND_IN
        if file is not None:
            return self._content((*table, f"{key}_file"), self.path(file)) if self.real else _STAND_IN
        return None

    def _content(self, path: _lines.Path, file: Path) -> str:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            self.document.refusal("config.file", path, f"{file} cannot be read: {error.strerror}.")
        except UnicodeDecodeError:
            self.document.refusal("config.file", path, f"{file} is not UTF-8.")
        except ValueError:
            # A NUL.
            self.document.refusal("config.file", path, f"{str(file)!r} is no path.")
        else:
            # An editor ends a file with a line end.
            return text.removesuffix("\n").removesuffix("\r")
        return _STAND_IN
