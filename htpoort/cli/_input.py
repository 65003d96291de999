"""
Read what a command is given: an argument, a file, or standard input.

Never does: guess; a file that cannot be read is an error that names it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Final, TextIO, cast

from htpoort.cutover import reading
from htpoort.directory import HTPOORT, Directory
from htpoort.errors import InputError, Problem, UnknownError
from htpoort.party import PartyId
from htpoort.routing import SentRecord

_OLDEST_YEAR: Final = 1900


def refusal(code: str, message: str) -> InputError:
    """Make the error of one problem."""
    return InputError("", (Problem(code, message),))


def octets(path: str) -> bytes:
    """
    Read a file, or standard input for ``-``.

    Raises:
        InputError: The file cannot be read, or standard input is closed; names it.
    """
    name = "Standard input" if path == "-" else path
    try:
        if path != "-":
            return Path(path).read_bytes()
        # None where it was closed when the program started.
        if cast("TextIO | None", sys.stdin) is not None:
            return sys.stdin.buffer.read()
    except OSError as error:
        raise refusal("input.file", f"{name} cannot be read: {error.strerror}.") from None
    raise refusal("input.file", f"{name} is closed; give a file.")


def payload(path: str, sha256: str | None) -> bytes:
    """
    Read a declaration, of which the end of a stream does not say that it is whole.

    Args:
        path: A file, or ``-``.
        sha256: Its digest in hexadecimal, where the caller has one.

    Raises:
        InputError: It cannot be read, nothing came, or it has another digest.
    """
    data = octets(path)
    if not data:
        raise refusal(
            "input.empty", "The declaration is empty; what should write it may have failed. Nothing was done."
        )
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and sha256.strip().lower() != found:
        message = f"The declaration has {len(data)} octets and the SHA-256 {found}, not the one that --sha256 gives. "
        raise refusal("input.sha256", f"{message}It was cut or changed on its way here. Nothing was done.")
    return data


def text(argument: str | None, path: str | None) -> str:
    """
    Take a text from an argument, or else from a file or standard input, without its last line end.

    Raises:
        InputError: Both are given, or the file cannot be read.
    """
    if argument is not None and path is not None:
        raise refusal("input.usage", "Give the text as an argument or in a file, not both.")
    if argument is not None and argument != "-":
        return argument
    # A broken octet must not end in a traceback; it is shown where it stands.
    read = octets(path or "-").decode("utf-8", "replace")
    return read.removesuffix("\n").removesuffix("\r")


def words(what: str, text: str) -> str:
    """
    Take a text of the command line as its user typed it, also in a locale whose encoding is not the terminal's.

    Args:
        what: The name of the argument or option.
        text: As Python has it: octets that the locale's encoding lacks are half surrogates.

    Raises:
        InputError: It holds octets that are not UTF-8 either.
    """
    try:
        # Nothing but the octets: a text without half surrogates comes back as it is.
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        message = f"{what} holds octets that are not text in this locale's encoding; use a UTF-8 locale, or ASCII."
        raise refusal("input.value", message) from None


def own_party(text: str, parties: Iterable[PartyId]) -> PartyId:
    """
    Find a party among those of the configuration.

    Raises:
        UnknownError: It is none of them, so that its replies would be a stranger's.
    """
    known = {str(party).lower(): party for party in parties}
    if text.lower() not in known:
        raise UnknownError(text, tuple(sorted(map(str, known.values()))))
    return known[text.lower()]


def some_parties(texts: Iterable[str], parties: Iterable[PartyId]) -> tuple[PartyId, ...]:
    """
    Find the parties that are asked for among those of the configuration; all where none is asked for.

    Raises:
        InputError: One is none of them; names no other, because who asks for one may not know the rest.
    """
    known = {str(party).lower(): party for party in parties}
    strangers = [text for text in texts if text.lower() not in known]
    if strangers:
        problems = (Problem("cutover.party", f"{text} is none of the parties of the file.") for text in strangers)
        raise InputError("", tuple(problems))
    return tuple({key: known[key] for key in map(str.lower, texts)}.values()) or tuple(known.values())


def printable(field: str, text: str) -> None:
    """
    Check a text that stands in lists later.

    Raises:
        InputError: It is empty, or has what no line of a list can hold.
    """
    if not (text and text.isprintable()):
        raise refusal("input.value", f"{field} is empty, or holds a control character.")


def one_form(*, csv: bool, json: bool) -> None:
    """
    Check that one form of a result is asked for.

    Raises:
        InputError: Two are.
    """
    if csv and json:
        raise refusal("input.usage", "Give --csv or --json, not both.")


def directory(path: str | None) -> Directory:
    """
    Give the published systems, with those of a TOML file added.

    Raises:
        InputError: The file cannot be read, or its systems cannot be taken.
    """
    if path is None:
        return HTPOORT
    return HTPOORT.add(*Directory.from_toml(octets(path).decode("utf-8", "replace")))


def day(text: str) -> date:
    """
    Read a day.

    Raises:
        InputError: The text is none, or one before 1900.
    """
    found = reading.day(text)
    if found is None or found.year < _OLDEST_YEAR:
        raise refusal("input.date", f"{text!r} is no day; give one as 2026-12-01 or 01-12-2026, from 1900 on.")
    return found


def moment(given: str | None, now: Callable[[], datetime]) -> datetime:
    """
    Read an ISO 8601 date and time; the present one where none is given.

    Raises:
        InputError: The text is no ISO 8601 date and time.
    """
    if given is None:
        return now()
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        message = f"date is {given!r}; give ISO 8601 with a zone, as 2026-11-02T09:05:07+01:00."
        raise refusal("input.date", message) from None


def sent(path: str) -> Callable[[str], list[SentRecord]]:
    """
    Read what was sent: JSON lines with the texts system, party and reference.

    Raises:
        InputError: The file cannot be read, or lines are not of that form; names each line.
    """
    records: dict[str, list[SentRecord]] = {}
    problems: list[Problem] = []
    for number, content in enumerate(octets(path).decode("utf-8", "replace").splitlines(), start=1):
        if not content.strip():
            continue
        record = _record(content)
        if record is None:
            message = f'{path}, line {number}: give {{"system": "…", "party": "…", "reference": "…"}}.'
            problems.append(Problem("input.sent", message))
        else:
            records.setdefault(record.reference, []).append(record)
    if problems:
        raise InputError("", tuple(problems))
    return lambda reference: records.get(reference, [])


def _record(content: str) -> SentRecord | None:
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError):  # a number of 5,000 digits; ten thousand arrays in one another
        return None
    if not isinstance(found, dict):
        return None
    table = cast("dict[str, object]", found)
    system, party, reference = (table.get(key) for key in ("system", "party", "reference"))
    if isinstance(system, str) and isinstance(party, str) and isinstance(reference, str):
        return SentRecord(system=system, party=party, reference=reference)
    return None
