"""
Rules for how a notice of the Dutch National Customs Helpdesk changed, and what it says of messages otherwise.

In Dutch and in English; a pattern sees small letters without accents, plain dashes and quotes, and masks.
"""

from __future__ import annotations

from typing import Final

from htpoort.core.notices._facts import Event, EventKind, KindWord, Permits, Statement, TimeRole, Times
from htpoort.core.notices._rules import rule, sentence_rule
from htpoort.core.notices.notice import Behaviour, Fallback, NoticeKind

__all__ = ["DUTCH_EVENTS"]

_WORK: Final = (
    r"(?:(?:het|de|the|this|dit|deze) )?(?:(?:gepland|geplande|scheduled|planned) )?(?:onderhoud|maintenance"
    r"|werkzaamheden)"
)
_MESSAGES: Final = r"(?:messages|declarations|notifications|berichten|aangiften|meldingen)"

_CHANGES: Final = (
    rule(
        "cancelled-prefix",
        r"^\( ?(?:geannuleerd|vervallen|afgelast|cancell?ed) ?\)",
        Event(EventKind.CANCELLED),
    ),
    sentence_rule(
        "afgelast",
        r"\b(?:onderhoud|werkzaamheden|maintenance)\b",
        r"\b(?:ga(?:at|an) niet door|geannuleerd|afgelast|komt te vervallen|will not take place|does not take"
        r" place)\b",
        facts=(Event(EventKind.CANCELLED), Times(TimeRole.WINDOW)),
        cues="niet door|geannuleerd|afgelast|vervallen|not take place",
    ),
    rule(
        "verplaatst",
        rf"(?:{_WORK} )?(?:is|wordt) (?:verplaatst|verschoven|uitgesteld) naar",
        Event(EventKind.MOVED),
        Times(TimeRole.NEW),
        cues="verplaatst|verschoven|uitgesteld",
    ),
    rule(
        "loopt-uit",
        rf"(?:{_WORK} )?(?:loopt (?:langer )?(?:uit|door)|duurt langer(?: dan (?:gepland|verwacht))?|(?:is|wordt)"
        rf" verlengd"
        r"|takes? longer(?: than (?:planned|expected))?)(?: tot(?: en met)?)?",
        Event(EventKind.DELAYED),
        Times(TimeRole.NEW_END),
        cues="loopt|duurt|verlengd|longer",
    ),
    rule(
        "eindtijd-onbekend",
        r"(?:de )?(?:nieuwe )?eindtijd is (?:nog )?(?:niet bekend|onbekend)",
        Event(EventKind.DELAYED),
        Times(TimeRole.OTHER),
        cues="eindtijd",
    ),
    rule(
        "verwachte-eindtijd",
        r"(?:de )?(?:nieuwe )?(?:verwachte|geschatte|vermoedelijke) eindtijd(?: (?:is|wordt))?:?",
        Times(TimeRole.EXPECTED_END),
        cues="eindtijd",
    ),
    rule(
        "because-of-maintenance-inline",
        r"(?:due to|because of|vanwege|wegens|in verband met) (?:(?:the|het|emergency|scheduled|planned|necessary"
        r"|gepland|noodzakelijk)"
        r" )*(?:maintenance|(?:spoed)?onderhoud)",
        KindWord(NoticeKind.PLANNED),
        cues="maintenance|onderhoud",
    ),
)

_MESSAGES_OTHERWISE: Final = (
    rule(
        "messages-refused",
        rf"{_MESSAGES}(?: (?:that|which|die) [^.,;]{{3,60}}?)?,? (?:(?:will be|are|worden|zullen worden)"
        rf" )(?:rejected|refused|not accepted"
        r"|afgewezen|geweigerd|niet (?:geaccepteerd|aangenomen))",
        Statement(behaviour=Behaviour.REJECTED),
        cues="reject|refused|accept|afgewezen|geweigerd|geaccepteerd|aangenomen",
    ),
    rule(
        "messages-impossible",
        rf"(?:it is )?not possible to (?:send|submit|receive|process)(?: or receive)? {_MESSAGES}|no {_MESSAGES}"
        rf" can"
        rf" be (?:sent|submitted"
        rf"|received|processed)|(?:kunnen|kunt u|u kunt)(?: er)?(?: (?:momenteel|tijdelijk|tijdens"
        rf" [^.,;]{{3,30}}?))? geen {_MESSAGES}"
        r" (?:(?:worden )?(?:verwerkt|verzonden|verstuurd|ontvangen|ingediend)|indienen|versturen|verzenden"
        r"|insturen"
        r"|aanleveren)",
        Statement(behaviour=Behaviour.UNAVAILABLE, general=True),
        cues="possible|no |geen",
    ),
    rule(
        "messages-stored",
        rf"(?:{_MESSAGES}|they|these|deze|zij) (?:can be (?:sent|submitted)[^.;]{{0,30}}; ?they )?(?:will be|are"
        rf"|worden) (?:stored|kept|held|saved|opgeslagen|bewaard)"
        r",? (?:and|en) (?:will be |worden )?(?:processed|verwerkt|na [^.,;]{3,40}? verwerkt|later verwerkt)(?:"
        r" (?:after|once|when|later|na)[^.,;]{0,60})?",
        Statement(behaviour=Behaviour.QUEUED),
        cues="stored|kept|held|saved|opgeslagen|bewaard",
    ),
    rule(
        "buffered-are-processed",
        rf"(?:(?:all|alle|de|the) )?(?:(?:buffered|queued|gebufferde) {_MESSAGES}|{_MESSAGES} (?:that|which"
        rf"|die) (?:were|zijn|waren)"
        rf" (?:queued|buffered|gebufferd),?) (?:are being|will be|are|worden) (?:nu |now "
        rf"|alsnog )?(?:processed|verwerkt)",
        cues="buffer|queued",
    ),
    rule(
        "not-all-processed",
        rf"(?:zijn|are|were|waren) (?:niet|not) (?:alle|all) {_MESSAGES} (?:(?:volledig|fully) )?(?:verwerkt"
        rf"|processed)",
        Times(TimeRole.OTHER),
        cues="verwerkt|processed",
    ),
    rule(
        "are-not-processed",
        rf"(?:{_MESSAGES}(?: (?:submitted|sent|made|ingediend|verzonden|verstuurd)[^.;,]{{0,60}}?)?(?:,?"
        rf" (?:for which|waarop) [^.;,]{{3,80}}?"
        rf" (?:return message|response|reply|received|ontvangen))?,? )?(?:will not be|worden niet)"
        rf" (?:(?:any ?more|meer|longer) )?(?:processed|verwerkt)(?: any"
        rf" ?more)?(?=[ .:!]*$)",
        cues="processed|verwerkt",
    ),
    sentence_rule(
        "procedure-only-if-unavoidable",
        r"\b(?:emergency|fall-?back|nood)[ -]?procedure\b",
        r"\b(?:only|alleen|uitsluitend|slechts)\b",
        r"\b(?:absolutely|strictly|absoluut|strikt) (?:necessary|noodzakelijk|required|nodig)\b",
        facts=(Permits(Fallback.ONLY_IF_NECESSARY, 2),),
        cues="absolut|absoluut|strict|strikt",
    ),
    rule(
        "contact-office",
        r"(?:please )?(?:contact (?:the|your) (?:local )?customs office|neem (?:dan )?contact op met (?:het|uw)"
        r" douanekantoor)",
        cues="contact",
    ),
)

DUTCH_EVENTS: Final = (*_CHANGES, *_MESSAGES_OTHERWISE)
