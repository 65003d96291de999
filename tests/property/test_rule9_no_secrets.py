"""Rule 9: no secret and no payload is shown. The core is tested here, passwords of servers in tests/wire."""

from __future__ import annotations

import base64
import traceback

import pytest
from hypothesis import given, strategies as st
from strategies import NOON, copies, reply, systems

from htpoort import (
    DMS,
    DeclarationSystem,
    EnvelopeError,
    HtpoortError,
    InputError,
    LedgerError,
    Problem,
    Router,
    SendError,
    SendFailure,
    UnknownError,
    build,
    read,
)

ROUTER = Router(parties=["NL123456789.02.05"])
GOOD = {
    "system": DMS,
    "party": "NL123456789.02.05",
    "mailbox": "a@b.example",
    "reference": "1",
    "date": NOON,
    "message_id": "<1@b.example>",
}
secrets = st.text("abcdefghjkmnpqrstuvwxyz", min_size=12, max_size=30).map("Secret{}".format)
"""A word that no text of ours has in it."""

bad_fields = st.sampled_from([
    {"reference": "ab]c"},
    {"party": None},
    {"mailbox": "\u0430@b.example"},
    {"date": None},
    {"message_id": ""},
    {"layout": "x"},
    {"s": "00"},
    {"content_type": "x"},
    {"file_name": "../x"},
    {"system": 5},
    {"system": "X"},
])


def shown(value: object) -> str:
    """Give everything that may end in a log: `str`, `repr`, and the traceback of an error."""
    lines = [str(value), repr(value)]
    if isinstance(value, BaseException):
        lines += traceback.format_exception(value)
    return "\n".join(lines)


def in_text(secret: str) -> set[str]:
    """Give the forms in which a secret may be carried."""
    return {secret, base64.b64encode(secret.encode()).decode().rstrip("=")}


class TestRule9NoSecrets:
    """No secrets or payloads in repr, logs or errors."""

    @given(secrets, st.sampled_from(["body", "attachment"]), st.sampled_from([b"", b"\xff\xff\xff"]))
    def test_submission(self, secret: str, layout: str, before: bytes) -> None:
        """A submission carries the payload, and shows nothing of it, plain or encoded."""
        sub = build(**GOOD, payload=before + secret.encode(), layout=layout)  # type: ignore[arg-type]

        assert any(form.encode() in sub.data for form in in_text(secret))
        for other in (sub, *copies(sub)):
            assert not any(form in shown(other) for form in in_text(secret))

    @given(secrets, bad_fields)
    def test_refused_submission(self, secret: str, fields: dict[str, object]) -> None:
        """An error of `build` shows the value that is wrong, and nothing of the payload."""
        with pytest.raises(HtpoortError) as caught:
            build(**{**GOOD, "payload": secret.encode(), **fields})  # type: ignore[arg-type]

        assert not any(form in str(caught.value) + repr(caught.value) for form in in_text(secret))
        assert secret not in repr(vars(caught.value))

    @given(secrets)
    def test_payload_of_another_type(self, secret: str) -> None:
        """A payload that is no bytes is named by its type, not shown."""
        for payload in (secret, bytearray(secret.encode()), [secret], {secret: secret}):
            with pytest.raises(InputError) as caught:
                build(**GOOD, payload=payload)  # type: ignore[arg-type]
            assert secret not in str(caught.value) + repr(caught.value)

    @given(secrets, systems)
    def test_received(self, secret: str, system: DeclarationSystem) -> None:
        """A reply carries its body, and neither it nor the decision on it shows it."""
        raw = reply(system, body=secret.encode())
        received = read(raw)

        assert secret.encode() == received.body
        assert secret not in shown(received)
        assert secret not in shown(ROUTER.route_message(raw))

    @given(
        secrets,
        st.sampled_from([
            *(b"From: <\r\n\r\n", b"From: dms@htpoort.nl\r\nSubject: x\r\n\r\n", b"\0\r\n\r\n", b"\r\n", b""),
            *(b"From: dms@htpoort.nl\r\nFrom: x\r\n\r\n", b"X\r\n\r\n", b"From: dms@htpoort.nl\r\nX-Password: "),
        ]),
    )
    def test_quarantined(self, secret: str, before: bytes) -> None:
        """Neither does what is in quarantine, though the message has no end to its headers or a secret in them."""
        raw = before + secret.encode() + b"\r\n"

        assert secret not in shown(read(raw))
        assert secret not in shown(ROUTER.route_message(raw))

    @given(secrets)
    def test_lookup(self, secret: str) -> None:
        """A router does not show the function that looks references up, which may be bound to a database."""

        class Database:
            def __init__(self) -> None:
                self.url = f"postgresql://user:{secret}@host"

            def __repr__(self) -> str:
                return self.url

            def sent(self, _: str) -> None:
                """Nothing was sent."""

        assert secret not in shown(Router(parties=["NL1"], sent=Database().sent))

    @given(secrets)
    def test_text_of_errors(self, secret: str) -> None:
        """`repr` of an error leaves the text out that was read: it may be a whole header."""
        for kind in (EnvelopeError, InputError):
            assert secret not in repr(kind(secret, (Problem("a.b", "So."),)))

    @given(secrets)
    def test_errors_show_their_fields_only(self, secret: str) -> None:
        """An error shows what it was given, not what surrounded it: no local variable, no cause."""
        errors = [
            UnknownError("system", "key", "the directory", ("known",)),
            LedgerError("file", "written", "Wait."),
            SendError("a@b.example", SendFailure.LOGIN, 535, "5.7.8 no"),
        ]
        for error in errors:
            error.__cause__ = ValueError(secret)
            assert secret not in str(error) + repr(error)
            assert all(secret not in repr(other) for other in copies(error))
