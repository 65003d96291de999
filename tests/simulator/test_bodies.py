"""Synthetic bodies, read by a foreign XML parser and by an EDIFACT reader of the test's own."""

from __future__ import annotations

import encodings.aliases
import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET  # noqa: S405 - it reads what is written here

import pytest
from hypothesis import example, given, strategies as st

from htpoort import AGS, DMS, HTPOORT, DeclarationSystem, RoutingEnvelope, build
from htpoort.simulator import ReplyKind
from htpoort.simulator.bodies import body, content_of, lrn_of, mrn

DATE = datetime(2026, 11, 2, 9, 5, 7, tzinfo=UTC)
REQUEST = RoutingEnvelope(sender="NL123456789.02.05", addressee="DMS4.NL", reference="22096222734662")
ODD = "A&B <'O'+:?> 1"  # all that XML and EDIFACT have to escape
DECLARATION = "urn:wco:datamodel:WCO:DMS.Declaration:1"
RESPONSE = "{urn:wco:datamodel:WCO:DMS.Response:1}"
XML_CONTROL = "{urn:wco:datamodel:XML_Control:1}"
EXIT = DeclarationSystem(name="EXIT", mailbox="exit@customs.example", process_id="EXIT.NL")
WITH_MRN = [ReplyKind.ACCEPTANCE, ReplyKind.RELEASE, ReplyKind.CONTROL]


def xml(lrn: str) -> bytes:
    """Write a declaration for DMS."""
    root = ET.Element(f"{{{DECLARATION}}}MetaData")
    about = ET.SubElement(root, f"{{{DECLARATION}}}CommunicationMetaData")
    ET.SubElement(about, f"{{{DECLARATION}}}FunctionalReferenceID").text = "not the LRN"
    declaration = ET.SubElement(root, f"{{{DECLARATION}}}Declaration")
    ET.SubElement(declaration, f"{{{DECLARATION}}}FunctionalReferenceID").text = lrn
    return ET.tostring(root, xml_declaration=True, encoding="utf-8")


def edifact(lrn: str) -> bytes:
    """Write a declaration for AGS."""
    return f"UNA:+.? 'UNB+UNOC:3+A+B+261102:0905+1'UNH+1+CUSDEC:D:96B:UN'BGM+929+DOC'RFF+ABE:{lrn}'".encode("latin-1")


def segments(interchange: bytes) -> list[list[str]]:
    """Split an interchange into segments and elements, releases and components left as they are."""
    text = interchange.decode("latin-1")
    assert text.startswith("UNA:+.? '\r\n")
    assert text.endswith("'\r\n")
    lines = re.findall(r"((?:[^?']|\?.)*)'\r\n", text.removeprefix("UNA:+.? '\r\n"))
    return [re.findall(r"(?:\A|\+)((?:[^?+]|\?.)*)", line) for line in lines]


def answered(kind: ReplyKind, payload: bytes, *, system: DeclarationSystem = DMS, size: int = 0) -> bytes:
    """Write a body of a kind."""
    return body(kind, system=system, request=REQUEST, payload=payload, number=7, date=DATE, size=size)


# ── DMS ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [kind for kind in ReplyKind if kind is not ReplyKind.TECHNICAL_ERROR])
@pytest.mark.parametrize("lrn", ["LRN20261102", ODD, "Straße"])
def test_a_response_of_dms(kind: ReplyKind, lrn: str) -> None:
    """A reply of DMS is well-formed XML in its namespace, with the LRN of the request, and says it is synthetic."""
    written = answered(kind, xml(lrn))
    root = ET.fromstring(written)  # noqa: S314 - written here

    assert f"{RESPONSE}Response" == root.tag
    assert lrn == root.findtext(f"{RESPONSE}Declaration/{RESPONSE}FunctionalReferenceID")
    assert f"SYNTHETIC {kind.upper()}" == root.findtext(f"{RESPONSE}FunctionCode")
    assert b"Synthetic reply of a simulator, not of Customs." in written


def mrn_in(written: bytes) -> str | None:
    """Read the MRN of a reply of DMS."""
    return ET.fromstring(written).findtext(f"{RESPONSE}Declaration/{RESPONSE}ID")  # noqa: S314 - written here


