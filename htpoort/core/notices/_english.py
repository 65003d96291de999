"""
Rules for notices in English.

A pattern sees small letters, plain dashes and quotes, and a mask in place of each time, reference and address. Its
groups ``systems`` and ``messages`` are lists of names.
"""

from __future__ import annotations

from typing import Final

from htpoort.core.notices._effects import access_stated, asks, named, part_with_issues, states
from htpoort.core.notices._facts import (
    AccessHeading,
    Asks,
    Event,
    EventKind,
    Listing,
    Permits,
    Remark,
    TimeRole,
    Times,
)
from htpoort.core.notices._rules import LINK, REFERENCE, TIME, rule
from htpoort.core.notices.notice import Access, Behaviour, Fallback, Recovery

__all__ = ["ENGLISH"]

_S: Final = rf"(?P<systems>[^.:;!?{TIME}{REFERENCE}{LINK}]{{2,300}}?)"
_M: Final = rf"(?P<messages>[^.:;!?{TIME}]{{4,300}}?)"
_T: Final = f"{TIME}+"
_LINK: Final = f"[{LINK}{REFERENCE}]+"
_START: Final = r"(?:^|(?<=[.;:] ))"
_STOP: Final = r"(?=\W*$|[.,;] )"
_END: Final = rf"(?=\W*$|[.;] | (?:since|from|as of) {TIME})"  # of a list of names, which has commas
_WINDOW: Final = (
    r"(?:the |this |that )?(?:whole |entire |specified )?(?:prd-? ?)?"
    r"(?:service ?-?window|maintenance(?: window| work)?|period|downtime|outage|incident|disruption)"
)
_DURING: Final = (
    rf"(?:,? (?:during|within|in|throughout|for|due to) {_WINDOW}|,? until (?:the |this )?(?:[a-z]+ )?(?:is|has been) "
    r"(?:corrected|fixed|solved|resolved|over|finished))?"
)
_AFTER: Final = (
    rf"(?:when|after|once|as soon as|until after|until) (?:the (?:end|completion|closing) of {_WINDOW}"
    rf"|{_WINDOW}(?: (?:has|is|have|was)(?: been)? (?:passed|ended|closed|concluded|over|finished|completed|done))?)"
)
_FILES: Final = (
    r"(?:the |all )?(?:xml[ -]?|s2s[ -]?|edifact[ -]?)?(?:files?|messages?|transmissions?|declarations? (?:sent )?as files?)"
    r"(?: (?:that |which )?(?:are |were )?(?:sent|submitted|transmitted|addressed|delivered))? (?:to|for)"
)
_IS: Final = r"(?:will|would|shall|are|is|may|might|remains?|will remain)"
_FAIL: Final = r"(?:fails?|(?:be )?(?:rejected|refused|dismissed))"
_ONLINE: Final = (
    r"(?:the )?(?:online|web|gui|browser)[ -](?:systems?|access|pages?|services?|clients?|solutions?|portals?)"
)
_DOWN: Final = r"(?:unavailable|not (?:be )?(?:available|accessible)|inaccessible|closed|down|out of service|offline)"
_OPEN: Final = r"(?:available|accessible|open|operational|unaffected|not (?:be )?affected)"
_LATE: Final = (
    r"(?:but|and) (?:(?:the )?(?:processed final|(?:final )?processing|completion|replies|responses|answers|it|they) )?"
    r"(?:may|can|might|will) be (?:delayed|late)"
)
_PROCEDURE: Final = (
    r"(?:the )?(?:fall-?back|emergency|contingency|business continuity)[ -](?:procedures?|plan|solution)"
)
_RESEND: Final = r"(?:re-?submitted|re-?sent|re-?transmitted|(?:submitted|sent|transmitted) (?:again|anew|once more))"
_MUST: Final = r"(?:needs? to|must|should|ha(?:ve|s) to|will have to)"
_DECLARATIONS: Final = (
    r"(?:the |any |all )?(?:affected |rejected |failed |impacted )?"
    r"(?:entries|entry|declarations?|files?|messages?|submissions?|notifications?)"
)
_HAPPENING: Final = (
    r"(?:(?:the|this|that|our|all) )?(?:prd-? ?)?(?:planned |scheduled )?(?:service ?-?window|(?:system )?maintenance"
    r"|incident|issues?|errors?|problems?|faults?|disruptions?|malfunctions?|outage|upgrade|instability|update)"
    r"(?: (?:with|in|on|regarding) [^.:;!?,]{2,80}?)?"
)
_OVER: Final = r"(?:concluded|ended|completed|finished|done|resolved|solved|closed|over|fixed|corrected|performed)"
_NOT_YET: Final = "".join(
    rf"(?<!\b{word} {article})"
    for word in ("until", "till", "when", "once", "after", "if", "before", "as soon as", "unless")
    for article in ("", "the ", "this ", "all ")
)
_SIGN_IN: Final = r"(?:sign(?:ing)?|log(?:ging)?)[ -]?(?:in|on)"
_IF_NECESSARY: Final = r",? (?:if|when|where) (?:it is )?(?:absolutely |strictly )(?:necessary|unavoidable)"

