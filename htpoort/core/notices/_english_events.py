"""Rules for notices in English: the event, titles, and what states nothing; see `_english_words`."""

from __future__ import annotations

from typing import Final

from htpoort.core.notices import _english_words as w
from htpoort.core.notices._effects import ended, moved, named, works_again
from htpoort.core.notices._facts import AccessHeading, Event, EventKind, Remark, TimeRole, Times
from htpoort.core.notices._rules import LINK, TIME, rule
from htpoort.core.notices.notice import Access

__all__ = ["EVENTS", "IDLE", "MOVES", "TITLES"]

MOVES: Final = (
    rule(
        "moved",
        rf"(?:{w.HAPPENING} )?(?:(?:(?:on|of|from|planned for|scheduled for) )?(?P<old>{w.T}),? )?"
        rf"(?:(?:has|have) been |is |are |will be )?(?:moved|rescheduled|postponed|brought forward)(?: (?P<from>{w.T}))? to(?= (?:the )?{TIME})",
        effect=moved,
        cues="moved|rescheduled|postponed|forward",
    ),
)

EVENTS: Final = (
    rule(
        "copy-of-another",
        rf"(?:this (?:message|notice) )?(?:(?:is|has been) marked as \w+,? )?(?:as|because|since|and)? ?(?:it )?is an? "
        rf"(?:copy|duplicate) of (?:{w.LINKS}|[^.:;]{{3,80}})",
        Remark("duplicate-notice", "The notice says that it is a copy of another one: read that one."),
        cues="copy|duplicate",
    ),
    rule(
        "goes-on-elsewhere",
        rf"(?:please )?(?:follow|see|find|refer to|check) (?:the )?(?:further |more |new |all )?updates? (?:on|at|in|under) "
        rf"(?:(?:this|the) (?:message|notice|link):? )?{w.LINKS}",
        Remark("continued-elsewhere", "What happens next is in another notice: read that one."),
        cues="update",
    ),
    rule(
        "reference-missing",
        r"(?:(?:please )?(?:note that )?another service ?window is active (?:within|in|during) the period,? )?"
        r"(?:(?:please )?see(?: also)?|follow[- ]up (?:on|to)|see (?:notice|message))\W*$",
        Remark("reference-missing", "The sentence points to another notice and does not name it: look for it."),
        cues="see|follow",
    ),
    rule(
        "marked-ended",
        rf"(?:this (?:message|notice) is )?marked as {w.OVER}",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="marked as",
    ),
    rule(
        "ended-word",
        rf"^(?:update\W+)?(?:is |now )?{w.OVER}(?=\W*$|[,.:;(-]| (?:at|as of|by|since|on|kl)\b| ?{TIME})",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="conclu|ended|completed|finished|done|solved|closed|over|fixed|corrected|performed",
    ),
    rule(
        "ended",
        rf"{w.NOT_YET}\b{w.HAPPENING} (?:(?:has|have|is|are|was|were|should(?: now)? be) )?(?:now )?(?:been )?(?:successfully )?{w.OVER}(?: (?:as of|at|since|on|by))?",
        effect=ended,
        cues="conclu|ended|completed|finished|done|solved|closed|over|fixed|corrected|performed",
    ),
    rule(
        "ended-after-time", rf"(?<={TIME}),? (?:is|was) (?:now )?{w.OVER}", Event(EventKind.ENDED), Times(TimeRole.END)
    ),
    rule(
        "system-works-again",
        rf"{w.START}(?:all (?:customs )?systems|the (?:customs )?systems?|everything|{w.S}) (?:is|are) (?:now )?"
        r"(?:(?:available|working|open|online|accessible|operational|back) again|(?:back )?up and running(?: again)?)",
        effect=works_again,
        cues="again|running",
    ),
    rule(
        "works-again",
        r"(?:all |the )?(?:customs )?(?:systems?|services?) (?:is|are) (?:now )?"
        r"(?:running|available|working|operational|up|back)(?: and running)? (?:again|normally|as (?:usual|normal))",
        effect=works_again,
        cues="running|available|working|operational|back",
    ),
    rule(
        "cancelled",
        rf"(?:{w.HAPPENING} )?(?:(?:has|have) been |is |are |was )?(?:cancell?ed|called off)",
        Event(EventKind.CANCELLED),
        Times(TimeRole.OTHER),
        cues="cancel|called off",
    ),
    rule(
        "starts-and-ends",
        rf"{w.HAPPENING} (?:will )?(?:start|begin)s?(?: on| at)? {w.T},? and (?:will )?(?:end|finish|stop)s?(?:es)?(?: on| at)? (?={TIME})",
        Times(TimeRole.WINDOW),
        Times(TimeRole.NEW_END),
        cues="start|begin",
    ),
    rule(
        "start-labelled",
        rf"^(?:(?:expected )?start(?:s|ing|ed)?(?:[ -]?time)?|begin(?:s|ning)?)(?: on| at)?:? ?(?={TIME}\W*$)",
        Times(TimeRole.WINDOW),
        cues="start|begin",
    ),
    rule(
        "end-labelled",
        rf"^(?:end(?:s|ing|ed)?(?:[ -]?time)?|finish(?:es|ed)?)(?: on| at)?:? ?(?={TIME}\W*$)",
        Times(TimeRole.NEW_END),
        cues="end|finish",
    ),
    rule(
        "end-unknown",
        r"(?:the )?(?:new )?(?:end(?:ing)?[ -]?time|time of completion) is (?:(?:not|still|as) (?:yet )?(?:known|unknown)|unknown)(?: yet)?",
        Event(EventKind.DELAYED),
        Times(TimeRole.OTHER),
        cues="known",
    ),
    rule(
        "new-time",
        rf"new (?:date|time|period|service ?-?window)(?: is)?:? ?(?={TIME})",
        Event(EventKind.MOVED),
        Times(TimeRole.NEW),
        cues="new",
    ),
    rule(
        "new-end",
        r"(?:new end(?:ing)?[ -]?time|end(?:ing)?[ -]?time (?:has been |is )?(?:changed|moved|edited))(?: (?:is|to))?:?",
        Event(EventKind.EDITED),
        Times(TimeRole.NEW_END),
        cues="end",
    ),
    rule(
        "postponed",
        rf"(?:{w.HAPPENING} )?(?:has been |is )?(?:postponed|moved|rescheduled)(?: (?:until further notice|to a later (?:date|time)))?{w.STOP}",
        Event(EventKind.MOVED),
        Times(TimeRole.OTHER),
        cues="moved|rescheduled|postponed",
    ),
    rule(
        "extended",
        rf"(?:{w.HAPPENING} )?(?:(?:has|have) been |is |will be )?(?:extended|prolonged)(?: (?:until|to|till))?",
        Event(EventKind.DELAYED),
        Times(TimeRole.NEW_END),
        cues="extended|prolonged",
    ),
    rule(
        "delayed",
        rf"(?:{w.HAPPENING} (?:(?:has|have) been |is |are )|^(?:update\W+)?)delayed(?:,? ?(?:the )?time ?horizon (?:is )?unknown)?",
        Event(EventKind.DELAYED),
        cues="delayed",
    ),
    rule(
        "expected-end",
        r"(?:new )?(?:expected|estimated) (?:to (?:end|finish|be (?:completed|finished|resolved))|end(?:ing)?(?:[ -]?time)?"
        r"|completion(?: time)?)(?: (?:is|at|on|by|now))*",
        Times(TimeRole.EXPECTED_END),
        cues="expected|estimated",
    ),
    rule(
        "edited-start",
        rf"(?:edit(?:ed)?|change[ds]?|correct(?:ion|ed)) (?:of |in )?(?:the )?(?:start(?:ing)?) ?time(?: (?:to|from {w.T} to))?",
        Event(EventKind.EDITED),
        Times(TimeRole.START),
        cues="start",
    ),
    rule(
        "edited-end",
        rf"(?:edit(?:ed)?|change[ds]?|correct(?:ion|ed)) (?:of |in )?(?:the )?(?:end(?:ing)?) ?time(?: (?:to|from {w.T} to))?",
        Event(EventKind.EDITED),
        Times(TimeRole.NEW_END),
        cues="end",
    ),
    rule(
        "ongoing",
        r"(?:(?:the|this) (?:issues?|problems?|errors?|cases?|incident) )?(?:is|are) (?:still )?being (?:looked (?:at|into)|investigated|worked on|examined)|we are (?:still )?(?:working (?:on|to)|investigating|looking into)(?: [^.:;]{2,60})?",
        Event(EventKind.ONGOING),
        cues="being|working|investigat|looking",
    ),
)

