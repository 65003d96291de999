"""`build`: what leaves, octet by octet, and what does not."""

from __future__ import annotations

import base64
import email
import re
import string
from datetime import UTC, date, datetime, timedelta, timezone
from email import policy
from email.message import EmailMessage

import attrs
import pytest
from strategies import copies

from htpoort import (
    AGS,
    DMS,
    DeclarationSystem,
    Directory,
    InputError,
    PartyId,
    RoutingEnvelope,
    Submission,
    UnknownError,
    build,
    read,
)

MOMENT = datetime(2026, 11, 2, 9, 5, 7, tzinfo=timezone(timedelta(hours=1)))
GOOD = {
    "system": DMS,
    "party": "NL123456789.02.05",
    "mailbox": "edi@forwarder.example",
    "reference": "22096222734662",
    "payload": b"<MetaData/>\r\n",
    "date": MOMENT,
    "message_id": "<1.22096222734662@forwarder.example>",
}


def built(**values: object) -> Submission:
    """Build a good message with some values changed."""
    return build(**{**GOOD, **values})  # type: ignore[arg-type]


def refused(**values: object) -> list[tuple[str, str, int, int]]:
    """Give every problem of a message that must be refused."""
    with pytest.raises(InputError) as caught:
        built(**values)
    assert not caught.value.text
    return [(p.code, p.message, p.start, p.stop) for p in caught.value.problems]


def parsed(data: bytes) -> EmailMessage:
    """Read a message as the standard library does."""
    message = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_body() -> None:
    """A declaration is its headers in a fixed order, an empty line and the payload as it is."""
    assert (
        b"From: edi@forwarder.example\r\n"
        b"To: dms@htpoort.nl\r\n"
        b"Subject: [V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]\r\n"
        b"Date: Mon, 02 Nov 2026 09:05:07 +0100\r\n"
        b"Message-ID: <1.22096222734662@forwarder.example>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: application/xml\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"<MetaData/>\r\n"
    ) == built().data


def test_body_in_base64() -> None:
    """A payload that a mail server may change goes out as base64."""
    assert (
        b"From: edi@forwarder.example\r\n"
        b"To: ags@htpoort.nl\r\n"
        b"Subject: [V=NL123456789.02.05][A=DMS.NL][K=22096222734662][S=0]\r\n"
        b"Date: Mon, 02 Nov 2026 09:05:07 +0100\r\n"
        b"Message-ID: <1.22096222734662@forwarder.example>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: application/EDIFACT\r\n"
        b"Content-Transfer-Encoding: base64\r\n"
        b"\r\n"
        b"VU5CK1VOT0M6Mycc\r\n"
    ) == built(system="ags", payload=b"UNB+UNOC:3'\x1c").data


def test_attachment() -> None:
    """An attachment is the only part of a multipart message, under the reference's name."""
    assert (
        b"From: edi@forwarder.example\r\n"
        b"To: dms@htpoort.nl\r\n"
        b"Subject: [V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]\r\n"
        b"Date: Mon, 02 Nov 2026 09:05:07 +0100\r\n"
        b"Message-ID: <1.22096222734662@forwarder.example>\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="=_htpoort"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"--=_htpoort\r\n"
        b"Content-Type: application/xml\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b'Content-Disposition: attachment; filename="22096222734662.xml"\r\n'
        b"\r\n"
        b"<MetaData/>\r\n"
        b"--=_htpoort--\r\n"
    ) == built(layout="attachment", payload=b"<MetaData/>").data


def test_submission_describes_what_was_built() -> None:
    """The envelope, the sender, the recipient and the system are given beside the octets."""
    sub = built()

    assert ("edi@forwarder.example", "dms@htpoort.nl") == (sub.mail_from, sub.rcpt_to)
    assert ("DMS", "<1.22096222734662@forwarder.example>") == (sub.system, sub.message_id)
    assert RoutingEnvelope.parse("[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]") == sub.envelope


