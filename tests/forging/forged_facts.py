"""
Forge what a reply says: mailbox, MAIL FROM, process ID, addressee, reference, and the envelope around them.

Never does: change how it is written.
"""

from __future__ import annotations

import string
from typing import Final

import attrs
from forging.drafts import Facts
from forging.forgeries import by_facts
from hypothesis import strategies as st

from htpoort import DeclarationSystem, Reason
from htpoort.core.text import ascii_lower
from htpoort.testing.strategies import RouterSetup
from htpoort.testing.strategies._setups import Origin, from_another_system, to_another_party
from htpoort.testing.strategies._values import (
    ALNUM,
    SENDABLE,
    mailboxes,
    party_ids,
    plain_values,
    process_ids,
    texts,
)

_MAILER: Final = "MAILER-DAEMON@mx.gateway.example"
# Made once: making strategies anew takes longer than drawing from them.
_MAILBOXES: Final = mailboxes()
_PROCESS_IDS: Final = process_ids()
_PARTIES: Final = party_ids(max_length=35).map(str)
_BOUNCES: Final = st.sampled_from([
    *("Undelivered Mail Returned to Sender", "Mail delivery failed: returning message to sender", "failure notice"),
    *("Delivery Status Notification (Failure)", "Niet te bestellen"),
])


def _others(setup: RouterSetup, system: DeclarationSystem) -> list[DeclarationSystem]:
    return [other for other in setup.directory if other is not system]


def _has_others(setup: RouterSetup) -> bool:
    return len(setup.directory.systems) > 1


def _strangers(facts: Facts) -> st.SearchStrategy[str]:
    """Draw mailboxes that no system replies from; most resemble one."""
    mailbox, known = facts.mailbox, {ascii_lower(system.mailbox) for system in facts.scene.setup.directory}
    near = st.sampled_from([f"{mailbox}.example", f"x.{mailbox}", f"x{mailbox}", mailbox.replace("@", "@mx."), _MAILER])
    return (near | _MAILBOXES).filter(lambda text: ascii_lower(text) not in known)


# ── the mailbox ──────────────────────────────────────────────────────────────


@by_facts("mailbox.other", Reason.UNKNOWN_MAILBOX)
def _other_mailbox(draw: st.DrawFn, facts: Facts) -> Facts:
    """From, and MAIL FROM with it, is not a mailbox of any system."""
    mailbox = draw(_strangers(facts))
    return attrs.evolve(facts, mailbox=mailbox, mail_from=draw(st.sampled_from([None, "", mailbox])))


@by_facts("mailbox.bounced-reply", Reason.UNKNOWN_MAILBOX)
def _bounced_reply(draw: st.DrawFn, facts: Facts) -> Facts:
    """A mail server returns a reply, with a remark before its Subject."""
    remark = draw(_BOUNCES)
    text = f"{remark}: " + "".join(f"[{key}={value}]" for key, value in facts.pieces)
    return attrs.evolve(facts, mailbox=_MAILER, mail_from=draw(st.sampled_from([None, ""])), text=text)


@by_facts("mail-from.other", Reason.SENDER_DISAGREES)
def _other_mail_from(draw: st.DrawFn, facts: Facts) -> Facts:
    """MAIL FROM is another mailbox than From: a stranger's, another system's, or one with a lookalike letter."""
    systems = [system.mailbox for system in _others(facts.scene.setup, facts.scene.system)]
    alike = f"\N{CYRILLIC SMALL LETTER A}{facts.mailbox[1:]}"
    return attrs.evolve(facts, mail_from=draw(_strangers(facts) | st.sampled_from([*systems, alike])))


# ── the process ID ───────────────────────────────────────────────────────────


def _unused(facts: Facts) -> st.SearchStrategy[str]:
    """Draw process IDs that no system replies under; most resemble one."""
    known = {ascii_lower(text) for system in facts.scene.setup.directory for text in system.reply_ids}
    own = facts.scene.process_id
    near = st.sampled_from([f"{own}.", f"{own}0", own[:-1] or "0", f"0{own}", own.replace(".", "-"), f"{own} {own}"])
    return (near | _PROCESS_IDS).filter(lambda text: ascii_lower(text) not in known)