_BEHAVIOUR: Final = (
    rule(
        "files-rejected",
        rf"{_FILES} {_S} (?:(?:{_IS} )?(?:either )?{_FAIL}(?: ?(?:/|or|and) ?{_FAIL})?"
        rf"|(?:cannot|can not) be (?:sent|received|processed)){_DURING}",
        effect=states(Behaviour.REJECTED, Access.FILE),
        cues="fail|reject|refused|dismissed|cannot|can not",
    ),
    rule(
        "files-queued",
        rf"{_FILES} {_S} (?:(?:can|will) (?:still )?be (?:sent|submitted|received|accepted),? (?:and|but) )?(?:they )?"
        r"(?:(?:will|shall|are) )?(?:(?:only|first|not) )?(?:be )?"
        rf"(?:(?:processed|handled|treated)(?: only)? {_AFTER}"
        rf"|(?:queued|buffered|stored|kept)(?:,? and (?:will be )?(?:processed|handled))? {_AFTER})",
        effect=states(Behaviour.QUEUED, Access.FILE),
        cues="processed|handled|treated|queued|buffered|stored|kept",
    ),
    rule(
        "files-delayed",
        rf"{_FILES} {_S} (?:will|can|are) (?:still )?(?:be )?(?:received|accepted|processed),? {_LATE}{_DURING}",
        effect=states(Behaviour.DELAYED, Access.FILE),
        cues="delayed|late",
    ),
    rule(
        "messages-delayed",
        rf"{_START}{_M} (?:submitted|sent|transmitted) to {_S} (?:will|can|are) (?:still )?(?:be )?(?:received|accepted),? "
        rf"{_LATE}{_DURING}",
        effect=states(Behaviour.DELAYED),
        cues="delayed|late",
    ),
    rule(
        "online-available",
        rf"{_ONLINE}(?: (?:for|to|of|in) {_S})? {_IS} (?:still )?(?:be )?{_OPEN}{_DURING}",
        effect=states(Behaviour.NORMAL, Access.ONLINE),
        cues="available|accessible|open|operational|affected",
    ),
    rule(
        "online-unavailable",
        rf"{_ONLINE}(?: (?:for|to|of|in) {_S})? {_IS} (?:be )?{_DOWN}{_DURING}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="online|web|gui|browser",
    ),
    rule(
        "access-stated",
        r"(?:the )?(?:(?P<online>online)|file|s2s|file \(s2s\)|s2s \(file\)) access(?: \(s2s\))?"
        rf"(?: (?:to|for|of) {_S})? {_IS} (?:be )?(?:(?P<open>{_OPEN})|{_DOWN}){_DURING}",
        effect=access_stated,
        cues=" access",
    ),
    rule(
        "sign-in-impossible",
        rf"{_SIGN_IN} (?:to|in) {_S}(?: (?:with|using|via) [^.:;,]{{2,40}}?)? "
        rf"{_IS} (?:not be possible|be impossible|not possible|impossible|(?:be )?unavailable){_DURING}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="sign|log",
    ),
    rule(
        "sign-in-issues",
        r"(?:there are |we have |we are )?(?:currently )?(?:receiving |experiencing )?"
        r"(?:reports?|issues?|problems?|errors?|difficulties)(?: are)? (?:regarding|with|about|concerning|of) (?:the )?"
        rf"{_SIGN_IN}(?: (?:using|with|via|through) [\w-]+)?(?: (?:to|in|on) {_S}{_END})?",
        effect=states(Behaviour.LIMITED, Access.ONLINE),
        cues="login|log-in|log in|logging|log on|sign",
    ),
    rule(
        "link-closed",
        rf"(?:due to {_WINDOW},? )?(?:the )?(?:connection|link|interface|integration) between {_S} {_IS} (?:be )?"
        rf"{_DOWN}{_DURING}",
        effect=states(Behaviour.LIMITED),
        cues="between",
    ),
    rule(
        "systems-listed",
        rf"(?:this means that )?(?:the )?(?:following|below)(?: customs)? systems {_IS}(?: be)? {_DOWN}{_DURING}",
        Listing(Behaviour.UNAVAILABLE),
        cues="following|below",
    ),
    rule(
        "system-available",
        rf"{_START}{_S} (?:is|are|will be|remains?|will remain) (?:still |fully )?{_OPEN}{_DURING}"
        r"(?: as (?:usual|normal))?",
        effect=states(Behaviour.NORMAL),
        cues="available|accessible|open|operational|affected",
    ),
    rule(
        "system-unavailable",
        rf"{_START}{_S} (?:is|are|will be) (?:currently |completely )?{_DOWN}{_DURING}",
        effect=states(Behaviour.UNAVAILABLE),
        cues="available|accessible|closed|down|out of service|offline",
    ),
    rule(
        "instability",
        r"(?:(?:short(?:ly|er)?|brief|some|minor|occasional|periods? of) )*(?:instability|unavailability|interruptions?)"
        r"(?: ?(?:/|and|or) ?(?:short |brief )?(?:instability|unavailability|downtime|outages?|interruptions?))?"
        rf"(?: (?:in|on|of|for) {_S})? (?:may|can|might|could|must|should|is to|will) (?:be )?"
        rf"(?:occur|expected|experienced|anticipated){_DURING}",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="stability|unavailability|interruption",
    ),
    rule(
        "instability-with",
        rf"with (?:instability|unstable operation)(?: ?(?:/|and|or) ?(?:unavailability|downtime|outages?))?{_DURING}",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="stability|unstable",
    ),
    rule(
        "system-unstable",
        rf"{_START}{_S} (?:is|are|will be|may be|can be|might be) (?:currently )?"
        rf"(?:unstable|intermittently unavailable){_DURING}",
        effect=states(Behaviour.UNSTABLE),
        cues="unstable|intermittently",
    ),
    rule(
        "slow-answers",
        rf"(?:there (?:are|may be|will be) |we (?:are|have) )?(?:currently )?(?:experiencing )?(?:intermittent |some |occasional )?(?:delays?|slow processing"
        rf"|(?:slow|long(?:er)?) (?:response|processing) times?) (?:in|on|with|for)(?: the)?(?: processing of| replies from)?"
        rf" {_S}{_END}",
        effect=states(Behaviour.DELAYED, event=EventKind.ONGOING),
        cues="delay|slow|long",
    ),
    rule(
        "file-answers-with-issues",
        r"(?:issues?|problems?|errors?|delays?) (?:with|in|on|regarding) (?:the )?(?:file|s2s|xml)[ -]"
        rf"(?:responses?|replies|answers?|traffic|transfers?)(?: (?:in|on|for|from) {_S})?{_END}",
        effect=states(Behaviour.LIMITED, Access.FILE, event=EventKind.ONGOING),
        cues="file|s2s|xml",
    ),
    rule(
        "works-online",
        rf"(?:[^.:;]{{0,80}} )?can (?:still )?be (?:finished|completed|made|done|processed|submitted)(?: in| on| via| through)?"
        rf"(?: {_S})? online{_END}",
        effect=states(Behaviour.NORMAL, Access.ONLINE),
        cues="online",
    ),
    rule(
        "part-with-issues",
        r"(?:there are |we are |we have )?(?:currently )?(?:experiencing |having |seeing )?(?:some )?(?:technical )?"
        r"(?:issues?|problems?|difficulties|errors?|disruptions?) (?:with|in|on|regarding) (?:the )?"
        rf"(?P<part>[^.:;,{TIME}]{{2,80}}?)(?: (?:in|on|for) (?:the )?{_S}{_END}|{_STOP})",
        effect=part_with_issues,
        cues="issue|problem|difficult|error|disruption",
    ),
    rule(
        "refer-to-office",
        r"(?:please )?(?:refer to|contact) (?:a|the|your)(?: (?:relevant|local|nearest))? customs office,? (?:if|when) "
        r"you (?:need|want|wish|have) to (?!use)[^.:;]{3,160}",
        effect=states(None),
        cues="customs office",
    ),
)