PAYLOADS = [
    (b"<a/>", "7bit"),
    (b"<a/>\r\n", "7bit"),
    (b"<a/>\r\n\r\n<b/>\r\n", "7bit"),
    (b"<a/>\r\n\r\n", "base64"),
    (b"\r\n<a/>", "7bit"),
    (b"\r\n", "base64"),
    (b"<a>\tb</a>", "7bit"),
    (b"x" * 900, "7bit"),
    (b"x" * 900 + b"\r\n" + b"y" * 900 + b"\r\n", "7bit"),
    (b"a.\r\n From x\r\n>\r\nfrom x\r\nFromage\r\n> From x\r\n", "7bit"),
    (b"x" * 901, "base64"),
    (b"x" * 990, "base64"),
    (b"x" * 991, "base64"),
    (b"x" * 998, "base64"),
    (b"<a>" + b"x" * 984 + b"</a>\r\n", "base64"),
    (b"ok\r\n" + b"x" * 901 + b"\r\nok", "base64"),
    *((line, "base64") for line in (b".", b".\r\n", b"..\r\n", b".a", b"ok\r\n.\r\nok\r\n")),
    *((line, "base64") for line in (b"From x", b">From x", b">>From x", b"ok\r\nFrom x\r\n", b"ok\r\n>From x\r\n")),
    *((line, "base64") for line in (b"a \r\n", b"a\t\r\n", b"a ", b"a\t", b"ok\r\n \r\nok\r\n", b"a \r\nb\r\n")),
    (b"a\nb\r\n", "base64"),
    (b"a\rb\r\n", "base64"),
    (b"a\r\r\n", "base64"),
    (b"\na", "base64"),
    (b"a\r", "base64"),
    (b"a\n\r\n", "base64"),
    (b"\0", "base64"),
    (b"\x7f", "base64"),
    (b"\x1f", "base64"),
    (b" !~", "7bit"),
    (b"\x0b", "base64"),
    ("<a>\u00e9</a>".encode(), "base64"),
    ("<a/>".encode("utf-16"), "base64"),
    (bytes(range(256)) * 10, "base64"),
]


@pytest.mark.parametrize(("payload", "encoding"), PAYLOADS, ids=lambda value: repr(value)[:30])
def test_encoding(payload: bytes, encoding: str) -> None:
    """7bit where no mail server may change an octet, base64 everywhere else; the last line is ended in both."""
    head, _, body = built(payload=payload).data.partition(b"\r\n\r\n")

    assert f"Content-Transfer-Encoding: {encoding}" == head.split(b"\r\n")[-1].decode()
    plain = payload.removesuffix(b"\r\n") + b"\r\n"
    assert payload == (base64.b64decode(body, validate=False) if encoding == "base64" else body[: len(payload)])
    assert body.endswith(b"\r\n")
    assert encoding == "base64" or plain == body


@pytest.mark.parametrize(("payload", "encoding"), PAYLOADS, ids=lambda value: repr(value)[:30])
def test_attachment_is_the_payload(payload: bytes, encoding: str) -> None:
    """The standard library finds one attachment, and in it the payload, octet for octet."""
    message = parsed(built(payload=payload, layout="attachment").data)
    (part,) = message.iter_attachments()

    assert not message.defects
    assert (encoding, "22096222734662") == (part["Content-Transfer-Encoding"], str(part.get_filename()).split(".")[0])
    assert payload == part.get_payload(decode=True)


@pytest.mark.parametrize("payload", [b"--=_htpoort\r\n", b"a\r\n--=_htpoort--\r\nb", b"x--=_htpoort"])
def test_attachment_that_holds_the_boundary(payload: bytes) -> None:
    """A payload with the boundary in it goes out as base64, where the boundary cannot occur."""
    message = parsed(built(payload=payload, layout="attachment").data)
    (part,) = message.iter_attachments()

    assert "base64" == part["Content-Transfer-Encoding"]
    assert payload == part.get_payload(decode=True)
    assert b"Content-Transfer-Encoding: 7bit\r\n\r\n" + payload.removesuffix(b"\r\n") in built(payload=payload).data


@pytest.mark.parametrize("layout", ["body", "attachment"])
@pytest.mark.parametrize("payload", [payload for payload, _ in PAYLOADS] + [b"a\r\n--=_htpoort--\r\nb"])
def test_the_payload_can_be_taken_out(payload: bytes, layout: str) -> None:
    """The reader gives back what the writer was given, in either layout."""
    payload_of = read(built(payload=payload, layout=layout).data).payload

    assert (payload, ()) == (payload_of.octets, payload_of.problems)


