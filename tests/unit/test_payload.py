"""The payload of a message: its parts, decoded, each with what is wrong with it; nothing is guessed and none chosen."""

from __future__ import annotations

import pytest

from htpoort import Part, Payload, Router, read, read_payload

HEAD = b"From: dms@htpoort.nl\r\nSubject: [V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]\r\n"
QUOTED = (
    "The part is declared as quoted-printable, but has an = that encodes nothing; "
    "decode it by hand, or have it sent again."
)


def message(*lines: bytes) -> bytes:
    """Write a message whose lines end in CRLF."""
    return HEAD + b"\r\n".join(lines)


def multipart(*parts: tuple[bytes, ...], end: bytes = b"--b--") -> bytes:
    """Write a multipart of parts, each a list of lines."""
    lines = [line for part in parts for line in (b"--b", *part)]
    return message(b"Content-Type: multipart/mixed; boundary=b", b"", *lines, end, b"")


def codes(payload: Payload) -> list[str]:
    """Return the codes of what is wrong."""
    return [problem.code for problem in payload.problems]


def only(payload: Payload) -> Part:
    """Return the only part."""
    (part,) = payload.parts
    assert part == payload.part
    return part


XML = (b"Content-Type: application/xml", b"", b"<a/>")


class TestOnePart:
    """A body, or the one part of a multipart, is decoded and described."""

    @pytest.mark.parametrize(
        ("encoding", "body", "octets"),
        [
            (b"7bit", b"<a/>\r\n", b"<a/>\r\n"),
            (b"8bit", b"<a>\xe9</a>\n", b"<a>\xe9</a>\n"),
            (b"BINARY", b"\0\xff\r\r\n", b"\0\xff\r\r\n"),
            (b"Base64", b"PGEv\r\n Pg=\t=\r\n", b"<a/>"),
            (b"base64", b"", b""),
            (b"quoted-printable", b"<a b=3D=22=C3=a9=22=\r\n/> \t\r\n\r\n", b'<a b="\xc3\xa9"/>\r\n\r\n'),
            (b"Quoted-Printable", b"a= \t\nb \nc=", b"ab\nc"),
        ],
    )
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_encodings(self, encoding: bytes, body: bytes, octets: bytes, *, wrapped: bool) -> None:
        """Every transfer encoding is undone, in any case of its name, as a body and as a part."""
        lines = (b"Content-Transfer-Encoding: " + encoding, b"", body)
        payload = read(multipart(lines) if wrapped else message(*lines)).payload

        assert (octets, ()) == (payload.octets, payload.problems)

    def test_what_is_declared(self) -> None:
        """Content type, character set and file name are those of the part."""
        payload = read(
            multipart((
                b'Content-Type: Application/XML;\r\n\tCharset="ISO-8859-1"; name=other.xml',
                b'Content-Disposition: attachment; filename="re\\"ply 1.xml"',
                b"",
                b"<a/>",
            ))
        ).payload

        assert (b"<a/>", "application/xml", "ISO-8859-1", 're"ply 1.xml', "xml") == (
            payload.octets,
            payload.content_type,
            payload.charset,
            payload.file_name,
            payload.ending,
        )
        assert () == payload.problems

    def test_nothing_declared(self) -> None:
        """A message without MIME headers is text/plain, 7bit."""
        raw = message(b"", b"UNB+UNOC:3+A+B'")
        part = only(read(raw).payload)

        assert (b"UNB+UNOC:3+A+B'", "text/plain", None, None, (), "edi") == (
            part.octets,
            part.content_type,
            part.charset,
            part.file_name,
            part.problems,
            part.ending,
        )
        assert (read(raw).body_start, len(raw)) == (part.start, part.stop)

    @pytest.mark.parametrize(
        ("kind", "body", "ending"),
        [
            (b"text/xml", b"\xef\xbb\xbf<a/>", "xml"),
            (b"text/plain", b"hello", "txt"),
            (b"application/pdf", b"%PDF-1.7", "pdf"),
            (b"application/x-sh", b"#!/bin/sh", "bin"),
        ],
    )
    def test_ending(self, kind: bytes, body: bytes, ending: str) -> None:
        """The ending follows from octets and content type, never from the declared name."""
        lines = (b"Content-Type: " + kind, b"Content-Disposition: attachment; filename=../x.exe", b"", body)
        assert ending == read(message(*lines)).payload.ending

    def test_the_line_end_before_a_boundary(self) -> None:
        """It belongs to the boundary, whether it is CRLF or LF; one more belongs to the part."""
        raw = multipart((b"", b"<a/>", b""))

        assert b"<a/>\r\n" == read_payload(raw).octets
        assert b"<a/>\n" == read_payload(raw.replace(b"\r\n", b"\n")).octets

    def test_size(self) -> None:
        """A line end that a writer had to add is dropped if the declared size shows it, and only then."""
        for size, octets in ((b"4", b"<a/>"), (b"6", b"<a/>\r\n"), (b"3", b"<a/>\r\n"), (b"x", b"<a/>\r\n")):
            lines = (b"Content-Disposition: inline; size=" + size, b"", b"<a/>", b"")
            assert octets == read(message(*lines)).payload.octets

    def test_an_empty_part(self) -> None:
        """A part may end after its headers, and a body may be empty."""
        assert (b"", ()) == (read(HEAD + b"\r\n").payload.octets, read(HEAD + b"\r\n").payload.problems)
        payload = read(multipart((b"Content-Type: application/xml", b""))).payload
        assert (b"", "application/xml", ()) == (payload.octets, payload.content_type, payload.problems)

    def test_preamble_and_epilogue(self) -> None:
        """Text before and after the parts is none; a longer line than the boundary is text."""
        raw = message(
            *(b"Content-Type: multipart/mixed; boundary=b (as ever)", b"", b"Your reader is old.", b"--bb", b"--b-- x"),
            *(b"--b \t", b"", b"<a/>", b"--bc", b"--b-- ", b"--b", b"", b"late"),
        )
        assert b"<a/>\r\n--bc" == read_payload(raw).octets

    def test_the_outer_boundary_ends_the_inner_part(self) -> None:
        """Nested parts are read in their order, and the boundaries of the outer multipart win."""
        inner = (b"Content-Type: multipart/mixed; boundary=b2", b"", b"--b2", b"", b"1", b"--b2--")
        payload = read_payload(multipart(inner, (b"", b"2")))

        assert [b"1", b"2"] == [part.octets for part in payload.parts]

    def test_an_attached_message(self) -> None:
        """A message in a message is one part, also without saying so in a digest."""
        for raw in (
            multipart((b"Content-Type: message/rfc822", b"", b"Subject: a", b"", b"b")),
            multipart((b"", b"Subject: a", b"", b"b")).replace(b"multipart/mixed", b"multipart/digest"),
        ):
            payload = read_payload(raw)
            assert ("message/rfc822", b"Subject: a\r\n\r\nb", ()) == (
                payload.content_type,
                payload.octets,
                payload.problems,
            )