@by_facts("process.other", Reason.UNKNOWN_PROCESS)
def _other_process(draw: st.DrawFn, facts: Facts) -> Facts:
    """V is not a process ID of any system."""
    return facts.with_value("V", draw(_unused(facts)))


def _only_addressed(setup: RouterSetup) -> list[str]:
    answering = {ascii_lower(text) for system in setup.directory for text in system.reply_ids}
    return [system.process_id for system in setup.directory if ascii_lower(system.process_id) not in answering]


@by_facts("process.only-addressed", Reason.UNKNOWN_PROCESS, possible=lambda setup: bool(_only_addressed(setup)))
def _addressed_process(draw: st.DrawFn, facts: Facts) -> Facts:
    """V is a process ID that a system is addressed by and never replies under."""
    return facts.with_value("V", draw(st.sampled_from(_only_addressed(facts.scene.setup))))


def _no_party_answers(setup: RouterSetup) -> bool:
    answering = {ascii_lower(text) for system in setup.directory for text in system.reply_ids}
    return not any(ascii_lower(str(party)) in answering for party in setup.parties)


@by_facts("process.not-swapped", Reason.UNKNOWN_PROCESS, possible=_no_party_answers)
def _not_swapped(_draw: st.DrawFn, facts: Facts) -> Facts:
    """V and A are as in the request."""
    return facts.with_value("V", str(facts.scene.party)).with_value("A", facts.scene.process_id)


@by_facts("process.other-system", Reason.MAILBOX_PROCESS_DISAGREE, possible=_has_others)
def _process_of_another(draw: st.DrawFn, facts: Facts) -> Facts:
    """The mailbox is of one system, V of another."""
    other = draw(st.sampled_from(_others(facts.scene.setup, facts.scene.system)))
    return facts.with_value("V", draw(st.sampled_from(sorted(other.reply_ids))))


@by_facts("mailbox.other-system", Reason.MAILBOX_PROCESS_DISAGREE, possible=_has_others)
def _mailbox_of_another(draw: st.DrawFn, facts: Facts) -> Facts:
    """V is of one system, the mailbox of another."""
    mailbox = draw(st.sampled_from(_others(facts.scene.setup, facts.scene.system))).mailbox
    return attrs.evolve(facts, mailbox=mailbox, mail_from=draw(st.sampled_from([None, "", mailbox])))


# ── addressee and reference ──────────────────────────────────────────────────


@by_facts("addressee.other", Reason.UNKNOWN_ADDRESSEE)
def _other_addressee(draw: st.DrawFn, facts: Facts) -> Facts:
    """A is not one of the router's parties; often it only begins like one."""
    party = str(facts.scene.party)
    known = {ascii_lower(str(own)) for own in facts.scene.setup.parties}
    near = st.sampled_from([
        *(f"{party}.05", party.rpartition(".")[0] or f"{party}0", f"{party}.", f"0{party}", facts.scene.process_id),
    ])
    drawn = near | _PARTIES
    return facts.with_value("A", draw(drawn.filter(lambda text: ascii_lower(text) not in known)))


def _turned(facts: Facts, draw: st.DrawFn, answers: list[Origin]) -> Facts:
    """Use one of some replies, in which everything but the record agrees."""
    system, party, reference = draw(st.sampled_from(answers))
    process_id = draw(st.sampled_from(sorted(system.reply_ids)))
    facts = facts.with_value("V", process_id).with_value("A", str(party)).with_value("K", reference)
    return attrs.evolve(facts, mailbox=system.mailbox, mail_from=draw(st.sampled_from([None, "", system.mailbox])))


@by_facts("reference.other-system", Reason.OTHER_SYSTEM, possible=lambda setup: bool(from_another_system(setup)))
def _other_system(draw: st.DrawFn, facts: Facts) -> Facts:
    """K was sent to another system."""
    return _turned(facts, draw, from_another_system(facts.scene.setup))


@by_facts("reference.other-party", Reason.OTHER_PARTY, possible=lambda setup: bool(to_another_party(setup)))
def _other_party(draw: st.DrawFn, facts: Facts) -> Facts:
    """K was sent by another party."""
    return _turned(facts, draw, to_another_party(facts.scene.setup))


