"""
Know the ways to forge a reply: for each its name, the reason that must be given, and how it is done.

Never does: change two things; one is enough, and what is first among two is the router's own business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, final

import attrs
from forging.drafts import Draft, Facts
from hypothesis import strategies as st

from htpoort import Reason
from htpoort.testing.strategies import RouterSetup

ChangeFacts = Callable[[st.DrawFn, Facts], Facts]
ChangeDraft = Callable[[st.DrawFn, Facts, Draft], Draft]
Possible = Callable[[RouterSetup], bool]
Change = TypeVar("Change", ChangeFacts, ChangeDraft)


def _same_facts(_draw: st.DrawFn, facts: Facts) -> Facts:
    return facts


def _same_draft(_draw: st.DrawFn, _facts: Facts, draft: Draft) -> Draft:
    return draft


def always(_setup: RouterSetup) -> bool:
    """A forgery that is possible with every setup."""
    return True


@final
@attrs.frozen(kw_only=True)
class Forgery:
    """
    Hold one way to forge a reply.

    Args:
        name: Stable.
        reason: What must be said to it.
        possible: Whether it can be done for a router.
        facts: Changes what the message says.
        draft: Changes its lines.
    """

    name: str
    reason: Reason
    possible: Possible
    facts: ChangeFacts = _same_facts
    draft: ChangeDraft = _same_draft


FORGERIES: Final[dict[str, Forgery]] = {}


def by_facts(name: str, reason: Reason, possible: Possible = always) -> Callable[[ChangeFacts], ChangeFacts]:
    """
    Keep a way to forge what a message says.

    Args:
        name: Stable.
        reason: What must be said to it.
        possible: Whether it can be done for a router.

    Returns:
        A decorator.
    """
    return _kept(lambda change: Forgery(name=name, reason=reason, possible=possible, facts=change))


def by_draft(name: str, reason: Reason, possible: Possible = always) -> Callable[[ChangeDraft], ChangeDraft]:
    """
    Keep a way to forge the lines of a message.

    Args:
        name: Stable.
        reason: What must be said to it.
        possible: Whether it can be done for a router.

    Returns:
        A decorator.
    """
    return _kept(lambda change: Forgery(name=name, reason=reason, possible=possible, draft=change))


def _kept(made: Callable[[Change], Forgery]) -> Callable[[Change], Change]:
    """Register the forgery of a function, and return the function."""

    def decorate(change: Change) -> Change:
        forgery = made(change)
        FORGERIES[forgery.name] = forgery
        return change

    return decorate
