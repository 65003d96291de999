"""Rule 2: a Subject leaves as one unfolded ASCII line. The core is tested here, mail clients in tests/wire."""

from __future__ import annotations

import base64
import email
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

from hypothesis import given, strategies as st
from strategies import NOON, digits, systems, writer_ids

from htpoort import DeclarationSystem, Submission, build
from htpoort.testing.strategies import references
from htpoort.testing.strategies._values import DATES

_SYSTEM = (DeclarationSystem(name="X", mailbox="x@b.example", process_id="X"), "NL1", "K1")

payloads = st.binary(min_size=1, max_size=3_000) | st.text("<a/>\r\n \t=_-.htpor", min_size=1).map(str.encode)


def built(system: DeclarationSystem, party: str, reference: str, **values: object) -> Submission:
    """Build a message of the values that matter to its Subject."""
    given_values: dict[str, object] = {"payload": b"<a/>", "date": NOON, "message_id": "<1@b.example>", **values}
    return build(system=system, party=party, mailbox="a@b.example", reference=reference, **given_values)  # type: ignore[arg-type]


class TestRule2OneLine:
    """For every K that the writer allows, `Subject: [V=…` leaves as one unfolded ASCII line."""

    @given(systems, writer_ids, references(), digits, st.sampled_from(["body", "attachment"]), payloads)
    def test_subject(  # noqa: PLR0913, PLR0917 - what a Subject depends on, and what it must not
        self, system: DeclarationSystem, party: str, reference: str, s: str, layout: str, payload: bytes
    ) -> None:
        """The one Subject is whole, on one line, and is the only one."""
        sub = built(system, party, reference, s=s, layout=layout, payload=payload)
        head = sub.data.partition(b"\r\n\r\n")[0].split(b"\r\n")

        assert f"Subject: [V={party}][A={system.process_id}][K={reference}][S={s}]".encode("ascii") == head[2]
        assert [2] == [number for number, line in enumerate(head) if line.lower().startswith(b"subject")]
        assert [] == [line for line in head if line[:1] in {b" ", b"\t", b""}]

    @given(systems, references(), payloads, st.sampled_from(["body", "attachment"]))
    def test_lines(self, system: DeclarationSystem, reference: str, payload: bytes, layout: str) -> None:
        """No line of any message is longer than 998 octets; each ends in CRLF; all is ASCII without NUL."""
        data = built(system, "NL123456789.02.05", reference, payload=payload, layout=layout).data

        assert data.isascii()
        assert b"\0" not in data
        assert data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n")
        assert data.endswith(b"\r\n")
        assert max(map(len, data.split(b"\r\n"))) <= 998

    @given(payloads)
    def test_payload_as_attachment(self, payload: bytes) -> None:
        """The attachment is the payload, octet for octet, as the standard library reads it."""
        data = built(*_SYSTEM, payload=payload, layout="attachment").data
        message = email.message_from_bytes(data, _class=EmailMessage, policy=policy.default)
        (part,) = message.iter_attachments()

        assert payload == part.get_payload(decode=True)
        assert not message.defects
        assert not part.defects

    @given(payloads)
    def test_payload_as_body(self, payload: bytes) -> None:
        """The body is the payload; only as plain text it gets the line end that it lacks."""
        head, _, body = built(*_SYSTEM, payload=payload).data.partition(b"\r\n\r\n")

        if head.endswith(b"base64"):
            assert payload == base64.b64decode(body)
        else:
            assert body in {payload, payload + b"\r\n"}

    @given(DATES)
    def test_date(self, moment: datetime) -> None:
        """Date is the moment to the second, in the given time zone."""
        data = built(*_SYSTEM, date=moment).data
        said = next(line for line in data.split(b"\r\n") if line.startswith(b"Date: "))[6:].decode()
        read = parsedate_to_datetime(said)

        assert moment.replace(microsecond=0) == read
        assert moment.utcoffset() == (read.replace(tzinfo=moment.tzinfo) if read.tzinfo is None else read).utcoffset()
