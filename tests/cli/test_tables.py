"""Tables for a person: local time with its zone once, and lines that fit a terminal of 80 columns."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import pty
import re
import subprocess  # noqa: S404 - a terminal is only seen by a process of its own
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agents import declaration
from databases import new_ledger
from wall_clock import in_amsterdam

from htpoort import Outcome, Router
from htpoort.ledger import Ledger

OWN, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
LATE = datetime(2026, 3, 29, 0, 30, 0, tzinfo=UTC)
"""Half an hour before the clock of Amsterdam goes forward."""


def declare(ledger: Ledger, reference: str, party: str, at: datetime) -> None:
    """Queue a declaration, and let an attempt end that may have been accepted."""
    ledger.exchanges.queue(declaration(reference, party=party), at=at)
    claims = ledger.exchanges.claim_soon(["DMS"], owner="worker 1234", most=9, at=at, lease=timedelta(minutes=2))
    for claimed in claims.result():
        detail = "lost: the server closed the connection after the final dot, before it answered"
        ledger.exchanges.settle(claimed, Outcome.UNKNOWN, at=at + timedelta(seconds=7), detail=detail)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Give a ledger with declarations of two parties, replies and messages in quarantine, in Amsterdam."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    settings = f'parties = ["{OWN}", "{CLIENT}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
    Path("htpoort.toml").write_text(settings, encoding="utf-8")
    router = Router(parties=[OWN, CLIENT])
    with in_amsterdam(), Ledger.open(new_ledger(tmp_path / "htpoort.db")) as ledger:
        for number, party in enumerate((OWN, CLIENT, OWN)):
            reference = f"KN2MHSNA6UQVF3ABN5H{number}"
            declare(ledger, reference, party, NOON + timedelta(minutes=number))
            for trace in range(2):
                subject = f"[V= DMS4.NL][A= {party}][K={reference}][S=0]".encode()
                spoilt = b"From: ags@htpoort.nl\r\nX: %d\r\nSubject: %b\r\n\r\nx\r\n" % (trace, subject)
                ledger.replies.take_in(router, spoilt, mail_from=None, at=NOON + timedelta(hours=1, minutes=number))
        for number, party in enumerate((OWN, CLIENT)):
            subject = f"[V= DMS4.NL][A= {party}][K=KN2MHSNA6UQVF3ABN5H{number}][S=0]"
            raw = f"From: dms@htpoort.nl\r\nSubject: {subject}\r\n\r\n<R/>\r\n".encode()
            ledger.replies.take_in(router, raw, mail_from=None, at=NOON + timedelta(hours=2, minutes=number))
        yield ledger


def in_terminal(*arguments: str, columns: int = 80, typed: bytes = b"") -> list[str]:
    """Run a command in a terminal without colours, in which something was typed; return its lines."""
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "htpoort", *arguments]
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env):  # noqa: S603 - our own
        os.close(terminal)
        os.write(ours, typed)
        written = b""
        with contextlib.suppress(OSError):  # its end
            while piece := os.read(ours, 65_536):
                written += piece
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode()).splitlines()


class TestTimes:
    """A person reads the clock on the wall, a program UTC."""

    def test_a_table(self, htpoort: Any, office: Ledger) -> None:
        """The zone is in the title, and not in each cell."""
        del office
        lines = htpoort("list").text.splitlines()

        assert "Exchanges (times in CET)" == lines[0]
        assert "2026-01-05 13:00:00" in lines[4]
        assert ("CET" in "".join(lines[1:]), "+00:00" in "".join(lines)) == (False, False)

    @pytest.mark.parametrize(
        "command",
        ["show KN2MHSNA6UQVF3ABN5H0", "list", "reply list", "reply show 1", "quarantine list", "quarantine show 1"],
    )
    def test_every_command(self, htpoort: Any, office: Ledger, command: str) -> None:
        """No table and no list of facts has UTC."""
        del office
        text = htpoort(*command.split()).text

        assert (True, False) == ("CET" in text, "+00:00" in text)

    def test_unanswered(self, htpoort: Any, office: Ledger) -> None:
        """The time of acceptance is local in the table, and UTC in CSV and JSON."""
        office.exchanges.resolve_as_sent("KN2MHSNA6UQVF3ABN5H2", at=NOON + timedelta(days=1))
        (line,) = csv.DictReader(io.StringIO(htpoort("unanswered", "--csv").text))

        assert "2026-01-05T12:02:00+00:00" == line["accepted"]
        assert ["2026-01-05T12:02:00+00:00"] == [one["accepted"] for one in htpoort("unanswered", "--json").facts]
        assert "2026-01-05 13:02:00" in htpoort("unanswered").text

    def test_the_day_on_which_the_clock_changes(self, htpoort: Any, office: Ledger) -> None:
        """Both zones are named."""
        declare(office, "K1", OWN, LATE)
        declare(office, "K2", OWN, LATE + timedelta(hours=1))
        lines = htpoort("list", "--since", "2026-03-01").text.splitlines()

        assert "Exchanges (times in CET and CEST)" == lines[0]
        assert (True, True) == ("2026-03-29 01:30:00" in lines[4], "2026-03-29 03:30:00" in lines[5])


class TestEightyColumns:
    """What a row has is on one or two lines; nothing is left out that is not the same everywhere, or empty."""

    @pytest.mark.parametrize(
        ("command", "rows"),
        [
            ("list", 3),
            ("show KN2MHSNA6UQVF3ABN5H0", 5),
            ("reply list", 2),
            ("unanswered", 1),
            ("quarantine list", 6),
            ("quarantine show 1", 2),
            ("resolve --state unknown --close", 1),
        ],
    )
    def test_no_blocks(self, office: Ledger, command: str, rows: int) -> None:
        """Each row begins a line of a table, and no line is wider than the terminal."""
        del office
        lines = in_terminal(*command.split())
        first = [line.removeprefix("│").split("│")[0].strip() for line in lines if "│" in line]

        assert [] == [line for line in lines if "│" in line and len(line) > 80]
        assert [] == [line for line in lines if line.endswith(":")]
        assert rows == sum(1 for cell in first if cell)

    def test_what_is_the_same(self, office: Ledger) -> None:
        """What each row has is said once, above the table; what no row has is not said."""
        del office
        lines = in_terminal("quarantine", "list")

        assert [
            "Messages in quarantine (times in CET)",
            "All: state held, reason mailbox-process-disagree, from ags@htpoort.nl, copies 1",
        ] == lines[:2]
        assert ["key", "received", "subject"] == [name.strip() for name in lines[2].split("┃")]

    def test_nothing_is_lost(self, office: Ledger) -> None:
        """A text that is folded is there as a whole."""
        del office
        lines = in_terminal("show", "KN2MHSNA6UQVF3ABN5H0")
        folded = [line.rsplit("│", 1)[-1].strip() for line in lines if "│" in line]

        assert "lost: the server closed the connection after the final dot, before it answered" in " ".join(folded)

    def test_a_wide_terminal(self, office: Ledger) -> None:
        """Where there is room, each column with anything in it is there, within a frame."""
        del office
        lines = in_terminal("quarantine", "list", columns=200)

        assert ["", "key", "state", "received", "reason", "from", "subject", "copies", ""] == [
            name.strip() for name in lines[2].split("┃")
        ]

    def test_far_too_narrow(self, office: Ledger) -> None:
        """Where no table is readable, each row is a block with all that it has."""
        del office
        lines = in_terminal("list", columns=30)

        assert "Exchanges:" == lines[0]
        assert ["system     DMS", f"party      {OWN}", "reference  KN2MHSNA6UQVF3ABN5H0"] == lines[1:4]

    @pytest.mark.parametrize("command", ["list --state unknown", "reply list", "resolve --state unknown --sent"])
    def test_what_is_the_same_is_folded(self, office: Ledger, command: str) -> None:
        """No line is wider than the terminal, also not the one above the table."""
        del office

        assert [] == [line for line in in_terminal(*command.split()) if len(line) > 80]

    def test_a_reason_that_all_share(self, office: Ledger) -> None:
        """It is a sentence of its own, and not a value among others."""
        for number, party in enumerate((OWN, CLIENT, OWN)):
            office.exchanges.close(f"KN2MHSNA6UQVF3ABN5H{number}", at=NOON + timedelta(days=1), party=party)
        lines = in_terminal("resolve", "--state", "closed", "--sent", "--yes")
        first = next(number for number, line in enumerate(lines) if line.startswith("All: not possible: "))

        assert "All: not possible: The exchange is closed; only one that is unknown can be" == lines[first]
        assert ["resolved      0 exchanges", "not possible  3 exchanges"] == lines[-2:]

    def test_a_pipe_whose_reader_says_its_width(
        self, htpoort: Any, office: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """COLUMNS is obeyed also where no terminal is; without it, a pipe has the whole table."""
        del office
        whole = htpoort("list").text.splitlines()
        monkeypatch.setenv("COLUMNS", "80")
        folded = htpoort("list").text.splitlines()

        assert (True, True) == (max(map(len, whole)) > 80, max(map(len, folded)) <= 80)

    def test_what_is_not_shown(self, htpoort: Any, office: Ledger) -> None:
        """An exchange that does not wait to be sent is not due; a worker has a short name."""
        office.exchanges.queue(declaration("K9", party=OWN), at=NOON)
        waits, sent = htpoort("show", "K9").text, htpoort("show", "KN2MHSNA6UQVF3ABN5H0").text

        assert (True, False) == ("\ndue " in waits, "\ndue " in sent)

    @pytest.mark.parametrize("command", ["build", "queue", "send"])
    def test_examples(self, command: str) -> None:
        """The example of a help fits."""
        assert [] == [line for line in in_terminal(command, "--help") if len(line) > 80]

    def test_standard_input_of_a_terminal(self, office: Ledger) -> None:
        """A command that waits for what is typed says so."""
        del office
        arguments = ("--mailbox", "edi@forwarder.example", "--party", OWN, "--system", "DMS", "--reference", "K9")
        lines = in_terminal("queue", *arguments, typed=b"\x04")

        assert "htpoort: Reading PAYLOAD from standard input; end it with Ctrl-D." in lines