@pytest.mark.parametrize("layout", ["body", "attachment"])
@pytest.mark.parametrize("payload", [payload for payload, _ in PAYLOADS], ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
def test_transfer_encoding_by_name(payload: bytes, layout: str, encoding: str) -> None:
    """Each payload can be sent in each encoding; the standard library finds the same octets, and lines are short."""
    data = built(payload=payload, layout=layout, transfer_encoding=encoding).data
    message = parsed(data)
    part = message if layout == "body" else next(message.iter_attachments())

    assert (encoding, payload) == (part["Content-Transfer-Encoding"], part.get_payload(decode=True))
    assert payload == read(data).payload.octets
    assert 78 >= max(map(len, data.rpartition(b"\r\n\r\n")[2].splitlines(keepends=True)))
    assert data.isascii()
    assert data.endswith(b"\r\n")


def test_quoted_printable() -> None:
    """What a server may change is encoded: octets outside of ASCII, equals signs, starts and ends of lines."""
    payload = b"<a b='1'>\xc3\xa9 \r\n.\r\nFrom x\r\n>From\n\ty\t\r\n\r\n" + b"x" * 80 + b"\r\n\r\n"
    body = built(payload=payload, transfer_encoding="quoted-printable").data.partition(b"\r\n\r\n")[2]

    assert (
        b"<a b=3D'1'>=C3=A9=20\r\n=2E\r\n=46rom x\r\n=3EFrom=0A\ty=09\r\n\r\n"
        + (b"x" * 75 + b"=\r\n" + b"x" * 5 + b"=0D=0A=0D=0A=\r\n")
    ) == body


@pytest.mark.parametrize("payload", [b"\xff" * 100, b"=" * 100, b"x" * 74 + b"===", b"." * 200, b"x" * 75 + b". "])
def test_no_octet_is_cut(payload: bytes) -> None:
    """A soft line break never stands inside of an encoded octet."""
    lines = built(payload=payload, transfer_encoding="quoted-printable").data.partition(b"\r\n\r\n")[2].split(b"\r\n")

    assert all(re.fullmatch(rb"(?:[^=]|=[0-9A-F]{2})*=?", line) for line in lines)
    assert 76 >= max(map(len, lines))


def test_seven_bit_by_name() -> None:
    """7bit is what is chosen anyway for a payload that no server changes; for any other it is refused."""
    assert built() == built(transfer_encoding="7bit")
    message = "transfer_encoding is '7bit', but mail servers may change this payload; give 'base64', or leave it out."
    problem = [("input.transfer-encoding", message, 0, 0)]
    assert problem == refused(payload=b"<a/>\n", transfer_encoding="7bit")
    assert problem == refused(payload=b"--=_htpoort\r\n", transfer_encoding="7bit", layout="attachment")
    assert built(payload=b"--=_htpoort\r\n", transfer_encoding="7bit")
    assert ["input.payload"] == [code for code, *_ in refused(payload="", transfer_encoding="7bit")]


@pytest.mark.parametrize("encoding", ["8bit", "binary", "Base64", "", 7, []])
def test_other_transfer_encodings(encoding: object) -> None:
    """An encoding that a server may change, or that does not exist, is refused."""
    message = f"transfer_encoding is {encoding!r}; give one of 7bit, quoted-printable, base64, or leave it out."
    assert [("input.transfer-encoding", message, 0, 0)] == refused(transfer_encoding=encoding)


def test_the_line_end_that_is_added() -> None:
    """A body that goes out as it is gets the line end that it lacks, and its size says so."""
    for payload, lines in ((b"<a/>", [b"Content-Disposition: inline; size=4"]), (b"<a/>\r\n", [])):
        head, _, body = built(payload=payload).data.partition(b"\r\n\r\n")
        assert b"<a/>\r\n" == body
        assert lines == [line for line in head.split(b"\r\n") if line.startswith(b"Content-Disposition")]


@pytest.mark.parametrize("size", [1, 56, 57, 58, 113, 114, 115, 5_000])
def test_base64_lines(size: int) -> None:
    """Lines of base64 have 76 characters, the last one what is left."""
    payload = b"\xff" * size
    lines = built(payload=payload).data.partition(b"\r\n\r\n")[2].split(b"\r\n")

    assert b"" == lines.pop()
    assert {76} >= {len(line) for line in lines[:-1]}
    assert 0 < len(lines[-1]) <= 76
    assert payload == b"".join(map(base64.b64decode, lines))


@pytest.mark.parametrize("layout", ["body", "attachment"])
@pytest.mark.parametrize("payload", [payload for payload, _ in PAYLOADS], ids=lambda value: repr(value)[:30])
def test_every_line_is_short_ascii(payload: bytes, layout: str) -> None:
    """A message is ASCII without NUL, its lines end in CRLF and have at most 998 octets."""
    data = built(payload=payload, layout=layout).data

    assert data.isascii()
    assert b"\0" not in data
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert data.endswith(b"\r\n")


TYPES = [
    (b"<?xml version='1.0'?><a/>", "application/xml", "xml"),
    (b"  \r\n\t<a/>", "application/xml", "xml"),
    (b"\xef\xbb\xbf<a/>", "application/xml", "xml"),
    (b"\xef\xbb\xbf \n<a/>", "application/xml", "xml"),
    ("\ufeff<a/>".encode("utf-16-le"), "application/xml", "xml"),
    ("\ufeff<a/>".encode("utf-16-be"), "application/xml", "xml"),
    (b"UNA:+.? 'UNB+UNOC:3", "application/EDIFACT", "edi"),
    (b"UNB+UNOC:3'", "application/EDIFACT", "edi"),
    (b"\r\nUNB+UNOC:3'", "application/EDIFACT", "edi"),
    (b" " * 63 + b"<a/>", "application/xml", "xml"),
    (b" " * 64 + b"<a/>", "application/octet-stream", "bin"),
    (b"UNH+1'", "application/octet-stream", "bin"),
    (b"una:+.? '", "application/octet-stream", "bin"),
    (b"{}", "application/octet-stream", "bin"),
    (b" ", "application/octet-stream", "bin"),
]


@pytest.mark.parametrize(("payload", "content_type", "ending"), TYPES)
def test_content_type_of_the_payload(payload: bytes, content_type: str, ending: str) -> None:
    """XML and EDIFACT are recognised by their first octets; everything else is octets."""
    message = parsed(built(payload=payload, layout="attachment").data)
    (part,) = message.iter_attachments()

    assert f"\r\nContent-Type: {content_type}\r\n".encode() in built(payload=payload).data
    assert (content_type.lower(), f"22096222734662.{ending}") == (part.get_content_type(), part.get_filename())


@pytest.mark.parametrize(
    "content_type",
    ["text/xml", "application/xml; charset=utf-8", "text/xml;charset=us-ascii", 'a/b; c="d e"; f=g', "a/" + "b" * 198],
)
@pytest.mark.parametrize("layout", ["body", "attachment"])
def test_content_type_given(content_type: str, layout: str) -> None:
    """A given content type is used unchanged."""
    assert f"\r\nContent-Type: {content_type}\r\n".encode() in built(content_type=content_type, layout=layout).data


@pytest.mark.parametrize("file_name", ["a", "_a", "declaration.xml", "A-b_9.tar.gz", "x" * 64])
def test_file_name_given(file_name: str) -> None:
    """A given file name is used unchanged."""
    message = parsed(built(file_name=file_name, layout="attachment").data)

    assert [file_name] == [part.get_filename() for part in message.iter_attachments()]


DATES = [
    (datetime(2026, 1, 5, 0, 0, 0, tzinfo=UTC), "Mon, 05 Jan 2026 00:00:00 +0000"),
    (datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC), "Thu, 29 Feb 2024 23:59:59 +0000"),
    (
        datetime(2026, 7, 14, 1, 2, 3, tzinfo=timezone(timedelta(hours=-11, minutes=-30))),
        "Tue, 14 Jul 2026 01:02:03 -1130",
    ),
    (
        datetime(1935, 5, 1, 1, 2, 3, tzinfo=timezone(timedelta(minutes=19, seconds=32))),
        "Wed, 01 May 1935 01:02:03 +0019",
    ),
    (datetime(1900, 1, 1, tzinfo=UTC), "Mon, 01 Jan 1900 00:00:00 +0000"),
    (datetime(9999, 12, 31, tzinfo=UTC), "Fri, 31 Dec 9999 00:00:00 +0000"),
    (datetime(2026, 3, 1, tzinfo=UTC), "Sun, 01 Mar 2026 00:00:00 +0000"),
    (datetime(2026, 4, 4, tzinfo=UTC), "Sat, 04 Apr 2026 00:00:00 +0000"),
    (datetime(2026, 6, 5, tzinfo=UTC), "Fri, 05 Jun 2026 00:00:00 +0000"),
    (datetime(2026, 8, 6, tzinfo=UTC), "Thu, 06 Aug 2026 00:00:00 +0000"),
    (datetime(2026, 9, 8, tzinfo=UTC), "Tue, 08 Sep 2026 00:00:00 +0000"),
    (datetime(2026, 10, 7, tzinfo=UTC), "Wed, 07 Oct 2026 00:00:00 +0000"),
]