class TestSeveral:
    """Several parts are all given, and none is chosen."""

    def test_all_are_given(self) -> None:
        """The properties of the message are None then."""
        payload = read_payload(multipart((b"", b"See the attachment."), XML))

        assert [b"See the attachment.", b"<a/>"] == [part.octets for part in payload.parts]
        assert [None] * 6 == [
            payload.part,
            payload.octets,
            payload.content_type,
            payload.charset,
            payload.file_name,
            payload.ending,
        ]
        assert ["payload.several"] == codes(payload)
        assert "There are 2 parts that may be the payload; choose by content type or file name." == (
            payload.problems[0].message
        )

    def test_a_blank_text_is_none(self) -> None:
        """The empty text that mail programs put beside an attachment does not count; two blank parts do."""
        assert b"<a/>" == read_payload(multipart((b"", b" \r\n"), XML, (b"Content-Type: text/html", b"", b""))).octets
        assert 2 == len(read_payload(multipart((b"", b" "), (b"", b""))).parts)

    @pytest.mark.parametrize(
        "lines",
        [
            (b"Content-Type: application/xml", b"", b" "),
            (b"Content-Disposition: attachment; filename=a.txt", b"", b" "),
            (b"Content-Type: text/plain; x", b"", b" "),
            (b"Content-Transfer-Encoding: base64", b"", b"!"),
        ],
    )
    def test_what_may_be_more(self, lines: tuple[bytes, ...]) -> None:
        """A part that is no text, has a name, or has a problem counts, even if it is blank."""
        assert 2 == len(read_payload(multipart(lines, XML)).parts)


