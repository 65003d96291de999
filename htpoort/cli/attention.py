"""What needs a person: `htpoort status`, `resume`, and `quarantine list`, `show`, `release`, `discard`, `withdraw`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from htpoort import _clock
from htpoort.cli import _attention, _facts, _input, _output, _selection, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import CONFIG, LIMIT, REST, Config, Json, MessageNumber
from htpoort.cli._selection import PartNumber, PayloadOnly, RawOnly
from htpoort.core.errors import InputError, UnknownError
from htpoort.core.exchange import State
from htpoort.core.files import GatewayUser
from htpoort.core.payload import read_payload
from htpoort.core.routing import Objection, Quarantined

if TYPE_CHECKING:
    from htpoort.config import AgentConfig
    from htpoort.ledger import WithdrawnRelease

app = _input.group()
quarantine = _input.group("quarantine", "List, show, release or discard messages whose process is not known.")
app.add_typer(quarantine)


@app.command()
def status(
    *,
    config: Config = CONFIG,
    nagios: Annotated[
        bool, typer.Option("--nagios", help="Print one line for a monitoring system, and end with its exit codes.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what needs attention, why, and what to type next; and count exchanges, replies and quarantine."""
    if nagios and json:
        raise _input.refusal("input.usage", "Give --nagios or --json, not both.")
    now = _clock.now()
    with _input.opened_with_agent(config) as (settings, ledger):
        paused = ledger.servers.paused()
        facts = _facts.status(ledger, paused)
        folders = [_attention.Folder.read(folder) for folder in settings.folders]
        attention = list(_attention.of_everything(settings, ledger, facts, paused, folders, now))
        facts["folders"] = [folder.facts(now) for folder in folders]
        facts["attention"] = attention
    if nagios:
        code, text = _nagios(facts)
        _show.line(text)
        raise typer.Exit(code)
    if json:
        _show.as_json(facts)
        return
    _show_counts(facts)
    _show_lists(facts)
    if facts["attention"]:
        _show.line("")
        _show.line("Needs attention:")
    for one in facts["attention"]:
        for line in _attention.in_words(one):
            _show.line(line)
    if not facts["attention"]:
        _show.line("Nothing needs attention.")


def _show_counts(facts: Facts) -> None:
    """Count what the ledger holds."""
    exchanges = [(system, state, number) for system, of in facts["exchanges"].items() for state, number in of.items()]
    if exchanges:
        _show.table("Exchanges", ("system", "state", "number"), exchanges)
    else:
        _show.line("No declaration has been queued.")
    oldest = {f"oldest open of {system}": _show.local(at) for system, at in facts["oldest_open"].items()}
    waiting = {f"undelivered of {system}": number for system, number in facts["undelivered"].items()}
    _show.rows({**oldest, **waiting, "in quarantine": facts["quarantined"]})
    for folder in facts["folders"]:
        numbers = ", ".join(f"{folder[what]} {what.replace('_', ' ')}" for what in _attention.COUNTED)
        _show.rows({f"files in {folder['path']}": folder["error"] or numbers})


def _show_lists(facts: Facts) -> None:
    """List what is held because of notices, and the exchanges that need attention."""
    if facts["held"]:
        columns = ("system", "since", "until")
        lines = [tuple(held[column] for column in columns) for held in facts["held"]]
        _show.table("Systems that are held because of a notice", columns, lines)
        # A sentence in a table makes it as wide as itself, where nothing is folded.
        _show.rows({f"{held['system']} is held": held["why"] for held in facts["held"]})
    if facts["asks"]:
        _show_exchanges("Exchanges that need a decision", facts["asks"])
        counted = {
            state.value: sum(states.get(state.value, 0) for states in facts["exchanges"].values())
            for state in _facts.NEED_ATTENTION
        }
        more = sum(counted.values()) - len(facts["asks"])
        if more > 0:
            options = " ".join(f"--state {state}" for state, number in counted.items() if number)
            _show.line(f"and {more} more; list them with: htpoort list {options}")
    if facts["early"]:
        # Nothing can have been sent yet, so the reply cannot be an answer.
        title = "A reply arrived before the declaration was sent, so it cannot be its answer; see htpoort show K"
        _show_exchanges(title, facts["early_replies"])
        more = facts["early"] - len(facts["early_replies"])
        if more > 0:
            _show.line(f"and {more} more")


def _show_exchanges(title: str, exchanges: Sequence[Facts]) -> None:
    _show.table(title, _facts.ATTENTION, [tuple(one[name] for name in _facts.ATTENTION) for one in exchanges])


# ── for a monitoring system ──────────────────────────────────────────────────


