"""
Find what needs a person, and what to type next: for `htpoort status`, and for the end of `htpoort run --once`.

Each thing is the same facts for a person and for a program: `level`, `what`, `since`, `why` and `next`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import attrs

from htpoort.cli import _facts, _notice_advice, _show
from htpoort.cli._facts import Facts
from htpoort.core.exchange import State
from htpoort.core.notices.consequences import outstanding_since
from htpoort.core.text import one_line
from htpoort.ledger import check_url

if TYPE_CHECKING:
    from htpoort.agent import DeclarationFiles, DeclarationFolder, FolderContent
    from htpoort.config import AgentConfig, UnansweredConfig
    from htpoort.core.notices import PlacedWindow
    from htpoort.ledger import Concern, Ledger, PausedServer, QuarantinedMessage

LONG: Final = timedelta(minutes=10)
"""What is due for so long has no agent that does it; a server that fails does not count for so long as a failure."""
_LATE: Final = timedelta(hours=1)
"""A server that fails for so long is critical: declarations must not wait for days unnoticed."""
MEANING: Final = {
    State.UNKNOWN: ("may or may not have been sent", "--sent, --resend or --close"),
    State.REFUSED: ("for good, by the mail server", "--resend or --close"),
    State.FAILED: ("at every attempt, or by a report of the gateway", "--resend or --close"),
}
"""What each state that needs attention means, and the decisions that it allows."""
COUNTED: Final = ("waiting", "refused", "left_alone")
"""What is counted in a folder of declarations."""
_HOUR: Final = timedelta(hours=1)
_UNANSWERED: Final = frozenset({State.ACCEPTED.value, State.UNKNOWN.value})
_WAITING: Final = tuple(state for state in State if state.is_waiting)
"""The states in which an agent sends a declaration when it is due."""


def of_ledger(  # noqa: PLR0913 - what is known, and for whom
    settings: AgentConfig,
    ledger: Ledger,
    facts: Facts,
    paused: Sequence[PausedServer],
    now: datetime,
    *,
    patience: timedelta = LONG,
) -> Iterator[Facts]:
    """
    List what needs a person in a ledger, what cannot go on without one first.

    Args:
        settings: The configuration.
        ledger: The open ledger.
        facts: What `_facts.status` gives for it.
        paused: The servers that are paused.
        now: The current time.
        patience: How long a reply may wait for a delivery that has not failed; none after an agent has run.
    """
    yield from _exchanges(ledger, facts)
    for pause in paused:
        yield _paused(pause, now)
    sending = any(pause.name.startswith("SMTP ") for pause in paused)
    yield from _unsent(settings, ledger, facts, now, sending=sending, has_run=not patience)
    yield from _undelivered(settings, ledger, facts, now, patience)
    yield from _of_notices(ledger, now)
    if (first := next(ledger.quarantine.listed(), None)) is not None:
        yield _quarantined(first, facts["quarantined"], next(iter(first.problems), first.reason))
    yield from _early(facts)


def _quarantined(first: QuarantinedMessage, number: int, why: str, *, named: bool = True) -> Facts:
    """Describe what is in quarantine by its first message, which is named only to who may know how many there were."""
    what = f"In quarantine: {_number(number, 'message', 'messages')}, the first"
    next_command = f"htpoort quarantine show {first.key}" if number == 1 and named else "htpoort quarantine list"
    return _one("warning", what, since=first.received, why=one_line(why), next_command=next_command)


def _early(facts: Facts) -> Iterator[Facts]:
    """Describe the exchanges with a reply that cannot be an answer."""
    for early in facts["early_replies"][:1]:
        what = f"{_number(facts['early'], 'exchange has', 'exchanges have')} a reply from before it was sent, the first"
        why = "it cannot be an answer"
        since = datetime.fromisoformat(early["since"])
        next_command = f"htpoort show {early['reference']} --party {early['party']}"
        yield _one("warning", what, since=since, why=why, next_command=next_command)


def of_everything(  # noqa: PLR0913, PLR0917 - what is known, where, and when
    settings: AgentConfig,
    ledger: Ledger,
    facts: Facts,
    paused: Sequence[PausedServer],
    folders: Sequence[Folder],
    now: datetime,
) -> Iterator[Facts]:
    """
    List what needs a person in a ledger, in notices and in folders.

    Args:
        settings: The configuration.
        ledger: The open ledger.
        facts: What `_facts.status` gives for it.
        paused: The servers that are paused.
        folders: The folders of declarations, with what is in them.
        now: The current time.
    """
    yield from of_ledger(settings, ledger, facts, paused, now)
    yield from of_unanswered(ledger, facts, settings.ledger.unanswered, now)
    yield from of_notices_without_system(ledger, [system.name for system in settings.ledger.directory], now)
    yield from of_notice_folder(settings.ledger.notices.folder, now)
    for folder in folders:
        yield from folder.attention(now)


def of_party(settings: AgentConfig, ledger: Ledger, party: str, now: datetime) -> Iterator[Facts]:
    """
    List what needs a person for one party; nothing of any other party is in it.

    Args:
        settings: The configuration.
        ledger: The open ledger.
        party: The party.
        now: The current time.
    """
    from htpoort.report import pauses_for_parties  # noqa: PLC0415 - `status` needs nothing of it

    facts = _facts.status(ledger, (), party)
    paused = list(pauses_for_parties(ledger.servers.paused()))
    yield from _exchanges(ledger, facts, party)
    for pause in paused:
        yield _paused(pause, now)
    yield from _unsent(settings, ledger, facts, now, sending=bool(paused), party=party)
    yield from _undelivered(settings, ledger, facts, now, LONG, party)
    yield from _of_notices(ledger, now, facts, party)
    for message in ledger.reports.quarantined(most=1, party=party).items:
        # What else it says may name another party.
        yield _quarantined(message, facts["quarantined"], message.reason, named=False)
    yield from _early(facts)
    yield from of_unanswered(ledger, facts, settings.ledger.unanswered, now, party)


@final
@attrs.frozen
class Folder:
    """
    A folder of declarations, and what is in it.

    Args:
        files: The folder.
        content: What is in it, or why that cannot be seen.
    """

    files: DeclarationFiles
    content: FolderContent | OSError

    @classmethod
    def read(cls, folder: DeclarationFolder) -> Folder:
        """Look into a folder."""
        # Imported here, because most configurations have no folder.
        from htpoort.agent import DeclarationFiles  # noqa: PLC0415

        files = DeclarationFiles(folder)
        try:
            return cls(files, files.content())
        except OSError as error:
            return cls(files, error)

    def facts(self, now: datetime) -> Facts:
        """Count its files."""
        path, content = str(self.files.folder.path), self.content
        if isinstance(content, OSError):
            return {"path": path, **dict.fromkeys(COUNTED, 0), "waiting_since": None, "error": self._error(content)}
        numbers = (len(content.waiting), len(content.refused), len(content.left_alone(now)))
        since = _facts.moment(content.waiting_since)
        return {"path": path, **dict(zip(COUNTED, numbers, strict=True)), "waiting_since": since, "error": None}

    def attention(self, now: datetime) -> Iterator[Facts]:
        """List what needs a person: what keeps every file from being sent first."""
        if not isinstance(self.content, OSError):
            yield from self._refused(self.content)
        yield from self.attention_after_run(now)

    def attention_after_run(self, now: datetime) -> Iterator[Facts]:
        """List what needs a person, without the refused files."""
        path, content = self.files.folder.path, self.content
        if isinstance(content, OSError):
            what, why = f"The folder {path} cannot be read, so no declaration in it is sent", self._error(content)
            next_command = "let this user read it, or correct path in [[folder]]; then htpoort check"
            yield _one("critical", what, since=None, why=why, next_command=next_command)
            return
        if (late := content.waiting_since) is not None and now - late >= LONG:
            what = f"{_number(len(content.waiting), 'file waits', 'files wait')} in {path}, the first"
            why = "no agent runs, or it cannot take what is there"
            next_command = "htpoort check; then htpoort run, or htpoort run --once"
            yield _one("critical", what, since=late, why=why, next_command=next_command)
        if names := content.left_alone(now):
            what, why = self.files.left_alone_in_words(names)
            next_command = "rename what is to be sent, and move everything else away"
            yield _one("warning", what, since=content.others[names[0]], why=why, next_command=next_command)

    def _error(self, error: OSError) -> str:
        """Say why the folder cannot be read; name the folder below it if that is the one."""
        below = error.filename is not None and Path(error.filename) != self.files.folder.path
        return _facts.sentence(error) if below else error.strerror or str(error)

    def _refused(self, content: FolderContent) -> Iterator[Facts]:
        """Describe the files that cannot be sent as they are."""
        if not content.refused:
            return
        path, name = self.files.folder.path, min(content.refused, key=content.refused.__getitem__)
        number = _number(len(content.refused), "file was refused and is", "files were refused and are")
        reason, came_from = self.files.reason_file(name), (path / Path(*Path(name).parts[1:])).parent
        yield _one(
            "critical",
            f"{number} in {path / 'bad'}, the first",
            since=content.refused[name],
            why=f"{one_line(name)}: {self.files.reason(name)}",
            next_command=f"read {_show.quoted(str(reason))}; correct the file and move it back into "
            f"{_show.quoted(str(came_from))}, or remove it",
        )


def _one(level: str, what: str, *, since: datetime | None, why: str, next_command: str) -> Facts:
    return {"level": level, "what": what, "since": _facts.moment(since), "why": why, "next": next_command}


def in_words(one: Facts) -> tuple[str, str]:
    """Write one thing that needs attention as a sentence, and the command to type next as another line."""
    since = "" if one["since"] is None else f" since {_show.local(one['since'])}"
    why = f": {one['why']}" if one["why"] else "."
    return _show.printable(f"{one['what']}{since}{why}"), _show.printable(f"  Next: {one['next']}")


def _number(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _exchanges(ledger: Ledger, facts: Facts, party: str | None = None) -> Iterator[Facts]:
    """Describe the exchanges that only a decision settles: for each state how many, and the first."""
    for state, (meaning, decisions) in MEANING.items():
        numbers = {system: of[state.value] for system, of in facts["exchanges"].items() if state.value in of}
        those = [one for system in numbers for one in ledger.exchanges.oldest(system, state, most=1, party=party)]
        if not those:
            continue
        number, first = sum(numbers.values()), min(those, key=operator.attrgetter("changed"))
        (story, *_) = ledger.story(first.reference, party=first.party)
        verb = "declaration has failed" if state is State.FAILED else f"declaration is {state.value}"
        verbs = "declarations have failed" if state is State.FAILED else f"declarations are {state.value}"
        yield _one(
            "critical",
            f"{_number(number, verb, verbs)} ({meaning}), the first",
            since=first.changed,
            # A detail may begin with the kind of failure, which is the word for the state.
            why=story.entries[-1].detail.removeprefix(f"{state.value}: ") if story.entries else "",
            next_command=f"htpoort show {first.reference} --party {first.party}; then htpoort resolve "
            f"{first.reference} --party {first.party} with {decisions}",
        )


def _paused(pause: PausedServer, now: datetime) -> Facts:
    """Describe a server that fails."""
    next_try = _show.local(_facts.moment(pause.next_try))
    forgotten = now - pause.next_try >= LONG
    if forgotten:
        again = f"It was to be tried again at {next_try}, and no agent did"
        next_command = "htpoort run, or htpoort run --once"
    elif now >= pause.next_try:
        again = "It is due: an agent that runs tries it within seconds, otherwise the next htpoort run --once does"
        next_command = "htpoort run --once, if neither an agent nor cron does it"
    else:
        again = f"It is tried again at {next_try}"
        next_command = f"mend the cause, then: htpoort resume {_show.quoted(pause.name)}"
    level = "critical" if forgotten or now - pause.since >= _LATE else "warning"
    why = f"{pause.why.removesuffix('.')}. {again}" if pause.why else again
    return _one(level, f"{pause.name} has failed", since=pause.since, why=why, next_command=next_command)


def _of_notices(ledger: Ledger, now: datetime, facts: Facts | None = None, party: str | None = None) -> Iterator[Facts]:
    """Describe what is held without a known end, and what was sent while everything was rejected."""
    systems = None if facts is None else {held["system"] for held in facts["held"]}
    for held in ledger.windows.held(at=now):
        if held.until is None and not held.is_over and (systems is None or held.system in systems):
            what = f"Declarations to {held.system} are held without a known end"
            next_command = "htpoort windows list; store the notice that ends it, or send all the same: htpoort recover "
            next_command += f"{_show.quoted(held.notice)} --do let-go --despite REASON --yes"
            yield _one("warning", what, since=held.since, why=held.why, next_command=next_command)
    of_notice: dict[str, list[Concern]] = {}
    for concern in ledger.recoveries.presumed_rejected(at=now):
        if party is not None and concern.exchange.party.lower() != party.lower():
            continue
        of_notice.setdefault(concern.window.notice, []).append(concern)
    for notice, concerns in of_notice.items():
        number = _number(len(concerns), "declaration is", "declarations are")
        what = f"{number} presumed rejected, sent in a window of notice {notice}, the first"
        next_command = f"htpoort recover {_show.quoted(notice)}"
        yield _one("warning", what, since=concerns[0].sent, why=concerns[0].rule.to_do, next_command=next_command)


def of_unanswered(
    ledger: Ledger, facts: Facts, limits: UnansweredConfig, now: datetime, party: str | None = None
) -> Iterator[Facts]:
    """
    List the systems whose answers are too old, as `htpoort unanswered` decides it, with one query for each.

    Args:
        ledger: The open ledger.
        facts: What `_facts.status` gives for it; gets the number of each system as *too_old*.
        limits: How long an answer may take.
        now: The current time.
        party: The party that the facts are of; None for everything.
    """
    facts["too_old"] = {}
    availability = ledger.notices.availability()
    for system, states in facts["exchanges"].items():
        most = limits.limit(system)
        if most is None or not states.keys() & _UNANSWERED:
            continue
        until = outstanding_since(availability, system, age=most, at=now)
        number, first = ledger.exchanges.oldest_unanswered(system, until=until, party=party)
        if first is None:
            continue
        facts["too_old"][system] = number
        what = (
            f"{_number(number, f'declaration to {system} has', f'declarations to {system} have')} no answer, the first"
        )
        why = f"an answer may take {most / _HOUR:g} hours, without the windows that notices state"
        of_party = "" if party is None else f" --party {party}"
        next_command = f"htpoort unanswered --system {system}{of_party}; then ask Customs"
        yield _one("warning", what, since=first.since, why=why, next_command=next_command)


def of_notices_without_system(ledger: Ledger, systems: Sequence[str], now: datetime) -> Iterator[Facts]:
    """List the notices that would hold declarations, but whose names are mapped to none of some systems."""
    of_notice: dict[str, list[PlacedWindow]] = {}
    for window in ledger.notices.availability().windows_without_system(systems, at=now):
        of_notice.setdefault(window.notice, []).append(window)
    for notice, windows in of_notice.items():
        names = list(dict.fromkeys(window.window.system or "" for window in windows))
        what = f"{_notice_advice.holds_nothing(notice, names, systems)}. Its first window is"
        why = "what is sent to such a system meanwhile may be rejected"
        next_command = (
            f"if it is a system that you send to, add [[notices.name]] with name = {names[0]!r} and its system; "
            'if it is none of yours, with system = ""'
        )
        yield _one("warning", what, since=windows[0].opens, why=why, next_command=next_command)


def of_notice_folder(folder: Path | None, now: datetime) -> Iterator[Facts]:
    """List what cannot be read in the folder of notices."""
    if folder is None:
        return
    # Imported here, because most configurations have no such folder.
    from htpoort.agent import NoticeFiles  # noqa: PLC0415

    try:
        refused = NoticeFiles(folder).refused(at=now)
    except OSError as error:
        what, why = f"The folder {folder} cannot be read, so no notice in it is", error.strerror or "it does not answer"
        next_command = "let this user read it, or correct folder in [notices]"
        yield _one("warning", what, since=None, why=why, next_command=next_command)
        return
    for outcome in refused[:1]:
        what = (
            f"{_number(len(refused), 'file', 'files')} in {folder} cannot be read as a notice, the first {outcome.file}"
        )
        next_command = "correct it, or type the notice in: htpoort windows add"
        yield _one("warning", what, since=None, why=outcome.refusal, next_command=next_command)


def _unsent(  # noqa: PLR0913 - what is known, and for whom
    settings: AgentConfig,
    ledger: Ledger,
    facts: Facts,
    now: datetime,
    *,
    sending: bool,
    has_run: bool = False,
    party: str | None = None,
) -> Iterator[Facts]:
    """Describe declarations that no agent sends; if a server fails, that is the reason, unless none would be used."""
    is_only_agent = (has_run or settings.is_of_agent) and _has_one_agent(settings)
    for system, numbers in facts["exchanges"].items():
        never = is_only_agent and not settings.sends_to(system)
        oldest = [one for state in _WAITING for one in ledger.exchanges.oldest(system, state, most=1, party=party)]
        late = [one for one in oldest if never or (now - one.due >= LONG and not sending)]
        if not late:
            continue
        number, first = sum(numbers[one.state.value] for one in late), min(late, key=operator.attrgetter("due"))
        what = _number(number, f"declaration to {system} waits", f"declarations to {system} wait")
        has_table = settings.sends_to(system)
        why, next_command = _not_served("an", f"[[outbox]] for {system}", has_table=has_table, never=never)
        yield _one("critical", f"{what}, the first", since=first.due, why=why, next_command=next_command)


def _has_one_agent(settings: AgentConfig) -> bool:
    """Return whether no other agent can do what this configuration has no table for; on a server, one may."""
    return check_url(settings.ledger.url).drivername == "sqlite"


def _not_served(article: str, table: str, *, has_table: bool, never: bool) -> tuple[str, str]:
    """Say why no agent does something, and what to do: none runs, or none has the table."""
    if never:
        return f"there is no {table}", f"add {article} {table}; then htpoort check"
    why = f"no agent runs, or none has {article} {table}"
    if has_table:
        return why, "htpoort run"
    mend = f"add {article} {table} to this configuration, or start the agent that has one; then htpoort check"
    return f"{why}; this configuration has none", mend


def _undelivered(  # noqa: PLR0913, PLR0917 - what is known, and for whom
    settings: AgentConfig,
    ledger: Ledger,
    facts: Facts,
    now: datetime,
    patience: timedelta,
    party: str | None = None,
) -> Iterator[Facts]:
    """Describe replies that could not be delivered, or that no agent delivers."""
    for system, number in facts["undelivered"].items():
        first = next(ledger.replies.listed(system=system, undelivered=True, party=party), None)
        if first is None or not (first.trouble or now - first.due >= patience):
            continue
        what = _number(number, f"reply of {system} waits", f"replies of {system} wait") + " for delivery, the first"
        if first.trouble:
            of_party = "" if party is None else f" --party {party}"
            next_command = f"mend the cause, then: htpoort redeliver --system {system}{of_party} --yes"
            yield _one("warning", what, since=first.received, why=first.trouble, next_command=next_command)
        else:
            has_table = settings.delivers(system, str(first.party))
            table = f"[[delivery]] for {system}"
            table += f" and {first.party}" if settings.delivers(system) and not has_table else ""
            never = not patience and not has_table and _has_one_agent(settings)
            why, next_command = _not_served("a", table, has_table=has_table, never=never)
            yield _one("critical", what, since=first.due, why=why, next_command=next_command)
