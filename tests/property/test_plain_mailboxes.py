"""A mailbox that is plain enough to need no validator is one that the validator accepts."""

from __future__ import annotations

from typing import Final

from email_validator import validate_email
from hypothesis import example, given, strategies as st

from htpoort.core import address, grammar

# The pattern of the grammar, with an end to each repetition: without one, drawing takes ten times as long.
WORD: Final = "[A-Za-z0-9]{1,9}"
LABEL: Final = f"{WORD}(?:-{WORD}){{0,1}}"
MAILBOX: Final = rf"{WORD}(?:[._-]{WORD}){{0,3}}@{LABEL}(?:\.{LABEL}){{0,2}}"


@given(st.from_regex(MAILBOX, fullmatch=True).filter(lambda text: len(text) <= 64))
@example("edi@localhost")
@example("douane.edi-1_a@mail-2.forwarder.example")
@example("1@2")
@example("a@10.0.0.1")
@example(f"{'a' * 62}@b")
@example(f"b@{'a' * 62}")
def test_the_validator_accepts_every_plain_mailbox(text: str) -> None:
    """What the pattern accepts, email-validator accepts too, with the same settings."""
    assert grammar.PLAIN_ADDRESS.fullmatch(text)

    validate_email(address._neutral(text), allow_smtputf8=False, check_deliverability=False, globally_deliverable=False)

    assert () == address.mailbox_problems("mailbox", text)
