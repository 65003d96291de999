"""
Known traps of mail software, one class each: first that the trap exists, then that htpoort avoids it.

The versions of the standard library differ; a trap is only shown where all of them have it.
"""

from __future__ import annotations

import email
import re
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage

import pytest
from aiosmtplib.email import flatten_message
from email_validator import validate_email

from htpoort import (
    DMS,
    EnvelopeError,
    InputError,
    PartyId,
    Quarantined,
    Reason,
    Received,
    Router,
    RoutingEnvelope,
    build,
    read,
)

PARTY = "NL123456789.02.05"
ROUTER = Router(parties=[PARTY])
GOOD = {
    "system": DMS,
    "party": PARTY,
    "mailbox": "edi@forwarder.example",
    "reference": "22096222734662",
    "payload": b"<MetaData/>\r\n",
    "date": datetime(2026, 11, 2, 12, 0, 0, tzinfo=UTC),
    "message_id": "<1@forwarder.example>",
}


def line_of(reference: str) -> str:
    """Write the Subject of a request to DMS, as the official page prints it."""
    return f"[V=NL123456789.02.05][A=DMS4.NL][K={reference}][S=0]"


def subject_lines(data: bytes) -> list[bytes]:
    """Give the physical lines of the Subject header."""
    lines = data.split(b"\r\n")
    at = next(number for number, line in enumerate(lines) if line.startswith(b"Subject:"))
    end = next(number for number in range(at + 1, len(lines)) if not lines[number].startswith((b" ", b"\t")))
    return lines[at:end]


def composed(reference: str, rules: policy.Policy = policy.SMTP) -> EmailMessage:
    """Write the message as the standard library's users do."""
    message = EmailMessage(policy=rules)
    message["From"] = "edi@forwarder.example"
    message["Subject"] = line_of(reference)
    message["To"] = "dms@htpoort.nl"
    message.set_payload("<MetaData/>")
    return message


def parsed(data: bytes, rules: policy.Policy = policy.default) -> EmailMessage:
    """Read a message as the standard library's users do."""
    return email.message_from_bytes(data, policy=rules)  # type: ignore[return-value,arg-type]


class TestTrap1LongReferenceBreaksTheSubject:
    """A K of 29 or more characters breaks the Subject."""

    @pytest.mark.parametrize("length", range(29, 36))
    def test_is_there(self, length: int) -> None:
        """The standard library leaves no line with the whole Subject on it."""
        expected = f"Subject: {line_of('K' * length)}".encode()

        assert expected not in composed("K" * length).as_bytes().split(b"\r\n")

    @pytest.mark.parametrize("layout", ["body", "attachment"])
    @pytest.mark.parametrize("length", range(1, 36))
    def test_does_not_bite(self, length: int, layout: str) -> None:
        """The Subject of every K that the writer allows leaves `build` on one physical line."""
        sub = build(**{**GOOD, "reference": "K" * length, "layout": layout})  # type: ignore[arg-type]

        assert [f"Subject: {line_of('K' * length)}".encode()] == subject_lines(sub.data)

    def test_does_not_bite_at_the_limits(self) -> None:
        """The longest V, A and K together still fit on one physical line."""
        system = type(DMS)(name="X", mailbox="x@customs.example", process_id="P" * 35)
        sub = build(**{**GOOD, "system": system, "party": "N" * 35, "reference": "K" * 35})  # type: ignore[arg-type]

        assert [b"Subject: [V=" + b"N" * 35 + b"][A=" + b"P" * 35 + b"][K=" + b"K" * 35 + b"][S=0]"] == subject_lines(
            sub.data
        )


class TestTrap2ClientsRenderAgain:
    """A mail client that is given a message object renders it again, whatever policy the message has."""

    def test_is_there(self) -> None:
        """A message that leaves its own `as_bytes` whole is folded by aiosmtplib."""
        message = composed("K" * 32, policy.SMTP.clone(max_line_length=998))

        assert [f"Subject: {line_of('K' * 32)}".encode()] == subject_lines(message.as_bytes())
        assert [f"Subject: {line_of('K' * 32)}".encode()] != subject_lines(flatten_message(message))

    def test_does_not_bite(self) -> None:
        """`build` returns bytes and not a message object, so nothing renders them again."""
        assert bytes is type(build(**{**GOOD, "reference": "K" * 32}).data)  # type: ignore[arg-type]


class TestTrap3FoldedSubjects:
    """Reading joins a folded Subject with a blank inside, or keeps its line ends."""

    RAW = b"From: dms@htpoort.nl\r\nSubject: [V=DMS4.NL]\r\n [A=NL123456789.02.05]\r\n\t[K=1][S=0]\r\n\r\n"

    def test_is_there(self) -> None:
        """Neither policy gives the line back that was folded."""
        assert "[V=DMS4.NL] [A=NL123456789.02.05]\t[K=1][S=0]" == parsed(self.RAW)["Subject"]
        assert "\r\n" in parsed(self.RAW, policy.compat32)["Subject"]

    def test_does_not_bite(self) -> None:
        """`read` gives the envelope without blanks, and notes what it forgave."""
        envelope = read(self.RAW).envelope

        assert RoutingEnvelope.parse("[V=DMS4.NL][A=NL123456789.02.05][K=1][S=0]") == envelope
        assert ["envelope.folded", "envelope.blank"] == [note.code for note in envelope.notes]