TITLES: Final = (
    rule(
        "access-file",
        r"^(?:file(?:s)?[ -]access(?: \(s2s\))?|s2s(?: \(files?\))?[ -]access|access by files?)\W*$",
        AccessHeading(Access.FILE),
        cues="access",
    ),
    rule(
        "access-online",
        r"^(?:online|web|gui)[ -](?:access|systems?)\W*$",
        AccessHeading(Access.ONLINE),
        cues="online|web|gui",
    ),
    rule(
        "test-window",
        r"(?:tfe|test)[ /-]*(?:test)?[ -]*service ?-?windows?",
        Remark("test-environment", "The window concerns a test system: production goes on."),
        cues="tfe|test",
    ),
    rule(
        "title-systems",
        rf"service ?-?windows? (?:on |for |in )?(?:all customs systems ?[/,]? ?)?{w.S}(?=\W*$|(?: on)? ?{TIME})",
        effect=named,
        cues="window",
    ),
    rule(
        "title-window-for",
        rf"service ?-?windows? {w.T} (?:for|on|in) {w.S}{w.END}",
        effect=named,
        cues="window",
    ),
    rule(
        "title-sign-in", rf"^{w.SIGN_IN}\b[^.:;]{{0,40}}(?:issues?|problems?|errors?)\W*$", cues="issue|problem|error"
    ),
    rule(
        "title-upgrade",
        rf"^(?:planned |scheduled )?(?:upgrade|update|maintenance|release) (?:of|on|for) {w.S}(?=\W*$| (?:on )?{TIME})",
        effect=named,
        cues="upgrade|update|maintenance|release",
    ),
    rule(
        "title-response-times",
        rf"^(?:slow |long )?response ?times?(?: (?:in|on|of|for))?(?: {w.S})?\W*$",
        effect=named,
        cues="response",
    ),
    rule("title-gateways", r"gateways?", cues="gateway"),
)

