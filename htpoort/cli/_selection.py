"""The options that narrow a list, the list itself, and those that choose what of a message is written."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from htpoort.cli import _facts, _input, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import LARGEST_NUMBER, REST
from htpoort.core import toml_reader
from htpoort.core.errors import InputError
from htpoort.core.payload import Payload, read_payload

if TYPE_CHECKING:
    from htpoort.config import LedgerConfig

T = TypeVar("T")

OfSystem = Annotated[str | None, typer.Option("--system", help="Only this declaration system.")]
OfParty = Annotated[str | None, typer.Option("--party", help="Only this party (V).")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only from this day on, or from this ISO 8601 time with a time zone."),
]
OptionalReference = Annotated[
    str | None, typer.Argument(metavar="K", help="Reference of the exchange; or choose many by --state.")
]
ReplyNumber = Annotated[int, typer.Argument(metavar="NUMBER", min=1, max=LARGEST_NUMBER, help="Number of the reply.")]
ReplyNumbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER", min=1, max=LARGEST_NUMBER, help="Numbers of replies; by default all that failed."),
]
RawOnly = Annotated[bool, typer.Option("--raw", help="Write the message as it arrived, and nothing else.")]
PayloadOnly = Annotated[bool, typer.Option("--payload", help="Write the payload, decoded, and nothing else.")]
PartNumber = Annotated[
    int | None, typer.Option("--part", metavar="NUMBER", min=1, help="Which part is the payload, if there are several.")
]


def since(text: str | None) -> datetime | None:
    """
    Read the value of --since; a day begins at midnight in local time.

    Raises:
        InputError: The text is neither a day nor a moment with a time zone.
    """
    return None if text is None else _bound(text, "--since", timedelta(0))


def until(text: str | None) -> datetime | None:
    """
    Read the value of --until; a day ends at midnight in local time.

    Raises:
        InputError: The text is neither a day nor a moment with a time zone.
    """
    return None if text is None else _bound(text, "--until", timedelta(days=1))


def _bound(text: str, option: str, after: timedelta) -> datetime:
    with contextlib.suppress(InputError, OverflowError):
        if toml_reader.parse_day(text) is None:
            return _input.moment(text)
        return datetime.combine(_input.day(text, option) + after, time.min).astimezone()
    message = f"{option} is {text!r}; give a day such as 2026-11-30, or a time such as 2026-11-30T09:05:07+01:00."
    raise _input.refusal("input.date", message)


def system_name(name: str | None, settings: LedgerConfig) -> str | None:
    """
    Find the name of a system as the ledger has it.

    Raises:
        UnknownError: There is no such system.
    """
    return None if name is None else settings.directory.system(name).name


def of_known_party(items: Iterator[T], party: str | None, settings: LedgerConfig) -> Iterator[T]:
    """
    Check a party of which nothing is listed, so that a misspelled one is not taken for one without any.

    A party that has left the configuration may still have some.

    Raises:
        InputError: It is not a party ID.
        UnknownError: Nothing is listed, and the configuration does not have it.
    """
    first = next(items, None)
    if first is None:
        if party is not None:
            settings.party(party)
        return iter(())
    return itertools.chain((first,), items)


def check_output(*, raw: bool, payload: bool, part: int | None, json: bool) -> None:
    """
    Check that at most one form of a message is chosen.

    Raises:
        InputError: Several are, or --part is given without --payload.
    """
    if raw + payload + json > 1:
        raise _input.refusal("input.usage", "Give only one of --raw, --payload and --json.")
    if part is not None and not payload:
        raise _input.refusal("input.usage", "--part chooses what --payload writes; add --payload, or leave it out.")


def write_octets(message: bytes, *, payload: bool, part: int | None) -> None:
    """
    Write a message to standard output as it is, or its payload.

    Raises:
        InputError: There are several parts and none is chosen, there is no such part, or it cannot be decoded.
    """
    if not payload:
        _show.octets(message)
        return
    found = read_payload(message)
    octets, notes = _chosen(found, part)
    _show.octets(octets)
    for note in notes:
        _show.failed(f"htpoort: {_show.printable(note)}")


def _chosen(payload: Payload, part: int | None) -> tuple[bytes, list[str]]:
    """Choose the octets of a part; return them with what is wrong with it."""
    number = len(payload.parts)
    if not number:
        raise _input.refusal("input.part", "The message is empty, so it has no payload.")
    if part is None and number > 1:
        message = f"--part is missing: {number} parts may be the payload; give --part 1 to {number}."
        raise _input.refusal("input.part", message)
    if part is not None and part > number:
        there = "only one part" if number == 1 else f"{number} parts"
        raise _input.refusal("input.part", f"--part is {part}; the message has {there}.")
    chosen = payload.parts[(part or 1) - 1]
    notes = [problem.message for problem in chosen.problems]
    if chosen.octets is None:
        raise _input.refusal("input.part", f"{notes[0]} --raw writes the whole message.")
    return chosen.octets, notes


def show_payload(facts: _facts.Facts) -> None:
    """Print what a message carries, for a person."""
    if parts := facts["parts"]:
        _show.table("Payload", tuple(parts[0]), [tuple(part.values()) for part in parts])
    several = f"There are {len(parts)} parts that may be the payload; choose one with --payload --part NUMBER."
    problems = [{"message": several} if one["code"] == "payload.several" else one for one in facts["problems"]]
    _show.rows({"payload problems": problems})


# ── lists and orders ─────────────────────────────────────────────────────────


def show_listed(  # noqa: PLR0913 - what is listed, and each choice of how
    title: str,
    lines: Iterable[Facts],
    columns: Sequence[str],
    in_csv: Sequence[str],
    *,
    csv: bool,
    json: bool,
    limit: int,
) -> None:
    """
    Print a list: all of it as JSON or CSV, or a table of some columns and lines.

    Args:
        title: What is listed.
        lines: The facts of each line.
        columns: The columns of the table.
        in_csv: The columns of CSV.
        csv: Whether to print CSV.
        json: Whether to print JSON.
        limit: How many lines the table has at most.
    """
    if json:
        _show.json_array(lines)
    elif csv:
        _show.csv_lines(in_csv, lines)
    else:
        cells = (tuple(facts[column] for column in columns) for facts in lines)
        _show.table(title, columns, cells, limit=limit, rest=f"{REST} So has --csv.")


def with_despite(message: str) -> str:
    """
    Name the option in what the ledger says of the argument.

    Args:
        message: Why an order is refused.

    Returns:
        The same; the reason of an order that is forbidden is given by ``--despite``.
    """
    return message.replace("as despite.", "by --despite TEXT.")
