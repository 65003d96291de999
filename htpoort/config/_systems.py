"""
Know the systems of a file, and look up those that it names.

Never does: complain twice about one mistake.
"""

from __future__ import annotations

from typing import cast

from htpoort.config import _lines
from htpoort.config._document import Document
from htpoort.directory import HTPOORT, Directory
from htpoort.errors import InputError, UnknownError


def directory(document: Document) -> Directory:
    """Add the systems of ``[systems.NAME]`` to the published ones."""
    made = HTPOORT
    for path, entry in document.named("systems"):
        name = str(path[-1])
        try:
            made = made.add(*Directory.from_table({"systems": {name: entry}}))
        except InputError as error:
            for problem in error.problems:
                # "systems.NAME.key: …", "systems.NAME: …", or a sentence about two systems; a name may hold dots.
                rest = problem.message.removeprefix(f"systems.{name}")
                key, _, sentence = rest.removeprefix(".").partition(": ")
                code, own = problem.code, rest != problem.message
                document.refusal(code, (*path, key) if own and key else path, sentence if own else problem.message)
    return made


def named(document: Document, systems: Directory, path: _lines.Path, name: str) -> str | None:
    """
    Give the proper name of a system that the file names.

    Args:
        document: Takes the problem.
        systems: Those that could be made.
        path: Where it is named.
        name: In any case.

    Returns:
        Its name; None where there is none, or where its own table is wrong, which has been told.
    """
    try:
        return systems.system(name).name
    except UnknownError as error:
        declared = document.table.get("systems")
        if not isinstance(declared, dict) or name.lower() not in map(str.lower, cast("dict[str, object]", declared)):
            document.refusal("config.system", path, str(error))
        return None
