"""
Build and read the routing envelope of a Subject, `[V=…][A=…][K=…][S=…]`.

This module never knows a system, a mailbox or a party, and never interprets S.
"""

from __future__ import annotations

import functools
from typing import Final, final

import attrs

from htpoort.core import _lenient, grammar
from htpoort.core.errors import EnvelopeError, InputError, Problem

__all__ = ["RoutingEnvelope"]

_FIELDS: Final = {"V": "sender", "A": "addressee", "K": "reference", "S": "s"}
_FRAME: Final = len("[V=][A=][K=][S=]")


@functools.cache
def _blank_notes(length: int) -> tuple[Problem, ...]:
    """Make the note of the official reply form; cached by length, which has a limit."""
    return (_lenient.blank_note(length),)


def _checked(instance: RoutingEnvelope) -> None:
    """Refuse values that the reader would not return unchanged."""
    problems: list[Problem] = []
    shown: list[str] = []
    for key, name in _FIELDS.items():
        value: object = getattr(instance, name)
        if not isinstance(value, str):
            problems.append(Problem("input.type", f"{name} ({key}) is {type(value).__name__}; give a str."))
            continue
        if len(value) <= grammar.VALUE_LIMIT and grammar.VALUE.fullmatch(value):
            continue
        shown.append(value)
        problems.extend(_lenient.value_problems(key, value, 0))
        if value != value.strip(" "):
            problems.append(
                Problem("envelope.value-blank", f"The value of {key} has a blank at an end.", 0, len(value))
            )
    if problems:
        # Offsets count in one value; with several values a caret would mislead.
        raise InputError(shown[0] if len(shown) == 1 else "", tuple(problems))


@final
@attrs.frozen(kw_only=True)
class RoutingEnvelope:
    """
    The routing envelope of one message (Dutch: *berichtkenmerken* in the Subject).

    >>> envelope = RoutingEnvelope(
    ...     sender="NL123456789.02.05", addressee="DMS4.NL", reference="22096222734662"
    ... )
    >>> str(envelope)
    '[V=NL123456789.02.05][A=DMS4.NL][K=22096222734662][S=0]'
    >>> RoutingEnvelope.parse(str(envelope)) == envelope
    True

    Args:
        sender: V, the sender: a party ID, or in a reply a process ID. Like the next three: 1 to 256 printable ASCII
            characters without brackets and without a blank at either end.
        addressee: A, the addressee: a process ID, or in a reply a party ID.
        reference: K, the reference (*kenmerk*) of one transmission.
        s: S, carried and never interpreted; only ``"0"`` has been seen.
        raw: The text that was read; empty if the envelope was not read from a text. Not compared.
        notes: What the reader forgave; offsets count in *raw* unfolded and decoded. Not compared.

    Raises:
        InputError: A value cannot be part of an envelope.

    Source:
        Official page "Hoe bereid ik me voor op DMS?" for the form; that V is the sender and A the
        addressee is inferred from the swap in replies.
    """

    sender: str
    addressee: str
    reference: str
    s: str = "0"
    raw: str = attrs.field(default="", eq=False, repr=False)
    notes: tuple[Problem, ...] = attrs.field(default=(), eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _checked(self)

    @classmethod
    def parse(cls, text: str, strict: bool = False) -> RoutingEnvelope:  # noqa: FBT001, FBT002 - public contract
        """
        Read the envelope in a Subject.

        Accepted and noted: keys in any case and order, blanks around keys and values, folded lines, encoded words, text
        before and after, unknown keys.

        >>> subject = "Re: [v= DMS4.NL][a= NL123456789.02.05][k=1][s=0]"
        >>> RoutingEnvelope.parse(subject).sender
        'DMS4.NL'

        Args:
            text: The value of the Subject header, at most 4,096 characters.
            strict: Refuse everything that the writer would not write.

        Returns:
            The envelope, with *raw* and *notes*.

        Raises:
            EnvelopeError: There is no valid envelope; lists all problems, with offsets that count in its *text*.
        """
        # Below this length no value can be over the limit, so nothing is left to check.
        if len(text) <= grammar.VALUE_LIMIT + _FRAME and (matched := grammar.COMMON.fullmatch(text)):
            notes = _blank_notes(len(text)) if " " in text else ()
            # Only in the canonical line is something like an encoded word a value.
            if not (notes and (strict or "?" in text)):
                sender, addressee, reference, s = matched.groups()
                return _trusted(sender, addressee, reference, s, text, notes)
        reading = _lenient.read(text)
        problems = (*reading.problems, *reading.notes) if strict else reading.problems
        if problems:
            raise EnvelopeError(reading.text, problems)
        return _trusted(*reading.values, text, reading.notes)

    @classmethod
    def find(cls, text: str) -> RoutingEnvelope | None:
        """
        Read the envelope in a Subject that may have none.

        >>> RoutingEnvelope.find("Out of office") is None
        True

        Args:
            text: The value of a Subject header.

        Returns:
            The envelope, or None if `parse` would raise.
        """
        # Ordinary mail often has a bracket or two; a full reading only to drop it takes 25 times as long.
        if text.count("[") < len(grammar.KEYS) and "=?" not in text:
            return None
        try:
            return cls.parse(text)
        except EnvelopeError:
            return None

    def render(self) -> str:
        """
        Write the envelope on one line, as in the official examples.

        Returns:
            `[V=…][A=…][K=…][S=…]`: ASCII, keys in upper case, no blank outside of a value.
        """
        return f"[V={self.sender}][A={self.addressee}][K={self.reference}][S={self.s}]"

    __str__ = render

    def reply(self) -> RoutingEnvelope:
        """
        Make the envelope that answers this one.

        >>> str(RoutingEnvelope(sender="a", addressee="b", reference="k").reply())
        '[V=b][A=a][K=k][S=0]'

        Returns:
            The same envelope with V and A swapped.

        Source:
            Official page "Hoe bereid ik me voor op DMS?", examples of AGS and DMS.
        """
        return _trusted(self.addressee, self.sender, self.reference, self.s, "", ())


# The class is frozen and its constructor validates. Values that a pattern has checked need neither, and bypassing
# both halves the time to read a line.
_new: Final = object.__new__
_set_sender, _set_addressee, _set_reference, _set_s, _set_raw, _set_notes = (
    vars(RoutingEnvelope)[field.name].__set__ for field in attrs.fields(RoutingEnvelope)
)


def _trusted(  # noqa: PLR0913, PLR0917 - the six fields
    sender: str,
    addressee: str,
    reference: str,
    s: str,
    raw: str,
    notes: tuple[Problem, ...],
) -> RoutingEnvelope:
    """Make an envelope of values that a pattern has checked."""
    self = _new(RoutingEnvelope)
    _set_sender(self, sender)
    _set_addressee(self, addressee)
    _set_reference(self, reference)
    _set_s(self, s)
    _set_raw(self, raw)
    _set_notes(self, notes)
    return self