class TestLies:
    """A part that lies about its encoding gives no octets, or the octets as they came, and a sentence."""

    @pytest.mark.parametrize(
        ("encoding", "body", "octets", "code", "sentence"),
        [
            *(
                (
                    b"base64",
                    body,
                    None,
                    "payload.base64",
                    "The part is declared as base64, but is not; decode it by hand, or have it sent again.",
                )
                for body in (
                    b"<MetaData/>",
                    b"PGEvPg==PGEv",
                    b"PGEvPg==\r\n-- \r\nThe gateway",
                    b"=",
                    b"P",
                    b"PGEv-_==",
                )
            ),
            (
                b"base64",
                b"PGEvPg\r\n",
                b"<a/>",
                "payload.base64-padding",
                "The base64 has no padding at its end; check that the payload is whole.",
            ),
            *(
                (
                    b"quoted-printable",
                    body,
                    None,
                    "payload.quoted-printable",
                    QUOTED,
                )
                for body in (b'<a b="c"/>', b"a=\rb", b"a= b", b"a=4", b"==\r\n")
            ),
            (
                b"quoted-printable",
                b"\xe9=3D",
                b"\xe9=",
                "payload.eight-bit",
                "The part is quoted-printable, but has octets above 127; they are kept.",
            ),
            (
                b"7bit",
                b"<a>\xe9</a>",
                b"<a>\xe9</a>",
                "payload.eight-bit",
                "The part is declared as 7bit, but has octets above 127; they are kept.",
            ),
            (
                b"x-uuencode",
                b"begin 644 a",
                None,
                "payload.encoding",
                "The transfer encoding 'x-uuencode' is unknown; decode the part by hand.",
            ),
        ],
    )
    def test_encodings(self, encoding: bytes, body: bytes, octets: bytes | None, code: str, sentence: str) -> None:
        """Octets that programs decode differently are not given, and the place of the encoded ones is."""
        raw = message(b"Content-Transfer-Encoding: " + encoding, b"", body)
        payload = read(raw).payload
        part = only(payload)

        assert octets == payload.octets
        assert [(code, sentence)] == [(problem.code, problem.message) for problem in payload.problems]
        assert body == raw[part.start : part.stop] == raw[payload.problems[0].start : payload.problems[0].stop]

    @pytest.mark.parametrize(
        ("kind", "shown"),
        [
            (b"application/xml; charset", "application/xml"),
            (b"application/xml charset=x", "application/xml"),
            (b'application/xml; charset="x', "application/xml"),
            (b"xml", "application/octet-stream"),
            (b"", "application/octet-stream"),
            (b"/xml", "application/octet-stream"),
        ],
    )
    def test_content_types(self, kind: bytes, shown: str) -> None:
        """A content type that cannot be read is reported, and changes no octet."""
        payload = read(message(b"Content-Type: " + kind, b"", b"<a/>")).payload

        assert (b"<a/>", shown, ["payload.content-type"]) == (payload.octets, payload.content_type, codes(payload))

    def test_content_types_in_use(self) -> None:
        """Comments, empty parameters and signs without quotes are in use, and read."""
        kind = b"(a) text/xml (b) ; ; charset = utf-8 (c); ;\r\n start=a@b/c=d;"
        payload = read(message(b"Content-Type: " + kind, b"", b"<a/>")).payload

        assert ("text/xml", "utf-8", ()) == (payload.content_type, payload.charset, payload.problems)

    @pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable", b"x"])
    def test_a_multipart_that_is_encoded(self, encoding: bytes) -> None:
        """No multipart may be encoded; programs split it before or after decoding, so it is not split."""
        raw = multipart(XML).replace(b"\r\n\r\n--b", b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n--b", 1)
        payload = read_payload(raw)

        assert (None, ["payload.encoding"], "multipart/mixed") == (payload.octets, codes(payload), payload.content_type)

    @pytest.mark.parametrize(
        "kind",
        [
            b"multipart/mixed",
            b'multipart/mixed; boundary=""',
            b"multipart/mixed; boundary=b; boundary=b",
            b"multipart/mixed; boundary=b; boundary*=c",
            b"multipart/mixed; boundary*0=b",
            b"multipart/mixed boundary=b",
            b"multipart; boundary",
            b"multipart/mixed; boundary=" + b"b" * 201,
        ],
    )
    def test_no_boundary(self, kind: bytes) -> None:
        """Without one clear boundary a multipart is not split."""
        payload = read_payload(multipart(XML).replace(b"multipart/mixed; boundary=b", kind, 1))

        assert (None, ["payload.boundary"]) == (payload.octets, codes(payload))

    @pytest.mark.parametrize("end", [b"", b"--b--"])
    def test_no_part(self, end: bytes) -> None:
        """A multipart whose boundary does not occur, or only closes, has no part."""
        payload = read_payload(multipart(end=end))

        assert (None, ["payload.boundary"]) == (payload.octets, codes(payload))
        assert "The multipart has no part: its boundary does not occur." == payload.problems[0].message

    @pytest.mark.parametrize(
        ("lines", "sentence"),
        [
            ((b"Content-Type: text/xml",), "There is no empty line after the headers."),
            (
                (b"Content-Type : text/xml", b"", b"<a/>"),
                "The headers have a line or an octet that programs read differently.",
            ),
            ((b"X: \0", b"", b"<a/>"), "The headers have a line or an octet that programs read differently."),
            (
                (b"Content-Type: text/xml", b"Content-type: text/plain", b"", b"<a/>"),
                "There is a second Content-Type header; it is unclear which one counts.",
            ),
            (
                (b"Content-Transfer-Encoding: 7bit", b"Content-Transfer-Encoding: 7bit", b"", b"<a/>"),
                "There is a second Content-Transfer-Encoding header; it is unclear which one counts.",
            ),
            ((b"X: ".ljust(70_000, b"x"), b"", b"<a/>"), "There is no empty line after the headers."),
        ],
    )
    def test_headers(self, lines: tuple[bytes, ...], sentence: str) -> None:
        """A part whose headers programs read differently gives no octets."""
        for payload in (read_payload(multipart(lines)), read_payload(b"\r\n".join(lines))):
            assert (None, ["payload.header"]) == (payload.octets, codes(payload))
            assert sentence == payload.problems[0].message

    def test_no_end(self) -> None:
        """In a multipart without an end, the last part may have been cut, and is not given; those before it are."""
        payload = read_payload(multipart((b"", b"1"), (b"", b"2"), end=b""))

        assert [b"1", None] == [part.octets for part in payload.parts]
        assert ["payload.several", "payload.not-closed"] == codes(payload)
        assert "The multipart has no end; the message may have been cut." == payload.problems[1].message

    @pytest.mark.parametrize(
        "inner",
        [
            (b"Content-Type: multipart/mixed; boundary=i", b"", b"--i", *XML, b"--i--"),
            (b"Content-Type: multipart/mixed", b""),
            (b"Content-Type: text/xml", b"Content-Type: text/xml", b"", b""),
        ],
    )
    def test_no_end_after_a_multipart(self, inner: tuple[bytes, ...]) -> None:
        """That parts may be missing is never lost from sight: the payload is not given as if it were whole."""
        payload = read_payload(multipart(inner, end=b""))

        assert payload.octets is None
        assert "payload.not-closed" in codes(payload)


class TestBounds:
    """No message takes more than linear time, or gives more than a hundred parts."""

    def test_ten_thousand_parts(self) -> None:
        """The first hundred are given, then a sentence; that there are more is never hidden."""
        payload = read_payload(multipart(*[(b"", b"%d" % number) for number in range(10_000)]))

        assert [*(b"%d" % number for number in range(100)), None] == [part.octets for part in payload.parts]
        assert ["payload.several", "payload.too-many"] == codes(payload)
        assert "There are more than 100 parts; the others are not read." == payload.problems[1].message

    def test_a_hundred_parts(self) -> None:
        """A hundred parts are not too many."""
        payload = read_payload(multipart(*[XML] * 100))
        assert (100, ["payload.several"]) == (len(payload.parts), codes(payload))

    def test_many_in_many(self) -> None:
        """Multiparts count as well as what is in them."""
        inner = (b"Content-Type: multipart/mixed; boundary=i", b"", *(b"--i", b"", b"x") * 60, b"--i--")
        payload = read_payload(multipart(*[inner] * 60))

        assert 101 > len(payload.parts)
        assert "payload.too-many" in codes(payload)

    def test_a_hundred_deep(self) -> None:
        """Eight multiparts in each other are read; what is deeper is reported."""
        for depth, octets, expected in (
            (8, b"<a/>", []),
            (9, None, ["payload.too-deep"]),
            (100, None, ["payload.too-deep"]),
        ):
            lines: tuple[bytes, ...] = XML
            for number in range(depth):
                mark = b"--b%d" % number
                kind = b"Content-Type: multipart/mixed; boundary=b%d" % number
                lines = (kind, b"", mark, *lines, mark + b"--")
            payload = read_payload(message(*lines))
            assert (octets, expected) == (payload.octets, codes(payload))
        assert "Parts are nested more than 8 deep; those further inside are not read." == payload.problems[0].message

    @pytest.mark.parametrize(
        "body",
        [
            b"\n--b" * 200_000,
            b"\n--b \t" * 200_000,
            b"\n--b--x" * 200_000,
            b" " * 1_000_000,
            b"= " * 500_000,
            b"=\n" * 500_000,
            b"(" * 1_000_000,
        ],
    )
    @pytest.mark.parametrize(
        "head", [b"Content-Type: multipart/mixed; boundary=b", b"Content-Transfer-Encoding: quoted-printable"]
    )
    def test_long(self, head: bytes, body: bytes) -> None:
        """What repeats a million times is read once: quadratic time would not end within a test."""
        assert read_payload(message(head, b"", body)).parts

    @pytest.mark.parametrize(
        "text", [b"(" * 60_000, b" " * 60_000, b";" * 60_000, b'; a="' + b"\\" * 60_000, b"; a=b" * 12_000]
    )
    def test_long_headers(self, text: bytes) -> None:
        """The same for a content type."""
        assert 1 == len(read_payload(message(b"Content-Type: text/xml" + text, b"", b"<a/>")).parts)


class TestFileNames:
    """A file name is given as declared, on one printable line, or not at all."""

    @pytest.mark.parametrize(
        ("disposition", "name"),
        [
            (b"attachment; filename=a.xml", "a.xml"),
            (b'attachment; filename="a b.xml"', "a b.xml"),
            (b'attachment; filename="=?utf-8?q?caf=C3=A9.xml?="', "caf\u00e9.xml"),
            (b"attachment; filename=caf\xc3\xa9.xml", "caf\u00e9.xml"),
            (b"attachment; filename=caf\xe9.xml", "caf\ufffd.xml"),
            (b"attachment; filename*=UTF-8'nl'caf%c3%A9.xml", "caf\u00e9.xml"),
            (b"attachment; filename*=iso-8859-1''caf%E9.xml; filename=x", "x"),
            (b"attachment; filename*0=aa%41; filename*1=bb.xml", "aa%41bb.xml"),
            (b"attachment; filename*0*=utf-8''caf%C3; filename*1*=%A9; filename*2=%41.xml", "caf\u00e9%41.xml"),
            (b"attachment; filename*0=a; filename*2=b", "a"),
            (b'attachment; filename="a\tb\x1b.xml"', "a b .xml"),
            (b"inline", "n.xml"),
            (b'attachment; filename=""', None),
        ],
    )
    def test_names(self, disposition: bytes, name: str | None) -> None:
        """Encoded words, and the pieces and percent signs of RFC 2231, are decoded."""
        kind = b"Content-Type: text/xml; name=n.xml" if disposition == b"inline" else b"Content-Type: text/xml"
        payload = read(message(kind, b"Content-Disposition: " + disposition, b"", b"<a/>")).payload

        assert (name, ()) == (payload.file_name, payload.problems)

    @pytest.mark.parametrize(
        "disposition",
        [
            b"attachment; filename=a.xml; filename=b.xml",
            b"attachment; filename*=koi8-r''a",
            b"attachment; filename*=utf-8''%FF",
            b"attachment; filename*=a.xml",
            b"attachment; filename*=a; filename*=a",
            b'attachment; filename="a',
        ],
    )
    def test_unclear_names(self, disposition: bytes) -> None:
        """A name that programs read differently is not given; the octets are."""
        payload = read(
            message(b"Content-Type: text/xml; name=n.xml", b"Content-Disposition: " + disposition, b"", b"<a/>")
        ).payload

        assert (b"<a/>", None, ["payload.file-name"]) == (payload.octets, payload.file_name, codes(payload))
        assert "The file name is declared in a form that programs read differently." == payload.problems[0].message


class TestWhere:
    """The payload is where the message is."""

    def test_routed(self) -> None:
        """A routed message has its payload; a reply that was routed by its Subject alone has none."""
        router = Router(parties=["NL123456789.02.05"], sent=lambda _: None)
        raw = message(b"Content-Transfer-Encoding: base64", b"", b"PGEvPg==")

        assert b"<a/>" == router.route_message(raw).payload.octets
        payload = router.route(mailbox="dms@htpoort.nl", subject="[V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]").payload
        assert ((), ["payload.absent"]) == (payload.parts, codes(payload))

    def test_no_octet_in_a_repr(self) -> None:
        """Neither a payload nor a routed reply shows its octets."""
        routed = Router(parties=["NL123456789.02.05"]).route_message(message(b"", b"geheim"))
        assert "geheim" not in f"{routed!r}{routed.payload!r}"