def _nagios(facts: Facts) -> tuple[int, str]:
    """Write one line in the form of a Nagios plugin; returns its exit code too."""
    levels = [one["level"] for one in facts["attention"]]
    code, word = (2, "CRITICAL") if "critical" in levels else (1, "WARNING") if levels else (0, "OK")
    things = [
        one["what"] + ("" if one["since"] is None else f" since {_show.local(one['since'])}")
        for level in ("critical", "warning")
        for one in facts["attention"]
        if one["level"] == level
    ]
    states = {state: sum(of.get(state.value, 0) for of in facts["exchanges"].values()) for state in State}
    numbers = {
        **{state.value: states[state] for state in _attention.MEANING},
        "held": states[State.HELD],
        "too_old": sum(facts["too_old"].values()),
        "open": sum(number for state, number in states.items() if state.is_open),
        "undelivered": sum(facts["undelivered"].values()),
        "quarantined": facts["quarantined"],
        "early": facts["early"],
        "paused": len(facts["paused"]),
        **{f"files_{what}": sum(folder[what] for folder in facts["folders"]) for what in _attention.COUNTED},
    }
    # A vertical bar begins the numbers.
    text = _show.printable("; ".join(things) or "nothing needs attention").replace("|", "/")
    return code, f"HTPOORT {word} - {text} | {' '.join(f'{name}={number}' for name, number in numbers.items())}"


# ── resume ───────────────────────────────────────────────────────────────────


