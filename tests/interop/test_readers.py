"""
Whether programs of other authors read a Subject as our router does.

Where one of them reads another sender, addressee or reference, nothing may be routed.
"""

from __future__ import annotations

import base64
import itertools
import re
import string
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from interop.readers import Readers, started

from htpoort import Quarantined, Reason, Routed, Router

PARTY, OTHER = "NL123456789.02.05", "NL123456789.03.05"
GOOD: Final = f"[V= DMS4.NL][A= {PARTY}][K=22096222734662][S=0]"
EVIL: Final = f"[V=DMS4.NL][A={OTHER}][K=1][S=0]"
ROUTER: Final = Router(parties=[PARTY, OTHER])


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    """Yield the readers, each started once."""
    with started(tmp_path_factory.mktemp("readers")) as found:
        yield found


def message(subject: str) -> bytes:
    """Write a reply of DMS."""
    return f"From: dms@htpoort.nl\r\nTo: edi@forwarder.example\r\nSubject: {subject}\r\n\r\n<Response/>\r\n".encode()


def values(text: str, key: str) -> set[str]:
    """Find every value of a key, even if a program drops odd characters or turns them into blanks."""
    found: set[str] = set()
    for seen in (text, re.sub(r"[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\ufeff]", "", text)):
        found.update(re.findall(rf"\[\s*{key}\s*=\s*([^\[\]]*?)\s*(?:\]|\Z)", seen, re.IGNORECASE))
    # Some keep the blanks between two encoded words, and some stop at what they cannot decode: that is no other value.
    return {re.sub(r"\s", "", value) for value in found} - {""}


def others(readers: Readers, subject: str, own: dict[str, str]) -> dict[str, dict[str, set[str]]]:
    """Return the values that each reader finds and ours does not."""
    found = {
        name: {key: values(text, key) - {value} for key, value in own.items()}
        for name, text in readers.read(message(subject)).items()
    }
    return {name: kept for name, more in found.items() if (kept := {key: seen for key, seen in more.items() if seen})}


def own_of(routed: Routed) -> dict[str, str]:
    """Return V, A and K as we read them."""
    return {"V": routed.envelope.sender, "A": routed.envelope.addressee, "K": routed.reference}


def q(text: str, charset: str = "utf-8") -> str:
    """Write one word in Q."""
    plain = string.ascii_letters + string.digits
    coded = "".join(c if c in plain else "".join(f"={octet:02X}" for octet in c.encode()) for c in text)
    return f"=?{charset}?q?{coded}?="


def b(text: str, charset: str = "utf-8") -> str:
    """Write one word in B."""
    return f"=?{charset}?b?{base64.b64encode(text.encode()).decode()}?="