def test_all_answers_have_the_mrn_of_the_declaration() -> None:
    """Replies to an accepted declaration have its MRN; those to a rejected one have none."""
    assert [mrn(7, DATE)] * 3 == [mrn_in(answered(kind, xml("1"))) for kind in WITH_MRN]
    assert mrn_in(answered(ReplyKind.REJECTION, xml("1"))) is None


def test_the_mrn_is_of_the_year_in_which_it_was_given() -> None:
    """A release in January has the MRN of the declaration of December."""
    taken = datetime(2025, 12, 31, tzinfo=UTC)
    written = body(ReplyKind.RELEASE, system=DMS, request=REQUEST, payload=xml("1"), number=7, date=DATE, taken=taken)

    assert mrn(7, taken) == mrn_in(written)


def test_a_technical_error_of_dms() -> None:
    """An XML_Control document has the LRN, and neither an MRN nor a sender or recipient."""
    root = ET.fromstring(answered(ReplyKind.TECHNICAL_ERROR, xml(ODD)))  # noqa: S314 - written here

    assert f"{XML_CONTROL}XML_Control" == root.tag
    assert ODD == root.findtext(f"{XML_CONTROL}Response/{XML_CONTROL}FunctionalReferenceID")
    assert 3 == len(list(root.iter()))


@pytest.mark.parametrize("kind", ReplyKind)
def test_a_declaration_without_an_lrn(kind: ReplyKind) -> None:
    """Without an LRN in the declaration, the reply is well-formed and has none."""
    written = answered(kind, b"<MetaData>")

    assert [] == [one for one in ET.fromstring(written).iter() if one.tag.endswith("FunctionalReferenceID")]  # noqa: S314 - written here


# ── AGS ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ReplyKind)
@pytest.mark.parametrize("size", [0, 2_000])
def test_an_answer_of_ags(kind: ReplyKind, size: int) -> None:
    """A reply of AGS is a closed interchange of one message, its counts and references agree, and it is synthetic."""
    written = answered(kind, edifact("LRN20261102"), system=AGS, size=size)
    found = segments(written)

    assert ["UNB", "UNH", "BGM", "FTX"] == [name for name, *_ in found[:4]]
    assert ["UNT", "UNZ"] == [name for name, *_ in found[-2:]]
    (unb, unh), (unt, unz) = found[:2], found[-2:]
    assert (["UNH", "1", "CUSRES:D:96B:UN"], "1") == (unh, unt[2])
    assert str(len(found) - 2) == unt[1]  # all but UNB and UNZ
    assert ["UNZ", "1", unb[5]] == unz
    assert ["NL123456789.02.05", "261102:0905"] == unb[3:5]
    assert len(unb[5]) <= 14  # data element 0020
    assert ["FTX", "AAI", "", "", "Synthetic reply of a simulator, not of Customs."] == found[3]
    assert f"SYNTHETIC {kind.upper()}" in found[2][1]


@pytest.mark.parametrize("kind", ReplyKind)
def test_the_references_of_an_answer_of_ags(kind: ReplyKind) -> None:
    """The LRN in the reply has its separators released; the MRN is there if the declaration has one."""
    written = answered(kind, edifact("O?'N?+1?:?? ß"), system=AGS)
    expected = [["RFF", "ABE:O?'N?+1?:?? ß"]] + [["RFF", f"ABT:{mrn(7, DATE)}"]] * (kind in WITH_MRN)

    assert expected == [one for one in segments(written) if one[0] == "RFF"]
    assert "O'N+1:? ß" == lrn_of(written)


@pytest.mark.parametrize(
    ("system", "payload", "expected"),
    [
        (DMS, b"UNB+UNOC:3'", b"<?xml"),
        (DMS, b"<MetaData/>", b"<?xml"),
        (DMS, b"\x00\x01", b"<?xml"),
        (AGS, b"UNB+UNOC:3'", b"UNA"),
        (AGS, b"<MetaData/>", b"UNA"),
        (AGS, b"\x00\x01", b"UNA"),
        (DeclarationSystem(name="OLD", mailbox="old@customs.example", process_id="dms.nl"), b"<a/>", b"UNA"),
        (EXIT, b"UNB+UNOC:3'", b"UNA"),
        (EXIT, b"<MetaData/>", b"<?xml"),
        (EXIT, b"", b"<?xml"),
    ],
)
def test_the_syntax_is_that_of_the_system(system: DeclarationSystem, payload: bytes, expected: bytes) -> None:
    """AGS replies in EDIFACT and DMS in XML; another system in the syntax of the declaration, or in XML."""
    assert answered(ReplyKind.ACCEPTANCE, payload, system=system).startswith(expected)


