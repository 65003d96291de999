"""A login shows nowhere, however a server repeats it: in no form that we send or print, whole, cut or wrapped."""

from __future__ import annotations

import gc
import hmac
import traceback
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from htpoort import SendError, Submission
from htpoort.core.text import Redaction
from htpoort.transport import Security, Sender, SmtpServer

Build = Callable[..., Submission]

USER = "edi"
PASSWORD = 'Ge"he\\im 12é!'
PLAIN = "AGVkaQBHZSJoZVxpbSAxMsOpIQ=="  # NUL edi NUL and the password, in UTF-8
LOGIN = "R2UiaGVcaW0gMTLDqSE="  # the password alone
URL = "Ge%22he%5Cim%2012%C3%A9%21"
FORMS = [PASSWORD, PLAIN, LOGIN, PLAIN.lower(), LOGIN.upper(), URL, URL.replace("%20", "+"), repr(PASSWORD)[1:-1]]


def leaks(text: str) -> list[str]:
    """List the pieces of six characters of any form that show in a text, in either case."""
    lower = "".join(text.split()).lower()
    dense = ["".join(form.split()).lower() for form in FORMS]
    return [form[at : at + 6] for form in dense for at in range(len(form) - 5) if form[at : at + 6] in lower]


def test_the_forms_are_what_we_send() -> None:
    """The forms typed above are those of SASL PLAIN and LOGIN (RFC 4616)."""
    octets = PASSWORD.encode()
    assert (PLAIN, LOGIN) == (b64encode(b"\0edi\0" + octets).decode(), b64encode(octets).decode())


class TestRedaction:
    """What is replaced, and what stays."""

    @pytest.mark.parametrize("form", FORMS)
    def test_each_form(self, form: str) -> None:
        """A form between other words is replaced, and the words stay."""
        assert "AUTH … is wrong" == Redaction.of_login(USER, PASSWORD)(f"AUTH {form.rstrip('=')} is wrong")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("cut", [8, 13])
    def test_a_form_that_is_cut(self, form: str, cut: int) -> None:
        """Neither the first part of a form nor the last shows."""
        hide = Redaction.of_login(USER, PASSWORD)
        assert ([], []) == (leaks(hide(f"AUTH {form[:cut]}")), leaks(hide(f"{form[-cut:]} AUTH")))

    @pytest.mark.parametrize("form", FORMS)
    def test_a_form_over_several_lines(self, form: str) -> None:
        """A line end in the middle makes no difference."""
        wrapped = "\r\n ".join(form[at : at + 3] for at in range(0, len(form), 3))
        assert [] == leaks(Redaction.of_login(USER, PASSWORD)(f"501 {wrapped} no"))

    def test_a_short_password(self) -> None:
        """A password shorter than a piece is replaced as a whole."""
        assert ("… is no word", "abd") == (
            Redaction.of_login("edi", "abc")("abc is no word"),
            Redaction.of_login("edi", "abc")("abd"),
        )

    @pytest.mark.parametrize(("username", "password"), [(None, None), ("edi", "  ")])
    def test_nothing_to_hide(self, username: str | None, password: str | None) -> None:
        """Without a password, or with one of blanks alone, a text stays as it is."""
        assert "535 no  such user" == Redaction.of_login(username, password)("535 no  such user")