@pytest.mark.parametrize(("moment", "expected"), DATES)
def test_date(moment: datetime, expected: str) -> None:
    """Date is in English, in the zone that was given, without fractions."""
    assert f"\r\nDate: {expected}\r\n".encode() in built(date=moment).data


@pytest.mark.parametrize("s", list(string.digits))
def test_s(s: str) -> None:
    """S is carried as given."""
    assert f"[S={s}]" == built(s=s).data.split(b"\r\n")[2][-5:].decode()


@pytest.mark.parametrize("party", ["NL123456789.02.05", PartyId.parse("NL123456789.02.05")])
def test_party(party: str | PartyId) -> None:
    """A party is a text or a value."""
    assert "NL123456789.02.05" == built(party=party).envelope.sender


@pytest.mark.parametrize("mailbox", ["edi@mail.local", "edi@localhost", "edi@vpn-host", "edi@mail.internal"])
def test_mailbox_behind_a_vpn(mailbox: str) -> None:
    """A name that is only known behind the VPN is a mailbox like any other."""
    assert (mailbox, f"From: {mailbox}".encode()) == (
        built(mailbox=mailbox).mail_from,
        built(mailbox=mailbox).data[: 6 + len(mailbox)],
    )


@pytest.mark.parametrize("system", [AGS, "AGS", "ags"])
def test_system(system: DeclarationSystem | str) -> None:
    """A system is a value or a name in the directory, in any case."""
    sub = built(system=system)

    assert ("ags@htpoort.nl", "DMS.NL", "AGS") == (sub.rcpt_to, sub.envelope.addressee, sub.system)


