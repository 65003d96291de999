"""What a command does never depends on its output: closed, full, without a reader, or ASCII."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: S404 - the command runs as its users start it
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

import attrs
import pytest
from agents import declaration
from command_options import build_options
from databases import new_ledger

from htpoort import Outcome, Router, State
from htpoort.ledger import Ledger, QuarantineState

PARTY: Final = "NL123456789.02.05"
NOON: Final = datetime(2018, 1, 5, 12, 0, 0, tzinfo=UTC)
COMMAND: Final = (sys.executable, "-m", "htpoort")
TAKEN: Final = "htpoort: The command succeeded, but standard output could not be written: {}.\n"
REPLY: Final = b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=K1][S=0]\r\n\r\nx\r\n"
LOST: Final = "htpoort: The result could not be written to standard output: {}.\n"
WHY: Final = {"closed": "it is closed", "full": "No space left on device", "gone": "Broken pipe"}

# Two ways in which a terminal takes ASCII alone; and one that takes a part of what there is.
LOCALES: Final = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
}


@attrs.frozen
class Ran:
    """How a command ended."""

    code: int
    out: bytes
    err: str


@attrs.frozen
class Office:
    """A folder with a configuration and a ledger, and the command in it."""

    folder: Path

    @contextmanager
    def ledger(self) -> Generator[Ledger]:
        """Open the ledger."""
        with Ledger.open(f"sqlite:///{self.folder}/htpoort.db") as ledger:
            yield ledger

    def queue(self, reference: str, *, lrn: str | None = None, outcome: Outcome | None = None) -> None:
        """Put a declaration in, and perhaps let its attempt end in an outcome."""
        message = declaration(reference)
        with self.ledger() as ledger:
            ledger.exchanges.queue(message, at=NOON, business_reference=lrn)
            if outcome is not None:
                claim = ledger.exchanges.claim_soon(["DMS"], owner="a", most=9, at=NOON, lease=timedelta(minutes=2))
                for one in claim.result():
                    ledger.exchanges.settle_soon(one, outcome, at=NOON).result()

    def keep_apart(self) -> int:
        """Take in a message that is quarantined; returns its number."""
        raw = b"From: stranger@elsewhere.example\r\nSubject: [V=DMS4.NL][A=NL123456789.02.05][K=K9][S=0]\r\n\r\n-\r\n"
        with self.ledger() as ledger:
            return ledger.replies.take_in(Router(parties=[PARTY]), raw, mail_from=None, at=NOON).key

    def state(self, reference: str) -> State:
        """Return the state of an exchange."""
        with self.ledger() as ledger:
            (story,) = ledger.story(reference)
            return story.exchange.state

    def run(
        self,
        *arguments: str | bytes,
        out: str = "kept",
        stdin: bytes = b"",
        env: dict[str, str] | None = None,
        closed: str = "",
    ) -> Ran:
        """
        Run a command.

        Args:
            arguments: Its arguments.
            out: ``kept``, or ``closed``, ``full`` (a disk) or ``gone`` (a pipe without a reader).
            stdin: What it reads.
            env: Beside the environment.
            closed: Further redirections of the shell.
        """
        closing = (" >&-" if out == "closed" else "") + closed
        started = ["/bin/sh", "-c", f'exec "$@"{closing}', "sh", *COMMAND, *arguments]
        with self._stdout(out) as stdout:
            ran = subprocess.run(  # noqa: S603 - our own command
                started,
                cwd=self.folder,
                env={**os.environ, **(env or {})},
                input=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                check=False,
            )
        return Ran(ran.returncode, ran.stdout or b"", ran.stderr.decode())

    @staticmethod
    @contextmanager
    def _stdout(out: str) -> Generator[int | IO[bytes]]:
        if out == "gone":
            read, write = os.pipe()
            os.close(read)
            try:
                yield write
            finally:
                os.close(write)
        elif out == "full":
            with Path("/dev/full").open("wb") as full:
                yield full
        else:
            yield subprocess.PIPE


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Give a configuration and an empty ledger."""
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(f'parties = ["{PARTY}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n')
    new_ledger(tmp_path / "htpoort.db")
    return Office(tmp_path)


