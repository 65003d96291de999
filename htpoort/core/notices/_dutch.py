"""
Rules for the notices of the Dutch National Customs Helpdesk, in Dutch and in English.

Each of its notices is about the processes that its first sentences name, and about messages; later sentences name
neither. A pattern sees small letters without accents, plain dashes and quotes, and a mask in place of each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from htpoort.core.notices._dutch_events import DUTCH_EVENTS
from htpoort.core.notices._dutch_orders import DUTCH_ORDERS
from htpoort.core.notices._dutch_prose import DUTCH_PROSE
from htpoort.core.notices._effects import listed_messages
from htpoort.core.notices._facts import (
    Event,
    EventKind,
    Fact,
    Heading,
    KindWord,
    Listing,
    MessageList,
    Named,
    Remark,
    Statement,
    Subject,
    TimeRole,
    Times,
)
from htpoort.core.notices._processes import process_names
from htpoort.core.notices._rules import LINK, REFERENCE, TIME, Effect, Found, rule, sentence_rule
from htpoort.core.notices.notice import Access, Behaviour, NoticeKind

__all__ = ["DUTCH"]

_S: Final = rf"(?P<systems>[^:!?{TIME}{REFERENCE}{LINK}]{{2,200}}?)"
_M: Final = rf"(?P<messages>[^.:;!?{TIME}]{{3,200}}?)"
_T: Final = rf"(?: ?\(?(?:on |op |of |van |d\.d\. ?|per |as of |with effect from |ingaande )?{TIME}+\)?)?"
_DONE: Final = r"[ .:!'\"]*$"
_BEGIN: Final = r"(?:^|(?<=^\))|(?<=\) ))(?!\()"
_NOW: Final = r"(?:(?:currently|temporarily|still|at the moment|momenteel|tijdelijk|nog|op dit moment) )*"
_OUTAGE: Final = r"(?:disruptions?|malfunctions?|outages?|failures?|interruptions?|(?:ver)?storing(?:en)?|uitval)"
_MESSAGES: Final = (
    r"(?:(?:the|these|those|your|all|any|de|deze|uw|alle|electronic|elektronische) )*(?:messages|declarations"
    r"|berichten|aangiften)"
)


_OTHERS_PAGE: Final = Remark("third-party", "The text is not the authority's own page; compare it with the source.")


def _about(behaviour: Behaviour | None, *more: Fact, named: bool = False) -> Effect:
    """Make the effect of a sentence that names the processes which the notice is about."""

    def effect(found: Found) -> Iterable[Fact] | None:
        systems = process_names(found.printed("systems"))
        if systems is None:
            return None
        first = Named(systems) if named else Subject(systems)
        statement = (Statement(behaviour=behaviour, general=True),) if behaviour is not None and not named else ()
        return first, *statement, *more

    return effect


def _available(found: Found) -> Iterable[Fact] | None:
    """Read *not*, *limited* and *again* before *available*."""
    systems = process_names(found.printed("systems"))
    if systems is None:
        return None
    if found.has("again"):
        return Subject(systems), Event(EventKind.ENDED), Times(TimeRole.END)
    behaviour = Behaviour.LIMITED if found.has("limited") else Behaviour.UNAVAILABLE
    return Subject(systems), Statement(behaviour=behaviour, general=True), KindWord(NoticeKind.INCIDENT)


def _disruption_title(found: Found) -> Iterable[Fact] | None:
    """Name what a disruption is in, and read *solved* at the end of a title."""
    systems = process_names(found.printed("systems"))
    if systems is None:
        return None
    return Named(systems), *((Event(EventKind.ENDED),) if found.has("over") else ())


def _maintenance_title(found: Found) -> Iterable[Fact] | None:
    """Name what the maintenance is on, and read *postponed* or *cancelled* at the end of a title."""
    systems = process_names(found.printed("systems"))
    if systems is None:
        return None
    kinds = {"moved": EventKind.MOVED, "cancelled": EventKind.CANCELLED}
    events = [Event(kind) for group, kind in kinds.items() if found.has(group)]
    return Named(systems), KindWord(NoticeKind.PLANNED), *events


def _past(found: Found) -> Iterable[Fact] | None:
    """Read a line of a list of past periods: each is a section with its own times."""
    systems = process_names(found.printed("systems"))
    if systems is None:
        return None
    statement = Statement(systems=systems, access=Access.ANY)
    return Heading(systems), statement, Event(EventKind.ENDED), KindWord(NoticeKind.OTHER), Times(TimeRole.WINDOW)


def _of_messages(behaviour: Behaviour) -> Effect:
    """Make the effect of a sentence about the messages that it names."""

    def effect(found: Found) -> Iterable[Fact] | None:
        messages = listed_messages(found.printed("messages"))
        return (Statement(messages=messages, access=Access.FILE, behaviour=behaviour),) if messages else None

    return effect


def _messages_in_line(found: Found) -> Iterable[Fact]:
    """Cut a list whose line ends were lost: each name is an acronym, a dash and what is done with messages."""
    return (MessageList(tuple(re.findall(r"\w+ - \w+ \w+", found.printed("messages")))),)


def _message_list(found: Found) -> Iterable[Fact]:
    """Announce a list of messages."""
    if not found.has("open"):
        return (MessageList(),)
    message = f"{found.printed('open')!r}: the list of messages is not said to be whole; ask for the others."
    return MessageList(), Remark("messages-open-ended", message)


_TITLES: Final = (
    rule("changed-prefix", r"^\( ?(?:modified|gewijzigd|changed|aangepast|updated?) ?\)", Event(EventKind.EDITED)),
    rule(
        "title-maintenance",
        _BEGIN
        + r"(?:(?:scheduled|planned|emergency|unscheduled|gepland|spoed|noodzakelijk) ?)?(?:maintenance|onderhoud)"
        rf"(?: (?:on|of|for|to|at|aan|voor|van|op))? (?:the |de |het )?{_S}(?: (?:in het|over the"
        rf"|in the) weekend(?: van| of)?)?{_T}"
        rf"(?: (?:(?:is|are) )?(?:(?P<moved>uitgesteld|postponed)|(?P<cancelled>geannuleerd|afgelast|cancell?ed)))?{_DONE}",
        effect=_maintenance_title,
        cues="maintenance|onderhoud",
    ),
    rule(
        "title-maintenance-of-all",
        rf"(?:maintenance|onderhoud) (?:on|of|to|aan|van|op) (?:all|alle) [^.:{TIME}]{{3,80}}{_DONE}",
        KindWord(NoticeKind.PLANNED),
        Times(TimeRole.OTHER),
        cues="maintenance|onderhoud",
    ),
    rule(
        "title-by-others",
        rf"^(?:[a-z]{{2}} ?- ?)?{_S} ?- ?(?:(?:scheduled|planned|emergency) maintenance"
        rf"|gepland onderhoud){_T}{_DONE}",
        effect=_about(None, KindWord(NoticeKind.PLANNED), _OTHERS_PAGE, named=True),
        cues="maintenance|onderhoud",
    ),
    rule(
        "title-unavailable",
        _BEGIN + rf"{_S} (?:(?:is|are) (?:un|not |partially |limited )available|availability is (?:limited|restricted)"
        rf"|(?:is|zijn) (?:niet|beperkt) beschikbaar){_DONE}",
        effect=_about(None, KindWord(NoticeKind.INCIDENT), named=True),
        cues="availab|beschikbaar",
    ),
    rule(
        "title-recovery",
        _BEGIN + r"(?:update:? )?(?:recovery actions?|herstelacties?|herstel)(?: (?:following|after|for|na|naar"
        r" aanleiding van|voor))?"
        rf"(?: (?:the|de|een))?(?: {_OUTAGE})?(?: (?:of|in|on|with|van|in|bij))? {_S}{_T}{_DONE}",
        effect=_about(None, KindWord(NoticeKind.RECOVERY), named=True),
        cues="recovery|herstel",
    ),
    rule(
        "title-disruption",
        _BEGIN + rf"(?:update|information|informatie)?:? ?(?:on|about|regarding|over|inzake|m\.b\.t\.)? ?(?:the |de"
        rf" )?{_S} {_OUTAGE}{_T}(?: (?:and|en) [^.{TIME}]{{3,60}})?{_DONE}",
        effect=_about(None, named=True),
        cues="disruption|malfunction|outage|failure|interruption|storing|uitval",
    ),
    rule(
        "title-disruption-of",
        _BEGIN
        + rf"(?:update:? ?)?(?:(?:on|about|over|inzake) )?(?:the |de )?{_OUTAGE}(?: (?:of|in|on|at|with|van|in|bij"
        rf"|aan|met)(?: the| de| het)?)? {_S}{_T}(?:(?P<over> (?:(?:is|zijn|are) )?(?:opgelost|verholpen|resolved|solved|fixed))"
        rf"| ?: [^.{TIME}]{{3,80}})?{_DONE}",
        effect=_disruption_title,
        cues="disruption|malfunction|outage|failure|interruption|storing|uitval",
    ),
    sentence_rule(
        "security-step",
        r"\b(?:tls|ssl|security|beveiliging|algoritmes?|algorithms?|(?:server|client|root)?certificates?"
        r"|\w*certifica(?:at|ten)|pkioverheid"
        r"|ciphers?|encryption|versleuteling"
        r"|sha-?[0-9]{1,3}|ip[- ]?adres(?:s(?:es)?|sen)?)\b",
        r"\b(?:chang(?:e|es|ed|ing)|switch|migrat\w+|activated|disabled|enabled|replac\w+|renew\w+|expir\w+"
        r"|updated?"
        r"|wijzig\w+|vervang\w+|vernieuw\w+|verlo\w+|overgang|uitgeschakeld|ingeschakeld|geactiveerd)\b",
        facts=(KindWord(NoticeKind.SECURITY_CHANGE), Times(TimeRole.OTHER)),
        cues="tls|ssl|security|beveiliging|algorit|certifica|pkioverheid|cipher|encryption|versleuteling|sha|adres",
        harmless=r"\bonly\b",
    ),
)

_INTRODUCTIONS: Final = (
    rule(
        "period-of-the-past",
        rf"^{TIME}+ ?: ?{_S} ?[-:] ?(?:(?:ver)?storing|gepland onderhoud|onderhoud|malfunction|disruption"
        rf"|(?:planned"
        rf" |scheduled )?maintenance)[;.]?$",
        effect=_past,
        cues="storing|onderhoud|malfunction|disruption|maintenance",
    ),
    sentence_rule(
        "because-of-maintenance",
        r"^(?:this|dit) (?:is|wordt)\b",
        r"\b(?:due to|because of|in verband met|vanwege|wegens)\b",
        r"\b(?:maintenance|onderhoud)\b",
        facts=(KindWord(NoticeKind.PLANNED),),
        cues="maintenance|onderhoud",
    ),
    rule(
        "maintenance-performed",
        rf"(?:(?:required|necessary|scheduled|planned|emergency) )?maintenance(?: (?:on|of|to|at)"
        rf" [^.{TIME}]{{3,60}}?)? "
        rf"(?:will be|is|is being|has to be|must be) (?:performed|carried out|done|conducted)(?: (?:on|to|at)"
        rf" [^.{TIME}]{{3,60}}?)?(?= ?{TIME}|{_DONE})",
        KindWord(NoticeKind.PLANNED),
        cues="maintenance",
    ),
    rule(
        "onderhoud-uitgevoerd",
        r"(?:wordt|vindt|zal)(?: er)? (?:(?:noodzakelijk|gepland|regulier|technisch|groot) )*onderhoud (?:worden"
        r" )?(?:uitgevoerd|gepleegd|plaats|plaatsvinden)"
        rf"(?: (?:aan|op) [^.{TIME}]{{3,60}}?)?(?= ?{TIME}|{_DONE})",
        KindWord(NoticeKind.PLANNED),
        cues="onderhoud",
    ),
    rule(
        "onderhoud-wordt-uitgevoerd",
        rf"(?:(?:noodzakelijk|gepland|regulier) )?onderhoud(?: (?:aan|op) [^.{TIME}]{{3,60}}?)? (?:wordt|zal)"
        rf" (?:{TIME}+ )?(?:worden )?(?:uitgevoerd|plaatsvinden)",
        KindWord(NoticeKind.PLANNED),
        cues="onderhoud",
    ),
    rule(
        "processes-listed",
        r"(?:(?:as a result|because of this|due to this|therefore|consequently|during [^.:,]{3,40}),? )?(?:this"
        r" results in an? (?:un"
        r"|limited )availability of )?(?:of )?"
        r"the following (?:dutch )?(?:customs?)? ?(?:main ?)?(?:process(?:\(es\)|es)?|systems?|services?)"
        rf"(?: (?:is|are|is/are|will be) (?:unavailable|not available|out of service))?(?={_DONE})",
        Listing(Behaviour.UNAVAILABLE, subject=True),
        cues="following",
    ),
    rule(
        "processes-listed-inline",
        r"(?:(?:as a result|because of this|due to this|therefore),? )?the following (?:dutch )?(?:customs?)?"
        r" ?(?:main ?)?process(?:\(es\)|es)?"
        rf" (?:is|are|is/are|will be) (?:unavailable|not available): ?[-*]? ?{_S}{_DONE}",
        effect=_about(Behaviour.UNAVAILABLE),
        cues="following",
    ),
    rule(
        "processen-opgesomd",
        r"(?:hierdoor|daardoor|als gevolg (?:hiervan|daarvan)|dit betekent dat|tijdens [^.:,]{3,40}?) (?:is|zijn"
        r"|zijn/is|is/zijn)? ?(?:de"
        r"|het) (?:volgende|onderstaande)"
        rf" (?:douane ?)?(?:hoofd)?(?:proces(?:\(sen\)|sen)?|systemen|systeem) (?:tijdelijk )?niet beschikbaar(?:"
        rf" zijn)?(?={_DONE})",
        Listing(Behaviour.UNAVAILABLE, subject=True),
        cues="volgende|onderstaande",
    ),
    rule(
        "processen-opgesomd-in-regel",
        r"(?:hierdoor|daardoor) (?:is|zijn) (?:de|het) (?:volgende|onderstaande) (?:douane"
        r" ?)?(?:hoofd)?proces(?:\(sen\)|sen)?"
        rf" (?:tijdelijk )?niet beschikbaar: ?[-*]? ?{_S}{_DONE}",
        effect=_about(Behaviour.UNAVAILABLE),
        cues="volgende|onderstaande",
    ),
    rule(
        "availability-limited",
        rf"(?:the )?availability of (?:the )?(?:process(?:es)? )?{_S}(?: process(?:es)?)? (?:is|are|has been|will"
        rf" be) {_NOW}(?:limited|restricted)",
        effect=_about(Behaviour.LIMITED, KindWord(NoticeKind.INCIDENT)),
        cues="availability of",
    ),
    rule(
        "beschikbaarheid-beperkt",
        rf"(?:de )?beschikbaarheid van (?:het|de) (?:proces(?:sen)? )?{_S} is {_NOW}beperkt",
        effect=_about(Behaviour.LIMITED, KindWord(NoticeKind.INCIDENT)),
        cues="beschikbaarheid van",
    ),
    rule(
        "process-available",
        rf"^(?:(?:as a result|therefore|consequently|because of this),? )?(?:(?:the|our) )?(?:process(?:es)? )?{_S}(?: process(?:es)?)?"
        rf" (?:is|are|has been|was|were|will be){_T}"
        rf" {_NOW}[\"']?"
        r"(?:(?P<again>available again|again (?:fully )?available)|(?P<limited>limited|restricted|partially"
        r"|partly)[\"']?(?: available)?|unavailable|not available)[\"']?",
        effect=_available,
        cues="availab|limited|restricted",
    ),
    rule(
        "process-down-inline",
        rf"(?:the|het|de) process?(?:es|en|sen)? {_S} (?:is|are|will be|zijn){_T} {_NOW}(?:unavailable"
        rf"|not available"
        rf"|niet beschikbaar)",
        effect=_about(Behaviour.UNAVAILABLE),
        cues="unavailable|not available|niet beschikbaar",
    ),
    rule(
        "disruption-was",
        rf"(?:was er|er was|there was|there has been|er is) (?:een |an? )?{_OUTAGE} (?:in|bij|van|of|at|with)"
        rf" {_S}{_DONE}",
        effect=_about(None),
        cues="storing|disruption|malfunction|outage|failure|uitval",
    ),
    rule(
        "disruption-lasted",
        rf"(?:the|de) {_OUTAGE} (?:occurred|took place|lasted|duurde|vond plaats)",
        Times(TimeRole.WINDOW),
        cues="occurred|took place|lasted|duurde|vond plaats",
    ),
    rule(
        "proces-beschikbaar",
        rf"^(?:(?:het|de) )?(?:proces(?:sen)? )?{_S} (?:is|zijn|was|waren){_T} {_NOW}[\"']?"
        r"(?:(?P<again>weer (?:volledig )?beschikbaar)|(?P<limited>beperkt|gedeeltelijk|deels)[\"']? beschikbaar"
        r"|niet beschikbaar)",
        effect=_available,
        cues="beschikbaar",
    ),
)

_BUFFERED: Final = r"(?:buffered|queued|held back|gebufferd|in de wacht gezet)"
_BEHAVIOUR: Final = (
    rule(
        "named-messages-buffered",
        r"(?:you|declarants?) (?:can|may) (?:still )?(?:deliver|submit|send|offer) (?:the )?(?!(?:your |all |any"
        r" )?(?:messages|declarations)\b)"
        rf"{_M} as usual,? (?:but )?(?:these|they) (?:will|are) not (?:be )?processed[^.]{{0,40}}?,?"
        rf" but (?:will be "
        rf"|are )?{_BUFFERED}",
        effect=_of_messages(Behaviour.QUEUED),
        cues="buffered|queued",
    ),
    rule(
        "genoemde-berichten-gebufferd",
        rf"u kunt (?:de |het )?(?!berichten\b|aangiften\b|uw ){_M} (?:zoals gebruikelijk|op de gebruikelijke wijze)"
        rf" (?:aanleveren|indienen|insturen|versturen),? "
        rf"deze worden[^.]{{0,40}}? niet verwerkt,? maar {_BUFFERED}",
        effect=_of_messages(Behaviour.QUEUED),
        cues="gebufferd",
    ),
    rule(
        "messages-buffered",
        rf"(?:(?:will|are|is|worden|wordt|zullen) )?(?:[^.,:]{{0,40}}? )?(?:not (?:be )?processed|niet (?:worden"
        rf" )?verwerkt)[^.,:]{{0,40}}?,? (?:but|maar) (?:(?:will|are|be|wel) )*{_BUFFERED}",
        Statement(behaviour=Behaviour.QUEUED),
        cues="buffer|queued|held|wacht",
    ),
    rule(
        "all-messages-buffered",
        rf"{_MESSAGES},? (?:(?:that|which|die) [^.,]{{3,60}},? )?(?:(?:are|will be|worden|zijn) )(?:(?!not"
        rf"|niet)[^.,:]{{0,60}}? )?{_BUFFERED}"
        r"(?: (?:zolang|as long as|while) [^.]{3,60}? (?:niet beschikbaar is|(?:is|are) (?:unavailable|not"
        r" available)))?",
        Statement(behaviour=Behaviour.QUEUED),
        cues="buffer|queued|held|wacht",
    ),
    rule(
        "processed-afterwards",
        rf"(?:(?:after|following|once|when|as soon as) [^.,:]{{3,80}},? {_MESSAGES} (?:will|are|shall) (?:(?:then"
        rf"|still|yet|be) )*processed"
        rf"|(?:na|zodra) [^.,:]{{3,80}},? (?:worden|zullen) {_MESSAGES} (?:alsnog|dan) (?:worden )?verwerkt"
        r"|(?:will be |worden )?(?:processed|verwerkt) (?:after|once|nadat|zodra) [^.,:]{3,60}? (?:is hersteld"
        r"|hersteld is|(?:is|has been) (?:restored|repaired|resolved|fixed)))",
        Statement(behaviour=Behaviour.QUEUED, general=True),
        cues="processed|verwerkt",
    ),
    rule(
        "return-messages-follow",
        r"(?:(?:and|en) )?(?:(?:any|possible|the|eventuele|de) )*(?:return|response|retour)[ -]?(?:messages"
        r"|berichten)(?: will follow|(?: zullen)? volgen)?"
        r"|(?:and|en) volgen (?:de )?eventuele retourberichten",
        cues="return|response|retour",
    ),
    rule(
        "no-messaging",
        r"(?:there is |is er )?(?:no|geen) (?:electronic |elektronisch )?(?:messag(?:e|ing)(?: traffic| exchange)?"
        r"|berichten ?(?:verkeer|uitwisseling)) (?:is )?(?:possible|mogelijk)",
        Statement(behaviour=Behaviour.UNAVAILABLE, general=True),
        Event(EventKind.ONGOING),
        cues="messag|bericht",
    ),
    rule(
        "messages-late",
        r"(?:there (?:is|are) |er (?:is|zijn) (?:sprake van )?|(?:is|zijn) er )?(?:(?:currently|momenteel|a|een"
        r"|some) )*(?:delays?|vertraging(?:en)?)(?: (?:of|van) [^.,:]{3,40}?)? "
        r"(?:in|with|bij|op|van) (?:(?:the|het|de|electronic|elektronische?) )*(?:messag(?:es?|ing)(?: ?(?:traffic"
        r"|handling|processing|exchange))?"
        r"|berichten ?verkeer|bericht(?:en)?(?:afhandeling|verwerking)|(?:processing|verwerking) (?:of|van)"
        r" (?:(?:the|de) )?(?:messages|berichten))",
        Statement(behaviour=Behaviour.DELAYED),
        Event(EventKind.ONGOING),
        cues="delay|vertraging",
    ),
    rule(
        "handling-problems",
        r"(?:(?:due to|because of|door|vanwege) [^.,:]{3,80},? )?(?:there are|er zijn|zijn er|we have|we are"
        r" experiencing) (?:(?:currently|momenteel|some) )*(?:problems|problemen|issues|difficulties) "
        r"(?:with|in|met|in|bij) (?:(?:the|de|het) )*(?:message handling|handling of messages|messag\w+(?:"
        r" traffic)?"
        r"|bericht\w+|berichten ?verkeer)"
        rf"(?: (?:offered|die|that|which|via)(?: [^.]{{3,120}}?)?)?(?={_DONE})",
        Statement(behaviour=Behaviour.LIMITED, general=True, aside=True),
        Event(EventKind.ONGOING),
        cues="problem|issue|difficult",
    ),
    rule(
        "cause",
        rf"(?:(?:due to|because of) (?:an? |the )?(?:malfunction|disruption|failure|outage)[^.,:{TIME}]{{0,80}}?"
        rf"|(?:door|vanwege|wegens|als gevolg van) (?:een|de) (?:ver)?storing[^.,:{TIME}]{{0,60}}?)"
        rf"(?=[,.]| there| no messag| is er| zijn er| kunnen| kunt u| momenteel|{_DONE})",
        cues="due to|because|door|vanwege|wegens|als gevolg",
    ),
    rule(
        "no-impact",
        r"(?:the |this |het |dit |deze |de )?(?:[\w/]+ ){0,3}?(?:has|have|heeft|hebben) (?:no|geen) (?:impact"
        r"|effect"
        r"|influence"
        r"|consequences|invloed|gevolgen) (?:on|for|op|voor) (?:(?:the|de|het) )?"
        rf"(?:berichten )?{_M}(?: (?:messages|berichten))?(?: (?:offered|sent|submitted|that|via"
        rf"|die)\b[^.]{{0,80}})?(?={_DONE})",
        effect=_of_messages(Behaviour.NORMAL),
        cues="no |geen ",
    ),
    rule(
        "messages-in-line",
        r"(?:this |dit )?(?:has an? impact on|affects|impacts|heeft impact op):? ?(?P<messages>(?:\w+ - \w+"
        r" (?:messages|berichten),? ?)+)",
        effect=_messages_in_line,
        cues="messages|berichten",
    ),
    rule(
        "messages-listed",
        r"(?:this |dit |it )?(?:has (?:an? )?impact on|affects|impacts|heeft impact op|concerns|betreft|heeft)[:,]?"
        r" ?(?:(?P<open>among (?:other things|others)|a\.o\.|amongst others|inter alia|o\.a\.|onder (?:andere"
        r"|meer)),? ?)?"
        rf"(?:impact op |invloed op |gevolgen voor )?(?:the |de )?(?:messages below|(?:following"
        rf"|below(?:-mentioned)?|onderstaande|volgende) (?:messages|berichten))(?={_DONE})",
        effect=_message_list,
        cues="messages|berichten",
    ),
)

DUTCH: Final = (*_TITLES, *DUTCH_PROSE, *_INTRODUCTIONS, *DUTCH_ORDERS, *_BEHAVIOUR, *DUTCH_EVENTS)
