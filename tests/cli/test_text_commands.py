"""`parse`, `build` and `route`: no network, the same facts for people and programs, stable exit codes."""

from __future__ import annotations

import email
import email.policy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_options import build_options

REPLY = "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"
REQUEST = "[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]"
MESSAGE = f"From: dms@htpoort.nl\r\nTo: edi@forwarder.example\r\nSubject: {REPLY}\r\n\r\n<Response/>\r\n".encode()

Run = Callable[..., Any]


class TestParse:
    """`htpoort parse` reads one Subject from an argument, a file or standard input."""

    def test_tells_the_four_values(self, htpoort: Run) -> None:
        """The JSON of an envelope has its four values, the canonical line and the notes."""
        result = htpoort("parse", REPLY, "--json")

        assert {
            "sender": "DMS4.NL",
            "addressee": "NL123456789.02.05",
            "reference": "22096222734662",
            "s": "0",
            "canonical": "[V=DMS4.NL][A=NL123456789.02.05][K=22096222734662][S=0]",
        }.items() <= result.facts.items()
        assert ["envelope.blank"] == [note["code"] for note in result.facts["notes"]]
        assert 0 == result.code

    @pytest.mark.parametrize("arguments", [["parse"], ["parse", "-"], ["parse", "--file", "-"]])
    def test_reads_standard_input(self, htpoort: Run, arguments: list[str]) -> None:
        """Without an argument, and for a hyphen, the text comes from standard input, its line end not counted."""
        result = htpoort(*arguments, "--json", "--strict", stdin=REQUEST.encode() + b"\r\n")

        assert "DMS4.NL" == result.facts["addressee"]

    def test_reads_a_file(self, htpoort: Run, tmp_path: Path) -> None:
        """The text can be in a file."""
        (tmp_path / "subject.txt").write_text(REQUEST + "\n")

        assert "DMS4.NL" == htpoort("parse", "--file", str(tmp_path / "subject.txt"), "--json").facts["addressee"]

    def test_shows_a_person_each_value_on_a_line(self, htpoort: Run) -> None:
        """Brackets in a text are text, not markup of the terminal library."""
        lines = [line.split() for line in htpoort("parse", REQUEST).text.splitlines()]

        assert ["addressee", "DMS4.NL"] in lines
        assert ["canonical", REQUEST] in lines

    def test_points_at_the_fault(self, htpoort: Run) -> None:
        """A person sees sentence, text and caret on standard error, no traceback, and exit code 2."""
        result = htpoort("parse", "[V=a][A=b][K=][S=0]")

        assert ("htpoort: The value of K is empty.\n  [V=a][A=b][K=][S=0]\n               ^\n") == result.err
        assert (2, b"") == (result.code, result.out)

    def test_tells_a_program_every_problem(self, htpoort: Run) -> None:
        """With --json an error is JSON on standard output: class, all problems with offsets, whether to retry."""
        result = htpoort("parse", "[V=a][A=b][K=]", "--json")

        assert ("envelope", False) == (result.facts["error"], result.facts["retryable"])
        assert [("envelope.key-missing", 14, 14), ("envelope.value-empty", 13, 13)] == [
            (problem["code"], problem["start"], problem["stop"]) for problem in result.facts["problems"]
        ]
        assert 2 == result.code

    def test_strict_refuses_what_was_forgiven(self, htpoort: Run) -> None:
        """--strict accepts only what htpoort itself would write."""
        assert (2, 0) == (htpoort("parse", REPLY, "--strict").code, htpoort("parse", REQUEST, "--strict").code)

    def test_two_inputs_are_one_too_many(self, htpoort: Run) -> None:
        """An argument and a file at once are bad usage."""
        assert 2 == htpoort("parse", REQUEST, "--file", "-").code

    def test_a_missing_file_is_named(self, htpoort: Run, tmp_path: Path) -> None:
        """A file that cannot be read is bad input, named in the message."""
        result = htpoort("parse", "--file", str(tmp_path / "absent"))

        assert 2 == result.code
        assert "absent cannot be read" in result.err

    def test_octets_that_are_no_text_do_not_raise(self, htpoort: Run) -> None:
        """Broken UTF-8 on standard input is bad input, not a traceback."""
        result = htpoort("parse", stdin=b"[V=\xff][A=b][K=c][S=0]")

        assert 2 == result.code
        assert "U+FFFD" in result.err

    def test_a_terminal_is_not_sent_what_it_would_obey(self, htpoort: Run) -> None:
        """Control characters of a peer reach a terminal only as their numbers."""
        result = htpoort("route", "--party", "NL123456789.02.05", "--mailbox", "\x1b[2Jx", "--subject", REPLY)

        assert b"\x1b" not in result.out
        assert "\\x1b[2Jx" in result.text


