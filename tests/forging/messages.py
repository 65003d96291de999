"""Draw replies that are genuine, tolerated or forged, each with what a router must decide about it."""

from __future__ import annotations

import functools
from collections.abc import Collection
from types import MappingProxyType
from typing import Final

from forging import forged_facts, forged_lines
from forging.drafts import Draft, facts_of
from forging.forgeries import FORGERIES, Forgery
from forging.forms import spoken, tolerations, written
from forging.results import Label, LabelledReply
from forging.scenes import Scene, check, scene
from hypothesis import reject, strategies as st
from hypothesis.errors import InvalidArgument

from htpoort import Reason
from htpoort.testing.strategies import QuarantinedFor, RoutedTo, RouterSetup, router_setups
from htpoort.testing.strategies._values import bounds, declarations

# Importing these registers their forgeries.
_MODULES: Final = (forged_facts, forged_lines)

FORGED: Final = MappingProxyType({name: forgery.reason for name, forgery in FORGERIES.items()})
"""The names of all forgeries, each with the reason that the router must give."""


@functools.cache  # making strategies anew takes longer than drawing from them
def bodies(*, min_length: int, max_length: int) -> st.SearchStrategy[bytes]:
    """Draw bodies: like XML or EDIFACT, lines that look like a header, and any octets."""
    inside = b"From: evil@trader.example\r\nSubject: [V=x][A=y][K=1][S=0]\r\n\r\n"
    fitting = [octets for octets in (b"", inside) if min_length <= len(octets) <= max_length]
    drawn = declarations(min_length=min_length, max_length=max_length)
    return st.sampled_from(fitting) | drawn if fitting else drawn


# With two parties and something sent, nearly every forgery is possible.
_SETUPS: Final = router_setups(min_parties=2, max_parties=3, max_systems=3, min_sent=1, max_sent=3)


def _possible(setup: RouterSetup, reasons: Collection[Reason]) -> list[Forgery]:
    return [forgery for forgery in FORGERIES.values() if forgery.reason in reasons and forgery.possible(setup)]


def drawn_message(
    draw: st.DrawFn, *, reply: Scene, label: Label, names: tuple[str, ...], reasons: Collection[Reason]
) -> LabelledReply:
    """
    Draw the message of a scene.

    Args:
        draw: Of a composite strategy.
        reply: The scene.
        label: The kind of reply.
        names: Of what is tolerated in it.
        reasons: Why it must be quarantined; only used if it is forged.
    """
    facts = spoken(draw, facts=facts_of(reply), names=names)
    if label is not Label.FORGED:
        return _sealed(written(draw, facts=facts, names=names), reply, label, names, reply.expected)
    possible = _possible(reply.setup, reasons)
    reason = draw(st.sampled_from(list(dict.fromkeys(forgery.reason for forgery in possible))))
    forgery = draw(st.sampled_from([forgery for forgery in possible if forgery.reason is reason]))
    # The forgery comes last; otherwise what is tolerated could undo it.
    draft = written(draw, facts=forgery.facts(draw, facts), names=names)
    return _sealed(
        forgery.draft(draw, facts, draft), reply, label, (*names, forgery.name), QuarantinedFor(reason=reason)
    )


def _sealed(
    draft: Draft, reply: Scene, label: Label, changes: tuple[str, ...], expected: RoutedTo | QuarantinedFor
) -> LabelledReply:
    return LabelledReply(
        label=label,
        changes=changes,
        mail_from=draft.mail_from,
        expected=expected,
        raw=draft.render(),
        setup=reply.setup,
    )


@st.composite
def labelled_replies(  # noqa: PLR0913 - one for each thing that a caller may choose
    draw: st.DrawFn,
    *,
    setup: RouterSetup | None = None,
    labels: Collection[Label] = tuple(Label),
    reasons: Collection[Reason] = tuple(Reason),
    min_length: int = 0,
    max_length: int = 200,
) -> LabelledReply:
    """
    Draw replies, each with what a router must decide about it.

    Args:
        setup: What the router knows; any setup by default.
        labels: The kinds of reply.
        reasons: Why the forged ones must be quarantined.
        min_length: Octets of the body, at least 0.
        max_length: At most 10,000; a message at the size limit of its router has a longer body.

    Returns:
        Replies; they shrink to a genuine one, and forged ones to the forgery alone.

    Raises:
        InvalidArgument: No body has such a length, or there is no label, no reason, or no forgery for these reasons
            with this setup; raised when the first value is drawn.
    """
    bounds("length", min_length, max_length, lowest=0, highest=10_000)
    chosen = setup is not None
    if setup is None:
        setup = draw(_SETUPS)
    kinds = check(setup, labels)
    label = draw(st.sampled_from(kinds))
    if label is Label.FORGED and not _possible(setup, reasons):
        if chosen or not reasons:
            listed = ", ".join(sorted(reason.name for reason in reasons)) or "nothing"
            problem = f"reasons: no message for this setup can be quarantined for {listed}."
            raise InvalidArgument(problem)
        reject()
    names = draw(toleration_names(label=label, size_limit=setup.size_limit))
    drawn = bodies(min_length=min_length, max_length=max_length)
    return drawn_message(draw, reply=scene(draw, setup=setup, bodies=drawn), label=label, names=names, reasons=reasons)


def toleration_names(*, label: Label, size_limit: int, short: bool = False) -> st.SearchStrategy[tuple[str, ...]]:
    """
    Draw the names of what is tolerated in a reply.

    Args:
        label: Its kind; a genuine reply has none, a forged one may have some.
        size_limit: The longest message that is routed, in octets.
        short: Whether the body must stay as it is.
    """
    if label is Label.GENUINE:
        return st.just(())
    return tolerations(least=int(label is Label.TOLERATED), size_limit=size_limit, short=short)