def test_directory() -> None:
    """A name is looked up in the directory that is given, and nowhere else."""
    directory = Directory.from_toml('[systems.BTO]\nmailbox = "bto@customs.example"\nprocess_id = "BTO.NL"')

    assert "bto@customs.example" == built(system="BTO", directory=directory).rcpt_to
    with pytest.raises(UnknownError) as caught:
        built(system="DMS", directory=directory)
    assert ("DMS", ("BTO",)) == (caught.value.key, caught.value.known)


def test_unknown_system() -> None:
    """An unknown system raises an error that lists the known ones."""
    with pytest.raises(UnknownError) as caught:
        built(system="NCTS", reference="")

    assert "system 'NCTS' is not in the directory. Known: AGS, DMS." == str(caught.value)


PARTY_FORM = "give 1 to 35 letters, digits, dots, hyphens or underscores, as in NL123456789.02.05."
K_FORM = "give 1 to 35 letters and digits."
ID_FORM = "give <unique@your-domain>, at most 250 characters."
TYPE_FORM = "give type/subtype in ASCII, at most 200 characters."
NAME_FORM = "give 1 to 64 letters, digits, dots, hyphens or underscores."
LONG = "x" * 300

REFUSED = [
    ("party", "", f"party is ''; {PARTY_FORM}"),
    ("party", "NL 1", f"party is 'NL 1'; {PARTY_FORM}"),
    ("party", "N" * 36, f"party is '{'N' * 36}'; {PARTY_FORM}"),
    ("party", "NL1\u212a", f"party is 'NL1\u212a'; {PARTY_FORM}"),
    ("party", "NL1\r\nBcc: x@y.example", f"party is 'NL1\\r\\nBcc: x@y.example'; {PARTY_FORM}"),
    ("party", "x" * 256, f"party is '{'x' * 256}'; {PARTY_FORM}"),
    ("party", "x" * 257, f"party is '{'x' * 60}…'; {PARTY_FORM}"),
    ("party", LONG, f"party is '{'x' * 60}…'; {PARTY_FORM}"),
    ("reference", "", f"reference is ''; {K_FORM}"),
    ("reference", "ab]c", f"reference is 'ab]c'; {K_FORM}"),
    ("reference", "a-b", f"reference is 'a-b'; {K_FORM}"),
    ("reference", "1_0", f"reference is '1_0'; {K_FORM}"),
    ("reference", "a.b", f"reference is 'a.b'; {K_FORM}"),
    ("reference", "1" * 36, f"reference is '{'1' * 36}'; {K_FORM}"),
    ("reference", "1\n", f"reference is '1\\n'; {K_FORM}"),
    ("reference", "\uff11", f"reference is '\uff11'; {K_FORM}"),
    ("reference", "\u0661", f"reference is '\u0661'; {K_FORM}"),
    ("reference", "1\r\nBcc: x@y.example", f"reference is '1\\r\\nBcc: x@y.example'; {K_FORM}"),
    ("reference", "\ud800", f"reference is '\\ud800'; {K_FORM}"),
    ("s", "", "s is ''; give one digit."),
    ("s", "00", "s is '00'; give one digit."),
    ("s", "\u0660", "s is '\u0660'; give one digit."),
    ("s", "0\n", "s is '0\\n'; give one digit."),
    ("message_id", "", f"message_id is ''; {ID_FORM}"),
    ("message_id", "a@b.example", f"message_id is 'a@b.example'; {ID_FORM}"),
    ("message_id", "<a@b@c>", f"message_id is '<a@b@c>'; {ID_FORM}"),
    ("message_id", "<a b@c>", f"message_id is '<a b@c>'; {ID_FORM}"),
    ("message_id", "<a@b>\r\nBcc: x@y.example", f"message_id is '<a@b>\\r\\nBcc: x@y.example'; {ID_FORM}"),
    ("message_id", f"<{'a' * 247}@b>", f"message_id is '<{'a' * 247}@b>'; {ID_FORM}"),
    ("content_type", "", f"content_type is ''; {TYPE_FORM}"),
    ("content_type", "xml", f"content_type is 'xml'; {TYPE_FORM}"),
    ("content_type", "a/b;", f"content_type is 'a/b;'; {TYPE_FORM}"),
    ("content_type", 'a/b; c="\n"', f"content_type is 'a/b; c=\"\\n\"'; {TYPE_FORM}"),
    ("content_type", 'a/b; c="d"e"', f'content_type is \'a/b; c="d"e"\'; {TYPE_FORM}'),
    ("content_type", "a/b\r\nBcc: x@y.example", f"content_type is 'a/b\\r\\nBcc: x@y.example'; {TYPE_FORM}"),
    ("content_type", "a/" + "b" * 199, f"content_type is 'a/{'b' * 199}'; {TYPE_FORM}"),
    ("file_name", "", f"file_name is ''; {NAME_FORM}"),
    ("file_name", ".hidden", f"file_name is '.hidden'; {NAME_FORM}"),
    ("file_name", "-rf", f"file_name is '-rf'; {NAME_FORM}"),
    ("file_name", "../x", f"file_name is '../x'; {NAME_FORM}"),
    ("file_name", 'a"b', f"file_name is 'a\"b'; {NAME_FORM}"),
    ("file_name", "x" * 65, f"file_name is '{'x' * 65}'; {NAME_FORM}"),
    ("file_name", "a\r\nb", f"file_name is 'a\\r\\nb'; {NAME_FORM}"),
]


