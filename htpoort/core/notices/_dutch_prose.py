"""
Rules for notices of the Dutch National Customs Helpdesk that are written as prose, in Dutch and in English.

A time may stand anywhere in their sentences; see `_dutch`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from htpoort.core.notices._effects import ended
from htpoort.core.notices._facts import (
    Event,
    EventKind,
    Fact,
    KindWord,
    Listing,
    MessageList,
    Named,
    Statement,
    Subject,
    TimeRole,
    Times,
)
from htpoort.core.notices._processes import process_names
from htpoort.core.notices._rules import LINK, REFERENCE, TIME, Found, rule
from htpoort.core.notices.notice import Behaviour, NoticeKind

__all__ = ["DUTCH_PROSE"]

_S: Final = rf"(?P<systems>[^:!?{TIME}{REFERENCE}{LINK}]{{2,200}}?)"
_AT: Final = rf"(?:,? ?(?:on |op |in de periode |in the period |starting )?{TIME}++,?)"
_NOW: Final = r"(?:(?:currently|temporarily|still|at the moment|momenteel|tijdelijk|nog|op dit moment|helaas) )*"
_OUTAGE: Final = r"(?:disruptions?|malfunctions?|outages?|failures?|interruptions?|(?:ver)?storing(?:en)?|uitval)"
_WORK: Final = (
    r"(?:(?:het|the|een|scheduled|planned|emergency|necessary|required|gepland|geplande|noodzakelijk|regulier) )*"
    r"(?:maintenance|(?:spoed)?onderhoud(?:swerkzaamheden)?|werkzaamheden)"
)
_WHY: Final = (
    rf"(?:,? (?P<planned>(?:due to|because of|for|vanwege|wegens|in verband met|door|voor|tijdens|during) {_WORK})"
    rf"|,? (?:due to|because of|vanwege|wegens|door|als gevolg van) (?:an? |een )?{_OUTAGE})?"
)
_NO_NOT: Final = r"(?:(?!niet\b|geen\b|nooit\b)[^.,:;\s]+ ){0,8}?"
_MESSAGES: Final = r"(?:messages|declarations|notifications|berichten|aangiften|meldingen)"


def _named(found: Found, group: str = "systems") -> tuple[str, ...] | None:
    return process_names(found.printed(group))


def _down(found: Found) -> Iterable[Fact] | None:
    """Read *not*, *limited* and *again* in a sentence whose time stands first."""
    systems = _named(found)
    if systems is None:
        return None
    if found.has("again"):
        return Subject(systems), *(ended(found) or ())
    behaviour = Behaviour.LIMITED if found.has("limited") else Behaviour.UNAVAILABLE
    kind = NoticeKind.PLANNED if found.has("planned") else NoticeKind.INCIDENT
    return Subject(systems), Statement(behaviour=behaviour, general=True), KindWord(kind)


def _disrupted(found: Found) -> Iterable[Fact] | None:
    """Name what a disruption was in, and when; an unknown name may be a part of the authority's own network."""
    systems = _named(found)
    if systems is None or not all(found.names.is_known(name) or name.endswith(")") for name in systems):
        return None
    return Named(systems, title=False), Times(TimeRole.WINDOW)


def _solved(found: Found) -> Iterable[Fact] | None:
    """Tell the time of a disruption, which stands before *solved*, from the time since when it is."""
    systems = _named(found) if found.has("systems") else ()
    over = ended(found)
    if systems is None or over is None:
        return None
    about = (Named(systems, title=False),) if systems else ()
    was = (Times(TimeRole.WINDOW),) if found.has("was") else ()
    since = (Times(TimeRole.END),) if found.has("since") or found.has("later") else ()
    return *about, Event(EventKind.ENDED), *was, *since


def _worked_on(found: Found) -> Iterable[Fact] | None:
    systems = _named(found)
    return None if systems is None else (Subject(systems), KindWord(NoticeKind.PLANNED))


def _maintained(found: Found) -> Iterable[Fact]:
    """Name what is maintained; a part of the network of another authority is no system."""
    systems = _named(found) or ()
    known = systems and all(found.names.is_known(name) or name.endswith(")") for name in systems)
    return *((Named(systems, title=False),) if known else ()), KindWord(NoticeKind.PLANNED)