_OUTSIDE: Final = st.sampled_from([
    *(
        "../outside",
        "/etc/passwd",
        "..",
        ".",
        "a/b",
        "a\\b",
        "C:\\x",
        "~root",
        "$HOME",
        "`id`",
        "-rf",
        "1 2",
        "1-2",
        "1_2",
        "1.2",
    ),
])


@by_facts("reference.unwritten", Reason.BAD_ENVELOPE)
def _unwritten_reference(draw: st.DrawFn, facts: Facts) -> Facts:
    """K is one that no writer sends: a path, with a blank in it, or too long."""
    any_other = plain_values().map(
        lambda text: f"{text}-" if len(text) <= SENDABLE and not {*text}.difference(ALNUM) else text
    )
    return facts.with_value("K", draw(_OUTSIDE | any_other))


# ── the envelope ─────────────────────────────────────────────────────────────

_KEYS: Final = st.sampled_from("KVAS")


@by_facts("envelope.key-missing", Reason.BAD_ENVELOPE)
def _key_missing(draw: st.DrawFn, facts: Facts) -> Facts:
    """A key is missing; K first."""
    missing = draw(_KEYS)
    return attrs.evolve(facts, pieces=tuple(piece for piece in facts.pieces if piece[0] != missing))


@by_facts("envelope.key-repeated", Reason.BAD_ENVELOPE)
def _key_repeated(draw: st.DrawFn, facts: Facts) -> Facts:
    """A key is written twice, with the same value or another."""
    key = draw(_KEYS)
    return attrs.evolve(facts, pieces=(*facts.pieces, (key, draw(st.sampled_from([facts.value(key), "1"])))))


@by_facts("envelope.two", Reason.BAD_ENVELOPE)
def _two_envelopes(draw: st.DrawFn, facts: Facts) -> Facts:
    """There are two envelopes, the same or with another K."""
    other = facts.with_value("K", draw(st.sampled_from([facts.value("K"), "1"])))
    return attrs.evolve(facts, pieces=(*facts.pieces, *other.pieces))


@by_facts("envelope.value-empty", Reason.BAD_ENVELOPE)
def _value_empty(draw: st.DrawFn, facts: Facts) -> Facts:
    """A value is empty."""
    return facts.with_value(draw(_KEYS), "")


@by_facts("envelope.value-too-long", Reason.BAD_ENVELOPE)
def _value_too_long(draw: st.DrawFn, facts: Facts) -> Facts:
    """A value has more than 256 characters."""
    return facts.with_value(draw(_KEYS), "9" * draw(st.integers(257, 300)))


_CONTROLS: Final = st.sampled_from("\x01\x08\x1b\x7f")
# By their numbers: for a class of characters Hypothesis makes a table of all, which takes long the first time.
# Surrogates, from D800 to DFFF, are left out.
_BEYOND: Final = (st.integers(0x80, 0xD7FF) | st.integers(0xE000, 0x10FFFF)).map(chr)


def _inside(draw: st.DrawFn, value: str, character: str) -> str:
    """Put a character into a value, not at its ends."""
    at = draw(st.integers(1, max(1, len(value) - 1)))
    return f"{value[:at]}{character}{value[at:] or '0'}"


@by_facts("envelope.value-character", Reason.BAD_ENVELOPE)
def _value_character(draw: st.DrawFn, facts: Facts) -> Facts:
    """A value has a character that is not printable ASCII: a control, a tab, a lookalike letter."""
    key = draw(_KEYS)
    character = draw(
        st.sampled_from("\t\N{CYRILLIC SMALL LETTER A}\N{FULLWIDTH DIGIT ONE}\N{KELVIN SIGN}") | _CONTROLS | _BEYOND
    )
    return facts.with_value(key, _inside(draw, facts.value(key), character))


@by_facts("envelope.encoded-line-end", Reason.BAD_ENVELOPE)
def _encoded_line_end(draw: st.DrawFn, facts: Facts) -> Facts:
    """A value has a line end in an encoded word, and perhaps a header after it (CVE-2024-6923)."""
    key = draw(_KEYS)
    injected = draw(st.sampled_from(["\n", "\r", "\r\n", "\0", "\nX-Other: 1", "\r\nFrom: evil@trader.example\r\n"]))
    return attrs.evolve(facts.with_value(key, _inside(draw, facts.value(key), injected)), must_encode=True)


