"""
The services of a file gateway: what a declaration system is for mail.

This module never connects to a gateway.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final, cast, final

import attrs

from htpoort.core.directory import DeclarationSystem, Mark
from htpoort.core.errors import InputError, Problem
from htpoort.core.files.names import GatewayUser
from htpoort.core.text import ascii_lower
from htpoort.core.toml_reader import Document, KeyPath, required

__all__ = ["FileService", "clashes"]

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9._-])?")
_SERVICE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")


@final
@attrs.frozen(kw_only=True)
class FileService:
    """
    One system that takes declarations as files, through a folder of a gateway.

    >>> manifest = FileService(name="MANIFEST", service="Manifest")
    >>> manifest.folder(GatewayUser.parse("CVR_12345678_UI_12345678"))
    '/CVR_12345678/UI_12345678/Manifest'

    Args:
        name: What users call it, as for a `DeclarationSystem`: 1 to 64 ASCII letters, digits, blanks, dots, hyphens,
            underscores, with no blank at either end.
        service: The name of its folder, which is also in the names of its status files: 1 to 64 ASCII letters, digits,
            dots, hyphens and underscores, beginning with a letter or digit and not ending in a dot; not ``out``.
        title: What the system is, in one line.
        source: The document that these values come from.
        mark: How certain they are.
        closed: The first day on which it takes no new file from anyone. None if it takes them.

    Raises:
        InputError: A value is invalid. The error lists every problem.
    """

    name: str
    service: str
    title: str = ""
    source: str = ""
    mark: Mark = Mark.UNKNOWN
    closed: date | None = None

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        name, service = cast("object", self.name), cast("object", self.service)
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            message = f"name is {name!r}; give 1 to 64 letters, digits, blanks, dots, hyphens or underscores."
            problems.append(Problem("input.system-name", message))
        if not (isinstance(service, str) and _SERVICE.fullmatch(service) and ascii_lower(service) != "out"):
            message = (
                f"service is {service!r}; give the folder's name: 1 to 64 letters, digits, dots, hyphens or "
                "underscores, and not out."
            )
            problems.append(Problem("input.service", message))
        for field, kind in (("title", str), ("source", str), ("mark", Mark)):
            value: object = getattr(self, field)
            if not isinstance(value, kind):
                problems.append(Problem("input.type", f"{field} is {type(value).__name__}; give a {kind.__name__}."))
        closed = cast("object", self.closed)
        if closed is not None and (not isinstance(closed, date) or isinstance(closed, datetime)):
            message = f"closed is {type(closed).__name__}; give a date without a time, or None."
            problems.append(Problem("input.date", message))
        if problems:
            raise InputError("", tuple(problems))

    def folder(self, user: GatewayUser) -> str:
        """
        Name the folder that a user uploads to.

        Args:
            user: The user of the gateway.

        Returns:
            The path from the root, without a slash at its end.
        """
        return f"{user.folder}/{self.service}"


def clashes(systems: Iterable[DeclarationSystem], services: Iterable[FileService]) -> tuple[Problem, ...]:
    """
    Find names that two of them share.

    >>> from htpoort.core.directory import HTPOORT
    >>> clashes(HTPOORT, [FileService(name="dms", service="Manifest")])[0].message
    'The systems DMS and dms share the name dms; rename one of them.'

    Args:
        systems: The systems that are reached by mail, such as a directory.
        services: The services of file gateways.

    Returns:
        A problem for each name that two of them share, in any case; for each folder that two services share; and for
        each folder whose name is the beginning of another's up to an underscore, because the name of a status file
        would then belong to either.
    """
    problems: list[Problem] = []
    names = {ascii_lower(system.name): system.name for system in systems}
    folders: dict[str, FileService] = {}
    for service in services:
        other = names.setdefault(ascii_lower(service.name), service.name)
        if other is not service.name:
            message = f"The systems {other} and {service.name} share the name {service.name}; rename one of them."
            problems.append(Problem("directory.shared", message))
        folder = ascii_lower(service.service)
        for known, owner in folders.items():
            if folder == known:
                message = f"The services {owner.name} and {service.name} share the folder {service.service}."
            elif folder.startswith(f"{known}_") or known.startswith(f"{folder}_"):
                message = (
                    f"The folders {owner.service} and {service.service} cannot be kept apart in the name of a status "
                    "file; use one of them alone."
                )
            else:
                continue
            problems.append(Problem("directory.shared", message))
        folders.setdefault(folder, service)
    return tuple(problems)


@final
@attrs.frozen(kw_only=True)
class _ServiceTable:
    """One ``[systems.NAME]`` with the key ``service``."""

    service: str = required("stand-in")
    title: str = ""
    source: str = ""
    mark: Mark = Mark.UNKNOWN
    closed: date | None = None


def read_services(document: Document, systems: Iterable[DeclarationSystem]) -> tuple[FileService, ...]:
    """
    Read the systems of a document that take files: a table ``[systems.NAME]`` with the key ``service`` for each.

    >>> document = Document.parse('systems.MANIFEST.service = "Manifest"')
    >>> [service.service for service in read_services(document, [])]
    ['Manifest']

    Args:
        document: The document; it keeps every problem with these tables. The reader of the other systems reports what
            is no table.
        systems: The systems that are reached by mail.

    Returns:
        The services that are right, and clash with none before them.
    """
    services: tuple[FileService, ...] = ()
    tables = document.table.get("systems")
    for name in cast("Mapping[str, object]", tables) if isinstance(tables, Mapping) else ():
        path: KeyPath = ("systems", name)
        table = document.read(path, _ServiceTable) if document.has((*path, "service")) else None
        if table is None:
            continue
        build = functools.partial(FileService, name=str(path[-1]), **attrs.asdict(table))
        service = document.build(path, build, None)
        if service is None or document.is_refused(path, "service"):
            continue
        problems = clashes(systems, (*services, service))
        for problem in problems:
            document.add_problem(path, problem)
        if not problems:
            services = (*services, service)
    return services