@pytest.mark.parametrize(("field", "value", "message"), REFUSED)
def test_text_refused(field: str, value: str, message: str) -> None:
    """A text outside of the writer's limits is refused by its argument's name; nothing is built."""
    assert [("input.value", message, 0, len(value))] == refused(**{field: value})


def test_message_id_limit() -> None:
    """A Message-ID of 250 characters is the longest."""
    message_id = f"<{'a' * 246}@b>"

    assert 250 == len(message_id)
    assert f"\r\nMessage-ID: {message_id}\r\n".encode() in built(message_id=message_id).data


OTHER_TYPES = [
    ("party", None, "party is NoneType; give a str."),
    ("party", 123, "party is int; give a str."),
    ("party", b"NL1", "party is bytes; give a str."),
    ("reference", 22096222734662, "reference is int; give a str."),
    ("s", 0, "s is int; give a str."),
    ("message_id", None, "message_id is NoneType; give a str."),
    ("mailbox", None, "mailbox is NoneType; give a str."),
    ("content_type", b"a/b", "content_type is bytes; give a str."),
    ("file_name", 5, "file_name is int; give a str."),
    ("system", None, "system is NoneType; give a DeclarationSystem or its name."),
    ("system", b"DMS", "system is bytes; give a DeclarationSystem or its name."),
]


