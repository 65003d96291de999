"""What a sentence states that a rule matched: the effects that the tables of rules share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from htpoort.core.notices._facts import Asks, Event, EventKind, Fact, Named, Statement, TimeRole, Times
from htpoort.core.notices._rules import Found
from htpoort.core.notices.notice import Access, Behaviour, Recovery

__all__ = [
    "access_stated",
    "asks",
    "ended",
    "listed_messages",
    "moved",
    "named",
    "part_with_issues",
    "states",
    "works_again",
]

_VERB = re.compile(
    r"(?: (?:som|der|that|which))?(?: (?:er|are|bliver))? (?:sendt|indsendt|indgivet|fremsendt|afgivet)$"
)
_AWAITED = re.compile(
    r"\b(?:until|till|when|once|after|if|before|as soon as|unless|whether|indtil|når|efter|hvis|inden|før|såfremt"
    r"|tot|totdat|zodra|wanneer|als|indien|nadat|voordat)\b[^.;:,]{0,60}$"
)
_SLOW = re.compile(r"(?:slow |long )?(?:response|processing|reply) ?times?|(?:lange |langsomme )?svartider(?:ne)?")
_BETWEEN = re.compile(r", ?(?:and |og |en )?|(?<!-) (?:and|og|en|&) ")


def listed_messages(phrase: str) -> tuple[str, ...]:
    """Split a list of messages at commas and at *and*; a slash joins two names of one."""
    # `arrival- and departure notices` are one name.
    names = _BETWEEN.split(phrase)
    return tuple(name.strip() for name in names if name.strip())


def _has_group(found: Found, group: str) -> bool:
    return group in found.match.re.groupindex and found.has(group)


def _systems(found: Found) -> tuple[str, ...] | None:
    return found.systems() if _has_group(found, "systems") else ()


def states(
    behaviour: Behaviour | None,
    access: Access | None = None,
    *,
    general: bool = False,
    event: EventKind | None = None,
) -> Callable[[Found], Iterable[Fact] | None]:
    """
    Make the effect of a sentence about the systems (and messages) that it lists.

    Args:
        behaviour: What happens; None if the sentence names the systems only.
        access: None if the sentence does not say.
        general: Whether statements about single systems go before it.
        event: What the sentence says of the event, beside that.
    """
    events = () if event is None else (Event(event),)

    def effect(found: Found) -> Iterable[Fact] | None:
        systems = _systems(found)
        if systems is None:
            return None
        messages = listed_messages(found.printed("messages")) if _has_group(found, "messages") else ()
        if messages:
            # The verb of the list, as in *notices sent to*.
            messages = (*messages[:-1], _VERB.sub("", messages[-1]))
        statement = Statement(systems=systems, access=access, messages=messages, behaviour=behaviour, general=general)
        return statement, *events

    return effect


def access_stated(found: Found) -> Iterable[Fact] | None:
    """State that one kind of access is open or closed: the groups ``online`` and ``open`` show which."""
    systems = _systems(found)
    if systems is None:
        return None
    return (
        Statement(
            systems=systems,
            access=Access.ONLINE if found.has("online") else Access.FILE,
            behaviour=Behaviour.NORMAL if found.has("open") else Behaviour.UNAVAILABLE,
        ),
    )


def part_with_issues(found: Found) -> Iterable[Fact] | None:
    """State *issues with PART (in SYSTEM)* as limited; *issues with SYSTEM* states no behaviour."""
    part = found.printed("part")
    if found.has("systems"):
        systems = found.systems()
        slow = _SLOW.fullmatch(part.casefold()) is not None
        return None if systems is None else _with_issues(systems, Behaviour.DELAYED if slow else Behaviour.LIMITED)
    # A small letter begins a common noun: the tariff, the import of cars.
    systems = found.names.listed(part) if part[:1].isupper() else None
    if systems is not None and all(found.names.is_known(name) for name in systems):
        return _with_issues(systems, None)
    known = found.names.known_start(part) if part[:1].isupper() else ""
    return _with_issues((known,) if known else (), Behaviour.LIMITED)


def _with_issues(systems: tuple[str, ...], behaviour: Behaviour | None) -> Iterable[Fact]:
    return Statement(systems=systems, behaviour=behaviour), Event(EventKind.ONGOING)


def _is_awaited(found: Found) -> bool:
    """Whether the words before a match say that it is still to come: *until the planned maintenance* is over."""
    return _AWAITED.search(found.match.string, 0, found.match.start()) is not None


def ended(found: Found) -> Iterable[Fact] | None:
    """State that it is over."""
    return None if _is_awaited(found) else (Event(EventKind.ENDED), Times(TimeRole.END))


def works_again(found: Found) -> Iterable[Fact] | None:
    """State that it is over, of whatever the sentence names."""
    return None if _systems(found) is None else ended(found)


def moved(found: Found) -> Iterable[Fact]:
    """State that it was moved; a time before that word is the one that no longer counts."""
    old = (Times(TimeRole.OTHER),) if found.has("old") or found.has("from") else ()
    return Event(EventKind.MOVED), *old, Times(TimeRole.NEW)


def asks(recovery: Recovery) -> Callable[[Found], Iterable[Fact] | None]:
    """Make the effect of a sentence that asks for something, of the systems that it lists or of its section."""

    def effect(found: Found) -> Iterable[Fact] | None:
        systems = _systems(found)
        return None if systems is None else (Asks(recovery=recovery, systems=systems),)

    return effect


def named(found: Found) -> Iterable[Fact] | None:
    """Name systems in a title."""
    systems = _systems(found)
    return None if systems is None else (Named(systems),)
