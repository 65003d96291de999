"""Draw replies, genuine or with one thing wrong, each with what a router must decide about it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol, final, get_args

import attrs
from hypothesis import reject, strategies as st
from hypothesis.errors import InvalidArgument

from htpoort.core.routing import Correlation, Reason
from htpoort.core.text import ascii_lower
from htpoort.testing.strategies._setups import (
    SMALLEST_LIMIT,
    Origin,
    QuarantinedFor,
    RoutedTo,
    RouterSetup,
    from_another_system,
    lower,
    matching,
    router_setups,
    to_another_party,
)
from htpoort.testing.strategies._values import (
    SENDABLE,
    bounds,
    declarations,
    mailboxes,
    party_ids,
    process_ids,
    references,
)

_SHOWN: Final = 2_000  # octets of a message that a failing example shows
_HEADER_LIMIT: Final = 65_536  # octets of the longest header block that a router reads
_EVIL: Final = "evil@trader.example"


class _Printer(Protocol):
    """Show a value over several lines."""

    def group(self, indent: int, open: str, close: str) -> AbstractContextManager[None]:  # noqa: A002 - their name
        """Indent what is printed between two texts."""
        ...

    def break_(self) -> None:
        """Begin a line."""

    def text(self, obj: str) -> None:
        """Write a text."""

    def pretty(self, obj: object) -> None:
        """Write a value."""


def shortened(raw: bytes) -> str:
    """
    Write a message as a failing example shows it.

    Args:
        raw: The message.

    Returns:
        Its beginning if it is long.
    """
    return repr(raw) if len(raw) <= _SHOWN else f"{raw[:_SHOWN]!r}[and {len(raw) - _SHOWN} octets more]"


def print_fields(value: object, names: tuple[str, ...], raw: bytes, printer: _Printer) -> None:
    """
    Print a value that holds a message; without this, Hypothesis shows every octet, whatever `repr` does.

    Args:
        value: The value.
        names: Of the fields to print.
        raw: The message, which is shortened.
        printer: Of Hypothesis.
    """
    with printer.group(4, f"{type(value).__name__}(", ")"):
        for name in names:
            printer.break_()
            printer.text(f"{name}=")
            printer.pretty(getattr(value, name))
            printer.text(",")
        printer.break_()
        printer.text(f"raw={shortened(raw)},")


@final
@attrs.frozen(kw_only=True)
class ReplyMessage:
    """
    One message that a declarant receives, and what a router must decide about it.

    Args:
        mail_from: MAIL FROM; None for a message from a POP3 mailbox, which has none, and empty for a null sender.
        expected: What a router with this setup must decide.
        payload: What the message carries; `htpoort.read` finds the same octets in it, unless its headers are broken.
        raw: The message.
        setup: What the router knows.
    """

    mail_from: str | None
    expected: RoutedTo | QuarantinedFor
    payload: bytes = attrs.field(repr=shortened)
    raw: bytes = attrs.field(repr=shortened)
    setup: RouterSetup

    # Name and form are Hypothesis' own.
    def _repr_pretty_(self, printer: _Printer, _cycle: bool) -> None:  # noqa: FBT001, PLW3201  # pyright: ignore[reportUnusedFunction]
        print_fields(self, ("mail_from", "expected", "setup"), self.raw, printer)


@attrs.frozen(kw_only=True)
class _Draft:
    """A reply before it is written."""

    setup: RouterSetup
    sender: str | None
    """From; None for a message without it."""
    mail_from: str | None
    envelope: tuple[tuple[str, str], ...]
    payload: bytes
    form: PayloadForm
    subject: str | None = None
    """In place of the envelope."""
    lines: tuple[bytes, ...] = ()
    """Further header lines."""

    def with_value(self, key: str, value: str) -> _Draft:
        pairs = tuple((own, value if own == key else old) for own, old in self.envelope)
        return attrs.evolve(self, envelope=pairs)

    def render(self) -> bytes:
        subject = "".join(f"[{key}={value}]" for key, value in self.envelope) if self.subject is None else self.subject
        head = (
            *([] if self.sender is None else [f"From: {self.sender}".encode()]),
            b"To: edi@forwarder.example",
            *([] if self.subject == _NO_SUBJECT else [f"Subject: {subject}".encode()]),
            b"Date: Mon, 02 Nov 2026 09:05:07 +0100",
            b"Message-ID: <1@gateway.example>",
            b"MIME-Version: 1.0",
        )
        lines, body = carried(self.payload, self.form)
        return b"\r\n".join((*head, *lines, *self.lines, b"", body))


PayloadForm = Literal[
    "plain", "base64", "quoted-printable", "attachment", "attachment-base64", "attachment-quoted-printable"
]
"""How a drawn reply carries its payload: as the body or as the only part of a multipart, encoded or as it is."""

FORMS: Final[tuple[PayloadForm, ...]] = get_args(PayloadForm)
_BOUNDARY: Final = b"=_reply"


def carried(payload: bytes, form: PayloadForm) -> tuple[tuple[bytes, ...], bytes]:
    """
    Encode a payload, with the standard library and not as `htpoort.build` does.

    Args:
        payload: Any octets.
        form: How they are carried; as they are only if no boundary is in them.

    Returns:
        The header lines, and the body.
    """
    if form.endswith("base64") or (form == "attachment" and b"--" + _BOUNDARY in payload):
        encoding, body = b"base64", base64.encodebytes(payload).replace(b"\n", b"\r\n")
    elif "quoted" in form:
        quoted = binascii.b2a_qp(payload, quotetabs=True, istext=False)
        encoding, body = b"quoted-printable", quoted.replace(b"=\n", b"=\r\n")
    else:
        encoding, body = b"7bit" if payload.isascii() else b"8bit", payload
    lines = (b"Content-Type: application/octet-stream", b"Content-Transfer-Encoding: " + encoding)
    if not form.startswith("attachment"):
        return lines, body
    mark = b"--" + _BOUNDARY
    disposition = b"Content-Disposition: attachment; filename=reply.bin"
    whole = b"\r\n".join((mark, *lines, disposition, b"", body, mark + b"--", b""))
    return (b'Content-Type: multipart/mixed; boundary="' + _BOUNDARY + b'"',), whole


_NO_SUBJECT: Final = "\0"

# ── one thing wrong, for each reason ─────────────────────────────────────────


def _too_large(_draw: st.DrawFn, draft: _Draft) -> _Draft:
    return attrs.evolve(draft, lines=(b"X-Padding: ".ljust(_HEADER_LIMIT, b"x"),))


def _bad_header(draw: st.DrawFn, draft: _Draft) -> _Draft:
    return attrs.evolve(draft, lines=(draw(st.sampled_from([b"this is no header", b"X-Note: a\0b", b"X-Note : 1"])),))


def _ambiguous_from(draw: st.DrawFn, draft: _Draft) -> _Draft:
    mailbox = draft.sender
    forms = [f"{mailbox} <{_EVIL}>", f"{mailbox}, {_EVIL}", f"<{mailbox}> <{_EVIL}>", f"{mailbox} ({_EVIL})", "", None]
    return attrs.evolve(draft, sender=draw(st.sampled_from(forms)))


def _sender_disagrees(_draw: st.DrawFn, draft: _Draft) -> _Draft:
    return attrs.evolve(draft, mail_from=_EVIL)


def _bad_subject(draw: st.DrawFn, draft: _Draft) -> _Draft:
    if draw(st.booleans()):
        return attrs.evolve(draft, lines=(b"Subject: [V=x][A=y][K=1][S=0]",))
    return attrs.evolve(draft, subject=_NO_SUBJECT)


def _no_envelope(draw: st.DrawFn, draft: _Draft) -> _Draft:
    return attrs.evolve(draft, subject=draw(st.sampled_from(["Out of office", "", "[Ticket#1]"])))


def _bad_envelope(draw: st.DrawFn, draft: _Draft) -> _Draft:
    key = draw(st.sampled_from("KVAS"))
    match draw(st.sampled_from(["missing", "repeated", "empty", "no-reference"])):
        case "missing":
            return attrs.evolve(draft, envelope=tuple(pair for pair in draft.envelope if pair[0] != key))
        case "repeated":
            return attrs.evolve(draft, envelope=(*draft.envelope, (key, "1")))
        case "empty":
            return draft.with_value(key, "")
        case _:
            return draft.with_value("K", draw(st.sampled_from(["../outside", "1 2", "-rf"])))


def _unknown_mailbox(draw: st.DrawFn, draft: _Draft) -> _Draft:
    known = {ascii_lower(system.mailbox) for system in draft.setup.directory}
    near = st.sampled_from([f"{draft.sender}.example", f"x.{draft.sender}"]) | mailboxes()
    mailbox = draw(near.filter(lambda text: ascii_lower(text) not in known))
    return attrs.evolve(draft, sender=mailbox, mail_from=draw(st.sampled_from([None, "", mailbox])))


def _unknown_process(draw: st.DrawFn, draft: _Draft) -> _Draft:
    known = {ascii_lower(text) for system in draft.setup.directory for text in system.reply_ids}
    return draft.with_value("V", draw(process_ids().filter(lambda text: ascii_lower(text) not in known)))


def _mailbox_process_disagree(draw: st.DrawFn, draft: _Draft) -> _Draft:
    others = [system for system in draft.setup.directory if system.mailbox != draft.sender]
    return draft.with_value(
        "V", draw(st.sampled_from([text for system in others for text in sorted(system.reply_ids)]))
    )


def _unknown_addressee(draw: st.DrawFn, draft: _Draft) -> _Draft:
    known = set(map(lower, draft.setup.parties))
    other = party_ids(max_length=SENDABLE).filter(lambda party: lower(party) not in known)
    return draft.with_value("A", str(draw(other)))


def _about_another(draw: st.DrawFn, draft: _Draft, replies: list[Origin]) -> _Draft:
    system, party, reference = draw(st.sampled_from(replies))
    process_id = draw(st.sampled_from(sorted(system.reply_ids)))
    draft = draft.with_value("V", process_id).with_value("A", str(party)).with_value("K", reference)
    return attrs.evolve(draft, sender=system.mailbox, mail_from=None)


def _other_system(draw: st.DrawFn, draft: _Draft) -> _Draft:
    return _about_another(draw, draft, from_another_system(draft.setup))


def _other_party(draw: st.DrawFn, draft: _Draft) -> _Draft:
    return _about_another(draw, draft, to_another_party(draft.setup))


_SPOILERS: Final[dict[Reason, Callable[[st.DrawFn, _Draft], _Draft]]] = {
    Reason.TOO_LARGE: _too_large,
    Reason.BAD_HEADER: _bad_header,
    Reason.AMBIGUOUS_FROM: _ambiguous_from,
    Reason.SENDER_DISAGREES: _sender_disagrees,
    Reason.BAD_SUBJECT: _bad_subject,
    Reason.NO_ENVELOPE: _no_envelope,
    Reason.BAD_ENVELOPE: _bad_envelope,
    Reason.UNKNOWN_MAILBOX: _unknown_mailbox,
    Reason.UNKNOWN_PROCESS: _unknown_process,
    Reason.MAILBOX_PROCESS_DISAGREE: _mailbox_process_disagree,
    Reason.UNKNOWN_ADDRESSEE: _unknown_addressee,
    Reason.OTHER_SYSTEM: _other_system,
    Reason.OTHER_PARTY: _other_party,
}
_NEEDS: Final[dict[Reason, Callable[[RouterSetup], bool]]] = {
    Reason.MAILBOX_PROCESS_DISAGREE: lambda setup: len(setup.directory.systems) > 1,
    Reason.OTHER_SYSTEM: lambda setup: bool(from_another_system(setup)),
    Reason.OTHER_PARTY: lambda setup: bool(to_another_party(setup)),
}


def _possible(setup: RouterSetup, reasons: Collection[Reason]) -> list[Reason]:
    """List the reasons, in their own order, that a message for this setup can be quarantined for."""
    asked = [reason for reason in Reason if reason in _SPOILERS and reason in reasons]
    return [reason for reason in asked if reason not in _NEEDS or _NEEDS[reason](setup)]


# ── the strategy ─────────────────────────────────────────────────────────────

# With two parties and something sent, nearly every reason is possible.
_SETUPS: Final = router_setups(min_parties=2, max_parties=3, max_systems=3, min_sent=1, max_sent=3)


@st.composite
def reply_messages(  # noqa: PLR0913 - one for each thing that a caller may choose
    draw: st.DrawFn,
    *,
    setup: RouterSetup | None = None,
    genuine: bool = True,
    reasons: Collection[Reason] = tuple(Reason),
    forms: Collection[PayloadForm] = FORMS,
    min_length: int = 0,
    max_length: int = 200,
) -> ReplyMessage:
    """
    Draw replies, each with what a router must decide about it.

    Compare what your router decides about ``reply.raw`` and ``reply.mail_from`` with ``reply.expected``, and what your
    program takes out of a genuine one with ``reply.payload``: a program that forgot to decode is found. Without a
    *setup*, give your router what ``reply.setup`` holds. ``reply_messages(reasons=[])`` draws genuine replies alone,
    ``reply_messages(genuine=False, reasons=[Reason.AMBIGUOUS_FROM])`` those with a doubtful From alone.

    Args:
        setup: What your router knows; any setup by default.
        genuine: Whether genuine replies are drawn, in the form of the official page.
        reasons: Why the others must be quarantined; exactly one thing is wrong in each of them. `Reason.FOREIGN_FILE`
            is never drawn: it is about files.
        forms: How replies carry their payload: ``"plain"``, ``"base64"``, ``"quoted-printable"``, ``"attachment"``,
            ``"attachment-base64"`` or ``"attachment-quoted-printable"``.
        min_length: Octets of the payload, at least 0.
        max_length: At most 10,000.

    Returns:
        Replies; they shrink to a genuine one with a short, plain payload.

    Raises:
        InvalidArgument: Nothing can be drawn: no payload has such a length, there is no such form, or no reply with
            this setup is genuine or quarantined for one of *reasons*; raised when the first value is drawn.
    """
    bounds("length", min_length, max_length, lowest=0, highest=10_000)
    if not forms or not set(forms) <= set(FORMS):
        message = f"forms={list(forms)!r}: give some of {', '.join(FORMS)}."
        raise InvalidArgument(message)
    drawn = draw(_SETUPS) if setup is None else checked(setup)
    kinds = [*([None] if genuine else []), *_possible(drawn, reasons)]
    if not kinds:
        if setup is not None or not reasons:
            names = ", ".join(sorted(reason.name for reason in reasons)) or "no reason at all"
            problem = f"reasons: no reply for this setup can be quarantined for {names}; give others, or genuine=True."
            raise InvalidArgument(problem)
        reject()
    # Half of them are genuine.
    reason = None if None in kinds and draw(st.booleans()) is False else draw(st.sampled_from(kinds))
    bodies = declarations(min_length=min_length, max_length=max_length)
    form: PayloadForm = draw(st.sampled_from([form for form in FORMS if form in forms]))
    draft, expected = _genuine(draw, drawn, bodies if min_length else st.just(b"") | bodies, form)
    if reason is not None:
        draft = _SPOILERS[reason](draw, draft)
    return ReplyMessage(
        mail_from=draft.mail_from,
        expected=expected if reason is None else QuarantinedFor(reason=reason),
        payload=draft.payload,
        raw=draft.render(),
        setup=drawn,
    )


def checked(setup: RouterSetup) -> RouterSetup:
    """
    Refuse a setup that no reply can be drawn for.

    Args:
        setup: What the caller gave.

    Returns:
        The same.

    Raises:
        InvalidArgument: It has no system, or accepts only short messages.
    """
    if not setup.directory.systems:
        message = "setup: its directory is empty; add at least one system."
        raise InvalidArgument(message)
    if setup.size_limit < SMALLEST_LIMIT:
        message = f"setup: size_limit is {setup.size_limit}; give at least {SMALLEST_LIMIT} octets."
        raise InvalidArgument(message)
    return setup


def origin(draw: st.DrawFn, setup: RouterSetup) -> tuple[Origin, Correlation]:
    """
    Draw which system replies to which party about which K.

    Args:
        draw: Of a composite strategy.
        setup: What the router knows.

    Returns:
        Who replies, and whether the router finds K; they shrink to what was sent first.
    """
    sent = matching(setup)
    if sent and draw(st.integers(0, 3)) < 3:  # noqa: PLR2004 - three of four
        return draw(st.sampled_from(sent)), Correlation.MATCHED
    system = draw(st.sampled_from(setup.directory.systems))
    party = draw(st.sampled_from(setup.parties))
    reference = draw(references().filter(lambda text: not setup.lookup(text)))
    return (system, party, reference), (
        Correlation.NOT_CHECKED if setup.sent is None else Correlation.UNKNOWN_REFERENCE
    )


def _genuine(
    draw: st.DrawFn, setup: RouterSetup, bodies: st.SearchStrategy[bytes], form: PayloadForm
) -> tuple[_Draft, RoutedTo]:
    """Draw a genuine reply, and where it belongs."""
    (system, party, reference), correlation = origin(draw, setup)
    blank = draw(st.sampled_from(["", " "]))  # whether the blanks of the official form are on the wire is unknown
    process_id = draw(st.sampled_from(sorted(system.reply_ids)))
    draft = _Draft(
        setup=setup,
        sender=system.mailbox,
        mail_from=draw(st.sampled_from([None, system.mailbox])),
        envelope=(("V", f"{blank}{process_id}"), ("A", f"{blank}{party}"), ("K", reference), ("S", "0")),
        payload=draw(bodies),
        form=form,
    )
    expected = RoutedTo(system=system.name, party=str(party), reference=reference, correlation=correlation)
    return draft, expected


st.register_type_strategy(ReplyMessage, lambda _kind: reply_messages())