class TestTrap4ForgedFrom:
    """From can be forged past the standard library."""

    FORGED = (
        "ags@htpoort.nl <evil@x>",
        "ags@htpoort.nl)evil@x",
        "ags@htpoort.nl]evil@x",
        "<ags@htpoort.nl>evil@x",
        "ags@htpoort.nl, evil@x.example",
    )

    def message(self, sender: str) -> bytes:
        """Write a reply that is in order but for its From."""
        return f"From: {sender}\r\nSubject: [V= DMS.NL][A= {PARTY}][K=1][S=0]\r\n\r\n".encode()

    @pytest.mark.parametrize("sender", FORGED)
    def test_is_there(self, sender: str) -> None:
        """The standard library's first address is that of Customs."""
        assert "ags@htpoort.nl" == parsed(self.message(sender))["From"].addresses[0].addr_spec

    @pytest.mark.parametrize("sender", FORGED)
    def test_does_not_bite(self, sender: str) -> None:
        """A From that is not exactly one plain mailbox is quarantined."""
        found = ROUTER.route_message(self.message(sender))

        assert read(self.message(sender)).mailbox is None
        assert isinstance(found, Quarantined)
        assert Reason.AMBIGUOUS_FROM is found.reason

    def test_harms_nothing_else(self) -> None:
        """The same message with the honest From is routed."""
        assert not isinstance(ROUTER.route_message(self.message("ags@htpoort.nl")), Quarantined)


class TestTrap5EncodedLineEnds:
    """An encoded word can carry a line end, and with it a header."""

    RAW = (
        b"From: dms@htpoort.nl\r\n"
        b"Subject: =?utf-8?q?=5BV=3DDMS4=2ENL=5D=5BA=3DNL123456789=2E02=2E05=5D?=\r\n"
        b" =?utf-8?q?=5BK=3D1=0D=0ABcc=3A_x=40y=5D=5BS=3D0=5D?=\r\n\r\n"
    )

    def test_is_there(self) -> None:
        """The standard library decodes it to a Subject of two lines."""
        assert "\r\nBcc: x@y" in parsed(self.RAW)["Subject"]

    def test_does_not_bite_the_reader(self) -> None:
        """A value with a line end is no value, wherever it came from."""
        received = read(self.RAW)

        assert received.envelope is None
        assert [
            "The value of K holds U+000D; only printable ASCII without brackets is accepted.",
            "The value of K holds U+000A; only printable ASCII without brackets is accepted.",
        ] == [problem.message for problem in received.problems]

    @pytest.mark.parametrize("field", ["party", "reference", "s", "mailbox", "message_id", "content_type", "file_name"])
    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
    def test_does_not_bite_the_writer(self, field: str, end: str) -> None:
        """No value with a line end gets into a message, neither at its end nor inside."""
        good = {**GOOD, "s": "0", "content_type": "text/xml", "file_name": "a.xml"}[field]
        for value in (f"{good}{end}", f"{good}{end}Bcc: x@y.example", f"{end}{good}"):
            with pytest.raises(InputError) as caught:
                build(**{**GOOD, field: value})  # type: ignore[arg-type]
            assert [f"{field} "] == [problem.message[: len(field) + 1] for problem in caught.value.problems]

    @pytest.mark.parametrize("field", ["sender", "addressee", "reference", "s"])
    def test_does_not_bite_the_envelope(self, field: str) -> None:
        """No envelope can be made that renders to two lines."""
        with pytest.raises(InputError):
            RoutingEnvelope(**{"sender": "a", "addressee": "b", "reference": "c", field: "1\r\nBcc: x@y"})


class TestTrap6Crashes:
    """Some From headers raise IndexError or AttributeError out of `email` (in some of its versions)."""

    @pytest.mark.parametrize("sender", ["dms@", "dms@[", "<", "", "<>", '"', "(", "@", ":;", "=?utf-8?q?"])
    def test_does_not_bite(self, sender: str) -> None:
        """They give a value, with the reason in it."""
        raw = f"From: {sender}\r\nSubject: [V= DMS4.NL][A= {PARTY}][K=1][S=0]\r\n\r\n".encode()

        assert isinstance(read(raw), Received)
        assert ["from.ambiguous"] == [problem.code for problem in read(raw).problems]
        assert isinstance(ROUTER.route_message(raw), Quarantined)


