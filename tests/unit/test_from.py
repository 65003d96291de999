"""From: exactly one plain mailbox, or none. Programs read everything else differently."""

from __future__ import annotations

import pytest

from htpoort import HTPOORT, Quarantined, Reason, Routed, Router, read

SUBJECTS = {
    "ags@htpoort.nl": "[V= DMS.NL][A= NL123456789.02.05][K=1][S=0]",
    "dms@htpoort.nl": "[V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]",
}
ROUTER = Router(parties=["NL123456789.02.05"])


def message(sender: str | bytes, mailbox: str = "ags@htpoort.nl") -> bytes:
    """Write a reply with a From value, byte for byte."""
    value = sender if isinstance(sender, bytes) else sender.encode()
    return b"From: " + value + b"\r\nSubject: " + SUBJECTS[mailbox].encode() + b"\r\n\r\n"


HONEST = [
    "ags@htpoort.nl",
    "AGS@HTPoort.NL",
    "  ags@htpoort.nl\t ",
    "<ags@htpoort.nl>",
    "AGS <ags@htpoort.nl>",
    "AGS<ags@htpoort.nl>",
    "Douane Nederland  -  A.G.S. <ags@htpoort.nl>",
    '"Douane, AGS" <ags@htpoort.nl>',
    '"Douane"<ags@htpoort.nl>',
    '"a \\"b\\" \\\\ c" <ags@htpoort.nl>',
    '"" <ags@htpoort.nl>',
    '"evil@x.example" <ags@htpoort.nl>',
    "=?utf-8?q?Douane?= <ags@htpoort.nl>",
    "=?utf-8?b?RG91YW5l?= =?utf-8?q?_AGS?= <ags@htpoort.nl>",
    "Douane\r\n <ags@htpoort.nl>",
    "\r\n ags@htpoort.nl",
    '"Douane\n AGS"\n\t<ags@htpoort.nl>',
]


@pytest.mark.parametrize("sender", HONEST)
def test_one_mailbox(sender: str) -> None:
    """One plain mailbox counts, alone or in angle brackets behind a plain or quoted name."""
    assert "ags@htpoort.nl" == read(message(sender)).mailbox
    assert isinstance(ROUTER.route_message(message(sender)), Routed)


OTHERS = [
    ('"ags@htpoort.nl" <evil@x.example>', "evil@x.example"),
    ("=?utf-8?q?ags=40htpoort=2Enl?= <evil@x.example>", "evil@x.example"),
    ("=?utf-8?b?PGFnc0BodHBvb3J0Lm5sPg==?= <evil@x.example>", "evil@x.example"),
    ("AGS <ags@htpoort.nl.evil.example>", "ags@htpoort.nl.evil.example"),
    ("ags@htpoort.nl.example", "ags@htpoort.nl.example"),
    ("ags@xn--htport-jua.nl", "ags@xn--htport-jua.nl"),
    ("ags%htpoort.nl@evil.example", "ags%htpoort.nl@evil.example"),
    ("ags+x@htpoort.nl", "ags+x@htpoort.nl"),
    ("a.g.s@htpoort.nl", "a.g.s@htpoort.nl"),
    ("=?utf-8?q?ags=40htpoort.nl?=@evil.example", "=?utf-8?q?ags=40htpoort.nl?=@evil.example"),
    ("ags@htpoort", "ags@htpoort"),
    ("ags@htp00rt.nl", "ags@htp00rt.nl"),
]


@pytest.mark.parametrize(("sender", "mailbox"), OTHERS)
def test_another_mailbox(sender: str, mailbox: str) -> None:
    """The mailbox is the one that is written, not the one that a name or an encoded word shows."""
    found = ROUTER.route_message(message(sender))

    assert mailbox == read(message(sender)).mailbox
    assert isinstance(found, Quarantined)
    assert (Reason.UNKNOWN_MAILBOX, mailbox) == (found.reason, found.mailbox)