IDLE: Final = (
    rule(
        "client-updated",
        r"after (?:the )?service ?window,? (?:the )?online client(?: for [^.:;]{2,60}?)?(?: on prd)? will be updated "
        r"automatically(?: ?\([^()]{0,200}\))?",
        Times(TimeRole.OTHER),
        cues="client",
    ),
    rule("citrix", r"[^.]{0,80}citrix[^.]{0,200}", cues="citrix"),
    rule(
        "newsletter",
        r"\((?:[^()]{0,100})?(?:newsletter|nyhedsbrev)[^()]{0,200}\)",
        Times(TimeRole.OTHER),
        cues="newsletter|nyhedsbrev",
    ),
    rule(
        "signature",
        r"(?:the )?danish customs agency|toldstyrelsen|kind regards|best regards",
        cues="agency|toldstyrelsen|regards",
    ),
    rule(
        "more-to-come",
        rf"(?:we will (?:return|come back|be back) with (?:more |further )?information|(?:more|further|additional) information "
        rf"(?:will|is to) (?:follow|be given|come)|(?:an|the next) update will (?:be (?:posted|given|published)|follow)"
        rf"|(?:a |the )?new (?:date|time|service ?window) will be (?:announced|published|given)|(?:the )?next update is expected)[^.:;{LINK}]{{0,80}}",
        Times(TimeRole.OTHER),
        cues="information|update|new",
    ),
    rule(
        "page-around",
        r"^(?:home|search|menu|print|contact(?: us)?|cookies?(?: policy| settings)?|privacy(?: policy| statement)?|accessibility(?: statement)?"
        r"|site ?map|skip to (?:main )?content|share(?: this page)?|category|rss|about (?:us|this (?:web)?site)|back to top|dansk|english|nederlands"
        r"|driftsmeddelelser?|service (?:messages?|status(?: information)?)|søg|kontakt(?: os)?|tilgængelighedserklæring|privatlivspolitik|del (?:denne )?side|zoeken|over (?:ons|deze (?:web)?site)|toegankelijkheid"
        r"|(?:ga )?direct naar (?:de )?(?:inhoud|footer)|(?:copyright|©|\(c\)) ?©? ?(?:[0-9]{4})?[^.:;]{0,40})\W*$",
    ),
    rule(
        "supplier-works",
        r"(?:the|our) (?:supplier|technicians|it department) (?:is|are) [^.:;]{3,60}",
        cues="supplier|technic|department",
    ),
    rule(
        "contact-desk",
        r"(?:please )?contact (?:the |our )?[^.:;]{0,40}(?:service ?desk|help ?desk)[^.:;]{0,60}",
        cues="desk",
    ),
    rule(
        "apology",
        r"(?:we (?:apologi[sz]e|are sorry|regret)|sorry)(?: for)?(?: (?:the|any))? ?(?:inconvenience(?: (?:this|it) may cause)?)?",
        cues="apologi|sorry|regret",
    ),
    rule(
        "read-more",
        rf"(?:please )?(?:read more|see more|more information|check detailed status|for (?:more|further) information)[^.:;]{{0,60}}?(?: (?:on|at|in|here))?:? ?{w.LINKS}",
        cues="more|status|information",
    ),
)