class TestTrap7LookAlikeMailboxes:
    """email-validator accepts Cyrillic look-alikes in both parts of a mailbox unless it is set not to."""

    LOOK_ALIKES = ("\u0430gs@htpoort.nl", "ags@htp\u043e\u043ert.nl")

    @pytest.mark.parametrize("mailbox", LOOK_ALIKES)
    def test_is_there(self, mailbox: str) -> None:
        """As it is called by default, but for the look-up, it finds nothing wrong."""
        found = validate_email(mailbox, check_deliverability=False)

        assert mailbox == found.normalized
        assert not found.normalized.isascii()

    @pytest.mark.parametrize("mailbox", LOOK_ALIKES)
    def test_does_not_bite_the_writer(self, mailbox: str) -> None:
        """Neither a system nor a message can have such a mailbox."""
        for attempt in (
            lambda: type(DMS)(name="X", mailbox=mailbox, process_id="X"),
            lambda: build(**{**GOOD, "mailbox": mailbox}),  # type: ignore[arg-type]
        ):
            with pytest.raises(InputError) as caught:
                attempt()
            assert ["input.mailbox"] == [problem.code for problem in caught.value.problems]

    @pytest.mark.parametrize("mailbox", LOOK_ALIKES)
    def test_does_not_bite_the_router(self, mailbox: str) -> None:
        """No such mailbox is one of Customs."""
        found = ROUTER.route(mailbox=mailbox, subject=f"[V= DMS.NL][A= {PARTY}][K=1][S=0]")

        assert isinstance(found, Quarantined)
        assert Reason.UNKNOWN_MAILBOX is found.reason


class TestTrap8LooseDigitsAndEnds:
    r"""`\d`, `isdigit` and `int` take digits of other alphabets, `$` takes a trailing newline."""

    DIGITS = ("\uff11", "\u0661", "\u00b2", "1_0", "1 ", " 1", "1\n", "+1")

    def test_is_there(self) -> None:
        """The usual ways to check for a number accept characters outside of ASCII."""
        assert re.fullmatch(r"\d", "\uff11")
        assert re.match(r"^[0-9]$", "1\n")
        assert "\u00b2".isdigit()
        assert (1, 10, 1) == (int("\u0661"), int("1_0"), int(" 1\n"))

    @pytest.mark.parametrize("text", DIGITS)
    @pytest.mark.parametrize("field", ["s", "reference"])
    def test_does_not_bite_the_writer(self, field: str, text: str) -> None:
        """S and K are ASCII and nothing beside it."""
        with pytest.raises(InputError) as caught:
            build(**{**GOOD, field: text})  # type: ignore[arg-type]
        assert ["input.value"] == [problem.code for problem in caught.value.problems]

    @pytest.mark.parametrize("text", DIGITS)
    def test_does_not_bite_the_party(self, text: str) -> None:
        """The number of a party ID is ASCII digits and nothing beside them."""
        with pytest.raises(InputError):
            PartyId.parse(f"NL{text}")

    def test_does_not_bite_the_reader(self) -> None:
        """A line end behind the envelope is no part of it, and not canonical."""
        line = "[V=a][A=b][K=c][S=0]"

        assert "0" == RoutingEnvelope.parse(f"{line}\n").s
        with pytest.raises(EnvelopeError):
            RoutingEnvelope.parse(f"{line}\n", strict=True)


class TestTrap17LengthsOfTheSubject:
    """Values of up to 69 characters stay intact, 70 to 77 are folded before the first, from 78 they are encoded."""

    def test_is_there(self) -> None:
        """The standard library has three ways to write one kind of line."""
        intact, folded, encoded = (subject_lines(composed("K" * length).as_bytes()) for length in (28, 36, 37))

        assert (69, 77, 78) == tuple(len(line_of("K" * length)) for length in (28, 36, 37))
        assert [f"Subject: {line_of('K' * 28)}".encode()] == intact
        assert [b"Subject:", f" {line_of('K' * 36)}".encode()] == [line.rstrip() for line in folded]
        assert line_of("K" * 37).encode() not in b"".join(encoded)

    def test_is_there_for_intact_messages(self) -> None:
        """Reading an intact message and writing it again folds it."""
        data = build(**{**GOOD, "reference": "K" * 32}).data  # type: ignore[arg-type]

        assert 1 == len(subject_lines(data))
        assert [f"Subject: {line_of('K' * 32)}".encode()] != subject_lines(parsed(data, policy.SMTP).as_bytes())

    @pytest.mark.parametrize("rules", [policy.SMTP, policy.default, policy.compat32])
    @pytest.mark.parametrize("length", [28, 29, 35, 36, 37, 60])
    def test_does_not_bite(self, length: int, rules: policy.EmailPolicy) -> None:
        """However it was written, `read` gives K back without a blank, a line end or an encoded word."""
        envelope = read(composed("K" * length, rules).as_bytes()).envelope

        assert line_of("K" * length) == str(envelope)

    @pytest.mark.parametrize("end", [b"\r\n", b"\n"])
    @pytest.mark.parametrize("blank", [b" ", b"\t", b"  \t"])
    def test_does_not_bite_before_the_first_character(self, end: bytes, blank: bytes) -> None:
        """A Subject whose first line is empty reads without leading blanks."""
        received = read(b"Subject:" + end + blank + line_of("1").encode() + end + b"From: a@b.example" + end + end)

        assert line_of("1") == received.subject
        assert received.envelope is not None
        assert () == received.envelope.notes