_ORDERS: Final = (
    rule(
        "no-resubmission",
        r"(?:it is not necessary|there is no need|you (?:do not|don't) (?:need|have)) to "
        rf"(?:re-?submit|re-?send)(?: {_DECLARATIONS})?(?: {_AFTER})?",
        Asks(recovery=Recovery.WAIT),
        cues="submit|send",
    ),
    rule(
        "resubmit-same-reference",
        rf"{_DECLARATIONS}(?: (?:in|to|for|sent to) {_S})? {_MUST} be {_RESEND}(?: {_AFTER})?,? (?:with|using|under) the "
        r"same (?:lrn|(?:local )?reference)(?: number)?(?: \(lrn\))?",
        effect=asks(Recovery.SAME_REFERENCE),
        cues="same",
    ),
    rule(
        "resubmit-new-reference",
        rf"{_DECLARATIONS}(?: (?:in|to|for|sent to) {_S})? {_MUST} be {_RESEND}(?: {_AFTER})?,? (?:with|using|under) "
        r"(?:a |another )?(?:new |different |other )?(?:lrn|(?:local )?reference)(?: number)?(?: \(lrn\))?",
        effect=asks(Recovery.NEW_REFERENCE),
        cues="new|different|other",
    ),
    rule(
        "resubmit",
        rf"{_DECLARATIONS}(?: (?:in|to|for|sent to) {_S})? {_MUST} be {_RESEND}(?: {_AFTER})?",
        effect=asks(Recovery.RESUBMIT),
        cues="submitted|sent|transmitted",
    ),
    rule(
        "fallback-no-longer",
        rf"(?:the )?(?:use of )?{_PROCEDURE} (?:(?:is|may|can|are) no longer (?:be )?(?:allowed|permitted|used|in force)"
        r"|(?:has )?end(?:s|ed)|is (?:ended|over|closed|cancell?ed))",
        Permits(Fallback.NO_LONGER, 4),
        cues="no longer|end|over|closed|cancel",
    ),
    rule(
        "fallback-only-if-necessary",
        rf"(?:you )?(?:may|can|must|should) only (?:use|make use of) {_PROCEDURE}{_DURING}{_IF_NECESSARY}",
        Permits(Fallback.ONLY_IF_NECESSARY, 2),
        cues="necessary|unavoidable",
    ),
    rule(
        "fallback-if-necessary",
        rf"(?:the )?(?:use of )?{_PROCEDURE} (?:may|can|must|should|is|are) (?:only )?(?:be )?(?:used|allowed|permitted)"
        rf"(?: only)?{_DURING}{_IF_NECESSARY}",
        Permits(Fallback.ONLY_IF_NECESSARY, 2),
        cues="necessary|unavoidable",
    ),
    rule(
        "fallback-as-needed",
        rf"(?:the )?(?:use of )?{_PROCEDURE} (?:may|can|is|are) (?:be )?(?:used|allowed|permitted|applied){_DURING},? "
        r"(?:as (?:needed|necessary|required)|(?:if|when|where) (?:needed|necessary|required)"
        rf"|to the (?:extent (?:necessary|needed|required)|necessary extent)){_DURING}",
        Permits(Fallback.AS_NEEDED, 2),
        cues="needed|necessary|required",
    ),
    rule(
        "fallback-required",
        rf"(?:you )?(?:must|(?:will )?have to|are required to) (?:use|apply|follow) {_PROCEDURE}{_DURING}",
        Permits(Fallback.REQUIRED, 3),
        cues="must|have to|required",
    ),
    rule(
        "fallback-contact-office",
        r"(?:you )?(?:must|should|have to|please) contact (?:the|your|a)(?: relevant| local)? customs office,? "
        rf"(?:(?:if|when) you (?:need|want|wish) to use|before (?:you use|using)) {_PROCEDURE}{_DURING}",
        cues="contact",
    ),
    rule(
        "fallback-example",
        r"(?:for example|e\.g\.?|for instance|such as),? (?:in (?:the )?case of )?perishable (?:goods|items|products)",
        cues="perishable",
    ),
    rule(
        "fallback-allowed",
        rf"(?:the )?(?:use of )?{_PROCEDURE} (?:is|are|may|can|will) (?:be )?(?:allowed|permitted|used|applied){_DURING}",
        Permits(Fallback.ALLOWED),
        cues="allowed|permitted|used|applied",
    ),
    rule(
        "fallback-you-may",
        rf"you (?:may|can|are (?:allowed|permitted) to) (?:use|apply|make use of) {_PROCEDURE}{_DURING}",
        Permits(Fallback.ALLOWED),
        cues="you ",
    ),
)