class TestBuild:
    """`htpoort build` writes the message of one declaration."""

    def test_writes_the_message(self, htpoort: Run) -> None:
        """Standard output is the message, as a foreign mail library reads it."""
        result = htpoort("build", *build_options(), stdin=b"<MetaData/>\r\n")
        message = email.message_from_bytes(result.out, policy=email.policy.SMTP)

        assert 0 == result.code
        assert ("edi@forwarder.example", "dms@htpoort.nl", REQUEST, "Mon, 02 Nov 2026 09:05:07 +0100") == (
            message["From"],
            message["To"],
            message["Subject"],
            message["Date"],
        )
        assert b"<MetaData/>\r\n" == message.get_payload(decode=True)

    def test_reads_a_payload_and_writes_a_file(self, htpoort: Run, tmp_path: Path) -> None:
        """Payload and result can be files; then nothing is printed."""
        (tmp_path / "declaration.edi").write_bytes(b"UNB+UNOC:3'\r\n")
        out = tmp_path / "message.eml"
        result = htpoort("build", str(tmp_path / "declaration.edi"), *build_options(system="ags"), "--output", str(out))

        assert (0, b"") == (result.code, result.out)
        assert b"\r\nTo: ags@htpoort.nl\r\n" in out.read_bytes()

    def test_json_holds_the_message_and_its_addresses(self, htpoort: Run) -> None:
        """A program gets sender, recipient, Subject and data in one document."""
        facts = htpoort("build", *build_options(), "--json", stdin=b"<MetaData/>").facts

        assert ("edi@forwarder.example", "dms@htpoort.nl", REQUEST) == (
            facts["mail_from"],
            facts["rcpt_to"],
            facts["subject"],
        )
        assert facts["data"].endswith("\r\n\r\n<MetaData/>\r\n")

    @pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
    def test_encodes_as_it_is_told(self, htpoort: Run, encoding: str) -> None:
        """The transfer encoding can be chosen by name; one that does not protect the payload is refused."""
        options = [*build_options(), "--transfer-encoding", encoding]
        message = email.message_from_bytes(htpoort("build", *options, stdin=b"<MetaData/>\r\n").out)
        risky = htpoort("build", *options, stdin=b"<MetaData/>\n")

        assert encoding == message["Content-Transfer-Encoding"]
        assert b"<MetaData/>\r\n" == message.get_payload(decode=True)
        assert risky.code == (2 if encoding == "7bit" else 0)
        assert ("--transfer-encoding is '7bit', but mail servers may change this payload" in risky.err) is (
            encoding == "7bit"
        )

    def test_makes_up_a_message_id_and_takes_the_time(self, htpoort: Run) -> None:
        """By default the date is now, and each Message-ID is new and in the declarant's domain."""
        options = build_options()[:8]
        first, second = (htpoort("build", *options, "--json", stdin=b"<MetaData/>").facts for _ in range(2))

        assert first["message_id"] != second["message_id"]
        assert first["message_id"].endswith("@forwarder.example>")

    @pytest.mark.parametrize(
        ("changed", "reported"),
        [
            ({"reference": "ab]c"}, "reference is 'ab]c'"),
            ({"party": "NL1\r\nBcc: x"}, "party is"),
            ({"date": "2026-11-02T09:05:07"}, "without a time zone"),
            ({"date": "yesterday"}, "date is 'yesterday'"),
            ({"system": "NCTS"}, "--system 'NCTS' is not in the published systems or the file of --systems. "),
            ({"mailbox": "еdi@forwarder.example"}, "mailbox holds U+0435"),
        ],
    )
    def test_bad_input_names_the_field(self, htpoort: Run, changed: dict[str, str], reported: str) -> None:
        """What cannot be sent is refused with exit code 2 and the name of the field; nothing is written."""
        result = htpoort("build", *build_options(**changed), stdin=b"<MetaData/>")

        assert (2, b"") == (result.code, result.out)
        assert reported in result.err

    def test_a_missing_option_is_usage(self, htpoort: Run) -> None:
        """A message without a system is bad usage."""
        assert 2 == htpoort("build", stdin=b"<MetaData/>").code

    def test_a_result_that_cannot_be_written_is_reported(self, htpoort: Run, tmp_path: Path) -> None:
        """An output file that cannot be written is bad input, named in the message."""
        result = htpoort("build", *build_options(), "--output", str(tmp_path / "no" / "x.eml"), stdin=b"<MetaData/>")

        assert 2 == result.code
        assert "cannot be written" in result.err

    def test_systems_of_a_file_are_added(self, htpoort: Run, tmp_path: Path) -> None:
        """A TOML file adds systems beside the published ones."""
        table = tmp_path / "systems.toml"
        table.write_text('[systems.EXIT]\nmailbox = "exit@customs.example"\nprocess_id = "EXIT.NL"\n')
        result = htpoort(
            "build", *build_options(system="EXIT"), "--systems", str(table), "--json", stdin=b"<MetaData/>"
        )

        assert "exit@customs.example" == result.facts["rcpt_to"]

    def test_systems_of_a_file_alone(self, htpoort: Run, tmp_path: Path) -> None:
        """A test environment has the process ID of production, and a message to it never has its mailbox."""
        table = tmp_path / "systems.toml"
        table.write_text(
            'published_systems = false\n[systems.DMS]\nmailbox = "dms@test.customs.example"\nprocess_id = "DMS4.NL"\n'
        )
        result = htpoort("build", *build_options(), "--systems", str(table), "--json", stdin=b"<MetaData/>")

        assert "dms@test.customs.example" == result.facts["rcpt_to"]

    def test_mistakes_in_a_file_of_systems(self, htpoort: Run, tmp_path: Path) -> None:
        """A mistake in the file is reported with the name of the file and the line."""
        table = tmp_path / "systems.toml"
        table.write_text('[systems.EXIT]\nmailbox = "exit@customs.example"\nproces_id = "EXIT.NL"\n')
        result = htpoort("build", *build_options(system="EXIT"), "--systems", str(table), stdin=b"<MetaData/>")

        known = "closed, mailbox, mark, process_id, reply_ids, source, title"
        assert 2 == result.code
        assert [
            f"htpoort: {table}:1: systems.EXIT.process_id: this setting is needed.",
            f"{table}:3: systems.EXIT.proces_id: there is no such setting; did you mean process_id? Known: {known}.",
        ] == result.err.splitlines()