@pytest.mark.parametrize(("field", "value", "message"), OTHER_TYPES)
def test_type_refused(field: str, value: object, message: str) -> None:
    """A value of the wrong type is refused, never turned into text: the party None is not the party "None"."""
    assert [("input.type", message, 0, 0)] == refused(**{field: value})


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, value, _ in OTHER_TYPES])
def test_a_problem_begins_with_its_argument(field: str, value: object) -> None:
    """The first word is the argument, so that readers of files and options can put the key or the option there."""
    assert [field] == [message.split()[0] for _, message, _, _ in refused(**{field: value})]


VALUES = [
    ("payload", b"", "input.payload", "payload is empty; give the octets of the declaration."),
    ("payload", "<a/>", "input.payload", "payload is str; give the octets of the declaration."),
    ("payload", bytearray(b"<a/>"), "input.payload", "payload is bytearray; give the octets of the declaration."),
    ("payload", None, "input.payload", "payload is NoneType; give the octets of the declaration."),
    ("date", date(2026, 1, 1), "input.date", "date is date; give an aware datetime."),
    ("date", "now", "input.date", "date is str; give an aware datetime."),
    (
        "date",
        datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - naive on purpose
        "input.date",
        "date is 2026-01-02T03:04:05 without a time zone; give an aware datetime such as datetime.now(UTC).",
    ),
    (
        "date",
        datetime(1899, 12, 31, tzinfo=UTC),
        "input.date",
        "date is in the year 1899; a message has no date before 1900.",
    ),
    ("layout", "inline", "input.layout", "layout is 'inline'; give one of body, attachment."),
    ("layout", None, "input.layout", "layout is None; give one of body, attachment."),
    ("layout", [], "input.layout", "layout is []; give one of body, attachment."),
]


@pytest.mark.parametrize(("field", "value", "code", "message"), VALUES)
def test_value_refused(field: str, value: object, code: str, message: str) -> None:
    """Payload, date and layout are refused by name, with what to give instead."""
    assert [(code, message, 0, 0)] == refused(**{field: value})


def test_mailbox_in_cyrillic() -> None:
    """A mailbox with a Cyrillic look-alike is another mailbox, and the letter is pointed at."""
    assert [
        ("input.mailbox", "mailbox holds U+0435, which makes it another mailbox; write it in ASCII.", 0, 1)
    ] == refused(mailbox="\u0435di@forwarder.example")


@pytest.mark.parametrize("mailbox", ["", "edi", "a@b.example\r\nBcc: c@d.example", "A <a@b.example>", '"a"@b.example'])
def test_mailbox_refused(mailbox: str) -> None:
    """A mailbox that is not plain is refused by name."""
    ((code, message, start, stop),) = refused(mailbox=mailbox)

    assert ("input.mailbox", 0, len(mailbox)) == (code, start, stop)
    assert message.startswith(f"mailbox is {mailbox!r}, not a plain mailbox")


def test_everything_at_once() -> None:
    """One error reports every wrong field, in the order of the arguments."""
    found = refused(
        system=5,
        party="",
        reference="ab]c",
        s="x",
        message_id="",
        mailbox="\u0430@b.example",
        payload=b"",
        date=None,
        layout="x",
        content_type="x",
        file_name="/",
    )

    assert [
        *("system", "party", "reference", "s", "message_id", "mailbox", "payload", "date", "layout"),
        *("content_type", "file_name"),
    ] == [message.split(" ")[0] for _, message, _, _ in found]


def test_error_text() -> None:
    """`str` of the error is one sentence for each field, without a caret, because no single text is concerned."""
    with pytest.raises(InputError) as caught:
        built(reference="ab]c", s="00")

    assert "reference is 'ab]c'; give 1 to 35 letters and digits.\ns is '00'; give one digit." == str(caught.value)


def test_pickle_and_copy() -> None:
    """A submission survives pickle and copy, octet for octet."""
    sub = built()

    for other in copies(sub):
        assert sub == other
    assert sub != attrs.evolve(sub, data=b"")


@pytest.mark.parametrize("length", range(1, 36))
def test_what_is_built_can_be_read(length: int) -> None:
    """The standard library reads the envelope of every K out of the Subject as it was given."""
    sub = built(reference="K" * length)

    assert str(sub.envelope) == parsed(sub.data)["Subject"]
    assert f"[V=NL123456789.02.05][A=DMS4.NL][K={'K' * length}][S=0]" == str(sub.envelope)
