"""
What a configuration file may refer to: systems, passwords, TLS files.

Nothing connects here, and no password is shown.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, final

import attrs

from htpoort.config._tables import Login, Tls
from htpoort.core.directory import DeclarationSystem, Directory
from htpoort.core.errors import UnknownError
from htpoort.core.text import ascii_lower, unreadable
from htpoort.core.toml_reader import Document, KeyPath
from htpoort.files import FileService
from htpoort.transport import TlsSettings

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
        look_up: Whether to read passwords and certificates. Otherwise stand-ins are used, so that a user who may not
            read the passwords can check the rest.
        places: Whether to find out if folders can be written and programs run.
        directory: The published systems and those of the file.
        services: The systems of the file that take files.
    """

    document: Document
    folder: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    look_up: bool
    places: bool
    directory: Directory
    services: tuple[FileService, ...] = ()

    def path(self, text: str) -> Path:
        """Resolve a path, relative to the folder of the file."""
        return self.folder / text

    def system(self, path: KeyPath, name: str) -> str | None:
        """
        Find the proper name of a system that takes mail, and that the file refers to.

        Args:
            path: The setting that refers to it.
            name: In any case.

        Returns:
            Its name; None if there is no such system.
        """
        return self._system(path, name, self.directory)

    def any_system(self, path: KeyPath, name: str) -> str | None:
        """
        Find the proper name of a system that takes mail or files.

        Args:
            path: The setting that refers to it.
            name: In any case.

        Returns:
            Its name; None if there is no such system.
        """
        return self._system(path, name, (*self.directory, *self.services))

    def _system(self, path: KeyPath, name: str, systems: Iterable[DeclarationSystem | FileService]) -> str | None:
        known = {ascii_lower(system.name): system.name for system in systems}
        found = known.get(ascii_lower(name))
        # If the key itself is wrong, nothing is known about the systems of the file.
        if found is None and isinstance(self.document.table.get("systems", {}), Mapping):
            hint = UnknownError("system", name, "", tuple(sorted(known.values()))).hint
            message = f"system {name!r} is neither published nor in [systems.NAME]{hint}"
            self.document.report("config.system", path, message)
        return found

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
            if password := text.removesuffix("\n").removesuffix("\r"):
                return password
            self.document.report("config.file", path, f"{file} is empty; write the password into it.")
        return _STAND_IN


def tls_of(
    sources: Sources, path: KeyPath, table: Tls, context: Callable[[TlsSettings], ssl.SSLContext]
) -> TlsSettings:
    """Build TLS settings, and check that their files can be used."""
    key_password = key_password_of(sources, path, table)
    if sources.document.is_refused(path, "certificate"):
        # Its key and its peers cannot be checked without it.
        return TlsSettings()
    files = [None if text is None else sources.path(text) for text in (table.ca_file, table.certificate, table.key)]

    def build() -> TlsSettings:
        ca_file, certificate, key = files
        settings = TlsSettings(ca_file=ca_file, certificate=certificate, key=key, key_password=key_password)
        if sources.look_up and any(files):
            context(settings)
        return settings

    return sources.document.build(path, build, TlsSettings())


def key_password_of(sources: Sources, path: KeyPath, table: Tls) -> str | None:
    return sources.secret(
        path, "key_password", literal=table.key_password, variable=table.key_password_env, file=table.key_password_file
    )


def password_of(sources: Sources, path: KeyPath, table: Login) -> str | None:
    return sources.secret(
        path, "password", literal=table.password, variable=table.password_env, file=table.password_file
    )


def check_login(document: Document, path: KeyPath, table: Login, *, required: bool) -> None:
    """Report a user name without a password, or the other way round, by the keys of the file."""
    has_password = (table.password, table.password_env, table.password_file) != (None, None, None)
    if table.username is None and (required or has_password) and not document.is_refused(path, "username"):
        document.report("toml.missing", (*path, "username"), "this setting is needed with a password.")
    wrong = document.is_refused(path, "password", "password_env", "password_file")
    if not has_password and (required or table.username is not None) and not wrong:
        document.report("toml.missing", (*path, "password"), "give it by password_env or password_file.")