@app.command()
def resume(
    server: Annotated[
        str | None,
        typer.Argument(metavar="SERVER", help="Name of the server in status, or a part of it; by default all."),
    ] = None,
    *,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Try servers again now that pause after a failure; a running agent obeys within seconds."""
    with _input.opened(config) as (_, ledger):
        paused = [pause.name for pause in ledger.servers.paused()]
        names = _named(server, paused)
        ordered = ledger.servers.resume(*names, at=_clock.now()) if names else ()
        _output.mark_committed()
    if json:
        _show.as_json({"result": "ordered", "servers": list(ordered)})
        return
    when = "at the next htpoort run --once, or within seconds by an agent that runs"
    for name in ordered:
        _show.line(_show.printable(f"{name} is tried {when}; see htpoort status."))
    if not ordered:
        _show.line("No server is paused.")


def _named(server: str | None, paused: list[str]) -> list[str]:
    """
    Find the servers that a user means.

    Raises:
        InputError: None of those that are paused has this in its name.
    """
    if server is None:
        return paused
    part = _input.words("SERVER", server)
    found = [part] if part in paused else [name for name in paused if part.lower() in name.lower()]
    if not found:
        those = f"Paused are: {'; '.join(paused)}." if paused else "No server is paused."
        raise _input.refusal("input.server", f"SERVER: no server that is paused has {part!r} in its name. {those}")
    return found


# ── the quarantine ───────────────────────────────────────────────────────────


@quarantine.command(name="list")
def list_command(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Released and discarded messages too.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", min=1, help="Most lines in the table; JSON has all.")
    ] = LIMIT,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """List the messages that wait for a decision."""
    columns = ("key", "state", "received", "reason", "from", "subject", "copies")
    with _input.opened(config) as (_, ledger):
        facts = map(_facts.held, ledger.quarantine.listed(None) if everything else ledger.quarantine.listed())
        if json:
            _show.json_array(facts)
        else:
            shown = (one | _sender_and_subject(one) for one in facts)
            lines = (tuple(one[column] for column in columns) for one in shown)
            _show.table("Messages in quarantine", columns, lines, limit=limit, rest=REST)


def _sender_and_subject(held: Facts) -> Facts:
    """Where mailbox or envelope are not known for sure, give what the message has in their place."""
    return {"from": held["mailbox"] or held["from"], "subject": held["subject"] or held["subject_text"]}


@quarantine.command()
def show(  # noqa: PLR0913 - one option for each form
    number: MessageNumber,
    *,
    raw: RawOnly = False,
    payload: PayloadOnly = False,
    part: PartNumber = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Show one message of the quarantine, what it carries, and what was decided about it and why."""
    _selection.check_output(raw=raw, payload=payload, part=part, json=json)
    with _input.opened(config) as (_, ledger), _advising():
        held = ledger.quarantine.get(number)
        log = _facts.log(ledger.quarantine.log(number))
        message = ledger.quarantine.message(number)
    if raw or payload:
        _selection.write_octets(message, payload=payload, part=part)
        return
    facts, carried = _facts.held(held), _facts.payload(read_payload(message))
    if json:
        _show.as_json({**facts, "payload": carried, "log": log})
    else:
        texts = {"from": facts.pop("from") or None, "subject as it came": facts.pop("subject_text") or None}
        *others, problems = facts.items()
        _show.rows({**dict(others), **texts, **dict([problems])})
        _selection.show_payload(carried)
        _show.table("Log", ("at", "event", "detail"), [tuple(entry.values()) for entry in log])


@quarantine.command()
def release(  # noqa: PLR0913 - one option for each part of the decision
    number: MessageNumber,
    *,
    system: Annotated[str, typer.Option(help="Declaration system that the message is from.")],
    party: Annotated[str, typer.Option(help="Party ID that the message is for.")],
    reference: Annotated[
        str | None, typer.Option(help="Reference (K) of the message; by default the one in its Subject.")
    ] = None,
    despite: Annotated[
        list[Objection] | None,
        typer.Option(metavar="OBJECTION", help="What the refusal names, and you know better; may be repeated."),
    ] = None,
    why: Annotated[str | None, typer.Option(help="The reason, for the log; needed with --despite.")] = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Hand a message over to the process that you choose."""
    reason = None if why is None else _input.words("--why", why)
    with _input.opened(config) as (settings, ledger), _advising(), _naming_despite():
        if (service := settings.service(system)) is not None:
            if reference is None:
                raise _input.refusal("release.reference", "--reference is missing; give the name of the upload.")
            with _input.about("--party"):
                user = GatewayUser.parse(party)
            stored = ledger.quarantine.release_file(
                number,
                service=service,
                user=user,
                reference=reference,
                at=_clock.now(),
                despite=despite or (),
                reason=reason,
            )
        else:
            stored = ledger.quarantine.release(
                number,
                system=settings.directory.system(system),
                party=settings.party(party),
                reference=reference,
                at=_clock.now(),
                directory=settings.directory,
                despite=despite or (),
                reason=reason,
            )
        _output.mark_committed()
    facts: Facts = {"result": "released", "key": number, "reply": stored.key, "repeated": stored.repeated}
    if not isinstance(stored.routing, Quarantined):
        routed = stored.routing
        facts |= {"system": routed.system.name, "party": str(routed.party), "reference": routed.reference}
        facts["correlation"] = routed.correlation.value
    # What was named is what was known against it, or the ledger had refused.
    overridden = [objection.value for objection in Objection if objection in (despite or ())]
    if json:
        _show.as_json({**facts, "despite": overridden})
    else:
        _show.rows({**facts, "despite": ", ".join(overridden) or None})


@contextlib.contextmanager
def _advising() -> Generator[None]:
    """If the quarantine lacks a number, name the command that lists them."""
    try:
        yield
    except UnknownError as error:
        if error.kind != "message":
            raise
        raise attrs.evolve(error, place=f"{error.place} (see htpoort quarantine list --all)") from None


@contextlib.contextmanager
def _naming_despite() -> Generator[None]:
    """Name the options for what the ledger knows against a choice, and for the reason."""
    try:
        with _input.naming(despite="--despite", reason="--why"):
            yield
    except InputError as error:
        codes = {problem.code for problem in error.problems}
        if not (named := [objection.value for objection in Objection if f"release.{objection.value}" in codes]):
            raise
        *others, last = error.problems
        options = "".join(f"--despite {name} " for name in named)
        last = attrs.evolve(last, message=f"{last.message} Add {options}--why REASON.")
        raise InputError(error.text, (*others, last)) from None


@quarantine.command()
def discard(
    number: MessageNumber,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the log.")],
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Mark a message as one for no process; it stays readable."""
    why = _input.words("--why", why)
    with _input.opened(config) as (_, ledger), _advising(), _input.naming(reason="--why"):
        ledger.quarantine.discard(number, at=_clock.now(), reason=why)
        _output.mark_committed()
    (_show.as_json if json else _show.rows)({"result": "discarded", "key": number})


@quarantine.command()
def withdraw(
    number: MessageNumber,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the log.")],
    delivered: Annotated[
        bool, typer.Option("--delivered", help="Do it although a process has the reply; you fetch that back yourself.")
    ] = False,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Take a wrong release back; the message waits for a decision again."""
    why = _input.words("--why", why)
    with (
        _input.opened_with_agent(config) as (settings, ledger),
        _advising(),
        _input.naming(reason="--why"),
        _naming_delivered(),
    ):
        withdrawn = ledger.quarantine.withdraw(number, at=_clock.now(), reason=why, delivered=delivered)
        _output.mark_committed()
    facts: Facts = {"result": "withdrawn", "key": number}
    if not withdrawn.may_be_delivered:
        (_show.as_json if json else _show.rows)(facts)
        return
    facts |= _whereabouts(withdrawn, settings)
    if json:
        _show.as_json(facts)
        return
    _show.rows({**facts, "delivered": facts["delivered"] or "perhaps; its end is not recorded"})
    _show.line("Fetch it back there yourself; the message waits in quarantine again.")


def _whereabouts(withdrawn: WithdrawnRelease, settings: AgentConfig) -> Facts:
    """Describe which process has a reply that was taken back, and which file, as the configuration is today."""
    reply = withdrawn.reply
    delivery, file = settings.delivery_of(reply)
    return {
        "reply": reply.key,
        "system": reply.system,
        "party": reply.party,
        "reference": reply.reference,
        "delivered": _facts.moment(withdrawn.delivered),
        "delivery": delivery or None,
        "file": None if file is None else str(file),
    }


@contextlib.contextmanager
def _naming_delivered() -> Generator[None]:
    """Name the option that takes back what a process has."""
    try:
        yield
    except InputError as error:
        problems = (
            attrs.evolve(each, message=each.message.replace("give delivered=True", "add --delivered"))
            for each in error.problems
        )
        raise InputError(error.text, tuple(problems)) from None