@pytest.mark.parametrize("kind", ReplyKind)
@pytest.mark.parametrize("lrn", ["LRN20261102", ODD, "Straße"])
def test_the_lrn_of_the_other_syntax(kind: ReplyKind, lrn: str) -> None:
    """The LRN is in the reply also if the declaration is not in the syntax of its system."""
    released = re.sub(r"([:+?'])", r"?\1", lrn)

    assert lrn == lrn_of(answered(kind, xml(lrn), system=AGS))
    assert lrn == next(
        one.text
        for one in ET.fromstring(answered(kind, edifact(released))).iter()  # noqa: S314 - written here
        if one.tag.endswith("FunctionalReferenceID")
    )


def test_what_edifact_cannot_write() -> None:
    """A letter of an LRN that ISO 8859-1 lacks becomes a question mark, released like any other."""
    written = answered(ReplyKind.ACCEPTANCE, xml("Łódź"), system=AGS)

    assert ["RFF", "ABE:??ód??"] in segments(written)
    assert "?ód?" == lrn_of(written)


@pytest.mark.parametrize("system", [AGS, DMS], ids=lambda system: system.name)
@pytest.mark.parametrize("size", [1, 700, 10_000, 1_000_001])
def test_a_size_is_reached(system: DeclarationSystem, size: int) -> None:
    """A body is filled up to a size, stays what it is, and no line is longer than a mail server takes."""
    written = answered(ReplyKind.RELEASE, xml("1"), system=system, size=size)

    assert size <= len(written) <= size + 1_000
    assert "1" == lrn_of(written)
    assert max(map(len, written.split(b"\r\n"))) <= 998
    if system is DMS:
        ET.fromstring(written)  # noqa: S314 - written here


# ── the MRN ──────────────────────────────────────────────────────────────────


def test_the_form_of_an_mrn() -> None:
    """It has year, country, 13 letters and digits and a digit, and the word SYNTH in it."""
    found = mrn(123_456_789, DATE)

    assert re.fullmatch(r"26NLSYNTH23456789[0-9]", found)


def test_the_check_digit_of_an_mrn() -> None:
    """The check digit is the sum of values times powers of 2, modulo 11, modulo 10; A is 10, B 12, L 23, V 34."""
    # 26NLSYNTH00000007: 2 6 N=25 L=23 S=30 Y=37 N=25 T=31 H=18, zeros, 7 at the 17th place.
    values = [2, 6, 25, 23, 30, 37, 25, 31, 18, 0, 0, 0, 0, 0, 0, 0, 7]

    assert str(sum(value * 2**at for at, value in enumerate(values)) % 11 % 10) == mrn(7, DATE)[17]


# ── the LRN of a request ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (xml("LRN 1"), "LRN 1"),
        (xml(ODD), ODD),
        (xml("Straße"), "Straße"),
        (xml("Straße").decode().replace("utf-8", "utf-16").encode("utf-16"), "Straße"),
        (b"<d:Declaration xmlns:d='x'><d:FunctionalReferenceID>1</d:FunctionalReferenceID></d:Declaration>", "1"),
        (b"<Declaration><FunctionalReferenceID>\r\n 1<![CDATA[&2]]>\r\n</FunctionalReferenceID></Declaration>", "1&2"),
        (b"<Declaration><FunctionalReferenceID>1</FunctionalReferenceID> and no end", "1"),
        (b"<Declaration><Goods><FunctionalReferenceID>1</FunctionalReferenceID></Goods></Declaration>", None),
        (b"<Declaration><FunctionalReferenceID>1", None),
        (b"<Declaration><FunctionalReferenceID/></Declaration>", None),
        (b"<Declaration><FunctionalReferenceID>a\nb</FunctionalReferenceID></Declaration>", None),
        (xml("x" * 70), "x" * 70),
        (xml("x" * 71), None),
        (edifact("LRN 1"), "LRN 1"),
        (edifact("O?'N?+1?:??"), "O'N+1:?"),
        (b"UNB+UNOC:3+A+B'UNH+1+CUSDEC'BGM+929+LRN 2+9'RFF+ABT:x'RFF+ABE'RFF'", "LRN 2"),
        (b"UNB+UNOC:3+A+B'\r\nUNH+1+CUSDEC'\r\nBGM+929+LRN 2:1'\r\n", "LRN 2"),
        (b"UNA/*.! ~UNB*UNOC/3~RFF*ABE/a+b!~!*!!~", "a+b~*!"),
        (b"UNA:+.  'UNB+UNOC:3'RFF+ABE:a?b'", "a?b"),
        (b"UNA", None),
        (b"UNB+UNOC:3'BGM+929'BGM'UNT?", None),
        (b"UNB+UNOC:3'" + b"FTX+AAI'" * 10_000 + b"RFF+ABE:1'", None),
        (b"LRN 1", None),
        (b"", None),
    ],
)
def test_lrn_of(payload: bytes, expected: str | None) -> None:
    """The LRN is read from its known place only, in any encoding and with any prefix or separators."""
    assert expected == lrn_of(payload)


