"""What the ledger holds: `show`, `list`, `reply`, `resolve`, `redeliver`, `export`, `prune`."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _facts, _input, _output, _selection, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import (
    CONFIG,
    LIMIT,
    Config,
    Csv,
    Json,
    Limit,
    ReferenceArgument,
    WhichParty,
)
from htpoort.cli._selection import (
    OfParty,
    OfSystem,
    OptionalReference,
    PartNumber,
    PayloadOnly,
    RawOnly,
    ReplyNumber,
    ReplyNumbers,
    Since,
)
from htpoort.core.errors import InputError, UnknownError
from htpoort.core.exchange import Event, State

if TYPE_CHECKING:
    from htpoort.config import LedgerConfig
    from htpoort.ledger import Exchange, Ledger

app = _input.group()
replies = _input.group("reply", "List replies, or show one with what it carries.")
app.add_typer(replies)

_DAYS: Final = 36_500  # a hundred years: more would leave the calendar
_COLUMNS: Final = ("system", "party", "reference", "business_reference", "state", "created", "changed")
_UNCHANGED: Final = "Nothing has changed; add --yes to do it."
_OF_STORY: Final = frozenset({"system", "party", "reference", "mailbox", "process_id", "redeliveries"})
"""What `show` has above its replies, or `reply show` of each."""
_REPLY_COLUMNS: Final = ("key", "system", "party", "reference", "correlation", "received", "delivered", "trouble")


@app.command()
def show(
    reference: ReferenceArgument, *, party: WhichParty = None, config: Config = CONFIG, json: Json = False
) -> None:
    """Show all that is known of a K: its exchange, what happened, and its replies."""
    reference, party = _typed(reference, party)
    with _input.opened(config) as (settings, ledger), _naming(reference, party, "exchange and no reply", settings):
        stories = [_facts.story(story) for story in ledger.story(reference, party=party)]
    if json:
        _show.as_json(stories)
        return
    for story in stories:
        exchange = story["exchange"]
        _show.rows(_without_exchange(story["replies"][0]) if exchange is None else _facts.for_person(exchange))
        for entry in story["timeline"]:
            entry["detail"] = _shortened(entry["detail"])
        for title in ("timeline", "replies"):
            lines = story[title]
            if lines:
                columns = tuple(name for name in lines[0] if name not in _OF_STORY)
                _show.table(title.capitalize(), columns, [tuple(line[name] for name in columns) for line in lines])


def _shortened(detail: str | None) -> str | None:
    """Shorten the name of a worker, whose end is there only to make it unique."""
    return None if detail is None else re.sub(r"(:\d+:[0-9a-f]{6})[0-9a-f]{26}$", r"\1", detail)


def _typed(reference: str, party: str | None) -> tuple[str, str | None]:
    """Take K and party as the user typed them."""
    return _input.words("K", reference), None if party is None else _input.words("--party", party)


@contextlib.contextmanager
def _naming(reference: str, party: str | None, lacking: str, settings: LedgerConfig) -> Generator[None]:
    """If a ledger lacks a K, suggest what to check: the party first, then K; it has too many to list them."""
    try:
        yield
    except UnknownError:
        if party is not None:
            settings.party(party)
        of = "" if party is None else f" of --party {party}"
        message = f"K {reference!r}: no {lacking}{of} in this ledger has this reference. "
        if re.fullmatch(r"[0-9A-Za-z]{1,35}", reference):
            message += "Check its spelling and case; it may be in another ledger, or of another party"
            message += ", or its reply may be in quarantine: htpoort quarantine list." if "reply" in lacking else "."
        else:
            message += "A reference has 1 to 35 letters and digits."
        raise _input.refusal("ledger.unknown-reference", message) from None


def _without_exchange(reply: Facts) -> Facts:
    """Describe what is known of a reply that has no exchange."""
    return {**{name: reply[name] for name in ("system", "party", "reference")}, "exchange": "none"}


@app.command(name="list")
def list_command(  # noqa: PLR0913 - one option for each thing that narrows the list
    *,
    state: Annotated[list[State] | None, typer.Option(help="Only this state; may be repeated.")] = None,
    system: OfSystem = None,
    party: OfParty = None,
    since: Since = None,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List exchanges, oldest first: all of them, or by state, system, party and time."""
    _input.check_one_form(csv=csv, json=json)
    moment = _selection.since(since)
    with _input.opened(config) as (settings, ledger):
        name = _selection.system_name(system, settings)
        found = ledger.exchanges.listed(*(state or ()), system=name, party=party, since=moment)
        lines = map(_facts.exchange, _selection.of_known_party(found, party, settings))
        _selection.show_listed("Exchanges", lines, _COLUMNS, _facts.EXCHANGE, csv=csv, json=json, limit=limit)


