"""Text from outside: secrets are hidden in each form, one line is printable, and case is of ASCII alone."""

from __future__ import annotations

import pytest

from htpoort.core.text import Redaction, ascii_lower, one_line, unreadable

PASSWORD = "geh eim/9é"
LOGIN = Redaction.of_login("edi", PASSWORD)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("535 wrong: geh eim/9é!", "535 wrong: …!"),
        ("535 wrong: GEH EIM/9é!", "535 wrong: …!"),
        # As base64, quoted for a URL, and wrapped.
        ("334 Z2VoIGVpbS85w6k=", "334 …="),
        ("AHBsYWlu smtp://edi:geh%20eim%2F9%C3%A9@mail.example", "AHBsYWlu smtp://edi:…@mail.example"),
        ("geh\r\n eim/9é", "…"),
        # SASL PLAIN: a NUL, the name, a NUL, the password.
        ("AUTH PLAIN AGVkaQBnZWggZWltLznDqQ==", "AUTH PLAIN …=="),
        # A part of it is too much from five characters on; blanks do not count.
        ("geh ei", "…"),
        ("geh e", "geh e"),
        ("nothing of it", "nothing of it"),
        ("", ""),
    ],
)
def test_a_login(said: str, shown: str) -> None:
    """The password does not show whole, in part, in another case, wrapped, or as base64 or a URL has it."""
    assert shown == LOGIN(said)


@pytest.mark.parametrize("password", [None, ""])
def test_no_password(password: str | None) -> None:
    """Without a password nothing is hidden, not even the user name."""
    assert "edi said nothing" == Redaction.of_login("edi", password)("edi said nothing")


def test_a_short_secret() -> None:
    """A secret that is shorter than what shows too much counts as a whole."""
    assert ("ab", "a…d") == (Redaction("abc")("ab"), Redaction("bc")("abcd"))


def test_another_secret() -> None:
    """What is added later is hidden too."""
    redaction = Redaction("first-secret")
    redaction.add("second-secret", "")
    assert "… and …" == redaction("first-secret and second-secret")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("451 try again", "451 try again"),
        (" a\r\n\tb\u2028c ", "a b c"),
        ("nul\0 and half a character \ud83d", "nul and half a character"),
        ("\x1b[31mred", "[31mred"),
        ("Zoë €", "Zoë €"),
        ("", ""),
    ],
)
def test_one_line(text: str, expected: str) -> None:
    """Whatever a peer sends becomes one line that logs, terminals and databases accept."""
    assert expected == one_line(text)


@pytest.mark.parametrize(("text", "expected"), [("DMS@HTPOORT.NL", "dms@htpoort.nl"), ("\u212aZ1", "\u212aZ1")])
def test_only_ascii_is_lowered(text: str, expected: str) -> None:
    """A character outside of ASCII never becomes a letter of ours."""
    assert expected == ascii_lower(text)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError(2, "No such file or directory"), "a.toml cannot be read: No such file or directory."),
        (
            PermissionError(13, "Permission denied"),
            "a.toml cannot be read: Permission denied; let the user who runs this read it (chown, chmod).",
        ),
        (ValueError("embedded null byte"), "a.toml cannot be read: embedded null byte."),
    ],
)
def test_a_file_that_cannot_be_read(error: OSError | ValueError, expected: str) -> None:
    """The sentence names the file and the reason, and says what to do if the reason alone does not."""
    assert expected == unreadable("a.toml", error)