@given(st.binary(max_size=300), st.sampled_from([b"", b"<", b"<a>", b"UNA", b"UNB+", b"\xff\xfe<\0", b"\xfe\xff\0<"]))
@example(b"", b'<?xml version="1.0" encoding="idna"?><a/>')
def test_lrn_of_anything(octets: bytes, start: bytes) -> None:
    """Any octets give an LRN of 1 to 70 printable characters, or none."""
    found = lrn_of(start + octets)

    assert found is None or (1 <= len(found) <= 70 and found.isprintable())


@pytest.mark.parametrize("encoding", sorted({*encodings.aliases.aliases.values(), "undefined", "none", "x" * 300}))
def test_lrn_of_any_encoding(encoding: str) -> None:
    """An XML declaration may name any encoding, also one that does not exist."""
    found = lrn_of(f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + xml("1").partition(b"?>")[2])

    assert found in {"1", None}


def test_no_entity_is_expanded() -> None:
    """A document type, and with it every entity that grows, ends the reading."""
    entities = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(12))
    text = f'<!DOCTYPE a [<!ENTITY a0 "x">{entities}]>'

    assert (
        lrn_of(f"{text}<Declaration><FunctionalReferenceID>&a12;</FunctionalReferenceID></Declaration>".encode())
        is None
    )


def test_what_was_found_is_enough() -> None:
    """Nothing after the LRN is read, and a long declaration before it is read once."""
    long = b"<Goods/>" * 200_000
    payload = b"<Declaration>%s<FunctionalReferenceID>1</FunctionalReferenceID>%s" % (long, b"<" * 1_000_000)

    assert "1" == lrn_of(payload)


# ── the declaration in its message ───────────────────────────────────────────


@pytest.mark.parametrize("layout", ["body", "attachment"])
@pytest.mark.parametrize("payload", [b"<MetaData/>\r\n", b"<MetaData>\n\xc3\x9f</MetaData>\n"])
def test_content_of_what_is_built(layout: str, payload: bytes) -> None:
    """The declaration is extracted unchanged from a message of `build`: as body or attachment, plain or base64."""
    built = build(
        system="DMS",
        party="NL123456789.02.05",
        mailbox="edi@forwarder.example",
        reference="1",
        payload=payload,
        date=DATE,
        message_id="<1@forwarder.example>",
        layout="attachment" if layout == "attachment" else "body",
        directory=HTPOORT,
    )

    assert payload == content_of(built.data)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", b""),
        (b"Subject: 1\r\n\r\n", b""),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n<a/>\r\n--x--\r\n", b"<a/>"),
        (b"Content-Type: message/rfc822\r\n\r\nSubject: 1\r\n\r\n<a/>", b"<a/>"),
        (b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<a=3D/>", b"<a=/>"),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 3, b""),
        # Messages within messages, until the package itself gives up.
        (b"Content-Type: message/rfc822\r\n\r\n" * 2_000, b""),
    ],
)
def test_content_of(raw: bytes, expected: bytes) -> None:
    """The first part that is not a multipart is the declaration."""
    assert expected == content_of(raw)


@given(st.binary(max_size=300))
@example(b"Content-Type: message/rfc822\r\n" * 2)
def test_content_of_anything(raw: bytes) -> None:
    """Any octets give octets."""
    assert isinstance(content_of(raw), bytes)