FORGED = [
    # two programs read these differently
    "ags@htpoort.nl <evil@x>",
    "ags@htpoort.nl)evil@x",
    "ags@htpoort.nl]evil@x",
    "<ags@htpoort.nl>evil@x",
    "ags@htpoort.nl, evil@x.example",
    # more than one mailbox, in every order
    "evil@x.example, ags@htpoort.nl",
    "<evil@x.example>, <ags@htpoort.nl>",
    "ags@htpoort.nl,ags@htpoort.nl",
    "ags@htpoort.nl,",
    ",ags@htpoort.nl",
    "ags@htpoort.nl;",
    "ags@htpoort.nl evil@x.example",
    "ags@htpoort.nl\r\n\tevil@x.example",
    "ags@htpoort.nl\r\n <evil@x.example>",
    "<ags@htpoort.nl> <evil@x.example>",
    "<evil@x.example> <ags@htpoort.nl>",
    "<evil@x.example> ags@htpoort.nl",
    "evil@x.example <ags@htpoort.nl>",
    "AGS <ags@htpoort.nl> evil@x.example",
    "AGS <ags@htpoort.nl> x",
    "AGS <ags@htpoort.nl>>",
    "AGS <<ags@htpoort.nl>",
    "AGS < <ags@htpoort.nl>",
    "<ags@htpoort.nl",
    "ags@htpoort.nl>",
    "AGS ags@htpoort.nl",
    # comments
    "ags@htpoort.nl (AGS)",
    "(AGS) ags@htpoort.nl",
    "(ags@htpoort.nl) evil@x.example",
    "AGS (x) <ags@htpoort.nl>",
    "<ags@htpoort.nl> (x)",
    "<ags@htpoort.nl (x)>",
    "<(x)ags@htpoort.nl>",
    "ags(x)@htpoort.nl",
    "ags@(x)htpoort.nl",
    "(<evil@x.example> <ags@htpoort.nl>",
    "a(b <ags@htpoort.nl>",
    "a)b <ags@htpoort.nl>",
    # groups and routes
    "AGS: ags@htpoort.nl;",
    "AGS:ags@htpoort.nl",
    "AGS: <ags@htpoort.nl>;",
    "undisclosed-recipients:;",
    "a;b <ags@htpoort.nl>",
    "a, b <ags@htpoort.nl>",
    "<@evil.example:ags@htpoort.nl>",
    "<@evil.example,@x.example:ags@htpoort.nl>",
    "@evil.example:ags@htpoort.nl",
    "<mailto:ags@htpoort.nl>",
    # quoting
    '"ags"@htpoort.nl',
    '<"ags"@htpoort.nl>',
    '"ags@htpoort.nl"',
    '"ags@htpoort.nl',
    '"x <ags@htpoort.nl>',
    'x" <ags@htpoort.nl>',
    '"a" "b" <ags@htpoort.nl>',
    '"a"b <ags@htpoort.nl>',
    'a "b" <ags@htpoort.nl>',
    '"a\\" <ags@htpoort.nl>',
    '"a" <evil@x.example> "b" <ags@htpoort.nl>',
    "a\\b <ags@htpoort.nl>",
    "ags\\@htpoort.nl",
    "a[b <ags@htpoort.nl>",
    "a]b <ags@htpoort.nl>",
    # white space and other characters inside
    "ags @htpoort.nl",
    "ags@ htpoort.nl",
    "a gs@htpoort.nl",
    "ags@htpoort. nl",
    "< ags@htpoort.nl>",
    "<ags@htpoort.nl >",
    "ags@htp\r\n oort.nl",
    "ags@htpoort.nl\x0b",
    "ags@htpoort.nl\x0c<evil@x.example>",
    "ags@htpoort.nl\x1f",
    "ags@htpoort.nl\x7f",
    # no addresses
    "",
    "<>",
    "<",
    ">",
    "AGS <>",
    "AGS",
    "@",
    "ags",
    "ags@",
    "dms@[",
    "@htpoort.nl",
    "ags@@htpoort.nl",
    "ags@htpoort.nl@evil.example",
    "evil@x.example@htpoort.nl",
    ".ags@htpoort.nl",
    "ags.@htpoort.nl",
    "a..gs@htpoort.nl",
    "ags@.htpoort.nl",
    "ags@htpoort.nl.",
    "ags@htpoort..nl",
    "ags@[192.0.2.1]",
    "ags@htpoort_x.nl",
    # beside ASCII: look-alikes, wide and invisible characters, other alphabets
    "\u0430gs@htpoort.nl",
    "ag\u0455@htpoort.nl",
    "ags@htp\u043e\u043ert.nl",
    "ags@htp\u00f6ort.nl",
    "ags\uff20htpoort.nl",
    "ags@htpoort\u3002nl",
    "ags@htpoort\uff0enl",
    "ags@htpoort.n\u217c",
    "\uff41gs@htpoort.nl",
    "ags\u200b@htpoort.nl",
    "\u202eags@htpoort.nl",
    "ags@htpoort.nl\u00a0",
    "\u00a0ags@htpoort.nl",
    "\u2003ags@htpoort.nl\u2003",
    "\ufeffags@htpoort.nl",
    "ags@htpoort.nl\u2028evil@x.example",
    "Douan\u00e9 <ags@htpoort.nl>",
    "\uff1cags@htpoort.nl\uff1e",
    # encoded words that hide an address
    "=?utf-8?q?ags=40htpoort=2Enl?=",
    "=?utf-8?b?YWdzQGh0cG9vcnQubmw=?=",
    "=?utf-8?q?=3Cags=40htpoort=2Enl=3E?=",
    "=?utf-8?q?ags?=@htpoort.nl <ags@htpoort.nl>",
    "<=?utf-8?q?ags=40htpoort=2Enl?=>",
    "=?utf-8?q?ags=40htpoort=2Enl?=, <evil@x.example>",
]


