"""
Draw replies, genuine, tolerated or forged, each with what a router must say to it.

Never does: route one to find that out.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from types import MappingProxyType
from typing import Final

from hypothesis import reject, strategies as st
from hypothesis.errors import InvalidArgument

from htpoort.routing import Reason
from htpoort.testing.strategies import _forged_facts, _forged_lines
from htpoort.testing.strategies._drafts import Draft, facts_of
from htpoort.testing.strategies._forged import FORGERIES, Forgery
from htpoort.testing.strategies._outcomes import Label, QuarantinedFor, ReplyMessage, RoutedTo, RouterSetup
from htpoort.testing.strategies._scenes import Scene, check, router_setups, scene
from htpoort.testing.strategies._tolerated import spoken, tolerations, written
from htpoort.testing.strategies._values import bounds, declarations

__all__ = ["FORGED", "bodies", "forgiven", "message", "reply_messages"]

# Their forgeries are kept when they are imported.
_ROOMS: Final = (_forged_facts, _forged_lines)

FORGED: Final = MappingProxyType({name: forgery.reason for name, forgery in FORGERIES.items()})
"""The names of all forgeries, each with the reason that must be given."""


@functools.cache  # making strategies anew takes longer than drawing from them
def bodies(*, min_length: int, max_length: int) -> st.SearchStrategy[bytes]:
    """
    Draw bodies of replies.

    Args:
        min_length: In octets.
        max_length: In octets.

    Returns:
        What begins like XML or EDIFACT, lines that look like a header, and any octets.
    """
    inside = b"From: evil@trader.example\r\nSubject: [V=x][A=y][K=1][S=0]\r\n\r\n"
    fitting = [octets for octets in (b"", inside) if min_length <= len(octets) <= max_length]
    drawn = declarations(min_length=min_length, max_length=max_length)
    return st.sampled_from(fitting) | drawn if fitting else drawn


# With two parties and something sent, nearly every forgery can be done.
_SETUPS: Final = router_setups(min_parties=2, max_parties=3, max_systems=3, min_sent=1, max_sent=3)


def _possible(setup: RouterSetup, reasons: Collection[Reason]) -> list[Forgery]:
    return [forgery for forgery in FORGERIES.values() if forgery.reason in reasons and forgery.possible(setup)]


def message(
    draw: st.DrawFn, *, answer: Scene, label: Label, names: tuple[str, ...], reasons: Collection[Reason]
) -> ReplyMessage:
    """
    Draw the message of a scene.

    Args:
        draw: Of a composite strategy.
        answer: Who answers whom.
        label: What kind of reply it is to be.
        names: Of what is tolerated in it.
        reasons: Why it is to be quarantined; counts only where it is forged.

    Returns:
        Messages.
    """
    facts = spoken(draw, facts=facts_of(answer), names=names)
    if label is not Label.FORGED:
        return _sealed(written(draw, facts=facts, names=names), answer, label, names, answer.expected)
    possible = _possible(answer.setup, reasons)
    reason = draw(st.sampled_from(list(dict.fromkeys(forgery.reason for forgery in possible))))
    forgery = draw(st.sampled_from([forgery for forgery in possible if forgery.reason is reason]))
    # A forgery comes after what is tolerated, or that could undo it.
    draft = written(draw, facts=forgery.facts(draw, facts), names=names)
    return _sealed(
        forgery.draft(draw, facts, draft), answer, label, (*names, forgery.name), QuarantinedFor(reason=reason)
    )


def _sealed(
    draft: Draft, answer: Scene, label: Label, done: tuple[str, ...], expected: RoutedTo | QuarantinedFor
) -> ReplyMessage:
    return ReplyMessage(
        label=label,
        done=done,
        mail_from=draft.mail_from,
        expected=expected,
        raw=draft.render(),
        setup=answer.setup,
    )


@st.composite
def reply_messages(  # noqa: PLR0913 - one for each thing that may be asked for
    draw: st.DrawFn,
    *,
    setup: RouterSetup | None = None,
    labels: Collection[Label] = tuple(Label),
    reasons: Collection[Reason] = tuple(Reason),
    min_length: int = 0,
    max_length: int = 200,
) -> ReplyMessage:
    """
    Draw replies, each with what a router must say to it.

    Compare what yours says to ``message.raw`` and ``message.mail_from`` with ``message.expected``; where *setup* is not
    given, it has to be told what ``message.setup`` holds. ``reply_messages(labels=[Label.FORGED],
    reasons=[Reason.AMBIGUOUS_FROM])`` draws forged senders alone.

    Args:
        setup: What your router is told; any where not given.
        labels: The kinds of reply: genuine, tolerated, forged.
        reasons: Why the forged ones are to be quarantined.
        min_length: Octets of the body, at least 0.
        max_length: At most 10,000. Where a message is made as long as it may be, its body is longer.

    Returns:
        Replies; they shrink to a genuine one, and a forged one to nothing forged but one thing.

    Raises:
        InvalidArgument: Nothing can be drawn: no such length, no label, no reason, or no forgery for these reasons
            with this setup; raised when the first one is drawn.
    """
    bounds("length", min_length, max_length, lowest=0, highest=10_000)
    given = setup is not None
    if setup is None:
        setup = draw(_SETUPS)
    kinds = check(setup, labels)
    label = draw(st.sampled_from(kinds))
    if label is Label.FORGED and not _possible(setup, reasons):
        if given or not reasons:
            asked = ", ".join(sorted(reason.name for reason in reasons)) or "nothing"
            problem = f"reasons: no message for this setup can be quarantined for {asked}."
            raise InvalidArgument(problem)
        reject()
    names = draw(forgiven(label=label, size_limit=setup.size_limit))
    drawn = bodies(min_length=min_length, max_length=max_length)
    answer = scene(draw, setup=setup, bodies=drawn)
    return message(draw, answer=answer, label=label, names=names, reasons=reasons)


def forgiven(*, label: Label, size_limit: int, short: bool = False) -> st.SearchStrategy[tuple[str, ...]]:
    """
    Draw the names of what is tolerated in a reply.

    Args:
        label: Its kind; a genuine one has none of it, a forged one may have some.
        size_limit: Octets of a message that is routed.
        short: Whether the body must stay as it is.

    Returns:
        Names.
    """
    if label is Label.GENUINE:
        return st.just(())
    return tolerations(least=int(label is Label.TOLERATED), size_limit=size_limit, short=short)


st.register_type_strategy(ReplyMessage, lambda _kind: reply_messages())
