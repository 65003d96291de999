"""Rules for notices in English: what happens to which systems, and what is asked for; see `_english_words`."""

from __future__ import annotations

from typing import Final

from htpoort.core.notices import _english_words as w
from htpoort.core.notices._effects import access_stated, asks, part_with_issues, states
from htpoort.core.notices._english_events import EVENTS, IDLE, MOVES, TITLES
from htpoort.core.notices._english_prose import PROSE
from htpoort.core.notices._facts import Asks, EventKind, Listing, Permits
from htpoort.core.notices._rules import TIME, rule
from htpoort.core.notices.notice import Access, Behaviour, Fallback, Recovery

__all__ = ["ENGLISH"]

_BEHAVIOUR: Final = (
    rule(
        "files-rejected",
        rf"{w.FILES} {w.S}{w.DURING},? (?:(?:(?:will|would|shall|are|is) )?(?:either )?{w.FAIL}(?: ?(?:/|or|and) ?{w.FAIL})?"
        rf"|(?:cannot|can not) be (?:sent|received|processed)(?! (?:until|before))){w.DURING}",
        effect=states(Behaviour.REJECTED, Access.FILE),
        cues="fail|reject|refused|dismissed|accepted|cannot|can not",
    ),
    rule(
        "files-queued",
        rf"{w.FILES} {w.S}{w.DURING} (?:(?:(?:can|will) (?:still )?be|are) (?:sent|submitted|received|accepted),? (?:and|but) )?"
        r"(?:they )?(?:(?:will|shall|are|cannot|can) )?(?:(?:only|first|not) )?(?:be )?"
        rf"(?:(?:processed|handled|treated)(?: only)? {w.AFTER}"
        rf"|(?:queued|buffered|stored|kept)(?:,? and (?:will be )?(?:processed|handled))? {w.AFTER})",
        effect=states(Behaviour.QUEUED, Access.FILE),
        cues="processed|handled|treated|queued|buffered|stored|kept",
    ),
    rule(
        "files-processed-later",
        rf"(?:{w.FILES}|(?:files?|messages?) can (?:still )?be (?:sent|submitted) to) {w.S}(?:{w.DURING})"
        rf"(?: (?:are|will be|can be) (?:received|accepted|sent))?,? (?:but|and) (?:they )?(?:will|are) (?:then )?(?:be )?(?:first |only )?"
        rf"(?:processed|handled) (?:afterwards|later|subsequently|{w.AFTER})",
        effect=states(Behaviour.QUEUED, Access.FILE),
        cues="processed|handled",
    ),
    rule(
        "files-not-possible",
        r"it (?:is|will) (?:currently )?not (?:be )?possible to (?:send|submit|transmit|upload) "
        rf"(?:files?|messages?|xml[ -]files?|declarations by file) (?:to|in|via) {w.S}(?:{w.DURING}){w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.FILE),
        cues="not possible|not be possible|not currently",
    ),
    rule(
        "not-possible",
        r"it (?:is|will) (?:currently )?not (?:be )?possible to (?:send|submit|make|lodge|create|process|transmit) "
        rf"(?:[a-z]+ )?(?:declarations?|entries|notifications?) (?:to|in|via|through) {w.S}(?:{w.DURING}){w.END}",
        effect=states(Behaviour.UNAVAILABLE),
        cues="not possible|not be possible|not currently",
    ),
    rule(
        "replies-delayed",
        rf"(?:messages|replies|responses|answers|receipts) from {w.S} (?:are|is|may be|can be|will be) (?:currently )?delayed",
        effect=states(Behaviour.DELAYED, Access.FILE),
        cues="delayed",
    ),
    rule(
        "files-delayed",
        rf"{w.FILES} {w.S}{w.DURING} (?:will|can|are) (?:still )?(?:be )?(?:received|accepted|processed),? {w.LATE}{w.DURING}",
        effect=states(Behaviour.DELAYED, Access.FILE),
        cues="delayed|late",
    ),
    rule(
        "messages-delayed",
        rf"{w.START}{w.M} (?:submitted|sent|transmitted) to {w.S}{w.DURING} (?:will|can|are) (?:still )?(?:be )?(?:received|accepted),? "
        rf"{w.LATE}{w.DURING}",
        effect=states(Behaviour.DELAYED),
        cues="delayed|late",
    ),
    rule(
        "online-available",
        rf"{w.ONLINE}(?: (?:for|to|of|in) {w.S})? {w.IS} (?:still )?(?:be )?{w.OPEN}{w.DURING}",
        effect=states(Behaviour.NORMAL, Access.ONLINE),
        cues="available|accessible|open|operational|affected",
    ),
    rule(
        "online-unavailable",
        rf"{w.ONLINE}(?: (?:for|to|of|in) {w.S})? {w.IS} (?:be )?{w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="online|web|gui|browser",
    ),
    rule(
        "access-stated",
        r"(?:the )?(?:(?P<online>online)|file|s2s|file \(s2s\)|s2s \(file\)) access(?: \(s2s\))?"
        rf"(?: (?:to|for|of) {w.S})? {w.IS} (?:be )?(?:(?P<open>{w.OPEN})|{w.DOWN}){w.DURING}",
        effect=access_stated,
        cues=" access",
    ),
    rule(
        "sign-in-impossible",
        rf"{w.SIGN_IN} (?:to|in) {w.S}(?: (?:with|using|via) [^.:;,]{{2,40}}?)? "
        rf"{w.IS} (?:not be possible|be impossible|not possible|impossible|(?:be )?unavailable){w.DURING}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="sign|log",
    ),
    rule(
        "sign-in-issues",
        r"(?:there are |we have |we are )?(?:currently )?(?:receiving |experiencing )?"
        r"(?:reports?|issues?|problems?|errors?|difficulties)(?: are)? (?:regarding|with|about|concerning|of) (?:the )?"
        rf"{w.SIGN_IN}(?: (?:using|with|via|through) [\w-]+)?(?: (?:to|in|on) {w.S}{w.END})?",
        effect=states(Behaviour.LIMITED, Access.ONLINE),
        cues="login|log-in|log in|logging|log on|sign",
    ),
    rule(
        "link-closed",
        rf"(?:due to {w.WINDOW},? )?(?:the )?(?:connection|link|interface|integration) between {w.S} {w.IS} (?:be )?"
        rf"{w.DOWN}{w.DURING}",
        effect=states(Behaviour.LIMITED),
        cues="between",
    ),
    rule(
        "systems-listed",
        rf"(?:this means that )?(?:the )?(?:following|below)(?: customs)? systems {w.IS}(?: be)? {w.DOWN}{w.DURING}",
        Listing(Behaviour.UNAVAILABLE),
        cues="following|below",
    ),
    rule(
        "system-available",
        rf"{w.START}{w.S} (?:is|are|will be|remains?|will remain) (?:still |fully )?{w.OPEN}(?! again){w.DURING}"
        r"(?: as (?:usual|normal))?",
        effect=states(Behaviour.NORMAL),
        cues="available|accessible|open|operational|affected",
    ),
    rule(
        "system-unavailable",
        rf"{w.START}{w.S} (?:is|are|will be|ha(?:s|ve) been) (?:currently |completely )?{w.DOWN}(?! online){w.DURING}",
        effect=states(Behaviour.UNAVAILABLE),
        cues="available|accessible|closed|down|out of service|offline",
    ),
    rule(
        "all-unavailable",
        rf"{w.START}(?:all |the )?(?:customs )?systems (?:is|are|will be) {w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE, general=True),
        cues="systems",
    ),
    rule(
        "instability-expected",
        rf"(?:there (?:may|can|might|will) be|(?:{w.HAPPENING} )?(?:may|will|can|might) (?:cause|result in|lead to)) "
        r"(?:(?:short|brief|some|minor|occasional) )?(?:periods? of )?(?:instability|interruptions?|unavailability|downtime)"
        rf"(?: (?:in|on|of|for) {w.S}{w.END})?{w.DURING}",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="stability|interruption|unavailability|downtime",
    ),
    rule(
        "instability-seen",
        rf"(?:we are )?(?:currently )?(?:experiencing|seeing) (?:some )?instability (?:in|on|with) {w.S}{w.END}",
        effect=states(Behaviour.UNSTABLE, event=EventKind.ONGOING),
        cues="instability",
    ),
    rule(
        "system-may-be-unstable",
        rf"the (?:customs )?systems? (?:may|can|might|will) be (?:unstable|intermittently unavailable){w.DURING}",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="unstable|intermittently",
    ),
    rule(
        "instability-in",
        r"(?:short |brief )?(?:instability|interruptions?) (?:may|can|might|could) (?:occur|be expected) (?:in|on|for) "
        rf"(?!the period|this period){w.S}{w.DURING}{w.END}",
        effect=states(Behaviour.UNSTABLE),
        cues="stability|interruption",
    ),
    rule(
        "instability",
        r"(?:(?:short(?:ly|er)?|brief|some|minor|occasional|periods? of) )*(?:instability|unavailability|interruptions?)"
        r"(?: ?(?:/|and|or) ?(?:short |brief )?(?:instability|unavailability|downtime|outages?|interruptions?))?"
        rf"(?: (?:in|on|of|for) {w.S})? (?:may|can|might|could|must|should|is to|will) (?:be )?"
        rf"(?:occur|expected|experienced|anticipated){w.DURING}",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="stability|unavailability|interruption",
    ),
    rule(
        "instability-with",
        rf"with (?:instability|unstable operation)(?: ?(?:/|and|or) ?(?:unavailability|downtime|outages?))?{w.DURING}",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="stability|unstable",
    ),
    rule(
        "system-unstable",
        rf"{w.START}{w.S} (?:is|are|will be|may be|can be|might be) (?:currently )?"
        rf"(?:unstable|intermittently unavailable)(?: for (?:a few|several|some) (?:minutes|hours))?{w.DURING}",
        effect=states(Behaviour.UNSTABLE),
        cues="unstable|intermittently",
    ),
    rule(
        "slow-answers",
        rf"(?:there (?:are|may be|will be) |we (?:are|have) )?(?:currently )?(?:experiencing )?(?:intermittent |some |occasional )?(?:delays?|slow processing"
        rf"|(?:slow|long(?:er)?) (?:responses?|replies|(?:response|processing) times?)) (?:in|on|with|for|from)(?: the)?(?: processing of| replies from)?"
        rf" {w.S}{w.END}",
        effect=states(Behaviour.DELAYED, event=EventKind.ONGOING),
        cues="delay|slow|long",
    ),
    rule(
        "file-answers-with-issues",
        r"(?:issues?|problems?|errors?|delays?) (?:with|in|on|regarding) (?:the )?(?:file|s2s|xml)[ -]"
        rf"(?:responses?|replies|answers?|traffic|transfers?)(?: (?:in|on|for|from) {w.S})?{w.END}",
        effect=states(Behaviour.LIMITED, Access.FILE, event=EventKind.ONGOING),
        cues="file|s2s|xml",
    ),
    rule(
        "works-online",
        rf"(?:[^.:;]{{0,80}} )?can (?:still )?be (?:finished|completed|made|done|processed|submitted|used)(?: in| on| via| through)?"
        rf"(?: {w.S})? online{w.END}",
        effect=states(Behaviour.NORMAL, Access.ONLINE),
        cues="online",
    ),
    rule(
        "delays-occur",
        r"(?:intermittent |some |occasional |short |slight |minor )?(?:delays?|slow(?:er)? response ?times?) "
        r"(?:can|may|might|will|are|must|could)(?: be)?(?: to be)? ?(?:experienced|expected|occur|encountered)"
        r"(?: (?:in|on|with|for) (?:the )?(?:response ?times?|replies|responses|answers|processing))?",
        effect=states(Behaviour.DELAYED, general=True),
        cues="delay|slow",
    ),
    rule(
        "messages-not-possible",
        rf"{w.START}{w.M} (?:cannot|can not|can currently not) (?:currently )?be (?:submitted|sent|created|made|lodged|processed) "
        rf"(?:in|to|via) {w.S}{w.DURING}{w.END}",
        effect=states(Behaviour.LIMITED),
        cues="cannot|can not|currently not",
    ),
    rule(
        "part-with-issues",
        r"(?:there (?:are|is) |we are |we have )?(?:currently )?(?:aware of |experiencing |having |seeing )?(?:some |an? )?(?:technical )?"
        r"(?:issues?|problems?|difficulties|errors?|disruptions?) (?:with|in|on|regarding) (?:the )?"
        rf"(?P<part>(?:(?!\b(?:not|no|never)\b)[^.:;,{TIME}]){{2,80}}?)(?: (?:in|on|for) (?:the )?{w.S}{w.END}|{w.STOP})",
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
        rf"(?:re-?submit|re-?send)(?: {w.DECLARATIONS})?(?: {w.AFTER})?"
        rf"|(?:please )?(?:do not|don't) (?:re-?submit|re-?send)(?: {w.DECLARATIONS})?",
        Asks(recovery=Recovery.WAIT),
        cues="submit|send",
    ),
    rule(
        "resubmit-same-reference",
        rf"{w.DECLARATIONS}(?: (?:in|to|for|sent to) {w.S})? {w.MUST} be {w.RESEND}(?: {w.AFTER})?,? (?:with|using|under) the "
        r"same (?:lrn|(?:local )?reference)(?: number)?(?: \(lrn\))?",
        effect=asks(Recovery.SAME_REFERENCE),
        cues="same",
    ),
    rule(
        "resubmit-new-reference",
        rf"{w.DECLARATIONS}(?: (?:in|to|for|sent to) {w.S})? {w.MUST} be {w.RESEND}(?: {w.AFTER})?,? (?:with|using|under) "
        r"(?:a |another )?(?:new |different |other )?(?:lrn|(?:local )?reference)(?: number)?(?: \(lrn\))?",
        effect=asks(Recovery.NEW_REFERENCE),
        cues="new|different|other",
    ),
    rule(
        "and-resubmit",
        rf",? and (?:they )?{w.MUST} be {w.RESEND}(?:,? {w.AFTER})?",
        Asks(recovery=Recovery.RESUBMIT, of_sentence=True),
        cues=" and ",
    ),
    rule(
        "resubmit-please",
        rf"(?:please )?(?:re-?submit|re-?send|submit again) {w.DECLARATIONS}(?: {w.AFTER})?",
        Asks(recovery=Recovery.RESUBMIT),
        cues="submit|send",
    ),
    rule(
        "resubmit",
        rf"{w.DECLARATIONS}(?: (?:in|to|for|sent to) {w.S})? {w.MUST} be {w.RESEND}(?: {w.AFTER})?",
        effect=asks(Recovery.RESUBMIT),
        cues="submitted|sent|transmitted",
    ),
    rule(
        "fallback-no-longer",
        rf"(?:the )?(?:use of )?{w.PROCEDURE} (?:(?:is|may|can|are) no longer (?:be )?(?:allowed|permitted|used|in force)"
        r"|(?:has )?end(?:s|ed)|is (?:ended|over|closed|cancell?ed))",
        Permits(Fallback.NO_LONGER, 4),
        cues="no longer|end|over|closed|cancel",
    ),
    rule(
        "fallback-only-if-necessary",
        rf"(?:you )?(?:may|can|must|should) only (?:use|make use of) {w.PROCEDURE}{w.DURING}{w.IF_NECESSARY}",
        Permits(Fallback.ONLY_IF_NECESSARY, 2),
        cues="necessary|unavoidable",
    ),
    rule(
        "fallback-if-necessary",
        rf"(?:the )?(?:use of )?{w.PROCEDURE} (?:may|can|must|should|is|are) (?:only )?(?:be )?(?:used|allowed|permitted)"
        rf"(?: only)?{w.DURING}{w.IF_NECESSARY}",
        Permits(Fallback.ONLY_IF_NECESSARY, 2),
        cues="necessary|unavoidable",
    ),
    rule(
        "fallback-as-needed",
        rf"(?:the )?(?:use of )?{w.PROCEDURE} (?:may|can|is|are) (?:be )?(?:used|allowed|permitted|applied){w.DURING},? "
        r"(?:as (?:needed|necessary|required)|(?:if|when|where) (?:needed|necessary|required)"
        rf"|to the (?:extent (?:necessary|needed|required)|necessary extent)){w.DURING}",
        Permits(Fallback.AS_NEEDED, 2),
        cues="needed|necessary|required",
    ),
    rule(
        "fallback-required",
        rf"(?:you )?(?:must|(?:will )?have to|are required to) (?:use|apply|follow) {w.PROCEDURE}{w.DURING}",
        Permits(Fallback.REQUIRED, 3),
        cues="must|have to|required",
    ),
    rule(
        "fallback-contact-office",
        r"(?:you )?(?:must|should|have to|please) contact (?:the|your|a)(?: relevant| local)? customs office,? "
        rf"(?:(?:if|when) you (?:need|want|wish) to use|before (?:you use|using)) {w.PROCEDURE}{w.DURING}",
        cues="contact",
    ),
    rule(
        "fallback-example",
        r"(?:for example|e\.g\.?|for instance|such as),? (?:in (?:the )?case of )?perishable (?:goods|items|products)",
        cues="perishable",
    ),
    rule(
        "fallback-allowed",
        rf"(?:the )?(?:use of )?{w.PROCEDURE} (?:is|are|may|can|will) (?:be )?(?:allowed|permitted|used|applied){w.DURING}"
        rf"|if you need (?:to use )?{w.PROCEDURE},? (?:it|this) is (?:allowed|permitted){w.DURING}",
        Permits(Fallback.ALLOWED),
        cues="allowed|permitted|used|applied",
    ),
    rule(
        "fallback-you-may",
        rf"you (?:may|can|are (?:allowed|permitted) to) (?:use|apply|make use of) {w.PROCEDURE}{w.DURING}",
        Permits(Fallback.ALLOWED),
        cues="you ",
    ),
)

ENGLISH: Final = (*IDLE, *MOVES, *TITLES, *_BEHAVIOUR, *_ORDERS, *PROSE, *EVENTS)
