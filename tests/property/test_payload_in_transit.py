"""A declaration arrives octet for octet, whatever the mail servers on its way do to lines."""

from __future__ import annotations

import email
import re
from collections.abc import Callable
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given, strategies as st
from strategies import NOON

from htpoort import DMS, build, read

CRLF = b"\r\n"


def breaks_at(most: int, mark: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """Break lines above a length, as Sendmail does with an exclamation mark and Haraka with a blank."""

    def changed(lines: list[bytes]) -> list[bytes]:
        pieces = [[line[at : at + most] for at in range(0, max(1, len(line)), most)] for line in lines]
        return [piece for line in pieces for piece in (mark + CRLF).join(line).split(CRLF)]

    return changed


def loses_empty_end(lines: list[bytes]) -> list[bytes]:
    """Drop the empty lines at the end of a message."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


SERVERS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "Sendmail breaks lines above 990": breaks_at(990, b"!"),
    "Haraka breaks lines above 990": breaks_at(990, b""),
    "breaks lines above 990 and a line end": breaks_at(988, b"!"),
    "mboxo escapes From": lambda lines: [re.sub(rb"\AFrom ", b">From ", line) for line in lines],
    "mboxrd escapes From": lambda lines: [re.sub(rb"\A(>*From )", rb">\1", line) for line in lines],
    "takes a quotation mark off": lambda lines: [re.sub(rb"\A>(>*From )", rb"\1", line) for line in lines],
    "strips blanks and tabs": lambda lines: [line.rstrip(b" \t") for line in lines],
    "fills up with blanks": lambda lines: [line + b" " if line[-1:] == b" " else line for line in lines],
    "ends at a lone dot": lambda lines: lines[: lines.index(b".")] if b"." in lines else lines,
    "doubles a dot": lambda lines: [b"." + line if line.startswith(b".") else line for line in lines],
    "loses a dot": lambda lines: [line.removeprefix(b".") for line in lines],
    "drops the eighth bit": lambda lines: [bytes(octet & 0x7F for octet in line) for line in lines],
    "loses NUL": lambda lines: [line.replace(b"\0", b"") for line in lines],
    "takes a bare CR or LF for a line end": lambda lines: [
        piece for line in lines for piece in re.split(rb"\r|\n", line)
    ],
    "loses empty lines at the end": loses_empty_end,
}

lines = st.one_of(
    st.sampled_from([b"", b".", b"..", b"From 1 January", b">From x", b">>From x", b"> From x", b"from x", b"From"]),
    st.sampled_from([b" ", b"\t", b"<a> ", b"<a>\t", b" <a>", b"--", b"-- ", b"--=_htpoort", b".x", b"\0", b"\xe9"]),
    st.sampled_from([76, 77, 899, 900, 901, 989, 990, 991, 998, 999, 5_000]).map(lambda size: b"x" * size),
    st.binary(max_size=20),
)
payloads = st.lists(lines, min_size=1, max_size=6).flatmap(
    lambda found: st.sampled_from([CRLF, b"\n", b"\r"]).map(lambda end: end.join(found))
)


def carried(data: bytes, layout: str) -> bytes:
    """Read the payload of a message as the standard library does."""
    message = email.message_from_bytes(data, _class=EmailMessage, policy=policy.default)
    part = next(iter(message.iter_attachments())) if layout == "attachment" else message
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


@pytest.mark.parametrize("server", SERVERS)
@given(
    payload=payloads.filter(bool),
    layout=st.sampled_from(["body", "attachment"]),
    encoding=st.sampled_from([None, "quoted-printable", "base64"]),
)
@example(payload=b"<a>" + b"x" * 984 + b"</a>\r\n", layout="body", encoding=None)
@example(payload=b"<a>\r\nFrom 1 January the goods lie in Rotterdam.   \r\n</a>\r\n", layout="body", encoding=None)
def test_no_server_changes_a_payload(server: str, payload: bytes, layout: str, encoding: str | None) -> None:
    """What a server on the way does to lines of a message, it does to no line of a declaration."""
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
    raw = CRLF.join(SERVERS[server](data.removesuffix(CRLF).split(CRLF))) + CRLF
    arrived = carried(raw, layout)

    assert payload == read(raw).payload.octets

    # A body that goes out as it is gets the line end that it lacks, which is no server's work.
    plain = layout == "body" and b"\r\nContent-Transfer-Encoding: 7bit\r\n" in data
    assert payload == (arrived.removesuffix(CRLF) if plain and not payload.endswith(CRLF) else arrived)