_EVENTS: Final = (
    rule(
        "copy-of-another",
        rf"(?:this (?:message|notice) )?(?:(?:is|has been) marked as \w+,? )?(?:as|because|since|and)? ?(?:it )?is an? "
        rf"(?:copy|duplicate) of (?:{_LINK}|[^.:;]{{3,80}})",
        Remark("duplicate-notice", "The notice says that it is a copy of another one: read that one."),
        cues="copy|duplicate",
    ),
    rule(
        "goes-on-elsewhere",
        rf"(?:please )?(?:follow|see|find|refer to|check) (?:the )?(?:further |more |new |all )?updates? (?:on|at|in|under) "
        rf"(?:(?:this|the) (?:message|notice|link):? )?{_LINK}",
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
        rf"(?:this (?:message|notice) is )?marked as {_OVER}",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="marked as",
    ),
    rule("ended-word", rf"^(?:update\W+)?(?:is |now )?{_OVER}(?=\W|$)", Event(EventKind.ENDED), Times(TimeRole.END)),
    rule(
        "ended",
        rf"{_NOT_YET}\b{_HAPPENING} (?:(?:has|have|is|are|was|were) )?(?:now )?(?:been )?(?:successfully )?{_OVER}(?: (?:as of|at|since|on|by))?",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="conclu|ended|completed|finished|done|solved|closed|over|fixed|corrected|performed",
    ),
    rule(
        "ended-after-time", rf"(?<={TIME}),? (?:is|was) (?:now )?{_OVER}", Event(EventKind.ENDED), Times(TimeRole.END)
    ),
    rule(
        "works-again",
        r"(?:all |the )?(?:customs )?(?:systems?|services?) (?:is|are) (?:now )?"
        r"(?:running|available|working|operational|up|back)(?: and running)? (?:again|normally|as (?:usual|normal))",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="running|available|working|operational|back",
    ),
    rule(
        "cancelled",
        rf"(?:{_HAPPENING} )?(?:(?:has|have) been |is |are |was )?(?:cancell?ed|called off)",
        Event(EventKind.CANCELLED),
        Times(TimeRole.OTHER),
        cues="cancel|called off",
    ),
    rule(
        "moved",
        rf"(?:{_HAPPENING} )?(?:(?:has|have) been |is |are )?(?:moved|rescheduled|postponed)(?: from {_T})? to(?= (?:the )?{TIME})",
        Event(EventKind.MOVED),
        Times(TimeRole.NEW),
        cues="moved|rescheduled|postponed",
    ),
    rule(
        "postponed",
        rf"(?:{_HAPPENING} )?(?:has been |is )?(?:postponed|moved|rescheduled)(?: (?:until further notice|to a later (?:date|time)))?{_STOP}",
        Event(EventKind.MOVED),
        Times(TimeRole.OTHER),
        cues="moved|rescheduled|postponed",
    ),
    rule(
        "extended",
        rf"(?:{_HAPPENING} )?(?:(?:has|have) been |is |will be )?(?:extended|prolonged)(?: (?:until|to|till))?",
        Event(EventKind.DELAYED),
        Times(TimeRole.NEW_END),
        cues="extended|prolonged",
    ),
    rule(
        "delayed",
        rf"(?:{_HAPPENING} (?:(?:has|have) been |is |are ))?(?<!be )delayed(?:,? ?(?:the )?time ?horizon (?:is )?unknown)?",
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
        rf"(?:edit(?:ed)?|change[ds]?|correct(?:ion|ed)) (?:of |in )?(?:the )?(?:start(?:ing)?) ?time(?: (?:to|from {_T} to))?",
        Event(EventKind.EDITED),
        Times(TimeRole.START),
        cues="start",
    ),
    rule(
        "edited-end",
        rf"(?:edit(?:ed)?|change[ds]?|correct(?:ion|ed)) (?:of |in )?(?:the )?(?:end(?:ing)?) ?time(?: (?:to|from {_T} to))?",
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

_TITLES: Final = (
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
        rf"service ?-?windows? (?:on |for |in )?(?:all customs systems ?[/,]? ?)?{_S}(?=\W*$|(?: on)? ?{TIME})",
        effect=named,
        cues="window",
    ),
    rule(
        "title-window-for",
        rf"service ?-?windows? {_T} (?:for|on|in) {_S}{_END}",
        effect=named,
        cues="window",
    ),
    rule("title-sign-in", rf"^{_SIGN_IN}\b[^.:;]{{0,40}}(?:issues?|problems?|errors?)\W*$", cues="issue|problem|error"),
    rule(
        "title-upgrade",
        rf"^(?:planned |scheduled )?(?:upgrade|update|maintenance|release) (?:of|on|for) {_S}(?=\W*$| (?:on )?{TIME})",
        effect=named,
        cues="upgrade|update|maintenance|release",
    ),
    rule("title-gateways", r"gateways?", cues="gateway"),
)

_IDLE: Final = (
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
        "apology",
        r"we (?:apologi[sz]e|are sorry|regret)(?: for)?(?: (?:the|any))? ?(?:inconvenience(?: (?:this|it) may cause)?)?",
        cues="apologi|sorry|regret",
    ),
    rule(
        "read-more",
        rf"(?:please )?(?:read more|see more|more information|check detailed status|for (?:more|further) information)[^.:;]{{0,60}}?(?: (?:on|at|in|here))?:? ?{_LINK}",
        cues="more|status|information",
    ),
)

ENGLISH: Final = (*_IDLE, *_TITLES, *_BEHAVIOUR, *_ORDERS, *_EVENTS)