class TestDone:
    """What is committed is done: exit code 0, even if the output is lost."""

    @pytest.mark.parametrize("out", WHY)
    def test_queue(self, office: Office, out: str) -> None:
        """A caller that reads any other code as "not queued" would declare twice."""
        ran = office.run("queue", *build_options(reference="K1"), out=out, stdin=b"<MetaData/>")

        assert (0, TAKEN.format(WHY[out])) == (ran.code, ran.err)
        assert State.QUEUED == office.state("K1")

    def test_no_stream_at_all(self, office: Office) -> None:
        """Standard error may be closed too, and the ledger's file gets the descriptor of neither."""
        ran = office.run("queue", *build_options(reference="K1"), out="closed", stdin=b"<MetaData/>", closed=" 2>&-")

        assert (0, b"", "") == (ran.code, ran.out, ran.err)
        assert State.QUEUED == office.state("K1")

    def test_standard_error_is_full(self, office: Office) -> None:
        """A full disk behind both streams does not change the code either, not even at interpreter exit."""
        ran = office.run(
            "queue", *build_options(reference="K1"), out="full", stdin=b"<MetaData/>", closed=" 2>/dev/full"
        )

        assert 0 == ran.code
        assert State.QUEUED == office.state("K1")

    @pytest.mark.parametrize("out", WHY)
    def test_resolve(self, office: Office, out: str) -> None:
        """A command that was carried out exits with 0."""
        office.queue("K1", outcome=Outcome.UNKNOWN)
        ran = office.run("resolve", "K1", "--sent", "--json", out=out)

        assert (0, TAKEN.format(WHY[out])) == (ran.code, ran.err)
        assert State.ACCEPTED == office.state("K1")

    def test_release(self, office: Office) -> None:
        """A message that was released is released for good."""
        key = office.keep_apart()
        ran = office.run("quarantine", "release", str(key), "--system", "DMS", "--party", PARTY, out="full")
        with office.ledger() as ledger:
            (reply,) = ledger.replies.listed()

        assert (0, TAKEN.format(WHY["full"]), "K9") == (ran.code, ran.err, reply.reference)

    def test_discard(self, office: Office) -> None:
        """So is one that was discarded."""
        key = office.keep_apart()
        ran = office.run("quarantine", "discard", str(key), "--why", "spam", out="gone")
        with office.ledger() as ledger:
            state = ledger.quarantine.get(key).state

        assert (0, TAKEN.format(WHY["gone"]), QuarantineState.DISCARDED) == (ran.code, ran.err, state)

    def test_redeliver(self, office: Office) -> None:
        """The reply is due; a second order has nothing to do."""
        with office.ledger() as ledger:
            key = ledger.replies.take_in(Router(parties=[PARTY]), REPLY, mail_from=None, at=NOON).key
            later = datetime(2099, 1, 1, tzinfo=UTC)
            ledger.replies.mark_failed_soon(key, at=NOON, due=later, trouble="away").result()
        ran = office.run("redeliver", "--yes", out="full")
        with office.ledger() as ledger:
            left = ledger.replies.deliver_again_now(at=NOON + timedelta(days=3_650))

        assert (0, TAKEN.format(WHY["full"]), []) == (ran.code, ran.err, left)

    def test_prune(self, office: Office) -> None:
        """What is deleted is deleted."""
        office.queue("K1", outcome=Outcome.ACCEPTED)
        with office.ledger() as ledger:
            ledger.exchanges.close("K1", at=NOON)
        ran = office.run("prune", "--older-than", "2600", "--yes", out="closed")
        with office.ledger() as ledger:
            ((_, message),) = ledger.exchanges.messages()

        assert (0, TAKEN.format(WHY["closed"]), None) == (ran.code, ran.err, message)

    def test_a_built_message_in_its_file(self, office: Office) -> None:
        """The result is the file."""
        options = (*build_options(reference="K1"), "--output", "made.eml", "--json")
        ran = office.run("build", *options, out="full", stdin=b"<MetaData/>")

        assert (0, TAKEN.format(WHY["full"])) == (ran.code, ran.err)
        assert b"From: edi@forwarder.example" == (office.folder / "made.eml").read_bytes().splitlines()[0]

    def test_nothing_to_print(self, office: Office) -> None:
        """A command that prints nothing needs no standard output."""
        options = (*build_options(reference="K1"), "--output", "made.eml")
        ran = office.run("build", *options, out="closed", stdin=b"<MetaData/>")

        assert (0, "") == (ran.code, ran.err)