TAKEN = {
    "canonical": f"[V=DMS4.NL][A={PARTY}][K=22096222734662][S=0]",
    "official reply": GOOD,
    "lower case": GOOD.lower(),
    "Re:": f"Re: {GOOD}",
    "[EXTERN]": f"[EXTERN] {GOOD}",
    "folded": f"\r\n {GOOD}",
    "folded between groups": GOOD.replace("][", "]\r\n ["),
    "one word": q(GOOD),
    "one word, base64": b(GOOD),
    "words cut inside of K": f"{q(GOOD[:50])} {q(GOOD[50:])}",
    "words cut and folded": f"{b(GOOD[:40])}\r\n {b(GOOD[40:])}",
    "iso-8859-1": q(GOOD, "iso-8859-1"),
    "a word of text before": f"{q('Réponse:')} {GOOD}",
    "[EXTERN] in a word, its brackets as they are": f"=?utf-8?Q?[EXTERN]_R=C3=A9:?= {GOOD}",
    "brackets as they are": "=?utf-8?q?" + GOOD.replace("=", "=3D").replace(" ", "_") + "?=",
    "an accent in brackets": f"[EXTÉRIEUR] {GOOD}",
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_read_alike(name: str, readers: Readers) -> None:
    """What our reader forgives, every reader that finds an envelope in it reads like ours."""
    found = ROUTER.route_message(message(TAKEN[name]))

    assert isinstance(found, Routed)
    assert {"V": "DMS4.NL", "A": PARTY, "K": "22096222734662"} == {
        key: value.upper() for key, value in own_of(found).items()
    }
    assert {} == others(readers, TAKEN[name], own_of(found))


REFUSED = {
    "a character set that we do not decode": f"{q(EVIL, 'iso-8859-2')} {GOOD}",
    "the same behind": f"{GOOD} {q(EVIL, 'iso-8859-2')}",
    "base64 in it": f"{b(EVIL, 'koi8-r')} {GOOD}",
    "no blank before": f"x{q(EVIL)} {GOOD}",
    "no blank behind": f"{q(EVIL)}{GOOD}",
    "two words without a blank": f"{q('a')}{q(EVIL)} {GOOD}",
    "in round brackets": f"({q(EVIL)}) {GOOD}",
    "inside of K": "[V=DMS4.NL][A=NL123456789.02.05][K==?utf-8?q?=5D=5BA=3DNL123456789.03.05=5D=5BK=3D?=][S=0]",
    "inside of S": f"[V=DMS4.NL][A={PARTY}][K=1][S={q('][A=' + OTHER + '][X=')}]",
    "an equals sign that encodes nothing": f"{q(EVIL)[:-2]}=?= {GOOD}",
    "a blank in a word": f"=?utf-8?q?[V=3DDMS4.NL] [A=3D{OTHER}]?= {GOOD}",
    "a key in plain, its value encoded": f"=?iso-8859-1?q?[A=4EL123456789.03.05]?= {GOOD}",
    "an octet that is no UTF-8": f"{q(EVIL)[:-2]}=FF?= {GOOD}",
    "broken base64": f"=?utf-8?b?!{base64.b64encode(EVIL.encode()).decode()}?= {GOOD}",
    "more behind the padding": f"=?utf-8?b?QQ=={base64.b64encode(EVIL.encode()).decode()}?= {GOOD}",
    "a no-break space before the key": f"[\xa0A={OTHER}] {GOOD}",
    "a control character before the key": f"[\x0bA={OTHER}] {GOOD}",
    "a control character in a word": f"{q(chr(0x5B) + chr(0x0B) + 'A=' + OTHER + ']')} {GOOD}",
    "a format character in the key": f"{GOOD} [A\u200b={OTHER}]",
    "a second envelope": f"{GOOD} {EVIL}",
    "a second one in a word": f"{GOOD} {q(EVIL)}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_read_otherwise_is_refused(name: str, readers: Readers) -> None:
    """If some reader finds another envelope than the genuine one, nothing is routed, and the oracle detects it."""
    found = ROUTER.route_message(message(REFUSED[name]))
    own = {"V": "DMS4.NL", "A": PARTY, "K": "1" if "[K=1]" in REFUSED[name].partition("=?")[0] else "22096222734662"}

    assert isinstance(found, Quarantined)
    assert Reason.BAD_ENVELOPE is found.reason
    assert {} != others(readers, REFUSED[name], own)


_CHARSETS = st.sampled_from([
    *("utf-8", "UTF-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-8*nl"),
    *("iso-8859-2", "koi8-r", "utf-7", "utf-16", "gb2312", "iso-2022-jp", "x-unknown", ""),
])
_TEXTS = st.sampled_from([
    *(
        EVIL,
        f"[A={OTHER}]",
        f"[a={OTHER}",
        "[K=1]",
        "[V=AGS]",
        "]",
        "[",
        "[K",
        "=1]",
        "x",
        "R\xe9:",
        "[EXTERN]",
        "[X=\xe9]",
    ),
    *(f"[\xa0A={OTHER}]", f"[\x0bA={OTHER}]", f"[A\u200b={OTHER}]", "\r\n", "\n", "\x00", "\x1b$B", "=?", "?=", ""),
])


@st.composite
def words(draw: st.DrawFn, texts: st.SearchStrategy[str] = _TEXTS) -> str:
    """Draw an encoded word, whole or broken."""
    text, charset = draw(texts), draw(_CHARSETS)
    kind = draw(st.sampled_from(["q", "b", "raw", "double", "x"]))
    word = {
        "q": q(text, charset),
        "b": b(text, charset),
        "raw": f"=?{charset}?Q?{text.replace(' ', '_')}?=",
        "double": q(q(text, charset)),
        "x": f"=?{charset}?x?{text}?=",
    }[kind]
    breaks = st.sampled_from(["", "", "", "cut", "insert", "no-end", "fold"])
    at = draw(st.integers(0, len(word)))
    return {
        "": word,
        "cut": word[:at] + word[at + 1 :],
        "insert": word[:at] + draw(st.sampled_from(["=", "?", " ", "_", "]", "[", "=?", "=4", "A="])) + word[at:],
        "no-end": word.removesuffix("?="),
        "fold": f"{word[:at]}\r\n {word[at:]}",
    }[draw(breaks)]


@st.composite
def genuine(draw: st.DrawFn) -> str:
    """Draw the genuine line, plain or in words that are cut anywhere."""
    if draw(st.booleans()):
        return draw(st.sampled_from([GOOD, TAKEN["canonical"], GOOD.lower()]))
    cuts = sorted({0, *draw(st.lists(st.integers(1, len(GOOD) - 1), max_size=3)), len(GOOD)})
    write = draw(st.sampled_from([q, b]))
    gap = draw(st.sampled_from([" ", "\r\n ", "  ", "\t", "", " x "]))
    return gap.join(write(GOOD[start:stop]) for start, stop in itertools.pairwise(cuts))


@st.composite
def subjects(draw: st.DrawFn) -> str:
    """Draw a Subject with the genuine line in it, and with what may hide another."""
    parts = draw(st.lists(words() | _TEXTS, max_size=3))
    parts.insert(draw(st.integers(0, len(parts))), draw(genuine()))
    subject = draw(st.sampled_from(["", " ", " ", " ", "\r\n ", "\t"])).join(parts)
    at = draw(st.integers(0, len(subject)))
    put = draw(st.sampled_from(["", "", "", "", *"\xa0\x0b\u200b]=?", "=?utf-8?q?", "?=", "\r\n ", q("]"), b("[K=1]")]))
    return re.sub(r"[\r\n\0]+(?![ \t])", "", subject[:at] + put + subject[at:])


class TestAnySubject:
    """Subjects that Hypothesis generates from encoded words, folds, brackets and odd characters."""

    @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(subject=subjects())
    def test_what_is_routed_is_read_alike(self, subject: str, readers: Readers) -> None:
        """In a routed Subject no reader finds another V, A or K."""
        found = ROUTER.route_message(message(subject))
        if isinstance(found, Quarantined):
            return

        assert {} == others(readers, subject, own_of(found))