@pytest.mark.parametrize("sender", FORGED)
def test_forged_or_ambiguous(sender: str) -> None:
    """A From that is not exactly one plain mailbox has no sender, even with a good Subject."""
    found = ROUTER.route_message(message(sender))

    assert read(message(sender)).mailbox is None
    assert isinstance(found, Quarantined)
    assert Reason.AMBIGUOUS_FROM is found.reason
    assert [("from.ambiguous", 0, 5)] == [(p.code, p.start, p.stop) for p in found.problems]
    assert found.mailbox is None
    assert found.envelope is not None


@pytest.mark.parametrize("sender", [b"ags@htpoort.nl\xff", b"\xe0gs@htpoort.nl", b"D\xf4uane <ags@htpoort.nl>"])
def test_broken_octets(sender: bytes) -> None:
    """Octets that are no UTF-8 make no mailbox."""
    assert read(message(sender)).mailbox is None


@pytest.mark.parametrize("mailbox", ["ags@htpoort.n\u212a", "dm\u017f@htpoort.nl", "\u212a@htpoort.nl"])
def test_letters_whose_lower_case_is_ascii(mailbox: str) -> None:
    """A Kelvin sign or a long s, whose lower or upper case is an ASCII letter, makes another mailbox."""
    directory = HTPOORT.add(
        *type(HTPOORT).from_toml('[systems.K]\nmailbox = "k@htpoort.nl"\nprocess_id = "K"'),
        *type(HTPOORT).from_toml('[systems.K2]\nmailbox = "ags@htpoort.nk"\nprocess_id = "K2"'),
    )

    assert read(message(mailbox)).mailbox is None
    assert directory.answering_from(mailbox) is None


@pytest.mark.parametrize("mailbox", ["ags@htpoort.nl", "dms@htpoort.nl"])
def test_both_published_mailboxes(mailbox: str) -> None:
    """Each system's own mailbox, with its own Subject, goes to that system."""
    found = ROUTER.route_message(message(mailbox, mailbox))

    assert isinstance(found, Routed)
    assert mailbox == found.system.mailbox == found.mailbox