READERS: Final = {
    "parse": ("parse", "[V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]"),
    "build": ("build", *build_options(reference="K1")),
    "show": ("show", "K1", "--json"),
    "unanswered": ("unanswered",),
    "export, CSV": ("export", "--csv"),
    "raw": ("quarantine", "show", "1", "--raw"),
    "would be pruned": ("prune", "--older-than", "2600"),
    "help": ("queue", "--help"),
}


class TestResult:
    """If the output is the result, an incomplete result is not a success."""

    @pytest.fixture
    def busy(self, office: Office) -> Office:
        """Give a ledger from which every command prints something."""
        office.queue("K1", outcome=Outcome.ACCEPTED)
        office.keep_apart()
        return office

    @pytest.mark.parametrize("reader", READERS)
    def test_a_full_disk(self, busy: Office, reader: str) -> None:
        """Exit code 1 and a line that says why: half an export must not pass for a whole one."""
        ran = busy.run(*READERS[reader], out="full", stdin=b"<MetaData/>")

        assert (1, LOST.format(WHY["full"])) == (ran.code, ran.err)

    @pytest.mark.parametrize("reader", ["parse", "export, CSV"])
    def test_a_closed_stream(self, busy: Office, reader: str) -> None:
        """The same where there is no standard output."""
        ran = busy.run(*READERS[reader], out="closed", stdin=b"<MetaData/>")

        assert (1, LOST.format(WHY["closed"])) == (ran.code, ran.err)

    @pytest.mark.parametrize("reader", ["unanswered", "export, CSV", "raw"])
    def test_a_reader_that_has_enough(self, busy: Office, reader: str) -> None:
        """A pipe that its reader closes, as `head` does, ends the command silently, with exit code 1."""
        ran = busy.run(*READERS[reader], out="gone", stdin=b"<MetaData/>")

        assert (1, "") == (ran.code, ran.err)

    def test_a_long_export_ends_with_its_reader(self, office: Office) -> None:
        """It stops reading when nothing can be written: the first row that fails is the last one read."""
        for number in range(3):
            office.queue(f"K{number}", lrn="x" * 100_000)
        ran = office.run("export", out="gone")

        assert (1, "") == (ran.code, ran.err)

    def test_what_is_quarantined_stays_so(self, office: Office) -> None:
        """A more specific exit code is not replaced."""
        raw = b"From: stranger@elsewhere.example\r\n\r\n"
        ran = office.run("route", "--party", PARTY, out="full", stdin=raw)

        assert (3, "htpoort: Standard output could not be written: No space left on device.\n") == (ran.code, ran.err)

    def test_an_error_as_json(self, office: Office) -> None:
        """Nor is that of an error, which keeps its meaning when its text cannot be printed."""
        ran = office.run("show", "K7", "--json", out="full")

        assert (2, LOST.format(WHY["full"])) == (ran.code, ran.err)

    def test_a_pipe_that_does_not_wait(self, office: Office) -> None:
        """A parent may have made the pipe non-blocking: what does not fit at once is written later."""
        office.queue("K1", lrn="x" * 300_000)
        read, write = os.pipe()
        os.set_blocking(write, False)
        with subprocess.Popen([*COMMAND, "export"], cwd=office.folder, stdout=write) as started:  # noqa: S603 - ours
            os.close(write)
            with os.fdopen(read, "rb") as file:
                facts = json.load(file)

        assert (0, "x" * 300_000) == (started.returncode, facts["business_reference"])


class TestInput:
    """Standard input may be unusual too."""

    def test_a_closed_stream(self, office: Office) -> None:
        """It is bad input with an error message, not a traceback; nothing is queued."""
        ran = office.run("queue", *build_options(reference="K1"), closed=" <&-")

        assert (2, "htpoort: PAYLOAD: standard input is closed; give a file.\n") == (ran.code, ran.err)


