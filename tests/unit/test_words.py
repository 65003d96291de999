"""Folding and encoded words of a Subject, by RFC 2047 and RFC 5322 section 2.2.3."""

from __future__ import annotations

import base64
from email import policy
from email.charset import BASE64, QP, Charset
from email.header import Header
from email.message import EmailMessage

import pytest

from htpoort import RoutingEnvelope, read
from htpoort.core import _headers
from htpoort.core.text import ascii_lower

LINE = "[V=a][A=b][K=c][S=0]"
BASE = base64.b64encode(LINE.encode()).decode()
QUOTED = "=5BV=3Da=5D=5BA=3Db=5D=5BK=3Dc=5D=5BS=3D0=5D"


@pytest.mark.parametrize(
    "charset",
    [
        *("utf-8", "UTF-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "ISO-8859-1", "latin-1", "latin1"),
        *("iso-8859-15", "windows-1252", "cp1252", "utf-8*nl", "utf-8*"),
    ],
)
@pytest.mark.parametrize("word", [f"B?{BASE}", f"b?{BASE.rstrip('=')}", f"Q?{QUOTED}", f"q?{QUOTED.lower()}"])
def test_charsets(charset: str, word: str) -> None:
    """The character sets in use are decoded, B with and without its padding, Q with its digits in either case."""
    line = LINE if QUOTED.lower() not in word else LINE.lower()

    assert line == _headers.decode(f"=?{charset}?{word}?=")


DECODED = [
    ("=?utf-8?q?a_b?=", "a b"),
    ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
    ("=?utf-8?q?a?= \t =?utf-8?q?b?= =?utf-8?b?Yw==?=", "abc"),
    ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
    (" =?utf-8?q?a?=  b  ", " a  b  "),
    ("=?utf-8?q?a?= ", "a "),
    ("=?utf-8?q??=", ""),
    ("=?utf-8?q?=C3=A9?=", "\u00e9"),
    ("=?iso-8859-1?q?=E9?=", "\u00e9"),
    ("=?iso-8859-15?q?=A4?=", "\u20ac"),
    ("=?windows-1252?q?=80?=", "\u20ac"),
    ("=?utf-8?q?[a]_[EXTERN]_b?=", "[a] [EXTERN] b"),
    ("=?utf-8?q?[V=3Da][_k_=3d1]?=", "[V=a][ k =1]"),
    (f"=?utf-8?q?{'x' * 200}?=", "x" * 200),
]


@pytest.mark.parametrize(("text", "expected"), DECODED)
def test_decoded(text: str, expected: str) -> None:
    """Blanks between two encoded words are dropped, others stay; field software writes words above 75 characters."""
    assert expected == _headers.decode(text)


UNREADABLE = [
    "plain",
    "a=?utf-8?q?b?=",
    "=?utf-8?q?b?=c",
    "=?utf-8?q?a?==?utf-8?q?b?=",
    "=?utf-8?x?a?=",
    "=?utf-8?q?a",
    "=?utf-8?q?a b?=",
    "=?utf-8?q?a?b?=",
    "=?utf-8?q?\u00e9?=",
    "=?utf-8?q?=FF?=",
    "=?utf-8?q?100=_sure?=",
    "=?utf-8?q?=ZZ?=",
    "=?utf-8?q?a=5?=",
    "=?utf-8?q?a=?=",
    "=?utf-8?q?[V=44MS]?=",
    "=?iso-8859-1?q?x[_A_=DE123.02]?=",
    "=?us-ascii?q?=C3=A9?=",
    "=?utf-8?b?W?=",
    "=?utf-8?b?W1Y9?W1Y9?=",
    "=?utf-8?b?W1==W1Y9?=",
    "=?utf-8?b?!W1Y9?=",
    "=?utf-8?b?=W1Y9?=",
    "=?utf-7?q?+AFs-V?=",
    "=?idna?q?a?=",
    "=?rot13?q?I?=",
    "=?zlib?b?eJwDAAAAAAE=?=",
    "=?unicode_escape?q?=5Cx41?=",
    "=?x?q?a?=",
    "=??q?a?=",
    "=?" + "u" * 41 + "?q?a?=",
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_unreadable_words_stay(text: str) -> None:
    """A word that cannot be decoded reliably stays as it is; Python's codecs that are not for text are never used."""
    assert text == _headers.decode(text)


def test_unreadable_word_keeps_its_blanks() -> None:
    """Blanks beside a word that stays as it is stay too."""
    assert "a =?x?q?b?= c" == _headers.decode("=?utf-8?q?a?= =?x?q?b?= =?utf-8?q?c?=")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\n b", "a b"),
        ("a\n\tb", "a\tb"),
        ("a\r\n \r\n b", "a  b"),
        ("a\r\nb", "a\r\nb"),
        ("a\r b", "a\r b"),
        ("a\n", "a\n"),
        ("a", "a"),
    ],
)
def test_unfold(text: str, expected: str) -> None:
    """A line end counts as folding only before a blank, which stays."""
    assert expected == _headers.unfold(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DMS4.NL", "dms4.nl"),
        ("\N{KELVIN SIGN}", "\N{KELVIN SIGN}"),
        ("A\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "A\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"),
        ("", ""),
    ],
)
def test_ascii_lower(text: str, expected: str) -> None:
    """Only ASCII has two cases: a Kelvin sign is no k, and a text with one is left alone."""
    assert expected == ascii_lower(text)


def arrived(subject: bytes) -> RoutingEnvelope:
    """Read a message with a given Subject header, byte for byte."""
    received = read(b"From: dms@htpoort.nl\r\nSubject: " + subject + b"\r\nTo: a@b.example\r\n\r\n")
    assert received.problems == ()
    assert received.envelope is not None
    return received.envelope


@pytest.mark.parametrize("linesep", [b"\r\n", b"\n"])
@pytest.mark.parametrize("policy_of", [policy.SMTP, policy.default, policy.compat32, policy.SMTPUTF8])
@pytest.mark.parametrize("length", [1, *range(28, 71), 100, 250])
def test_subjects_of_the_standard_library(length: int, policy_of: policy.EmailPolicy, linesep: bytes) -> None:
    """However the standard library folds and encodes a Subject, each K comes back as it was."""
    message = EmailMessage(policy=policy_of)
    line = f"[V=NL123456789.02.05][A=DMS4.NL][K={'7Kx' * length:.{length}}][S=0]"
    message["Subject"] = line
    wire = message.as_bytes().split(b"Subject: ", 1)[-1].removeprefix(b"Subject:").rstrip()

    assert line == str(arrived(linesep.join(wire.splitlines())))


@pytest.mark.parametrize("encoding", [BASE64, QP])
@pytest.mark.parametrize("charset", ["utf-8", "us-ascii", "iso-8859-1"])
@pytest.mark.parametrize("width", [40, 76])
@pytest.mark.parametrize("length", [14, 32, 35, 70])
def test_subjects_in_encoded_words(length: int, width: int, charset: str, encoding: int) -> None:
    """A Subject that is split over several encoded words comes back as it was, whatever charset and encoding."""
    chosen = Charset(charset)
    chosen.header_encoding = encoding
    line = f"[V=NL123456789.02.05][A=DMS4.NL][K={'7Kx' * length:.{length}}][S=0]"
    wire = Header(line, chosen, maxlinelen=width).encode(linesep="\r\n")

    assert wire.count("=?") > 1
    assert line == str(arrived(wire.encode()))