def _no_replies(found: Found) -> Iterable[Fact] | None:
    """State a disruption by which nothing is answered; whether what is sent is kept is not said."""
    systems = _named(found) if found.has("systems") else ()
    if systems is None:
        return None
    about = (Named(systems, title=False),) if systems else ()
    return *about, Event(EventKind.ONGOING), KindWord(NoticeKind.INCIDENT)


def _message_of(found: Found) -> Iterable[Fact] | None:
    """State that one message of a system has problems: *DMS: problem in processing the notification*."""
    systems = _named(found)
    if systems is None or not all(found.names.is_known(name) for name in systems):
        return None
    message = found.printed("messages")
    statement = Statement(systems=systems, messages=(message,), behaviour=Behaviour.LIMITED)
    return statement, Event(EventKind.ONGOING)


def _procedure_of(found: Found) -> Iterable[Fact] | None:
    """Name the system whose emergency procedure a title is about."""
    systems = _named(found)
    known = systems is not None and all(found.names.is_known(name) or name.isupper() for name in systems)
    return (Named(systems, title=False),) if systems and known else None


DUTCH_PROSE: Final = (
    rule(
        "then-down",
        rf"^(?:from |starting )?{_AT}(?: ?{_AT})*,? (?:is|zijn) {_NOW}(?:het proces |de processen "
        rf"|het systeem )?{_S}(?: {_AT})*"
        rf"{_WHY} {_NOW}(?:(?P<again>weer (?:volledig )?beschikbaar)|(?P<limited>beperkt|gedeeltelijk"
        rf"|deels) beschikbaar"
        rf"|niet (?:beschikbaar|bereikbaar)|buiten gebruik)",
        effect=_down,
        cues="beschikbaar|bereikbaar|buiten gebruik",
    ),
    rule(
        "down-because",
        rf"^(?P<planned>(?:in verband met|vanwege|wegens|door|tijdens) {_WORK})(?: {_AT})* (?:is|zijn) {_NOW}"
        rf"(?:het proces |de processen |het systeem )?{_S}(?: {_AT})* {_NOW}(?:(?P<again>weer beschikbaar)"
        rf"|(?P<limited>beperkt|gedeeltelijk|deels) beschikbaar|niet (?:beschikbaar|bereikbaar)|buiten gebruik)",
        effect=_down,
        cues="beschikbaar|bereikbaar|buiten gebruik",
    ),
    rule(
        "then-down-en",
        rf"^(?:from )?{_AT}(?: ?{_AT})*,? (?:the )?(?:process(?:es)? |systems? )?{_S}(?: (?:process(?:es)?"
        rf"|systems?))?"
        rf" (?:is|are|will be) {_NOW}(?:(?P<again>available again)|(?P<limited>limited|restricted|partially"
        rf"|partly)(?: available)?|unavailable|not available|out of service|down){_WHY}",
        effect=_down,
        cues="availab|limited|restricted|out of service|down",
    ),
    rule(
        "will-not-be-available",
        rf"^(?:(?:the|het|de) )?(?:process(?:es)? |proces(?:sen)? |systems? )?{_S} (?:will not be available"
        rf"|zal(?: {_AT})* niet beschikbaar"
        rf" zijn|zullen(?: {_AT})* niet beschikbaar zijn)(?P<again>(?!))?(?P<limited>(?!))?{_WHY}",
        effect=_down,
        cues="not be available|niet beschikbaar zijn",
    ),
    rule(
        "system-down-nl",
        rf"^(?:(?:during|tijdens) {_WORK},? )?(?:(?:is|zijn|the|this|dit|het|deze|de) )*(?:system|process|systeem"
        rf"|proces|processen|systemen)"
        rf" (?:will be|is|are|zijn|zal|zullen)?(?: {_NOW})?(?:(?:during|tijdens|gedurende) {_WORK}"
        rf" )?(?:unavailable|not available"
        rf"|niet beschikbaar)(?: zijn)?(?: (?:during|tijdens|gedurende) {_WORK})?",
        Statement(behaviour=Behaviour.UNAVAILABLE, general=True),
        cues="available|beschikbaar",
    ),
    rule(
        "onderhoud-aan",
        rf"(?:^|(?<={TIME} )|(?<={TIME}, ))(?:is er |vindt er |vindt |er (?:is|wordt|vindt) |there (?:is"
        rf"|will be) ){_WORK}(?: plaats)?"
        rf" (?:aan|op|on|to|of) (?:de |het |the )?{_S}(?: plaats| gepland| uitgevoerd| planned)?(?=[ .!]*$"
        rf"|,?(?: on| op)? ?{TIME})",
        effect=_worked_on,
        cues="onderhoud|maintenance|werkzaamheden",
    ),
    rule(
        "we-maintain",
        rf"(?:voeren wij|voert de \w+|wij voeren|we (?:will )?(?:carry out|perform)|[^.,{TIME}]{{3,60}}"
        rf" (?:will )?(?:carry out|perform)s?) {_WORK}"
        rf"(?: uit)? (?:aan|op|on|to) (?:(?:the|de|het|process|proces) )*{_S}(?=[ .!]*$|,?(?: on| op)? ?{TIME})",
        effect=_maintained,
        cues="voer|carry out|carries out|perform",
    ),
    rule(
        "no-replies",
        rf"(?:declarants|companies|u|you|bedrijven|aangevers) (?:do not|don't|ontvangen geen|ontvangt geen)(?:"
        rf" receive)? (?:any )?(?:return messages"
        rf"|replies|responses|retourberichten|antwoorden)(?: (?:from|van|uit) (?:the |het )?{_S})?(?=[ .!]*$|,)",
        effect=_no_replies,
        cues="repl|respons|return messages|retour|antwoord",
    ),
    rule(
        "because-of-disruption",
        rf"^(?:due to|because of|door|als gevolg van|vanwege|wegens) (?:the|an?|de|een) {_OUTAGE} (?:in|of|at"
        rf"|with|van|bij|op)"
        rf" (?:the |de |het )?{_S}(?: (?:of|van|on|op|between|tussen))?(?P<was>(?: ?{_AT})*)(?: ?,? (?:zijn"
        rf"|konden|kunnen|were|could|are|have)(?: er)?(?: {_AT})*"
        rf" (?:niet alle |not all |sommige |some )?{_MESSAGES} (?:niet|not|onjuist|onvolledig|incorrectly"
        rf"|niet of niet volledig)(?: been| be| worden)?"
        rf" (?:verwerkt|processed|verzonden|ontvangen|received|berekend|calculated|beantwoord|answered))?(?=[,.!]"
        rf"|$)",
        effect=_disrupted,
        cues="due to|because of|door|als gevolg|vanwege|wegens",
    ),
    rule(
        "disruption-took-place-in",
        rf"^(?:the|de|an?|een) (?:system )?{_OUTAGE} (?:occurred|heeft zich voor ?gedaan|deed zich voor"
        rf"|took place|was) (?:in|at|bij) (?:the |de |het )?{_S}"
        rf"(?=[,.!]| (?:waardoor|which|on|op|and|en)\b| ?{TIME}|$)",
        effect=_disrupted,
        cues="occurred|voor gedaan|voorgedaan|deed zich|took place|was",
    ),
    rule(
        "disruption-solved",
        rf"^(?:the |de |deze |this )?(?:(?:gemelde|reported) )?{_OUTAGE}(?: (?:of|in|at|with|van|bij|op)(?: the"
        rf"| de| het)?(?: process| proces)?"
        rf" {_S})?(?: (?:of|van|on|op))?(?P<was>{_AT}(?: ?{_AT})*)? (?:is|are|has been|have been|was|zijn)(?: now"
        rf"| inmiddels)?"
        rf"(?P<since>{_AT})? (?:resolved|solved|fixed|over|verholpen|opgelost|voorbij)(?: (?:since"
        rf"|sinds))?(?P<later>{_AT})?",
        effect=_solved,
        cues="solved|fixed|over|verholpen|opgelost|voorbij",
    ),
    rule(
        "named-disruption-solved",
        rf"^(?:the |de )?{_S} {_OUTAGE}(?: (?:of|van|on|op))?(?P<was>{_AT}(?: ?{_AT})*)? (?:is|are|has been"
        rf"|have been|was)(?: now)?"
        rf"(?P<since>{_AT})? (?:resolved|solved|fixed|over)(?P<later>{_AT})?",
        effect=_solved,
        cues="solved|fixed|over",
    ),
    rule(
        "problems-with-listed",
        rf"(?:(?:there are|er zijn|zijn er|we have) {_NOW})?(?:problems|issues|problemen) (?:with|met|in"
        rf"|bij) (?:the |de )?"
        r"(?:following|volgende|onderstaande) (?:messages|berichten)(?=\W*$)",
        MessageList(),
        Statement(behaviour=Behaviour.LIMITED, general=True, aside=True),
        Event(EventKind.ONGOING),
        cues="following|volgende|onderstaande",
    ),
    rule(
        "others-as-usual",
        r"^(?:(?:all|alle|the|de) )?(?:other|overige|andere) (?:messages|berichten|processes|processen) (?:are"
        r"|will be|worden|zijn|can be|kunnen)"
        r"(?: not affected| niet geraakt|(?: being)? (?:processed|handled|sent) (?:as (?:usual|normal)|normally)"
        r"| (?:gewoon|normaal|zoals gebruikelijk) "
        r"(?:verwerkt|beschikbaar|worden verwerkt))",
        cues="other|overige|andere",
    ),
    rule(
        "message-of-system",
        rf"^{_S}: (?:problems?|issues?|disruptions?|(?:ver)?storing|probleem|problemen) (?:in|with|met|bij|van)"
        r" (?:(?:the )?processing(?: of)? |(?:de )?verwerking van )?(?:the |de "
        r"|het )?(?P<messages>[^.:;!?]{3,80})(?=\W*$)",
        effect=_message_of,
        cues="problem|issue|disruption|storing|probleem",
    ),
    rule(
        "procedure-of",
        rf"(?:the|de) {_S} (?:emergency|fall-?back|nood)[ -]?procedure (?:applies|is (?:active|activated"
        rf"|van kracht|van toepassing|actief))",
        effect=_procedure_of,
        cues="proced",
    ),
    rule(
        "handled-afterwards",
        rf"(?:^|(?<=; )|(?<=, ))(?:{_MESSAGES}(?: (?:that|which|die) [^.,;]{{3,60}})?|these|they|deze|zij"
        rf"|ze),? (?:will be|are|worden|zullen) (?:(?:pas|then|dan|only) )?"
        rf"(?:processed (?:after|once|following|when) [^.,:;]{{3,60}}|na [^.,:;]{{3,60}}? (?:alsnog )?verwerkt"
        rf"|(?:alsnog )?verwerkt na [^.,:;]{{3,60}})",
        Statement(behaviour=Behaviour.QUEUED),
        cues="processed|verwerkt",
    ),
    rule(
        "in-a-queue",
        rf"(?:^|(?<=; )|(?<=, ))(?:(?:uw|alle|de) )?(?:{_MESSAGES}(?: die [^.,;]{{3,60}}?)?|deze|zij|ze),? "
        rf"(?:worden|komen|blijven) {_NO_NOT}in (?:een|de) wachtrij(?: (?:geplaatst|gezet|gehouden|te staan|staan))?"
        rf"(?:,? en (?:worden )?(?:pas )?na {_NO_NOT}(?:alsnog )?verwerkt)?(?=\W*$)",
        Statement(behaviour=Behaviour.QUEUED),
        cues="wachtrij",
    ),
    rule(
        "down-bare",
        r"^(?:niet beschikbaar|unavailable|not available|buiten gebruik|out of service)\W*$",
        Statement(behaviour=Behaviour.UNAVAILABLE),
        cues="beschikbaar|available|gebruik|service",
    ),
    rule(
        "processes-down-listed",
        rf"(?:^|(?<={TIME} )|(?<={TIME}, ))(?:are|is|zijn|is/zijn)? ?(?:the|de|het) (?:following|volgende"
        rf"|onderstaande) (?:process(?:es)?|systems?|proces(?:sen)?|systemen)"
        rf" (?:(?:will be|are|zijn) )?{_NOW}(?:unavailable|not available|niet beschikbaar)(?=\W*$)",
        Listing(Behaviour.UNAVAILABLE, subject=True),
        cues="following|volgende|onderstaande",
    ),
)