class TestCharacters:
    """No output fails on a character: what the encoding of a terminal lacks is escaped."""

    LRN: Final = "Zürich Łódź \N{DELIVERY TRUCK}"
    WHY: Final = "für niemanden \N{DELIVERY TRUCK}"

    @pytest.mark.parametrize("locale", LOCALES)
    def test_as_json(self, office: Office, locale: str) -> None:
        """A program gets JSON in each of them, with every character."""
        office.queue("K1", lrn=self.LRN)
        exported = office.run("export", env=LOCALES[locale])

        assert (0, "", self.LRN) == (exported.code, exported.err, json.loads(exported.out)["business_reference"])

    @pytest.mark.parametrize(
        ("locale", "command"), [("C", ("show", "K1")), ("latin-1", ("export", "--csv")), ("ascii", ("show", "K1"))]
    )
    def test_for_a_person(self, office: Office, command: tuple[str, ...], locale: str) -> None:
        """Text and CSV have escapes for what cannot be written."""
        office.queue("K1", lrn=self.LRN)
        ran = office.run(*command, env=LOCALES[locale])
        umlaut = b"\xfc" if locale == "latin-1" else b"\\xfc"

        assert (0, "") == (ran.code, ran.err)
        assert b"Z" + umlaut + b"rich \\u0141" in ran.out
        assert b"\\U0001f69a" in ran.out

    def test_of_an_order(self, office: Office) -> None:
        """A command is carried out, and what it prints is escaped."""
        office.queue("K1", lrn=self.LRN, outcome=Outcome.UNKNOWN)
        ran = office.run("resolve", "K1", "--close", env=LOCALES["ascii"])

        assert (0, "") == (ran.code, ran.err)
        assert State.CLOSED == office.state("K1")

    def test_without_escapes_where_none_is_needed(self, office: Office) -> None:
        """A program that reads UTF-8 gets UTF-8."""
        office.queue("K1", lrn=self.LRN)
        ran = office.run("export", env={"LC_ALL": "C.UTF-8"})

        assert f'"business_reference": "{self.LRN}"'.encode() in ran.out

    def test_an_error(self, office: Office) -> None:
        """An error repeats what the user typed, and is printed in any encoding."""
        ran = office.run("show", self.LRN, "--json", env=LOCALES["C"])
        problem = json.loads(ran.out)["problems"][0]

        assert (2, "ledger.unknown-reference") == (ran.code, problem["code"])
        assert repr(self.LRN) in problem["message"]

    def test_a_reason_in_a_locale_that_lacks_its_characters(self, office: Office) -> None:
        """What was typed in UTF-8 is logged as it was typed."""
        key = office.keep_apart()
        ran = office.run("quarantine", "discard", str(key), "--why", self.WHY, env=LOCALES["C"])
        with office.ledger() as ledger:
            state = ledger.quarantine.get(key).state
            logged = [entry.detail for entry in ledger.quarantine.log(key) if entry.event == "discarded"]

        assert (0, "", QuarantineState.DISCARDED, [self.WHY]) == (ran.code, ran.err, state, logged)

    @pytest.mark.parametrize(
        ("arguments", "what"),
        [
            (("show", b"K\xff"), "K"),
            (("resolve", "K1", "--close", "--party", b"\xff"), "--party"),
            (("quarantine", "discard", "1", "--why", b"f\xfcr"), "--why"),
            (("queue", *build_options(reference="K1"), "--business-reference", b"\xff"), "--business-reference"),
        ],
    )
    def test_what_is_no_text(self, office: Office, arguments: tuple[str | bytes, ...], what: str) -> None:
        """Octets that are not text are refused with an error message, before anything is done."""
        office.keep_apart()
        ran = office.run(*arguments, stdin=b"<MetaData/>")
        with office.ledger() as ledger:
            state = ledger.quarantine.get(1).state

        assert (2, QuarantineState.HELD) == (ran.code, state)
        assert f"htpoort: {what} holds octets that are not text in this locale's encoding;" in ran.err