_REFUSED: Final = frozenset({"ledger.refused", "ledger.notice-forbids"})
"""The codes of an order that the ledger does not carry out for one exchange; the others of many are."""
_ORDERS: Final = {
    "--sent": Event.RESOLVED_AS_SENT,
    "--resend": Event.RESEND_ORDERED,
    "--close": Event.CLOSED,
}


@app.command()
def resolve(  # noqa: PLR0913 - one option for each decision, and for each thing that selects
    reference: OptionalReference = None,
    *,
    sent: Annotated[bool, typer.Option("--sent", help="The gateway has it: wait for its reply.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Send it again, with the same K.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Nothing more needs to be done.")] = False,
    party: Annotated[str | None, typer.Option("--party", help="Party ID (V): which K, or only this party.")] = None,
    state: Annotated[
        list[State] | None, typer.Option(help="In place of K: all exchanges in this state; may be repeated.")
    ] = None,
    system: OfSystem = None,
    since: Since = None,
    despite: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --resend: do it although a notice forbids it; for the log.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --state: do it; without this, only list them.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Settle an exchange that may or may not have been sent, send it again, or close it; or many, by --state."""
    if reference is None and not state:
        raise _input.refusal("input.usage", "K is missing; give it, or --state for all exchanges in that state.")
    if sent + resend + close != 1:
        raise _input.refusal(
            "input.usage", f"Give {'only ' if sent + resend + close else ''}one of --sent, --resend and --close."
        )
    despite = None if despite is None else _input.words("--despite", despite)
    if despite is not None and (not resend or not despite.strip()):
        raise _input.refusal("input.usage", "--despite is the reason of --resend, for the log; give it in a few words.")
    option = "--sent" if sent else "--resend" if resend else "--close"
    if reference is None:
        moment = _selection.since(since)
        with _input.opened(config) as (settings, ledger):
            name = _selection.system_name(system, settings)
            found = ledger.exchanges.listed(*(state or ()), system=name, party=party, since=moment)
            chosen = list(_selection.of_known_party(found, party, settings))
            lines = list(
                _facts.resolved(chosen, _ORDERS[option], _many(ledger, option, chosen, despite) if yes else None)
            )
            if yes:
                _output.mark_committed()
        _show_resolved(lines, done=yes, json=json)
        return
    if state or system is not None or since is not None or yes:
        raise _input.refusal("input.usage", "--state, --system, --since and --yes choose many; leave out K, or them.")
    reference, party = _typed(reference, party)
    with (
        _input.opened(config) as (settings, ledger),
        _naming(reference, party, "exchange", settings),
        _naming_order(option),
    ):
        exchange = _order(ledger, option, despite)(reference, at=_clock.now(), party=party).result()
        _output.mark_committed()
    facts = _facts.exchange(exchange)
    if json:
        _show.as_json(facts)
    else:
        _show.rows(_facts.for_person(facts))


def _order(ledger: Ledger, option: str, despite: str | None) -> Callable[..., Future[Exchange]]:
    """Find the order of the ledger for an option."""
    exchanges = ledger.exchanges
    orders: dict[str, Callable[..., Future[Exchange]]] = {
        "--sent": exchanges.resolve_as_sent_soon,
        "--resend": functools.partial(exchanges.resend_soon, despite=despite),
        "--close": exchanges.close_soon,
    }
    return orders[option]


def _many(ledger: Ledger, option: str, chosen: Iterable[Exchange], despite: str | None) -> list[str]:
    """Give the order for each exchange; return why it was refused, or an empty text."""
    order, at = _order(ledger, option, despite), _clock.now()
    # The writer commits what is handed over together in one transaction, or each by itself if one is refused.
    results = [order(exchange.reference, at=at, party=exchange.party) for exchange in chosen]
    refused: list[str] = []
    for result in results:
        error = result.exception()
        if error is not None and not (isinstance(error, InputError) and error.problems[0].code in _REFUSED):
            raise error
        refused.append("" if error is None else str(error))
    return refused


def _show_resolved(lines: list[Facts], *, done: bool, json: bool) -> None:
    """Print what an order does, or did, to each of many exchanges."""
    refused = sum(1 for line in lines if line["refused"])
    facts: Facts = {"result": "resolved" if done else "would be resolved", "number": len(lines) - refused}
    if json:
        _show.as_json({**facts, "refused": refused, "exchanges": lines})
        return
    # "refused" is the name of a state, too.
    if lines:
        columns = (*tuple(lines[0])[:-1], "not possible")
        _show.table("Exchanges", columns, [tuple(line.values()) for line in lines])
    _show.rows({
        facts["result"]: _number(len(lines) - refused, "exchange"),
        "not possible": _number(refused, "exchange") if refused else None,
    })
    if not done and len(lines) > refused:
        _show.line(_UNCHANGED)


def _number(number: int, of: str, keys: Iterable[int] = ()) -> str:
    """Count, and name the numbers of what is counted."""
    plural = "replies" if of == "reply" else f"{of}s"
    numbers = ", ".join(map(str, keys))
    return f"{number} {of if number == 1 else plural}{f': {numbers}' if numbers else ''}"


@contextlib.contextmanager
def _naming_order(option: str) -> Generator[None]:
    """If the state of an exchange does not allow an order, name the option, and the one for a new declaration."""
    try:
        yield
    except InputError as error:
        first = error.problems[0]
        if first.code not in _REFUSED:
            raise
        advice = " Queue that one with a new --reference." if first.message.endswith("a new K.") else ""
        raise _input.refusal(first.code, f"{option}: {_selection.with_despite(first.message)}{advice}") from None


@replies.command(name="list")
def list_replies(  # noqa: PLR0913 - one option for each thing that narrows the list
    *,
    system: OfSystem = None,
    party: OfParty = None,
    since: Since = None,
    undelivered: Annotated[bool, typer.Option("--undelivered", help="Only replies that wait for delivery.")] = False,
    limit: Limit = LIMIT,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List replies, oldest first, with the number of each as key."""
    _input.check_one_form(csv=csv, json=json)
    moment = _selection.since(since)
    with _input.opened(config) as (settings, ledger):
        found = ledger.replies.listed(
            system=_selection.system_name(system, settings), party=party, since=moment, undelivered=undelivered
        )
        lines = map(_facts.reply, _selection.of_known_party(found, party, settings))
        _selection.show_listed("Replies", lines, _REPLY_COLUMNS, _facts.REPLY, csv=csv, json=json, limit=limit)


@replies.command(name="show")
def show_reply(  # noqa: PLR0913 - one option for each form
    number: ReplyNumber,
    *,
    raw: RawOnly = False,
    payload: PayloadOnly = False,
    part: PartNumber = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Show one reply: its facts and what it carries, or write its message or payload."""
    _selection.check_output(raw=raw, payload=payload, part=part, json=json)
    with _input.opened(config) as (_, ledger):
        try:
            reply = ledger.replies.get(number)
        except UnknownError as error:
            raise attrs.evolve(error, place=f"{error.place}; htpoort reply list lists all numbers") from None
    if raw or payload:
        _selection.write_octets(reply.raw, payload=payload, part=part)
        return
    facts, carried = {**_facts.reply(reply), "octets": len(reply.raw)}, _facts.payload(reply.payload)
    if json:
        _show.as_json({**facts, "payload": carried})
    else:
        _show.rows(facts)
        _selection.show_payload(carried)


@app.command()
def redeliver(  # noqa: PLR0913 - one option for each thing that selects
    numbers: ReplyNumbers = None,
    *,
    since: Since = None,
    system: OfSystem = None,
    party: OfParty = None,
    yes: Annotated[bool, typer.Option("--yes", help="Without NUMBER: do it; without this, only list them.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Deliver replies again now: those that failed, and delivered ones that you name by NUMBER or --since."""
    moment, replies, done = _selection.since(since), list[Facts](), yes or bool(numbers)
    with _input.opened(config) as (settings, ledger):
        order: dict[str, Any] = {
            "at": _clock.now(),
            "keys": numbers or (),
            "since": moment,
            "system": _selection.system_name(system, settings),
            "party": party,
            "delivered": bool(numbers) or moment is not None,
        }
        if done:
            keys = iter(ledger.replies.deliver_again_now(**order))
            due = list(_selection.of_known_party(keys, party, settings))
            _output.mark_committed()
        else:
            found = ledger.replies.deliverable_again(**order)
            replies += map(_facts.reply, _selection.of_known_party(found, party, settings))
            due = [reply["key"] for reply in replies]
        waiting = ledger.replies.listed(system=order["system"], party=party, since=moment, undelivered=True)
        others = {reply.key for reply in waiting}.difference(due)
    already = sorted(others.intersection(numbers)) if numbers else sorted(others)
    facts: Facts = {
        "result": "due now" if done else "would be due now",
        "number": len(due),
        "already_due": len(already),
    }
    if json:
        _show.as_json({**facts, "replies": due})
        return
    if replies:
        _show.table("Replies", _REPLY_COLUMNS, [tuple(reply[name] for name in _REPLY_COLUMNS) for reply in replies])
    _show.rows({
        facts["result"]: _number(len(due), "reply", due if done else ()),
        "already due": _number(len(already), "reply", already if numbers else ()) if already else None,
    })
    if replies:
        _show.line(_UNCHANGED)


@app.command()
def export(
    *,
    state: Annotated[
        list[State] | None, typer.Option(help="Only exchanges in this state, and no replies; may be repeated.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Add the message of each, in base64.")] = False,
    config: Config = CONFIG,
    csv: Csv = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, which is the default.")] = False,
) -> None:
    """Print every exchange and every reply, as JSON lines or as CSV."""
    _input.check_one_form(csv=csv, json=json)
    with _input.opened(config) as (_, ledger):
        lines = _counted(_facts.exported(ledger, *(state or ()), raw=raw))
        if csv:
            _show.csv_lines((*_facts.EXPORTED, *(["raw"] if raw else [])), lines)
        else:
            for facts in lines:
                _show.json_line(facts)


def _counted(lines: Iterable[Facts]) -> Generator[Facts]:
    """Show how many lines have been written, unless they appear on the terminal themselves."""
    if sys.stdout.isatty():
        yield from lines
        return
    with _show.progress("Exporting", None) as step:
        for facts in lines:
            yield facts
            step()


@app.command()
def prune(
    *,
    older_than: Annotated[
        int, typer.Option(min=0, max=_DAYS, metavar="DAYS", help="Only what finished at least this long ago.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without this, only count what would go.")] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Delete finished exchanges older than the retention period; used references are kept."""
    with _input.opened(config) as (settings, ledger):
        now = _clock.now()
        before = now - timedelta(days=older_than)
        prune = ledger.prune if yes else ledger.prunable
        working = _show.progress("Deleting" if yes else "Counting", None)
        with _naming_age(older_than, settings.retention_days), working:
            counts = prune(before=before, at=now, days=settings.retention_days)
        if yes:
            _output.mark_committed()
    facts = {"result": "removed" if yes else "would be removed", "before": _facts.moment(before)}
    numbers = {name.replace(" ", "_"): number for name, number in counts.items()}
    (_show.as_json if json else _show.rows)({**facts, **numbers})


@contextlib.contextmanager
def _naming_age(days: int, kept: int) -> Generator[None]:
    """If the ledger refuses to prune so much, name the option and the key of the file."""
    try:
        yield
    except InputError as error:
        if error.problems[0].code != "ledger.retention":
            raise
        message = f"--older-than is {days}; [ledger] retention_days keeps {kept} days, so give at least {kept}."
        raise _input.refusal("ledger.retention", message) from None
