"""A mailbox that is plain enough to need no validator is one that the validator accepts."""

from __future__ import annotations

from email_validator import validate_email
from hypothesis import example, given, strategies as st

from htpoort.core import address, grammar


@given(st.from_regex(grammar.PLAIN_ADDRESS, fullmatch=True).filter(lambda text: len(text) <= 64))
@example("edi@localhost")
@example("douane.edi-1_a@mail-2.forwarder.example")
@example("1@2")
@example("a@10.0.0.1")
@example(f"{'a' * 62}@b")
@example(f"b@{'a' * 62}")
def test_the_validator_accepts_every_plain_mailbox(text: str) -> None:
    """What the pattern accepts, email-validator accepts too, with the same settings."""
    validate_email(address._neutral(text), allow_smtputf8=False, check_deliverability=False, globally_deliverable=False)

    assert () == address.mailbox_problems("mailbox", text)
