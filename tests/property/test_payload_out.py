"""What a message carries comes out of it, octet for octet, whatever it is and however it is carried."""

from __future__ import annotations

import quopri
from base64 import encodebytes

import pytest
from hypothesis import example, given, settings, strategies as st
from strategies import NOON

from htpoort import DMS, build, read, read_payload

OCTETS = st.binary(min_size=1, max_size=400) | st.lists(
    st.sampled_from([
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b".", b"From ", b">", b"=", b"=3D", b"=\r\n", b"--", b"--=_htpoort"),
        *(b"\0", b"\xe9", b"<a/>", b"PGEvPg==", b"x" * 75, b"x" * 76, b"x" * 901, b"Content-Type: a/b\r\n"),
    ]),
    min_size=1,
    max_size=12,
).map(b"".join)


class TestRoundTrip:
    """`read` takes out what `build` was given."""

    @given(
        payload=OCTETS,
        layout=st.sampled_from(["body", "attachment"]),
        encoding=st.sampled_from([None, "quoted-printable", "base64"]),
    )
    @example(payload=b"<MetaData/>", layout="body", encoding=None)
    @example(payload=b"<MetaData/>\r\n", layout="body", encoding=None)
    @example(payload=b"<MetaData/>\r\n", layout="attachment", encoding=None)
    @settings(max_examples=500)
    def test_built(self, payload: bytes, layout: str, encoding: str | None) -> None:
        """Every payload comes back, for every layout and encoding, without any problem."""
        data = build(
            system=DMS,
            party="NL123456789.02.05",
            mailbox="edi@forwarder.example",
            reference="22096222734662",
            payload=payload,
            date=NOON,
            message_id="<1@forwarder.example>",
            layout=layout,  # type: ignore[arg-type]
            transfer_encoding=encoding,  # type: ignore[arg-type]
        ).data

        assert (payload, ()) == (read(data).payload.octets, read(data).payload.problems)

    @given(payload=OCTETS)
    def test_encoded_by_the_standard_library(self, payload: bytes) -> None:
        """What Python encodes is decoded, in base64 and in quoted-printable."""
        head = b"Content-Transfer-Encoding: %s\n\n"

        assert payload == read_payload(head % b"base64" + encodebytes(payload)).octets
        # The standard library leaves a carriage return as it is, which is no line end and no octet to encode.
        plain = payload.replace(b"\r", b"")
        assert plain == read_payload(head % b"quoted-printable" + quopri.encodestring(plain, quotetabs=True)).octets


LINES = st.sampled_from([
    *(b"", b"--b", b"--b--", b"--c", b"--c--", b"--", b"PGEvPg==", b"=3D", b"=", b"x", b"\0", b" "),
    *(b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/mixed; boundary=c"),
    *(b"Content-Type: multipart/digest; boundary=b", b"Content-Type: text/xml; name*0=a", b"Content-Type: x"),
    *(b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable"),
    *(b"Content-Disposition: attachment; filename*=utf-8''%C3", b"Content-Disposition: inline; size=1"),
])


class TestAnyOctets:
    """Whatever a peer sends, `read_payload` gives a value."""

    @given(
        raw=st.binary(max_size=200) | st.lists(LINES, max_size=40).map(b"\r\n".join) | st.lists(LINES).map(b"\n".join)
    )
    @settings(max_examples=1_000)
    def test_a_value(self, raw: bytes) -> None:
        """It never raises; parts and problems are in the message; a part without octets says why."""
        payload = read_payload(raw)

        assert len(payload.parts) <= 101
        for part in payload.parts:
            assert 0 <= part.start <= part.stop <= len(raw)
            assert part.octets is not None or part.problems
            assert part.file_name is None or part.file_name.isprintable()
        for problem in payload.problems:
            assert 0 <= problem.start <= problem.stop <= len(raw)
            assert problem.code.startswith("payload.")
            assert problem.message.endswith(".")
        assert payload.octets is None or len(payload.parts) == 1

    @given(lines=st.lists(LINES, max_size=40))
    def test_line_ends(self, lines: list[bytes]) -> None:
        """The same parts are found with LF as with CRLF."""
        crlf, lf = (read_payload(end.join(lines)) for end in (b"\r\n", b"\n"))

        assert [(part.content_type, part.octets is None) for part in crlf.parts] == [
            (part.content_type, part.octets is None) for part in lf.parts
        ]

    @pytest.mark.parametrize("end", [b"\r\n", b"\n"])
    @given(before=st.lists(LINES, max_size=5))
    def test_never_more_than_one_reading(self, end: bytes, before: list[bytes]) -> None:
        """A genuine part after other parts is never given as the only one."""
        inner = [b"--o", b"", b"first", b"--o", b"", *before, b"--o", b"", b"last", b"--o--", b""]
        payload = read_payload(end.join([b"Content-Type: multipart/mixed; boundary=o", b"", *inner]))

        assert payload.octets is None