class TestRoute:
    """`htpoort route` shows which process a reply belongs to."""

    PARTY = ("--party", "NL123456789.02.05")

    def test_routes_a_message(self, htpoort: Run) -> None:
        """A genuine reply on standard input is routed, exit code 0."""
        result = htpoort("route", *self.PARTY, "--json", stdin=MESSAGE)

        assert {
            "result": "routed",
            "system": "DMS",
            "party": "NL123456789.02.05",
            "reference": "22096222734662",
            "correlation": "not-checked",
            "mailbox": "dms@htpoort.nl",
        }.items() <= result.facts.items()
        assert 0 == result.code

    def test_routes_by_mailbox_and_subject(self, htpoort: Run) -> None:
        """The two values that decide are enough."""
        result = htpoort("route", *self.PARTY, "--mailbox", "dms@htpoort.nl", "--subject", REPLY)

        assert (0, True) == (result.code, "routed" in result.text)

    def test_one_of_the_two_values_is_not_enough(self, htpoort: Run) -> None:
        """A mailbox without a Subject is bad usage."""
        assert 2 == htpoort("route", *self.PARTY, "--mailbox", "dms@htpoort.nl").code

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--mailbox", "ags@htpoort.nl", "--subject", REPLY], "mailbox-process-disagree"),
            (["--mailbox", "dms@htpoort.nl", "--subject", "Out of office"], "no-envelope"),
            (["--mailbox", "dms@htpoort.nl", "--subject", REPLY.replace(".02.05", ".99.05")], "unknown-addressee"),
        ],
    )
    def test_quarantine_is_exit_code_3(self, htpoort: Run, options: list[str], reason: str) -> None:
        """A message whose process is not known gives its reason and exit code 3."""
        result = htpoort("route", *self.PARTY, *options, "--json")

        assert (3, "quarantined", reason) == (result.code, result.facts["result"], result.facts["reason"])

    def test_compares_mail_from(self, htpoort: Run) -> None:
        """MAIL FROM, if given, must be the mailbox of From."""
        result = htpoort("route", *self.PARTY, "--mail-from", "other@trader.example", "--json", stdin=MESSAGE)

        assert "sender-disagrees" == result.facts["reason"]

    @pytest.mark.parametrize(("system", "outcome"), [("DMS", "matched"), ("AGS", "other-system")])
    def test_compares_what_was_sent(self, htpoort: Run, tmp_path: Path, system: str, outcome: str) -> None:
        """A file of what was sent decides between a match and an answer of another system."""
        record = {"system": system, "party": "NL123456789.02.05", "reference": "22096222734662"}
        (tmp_path / "sent.jsonl").write_text(f"\n{json.dumps(record)}\n")
        facts = htpoort("route", *self.PARTY, "--sent", str(tmp_path / "sent.jsonl"), "--json", stdin=MESSAGE).facts

        assert outcome == facts.get("correlation", facts.get("reason"))

    def test_an_unknown_reference_is_routed(self, htpoort: Run, tmp_path: Path) -> None:
        """A reference that was not sent is routed by mailbox and process ID, and marked."""
        (tmp_path / "sent.jsonl").write_text("")
        facts = htpoort("route", *self.PARTY, "--sent", str(tmp_path / "sent.jsonl"), "--json", stdin=MESSAGE).facts

        assert ("routed", "unknown-reference") == (facts["result"], facts["correlation"])

    def test_a_broken_record_is_named_by_its_line(self, htpoort: Run, tmp_path: Path) -> None:
        """All invalid lines of the --sent file are reported at once; deep or huge ones too."""
        (tmp_path / "sent.jsonl").write_text('{"system": 1}\nno json\n[]\n' + "[" * 100_000 + "\n" + "9" * 5_000 + "\n")
        result = htpoort("route", *self.PARTY, "--sent", str(tmp_path / "sent.jsonl"), stdin=MESSAGE)

        assert 2 == result.code
        assert [1, 2, 3, 4, 5] == [number for number in range(1, 7) if f"line {number}:" in result.err]

    def test_a_party_that_is_none_is_refused(self, htpoort: Run) -> None:
        """A --party that is not a party ID is bad input."""
        assert 2 == htpoort("route", "--party", "Jansen", stdin=MESSAGE).code


async def test_the_module_is_the_command(process: Run) -> None:
    """`python -m htpoort` is the command, its exit code the process's."""
    good, bad = await process("parse", REQUEST, "--json"), await process("parse", "x", env=dict(os.environ))

    assert ("DMS4.NL", 0, 2) == (good.facts["addressee"], good.code, bad.code)
