"""Read ``[notices]`` and ``[unanswered]``; no folder is created, and no text is read."""

from __future__ import annotations

from datetime import timedelta

from htpoort.config._sources import Sources
from htpoort.config._tables import NoticeNameTable, NoticesTable, UnansweredSystemTable, UnansweredTable
from htpoort.config.configuration import NoticesConfig, UnansweredConfig
from htpoort.core.notices import NoticeName
from htpoort.core.text import folded


def notices(sources: Sources) -> NoticesConfig:
    """Read the folder that an agent watches, and the names of systems in notices."""
    document = sources.document
    if not document.has(("notices",)):
        return NoticesConfig()
    table = document.read(("notices",), NoticesTable) or NoticesTable()
    folder = None if table.folder is None else sources.path(table.folder)
    if folder is not None and sources.places and not folder.is_dir():
        document.report("config.file", ("notices", "folder"), f"there is no folder {folder}; create it.")
    return NoticesConfig(folder=folder, names=_names(sources))


def _names(sources: Sources) -> tuple[NoticeName, ...]:
    document = sources.document
    meant: dict[tuple[str, str | None], str] = {}
    names: list[NoticeName] = []
    for path in document.tables(("notices", "name")):
        table = document.read(path, NoticeNameTable)
        # A name of none of the user's systems has an empty one.
        system = "" if table is not None and not table.system else None
        if table is not None and table.system:
            system = sources.any_system((*path, "system"), table.system)
        if table is None or system is None:
            continue
        key = folded(table.name), table.authority
        if not key[0]:
            document.report("toml.value", (*path, "name"), "give the name as notices print it.")
        elif meant.setdefault(key, system) != system:
            means = f"means {meant[key]}" if meant[key] else "concerns none"
            message = f"{table.name} already {means}; leave one of them out, or give each its authority."
            document.report("config.twice", (*path, "name"), message)
        names.append(
            NoticeName(name=table.name, system=system, authority=table.authority, mark=table.mark, source=table.source)
        )
    return tuple(names)


def unanswered(sources: Sources) -> UnansweredConfig:
    """Read how long the answers of each system may take."""
    document = sources.document
    if not document.has(("unanswered",)):
        return UnansweredConfig()
    table = document.read(("unanswered",), UnansweredTable) or UnansweredTable()
    times: dict[str, timedelta] = {}
    for path in document.tables(("unanswered", "system")):
        own = document.read(path, UnansweredSystemTable)
        system = None if own is None else sources.any_system((*path, "system"), own.system)
        if own is None or system is None:
            continue
        if system in times:
            document.report("config.twice", (*path, "system"), f"{system} has a time already.")
        times[system] = own.after
    return UnansweredConfig(after=table.after, of_systems=times)