class TestServer:
    """A server that repeats what it received reveals nothing through us."""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("place", ["AUTH", "MAIL", "RCPT", "DATA", "dot"])
    async def test_in_every_answer(self, fixed: Any, submission: Build, place: str, form: str) -> None:
        """The error, its repr, its traceback and the reply do not contain it."""
        offer = b"250-customs.example\r\n250 AUTH PLAIN\r\n"
        answers = {"EHLO": offer, place: f"535 5.7.8 {form} is wrong\r\n".encode()}
        async with fixed(**answers) as server, Sender(login(server.port)) as sender:
            with pytest.raises(SendError) as caught:
                await sender.send(submission())
        error = caught.value
        shown = [str(error), repr(error), error.reply, "".join(traceback.format_exception(error))]
        assert ([], "5.7.8 … is wrong") == (leaks("".join(shown)), error.reply.replace("…==", "…").replace("…=", "…"))

    @pytest.mark.parametrize("form", FORMS)
    async def test_in_an_acceptance(self, fixed: Any, submission: Build, form: str) -> None:
        """The reply to an accepted message, which the ledger keeps, does not contain it."""
        answers = {"EHLO": b"250-customs.example\r\n250 AUTH LOGIN\r\n", "dot": f"250 {form}\r\n".encode()}
        answers |= {"AUTH": b"334 UGFzc3dvcmQ6\r\n", "other": b"235 welcome\r\n"}
        async with fixed(**answers) as server, Sender(login(server.port)) as sender:
            accepted = await sender.send(submission())
        assert [] == leaks(f"{accepted!r}{accepted.reply}")
        assert LOGIN in server.commands

    @pytest.mark.parametrize("stray", [PASSWORD, PLAIN])
    async def test_out_of_step(self, fixed: Any, submission: Build, stray: str) -> None:
        """An answer without a question is shown without it too."""
        offer = b"250-customs.example\r\n250 AUTH PLAIN\r\n"
        answers = {"EHLO": offer, "AUTH": f"235 welcome\r\n250 {stray}\r\n".encode()}
        async with fixed(**answers) as server, Sender(login(server.port)) as sender:
            with pytest.raises(SendError, match="out of step") as caught:
                await sender.send(submission())
        assert [] == leaks("".join(traceback.format_exception(caught.value)))

    async def test_the_answer_to_a_challenge(self, fixed: Any, submission: Build) -> None:
        """The answer of CRAM-MD5 shows nowhere either: a weak password can be guessed from it (RFC 2195)."""
        digests: list[str] = []

        class Repeating(fixed):  # type: ignore[misc]  # a fixture's class
            async def _answer(self, name: str, *streams: Any) -> object:
                if name == "other":
                    digests.append(self.commands[-1])
                    streams[1].write(f"535 {digests[0]} is wrong\r\n".encode())
                    return b""
                return await super()._answer(name, *streams)

        answers = {"EHLO": b"250-customs.example\r\n250 AUTH CRAM-MD5\r\n", "AUTH": b"334 PDE4OTZAY3VzdG9tcz4=\r\n"}
        async with Repeating(**answers) as server, Sender(login(server.port)) as sender:
            with pytest.raises(SendError) as caught:
                await sender.send(submission())
        assert "… is wrong" == caught.value.reply.replace("…==", "…").replace("…=", "…")
        assert digests[0] not in "".join(traceback.format_exception(caught.value))

    async def test_the_answer_to_a_challenge_as_it_is(self, fixed: Any, submission: Build) -> None:
        """A server that shows the decoded digest reveals just as little; the user name may show."""
        # HMAC-MD5 (RFC 2104) of "<1896@customs>" under the password.
        digest = hmac.new(PASSWORD.encode(), b"<1896@customs>", "md5").hexdigest()
        offer = b"250-customs.example\r\n250 AUTH CRAM-MD5\r\n"
        answers = {"EHLO": offer, "AUTH": b"334 PDE4OTZAY3VzdG9tcz4=\r\n"}
        answers["other"] = f"535 {USER} {digest} no\r\n".encode()
        async with fixed(**answers) as server, Sender(login(server.port)) as sender:
            with pytest.raises(SendError) as caught:
                await sender.send(submission())
        assert f"{USER} … no" == caught.value.reply

    async def test_many_logins(self, fixed: Any, submission: Build) -> None:
        """Each connection has its own challenge: the number of hidden forms does not grow with the connections."""
        offer = b"250-customs.example\r\n250 AUTH CRAM-MD5\r\n"
        challenges = [b"334 " + b64encode(b"<%d@customs>" % number) + b"\r\n" for number in range(1000, 1010)]
        answers = {"EHLO": offer, "AUTH": challenges, "other": b"235 welcome\r\n"}
        answers["dot"] = (b"250 taken\r\n", "close")
        sizes: list[int] = []
        async with fixed(**answers) as server, Sender(login(server.port)) as sender:
            for _ in range(5):
                await sender.send(submission())
                sizes.append(hidden_pieces())
        assert 5 == server.connections
        assert [sizes[0]] * 5 == sizes


def hidden_pieces() -> int:
    """Count the forms that all live redactions look for."""
    gc.collect()
    return sum(len(pieces) for one in gc.get_objects() if isinstance(one, Redaction) for pieces in one._pieces)


def login(port: int) -> SmtpServer:
    """Describe how to reach a server of a test, with the login."""
    return SmtpServer(host="127.0.0.1", port=port, security=Security.PLAIN, username=USER, password=PASSWORD)
