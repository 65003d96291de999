"""
Queue many files at once for `htpoort queue`: go on after what is refused, and report what became of each.

What a file decides is decided by the folder that it is in, as an agent does (`htpoort.agent.DeclarationFiles`).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Final, final

import attrs

from htpoort import _clock
from htpoort.agent import DeclarationFiles, DeclarationFolder, Dispatcher
from htpoort.cli import _facts, _input, _output, _show
from htpoort.cli._facts import Facts
from htpoort.cli._input import MessageOptions
from htpoort.config import LedgerConfig
from htpoort.core.errors import HtpoortError, InputError, LedgerError, UnknownError
from htpoort.core.text import unreadable
from htpoort.ledger import Exchange, Ledger

_AGAIN: Final = "Repeat the command to queue the others; what is queued stays as it is."
_RESULTS: Final = {
    "queued": "queued",
    "repeated": "queued before",
    "refused": "refused",
    "named-twice": "named twice",
    "left-alone": "left alone",
    "no-file": "no file",
}
"""What may become of a file: the word for programs, and the one for people."""


@final
@attrs.frozen(kw_only=True)
class _Outcome:
    """What became of a file, by its name as the user knows it."""

    file: str
    result: str
    exchange: Exchange | None = None
    error: HtpoortError | None = None
    message: str = ""

    def facts(self) -> Facts:
        """Describe it for a program."""
        facts: Facts = {"file": self.file, "result": self.result}
        if self.exchange is not None:
            facts |= _facts.exchange(self.exchange)
        if self.error is not None:
            facts |= _facts.failure(self.error)
        return {**facts, "message": self.message} if self.message else facts

    def line(self) -> str:
        """Describe it for a person."""
        text = f"{_RESULTS[self.result]:<13}  {self.file}"
        if self.exchange is not None:
            text += f"  {self.exchange.system} {self.exchange.party} {self.exchange.reference}"
        why = self.message if self.error is None else _why(self.error)
        return f"{text}: {why}" if why else text


def _why(error: HtpoortError) -> str:
    """Write an error on one line."""
    return " ".join(problem.message for problem in error.problems) if isinstance(error, InputError) else str(error)


@final
@attrs.frozen(kw_only=True)
class Report:
    """What became of all files, and why the command stopped before the last one, if it did."""

    outcomes: list[_Outcome]
    not_reached: int
    stopped: Facts | None

    def show(self, *, json: bool, kind_note: str | None) -> int:
        """Print it, with what is to be known of the kind; returns the exit code."""
        counts = {result: sum(outcome.result == result for outcome in self.outcomes) for result in _RESULTS}
        bad = counts["refused"] + counts["no-file"]
        if self.stopped is None and not bad:
            _output.mark_committed()
        _output.make_optional()
        if json:
            numbers = {result.replace("-", "_"): count for result, count in counts.items()}
            files = [outcome.facts() for outcome in self.outcomes]
            note = {} if kind_note is None else {"kind": kind_note}
            _show.as_json({**numbers, "not_reached": self.not_reached, "stopped": self.stopped, **note, "files": files})
        else:
            for outcome in self.outcomes:
                _show.line(_show.printable(outcome.line()))
            # A folder without files is none that was refused.
            parts = [f"{count} {_RESULTS[result]}" for result, count in counts.items() if count and result != "no-file"]
            parts += [f"{self.not_reached} not reached"] if self.not_reached else []
            _show.line(f"{', '.join(parts) or '0 queued'}.")
            if counts["refused"]:
                _show.line("Correct what was refused and repeat the command; what is queued stays as it is.")
            if kind_note is not None:
                _show.line(_show.printable(f"Note: {kind_note}."))
            if self.stopped is not None:
                _show.failed(f"htpoort: {self.stopped['message']}")
        if self.stopped is not None:
            return _output.FAILED
        return _output.BAD_INPUT if bad else 0


@final
@attrs.frozen
class _File:
    """A file, the folder that gives its values, and its name as the user knows it."""

    folder: DeclarationFiles
    name: str
    file: str


@final
@attrs.frozen
class Files:
    """Many declarations, each a file, and what is the same for all of them."""

    settings: LedgerConfig
    ledger: Ledger
    options: MessageOptions
    system: str | None
    kind: str | None
    pattern: str | None

    def queue(self, texts: Iterable[str]) -> Report:
        """Queue what the arguments name, one by one, and go on after what is refused."""
        dispatcher = self.settings.dispatcher(self.ledger)
        folder = self._folder(self.pattern or "*.xml")
        self._check_what_all_share(dispatcher)
        listed = list(self._listed(texts, folder))
        outcomes: list[_Outcome] = []
        stopped: Facts | None = None
        with _show.progress("Queueing", len(listed)) as advance, _interruption() as interrupted:
            try:
                for outcome in self._outcomes(dispatcher, listed, interrupted):
                    outcomes.append(outcome)
                    advance()
            except KeyboardInterrupt:
                unclear = [one.file for one in listed[len(outcomes) :][:1]]
                stopped = _interrupted(" ".join((*(f"{file} may be queued or not." for file in unclear), _AGAIN)))
            except LedgerError as error:
                stopped = _facts.failure(error)
        if stopped is None and len(outcomes) < len(listed):
            stopped = _interrupted(_AGAIN)
        return Report(outcomes=outcomes, not_reached=len(listed) - len(outcomes), stopped=stopped)

    def _outcomes(
        self, dispatcher: Dispatcher, listed: Iterable[_File | _Outcome], interrupted: Callable[[], bool]
    ) -> Iterator[_Outcome]:
        """Queue the files, until the user asks to stop."""
        seen: dict[tuple[str, str], str] = {}
        for one in listed:
            if interrupted():
                return
            yield one if isinstance(one, _Outcome) else self._outcome(dispatcher, one, seen)

    def _folder(self, pattern: str) -> DeclarationFolder:
        with _input.naming(pattern="--pattern", party="--party", system="--system"):
            return DeclarationFolder(
                path=Path(),
                mailbox=self.options.mailbox,
                pattern=pattern,
                party=self.options.party or None,
                system=self.system,
                settle=0,
                layout=self.options.layout.value,
                transfer_encoding=self.options.encoding,
            )

    def _check_what_all_share(self, dispatcher: Dispatcher) -> None:
        """Refuse what would be wrong with every file, once."""
        party = self.options.party or str(self.settings.parties[0])
        system = next(iter(self.settings.directory)).name
        if "{system}" not in (self.pattern or ""):  # noqa: RUF027 - a placeholder
            chosen = dispatcher.choose(party=party, reference="", at=_clock.now(), system=self.system, kind=self.kind)
            system = chosen.system.name
        options = attrs.evolve(self.options, party=party, reference="K1")
        options.build(b"<Declaration/>", system=system, known=self.settings.directory)

    def _listed(self, texts: Iterable[str], folder: DeclarationFolder) -> Iterator[_File | _Outcome]:
        """List the files of all arguments; of those that cannot be queued, what became of them."""
        seen: set[Path] = set()
        by_itself = folder if self.pattern is not None else self._folder("*")
        for text in texts:
            is_folder = os.path.isdir(text)  # noqa: PTH112 - False also for a name that cannot be one
            for one in _files_of(text, folder) if is_folder else (_file(text, by_itself),):
                if isinstance(one, _Outcome):
                    yield one
                elif (place := _absolute(one.folder.folder.path / one.name)) in seen:
                    yield _Outcome(file=one.file, result="named-twice", message="It is queued once.")
                else:
                    seen.add(place)
                    yield one

    def _outcome(self, dispatcher: Dispatcher, file: _File, seen: dict[tuple[str, str], str]) -> _Outcome:
        """Queue a file; *seen* has the file of each K of this command."""
        try:
            with _input.systems_in(f"[systems] of {self.settings.file}"):
                dispatched = file.folder.queue(dispatcher, file.name, at=_clock.now(), kind=self.kind)
        except (InputError, UnknownError) as error:
            return _Outcome(file=file.file, result="refused", error=self._naming_other(error, file, seen))
        except (OSError, ValueError) as error:  # a name with a null character is a ValueError
            refusal = _input.refusal("input.file", unreadable("It", error))
            return _Outcome(file=file.file, result="refused", error=refusal)
        exchange = dispatched.exchange
        seen.setdefault((exchange.party, exchange.reference), file.file)
        result = "repeated" if exchange.repeated else "queued"
        return _Outcome(file=file.file, result=result, exchange=exchange)

    def _naming_other(self, error: HtpoortError, file: _File, seen: dict[tuple[str, str], str]) -> HtpoortError:
        """If a file has the K of another file of this command, name that one too."""
        if not isinstance(error, InputError) or error.problems[0].code != "ledger.reference-used":
            return error
        values = file.folder.folder.match(file.name) or {}
        key = (str(self.settings.party(values.get("party", self.options.party))), values.get("reference", ""))
        if key not in seen:
            return error
        first = error.problems[0]
        message = f"{first.message} {seen[key]} has the same K."
        return InputError(error.text, (attrs.evolve(first, message=message), *error.problems[1:]))


def _files_of(text: str, folder: DeclarationFolder) -> Iterator[_File | _Outcome]:
    """List the files of a folder, oldest first, and those that are left alone."""
    files = DeclarationFiles(attrs.evolve(folder, path=Path(text)))
    form = f"of the form {folder.pattern}"
    try:
        waiting, others = files.waiting(), files.others()
    except OSError as error:
        yield _Outcome(file=text, result="no-file", error=_input.refusal("input.file", unreadable("It", error)))
        return
    if not waiting:
        refusal = _input.refusal(
            "input.file", f"There is no file {form} in this folder; give another folder, or --pattern."
        )
        yield _Outcome(file=text, result="no-file", error=refusal)
    for name in waiting:
        yield _File(files, name, str(Path(text, name)))
    for name in others:
        why = files.folder.why_left_alone(name)
        advice = ""
        if why.startswith("it is in a subfolder"):
            below = "*/" * (name.count("/") - folder.pattern.count("/"))
            advice = f" Give --pattern {_show.quoted(below + folder.pattern)}, or name that folder."
        message = f"{why[0].upper()}{why[1:].replace(' are sent', ' are queued')}.{advice}"
        yield _Outcome(file=str(Path(text, name)), result="left-alone", message=message)


def _file(text: str, folder: DeclarationFolder) -> _File:
    """Find the folder that the pattern starts from; the name is what comes below it."""
    path = _absolute(text)
    above = path.parents[min(folder.pattern.count("/"), len(path.parents) - 1)]
    return _File(DeclarationFiles(attrs.evolve(folder, path=above)), path.relative_to(above).as_posix(), text)


def _absolute(path: Path | str) -> Path:
    """Write a path without .. and from the root; links in it stay, because their names may have values."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - the other one follows links


def _interrupted(advice: str) -> Facts:
    """Describe a stop by Ctrl-C as an error."""
    return {"error": "interrupted", "message": f"Interrupted. {advice}", "retryable": True}


@contextlib.contextmanager
def _interruption() -> Generator[Callable[[], bool]]:
    """Let the first Ctrl-C stop the command between two files; a second one ends it at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        del frame
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # as in the background of a shell
        yield lambda: False
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