def _line(facts: Facts) -> str:
    return "".join(f"[{key}={value}]" for key, value in facts.pieces)


@by_facts("envelope.unread-word", Reason.BAD_ENVELOPE)
def _unread_word(draw: st.DrawFn, facts: Facts) -> Facts:
    """A second envelope is in an encoded word that some programs decode: an odd character set, no blanks, broken."""
    other = _line(facts.with_value("A", "NL0").with_value("K", "1"))
    quoted = "".join(character if character in ALNUM else f"={ord(character):02X}" for character in other)
    words = [
        *(f"=?iso-8859-2?q?{quoted}?= ", f"=?utf-7?q?{quoted}?= ", f"=?x-unknown?Q?{quoted}?= "),
        *(f"x=?utf-8?q?{quoted}?= ", f"=?utf-8?q?{quoted}?=", f"(=?utf-8?q?{quoted}?=) ", f"=?utf-8?q?{quoted}== ?= "),
        *(f"=?utf-8?q?{quoted}=FF?= ", f"=?utf-8?q?{quoted}=?= ", f"=?utf-8?q?{quoted} ?= ", f"=?utf-8?q?{quoted} "),
    ]
    return attrs.evolve(facts, text=draw(st.sampled_from(words)) + _line(facts))


@by_facts("envelope.word-in-a-value", Reason.BAD_ENVELOPE)
def _word_in_a_value(draw: st.DrawFn, facts: Facts) -> Facts:
    """K or S has an encoded word with another envelope, for programs that need no blanks around it."""
    key = draw(st.sampled_from("KS"))
    word = draw(st.sampled_from(["=?utf-8?q?=5D=5BA=3DNL0=5D=5BK=3D?=", "?utf-8?q?1?=", "1 =?utf-8?b?MQ==?="]))
    return attrs.evolve(facts, text=_line(facts.with_value(key, word)))


@by_facts("envelope.group-character", Reason.BAD_ENVELOPE)
def _group_character(draw: st.DrawFn, facts: Facts) -> Facts:
    """A further group is one of the four for programs that drop a character, or treat it as a blank."""
    odd = draw(st.sampled_from("\xa0\u200b\ufeff\xad\x01\x0b\x7f"))
    group = draw(st.sampled_from(["[A{}=NL0]", "[{}K=1]", "[V={}x]", "[X=1{}]", "[A={}NL0"])).format(odd)
    before = draw(st.booleans())
    return attrs.evolve(facts, text=f"{group} {_line(facts)}" if before else f"{_line(facts)} {group}")


@by_facts("envelope.unclosed", Reason.BAD_ENVELOPE)
def _unclosed(draw: st.DrawFn, facts: Facts) -> Facts:
    """A bracket is not closed."""
    opened = draw(st.integers(0, len(facts.pieces) - 1))
    parts = (f"[{key}={value}{'' if at == opened else ']'}" for at, (key, value) in enumerate(facts.pieces))
    return attrs.evolve(facts, text="".join(parts))


@by_facts("envelope.subject-too-long", Reason.BAD_ENVELOPE)
def _subject_too_long(draw: st.DrawFn, facts: Facts) -> Facts:
    """The Subject has more than 4,096 characters."""
    text = "".join(f"[{key}={value}]" for key, value in facts.pieces)
    return attrs.evolve(facts, text=text.ljust(4_097 + draw(st.integers(0, 20)), "x"))


@by_facts("envelope.absent", Reason.NO_ENVELOPE)
def _absent(draw: st.DrawFn, facts: Facts) -> Facts:
    """The Subject is that of another message: a personal one, an absence, or empty."""
    other = st.sampled_from(["", "Out of office", "Automatisch antwoord: afwezig", "[Ticket#1]", "[X=1]", "V A K S"])
    words = texts(string.ascii_letters + string.digits + " []:-", max_size=40)
    return attrs.evolve(facts, text=draw(other | words))


@by_facts("envelope.bounce", Reason.NO_ENVELOPE)
def _bounce(draw: st.DrawFn, facts: Facts) -> Facts:
    """A mail server reports that a message was not delivered."""
    mail_from = draw(st.sampled_from(["", None, _MAILER]))
    return attrs.evolve(facts, mailbox=_MAILER, mail_from=mail_from, text=draw(_BOUNCES))
