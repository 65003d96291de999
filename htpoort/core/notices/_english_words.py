"""
Parts of the patterns of the rules for English.

A pattern sees small letters, plain dashes and quotes, and a mask in place of each time, reference and address. Its
groups ``systems`` and ``messages`` are lists of names.
"""

from __future__ import annotations

from typing import Final

from htpoort.core.notices._rules import LINK, REFERENCE, TIME

__all__ = [
    "AFTER",
    "DECLARATIONS",
    "DOWN",
    "DURING",
    "END",
    "FAIL",
    "FILES",
    "HAPPENING",
    "IF_NECESSARY",
    "IS",
    "LATE",
    "LINKS",
    "MUST",
    "NOT_YET",
    "ONLINE",
    "OPEN",
    "OVER",
    "PROCEDURE",
    "RESEND",
    "SIGN_IN",
    "START",
    "STOP",
    "WINDOW",
    "M",
    "S",
    "T",
]

S: Final = rf"(?P<systems>[^.:;!?{TIME}{REFERENCE}{LINK}]{{2,300}}?)"
M: Final = rf"(?P<messages>[^.:;!?{TIME}]{{4,300}}?)"
T: Final = f"{TIME}+"
LINKS: Final = f"[{LINK}{REFERENCE}]+"
START: Final = rf"(?:^|(?<=[.;:] )|(?<={TIME} )|(?<={TIME}, ))"
STOP: Final = r"(?=\W*$|[.,;] )"
END: Final = rf"(?=\W*$|[.;] | (?:since|from|as of) {TIME}| (?:while|because|when|during|due to) )"  # of a list of names, which has commas
WINDOW: Final = (
    r"(?:the |this |that )?(?:whole |entire |specified )?(?:prd-? ?)?"
    r"(?:planned |scheduled )?(?:service ?-?window|maintenance(?: window| work)?|period|downtime|outage|incident|disruption)"
)
DURING: Final = (
    rf"(?:,? (?:during|within|in|throughout|for|due to) {WINDOW}|,? until (?:the |this )?(?:[a-z]+ )?(?:is|has been) "
    r"(?:corrected|fixed|solved|resolved|over|finished)"
    rf"|,? for the (?:whole )?duration of {WINDOW})?"
)
AFTER: Final = (
    rf"(?:when|after|once|as soon as|until after|until|following|at) (?:the (?:end|completion|closing) of {WINDOW}"
    rf"|{WINDOW}(?: (?:has|is|have|was)(?: been)? (?:passed|ended|closed|concluded|over|finished|completed|done))?"
    r"|(?:it|they|the (?:systems?|services?)) (?:is|are) (?:available|up|back|open|working|running|online)(?: and running)?"
    r"(?: again)?)"
)
FILES: Final = (
    r"(?:the |all )?(?:xml[ -]?|s2s[ -]?|edifact[ -]?)?(?:files?|messages?|transmissions?|declarations? (?:sent )?as files?)"
    r"(?: (?:that |which )?(?:are |were )?(?:sent|submitted|transmitted|addressed|delivered))? (?:to|for)"
)
IS: Final = r"(?:will|would|shall|are|is|may|might|remains?|will remain)"
FAIL: Final = r"(?:fails?|(?:be )?(?:rejected|refused|dismissed)|not (?:be )?accepted)"
ONLINE: Final = (
    r"(?:the )?(?:online|web|gui|browser)[ -](?:systems?|access|pages?|services?|clients?|solutions?|portals?)"
)
DOWN: Final = r"(?:unavailable|not (?:be )?(?:available|accessible)|inaccessible|closed|down|out of service|offline)"
OPEN: Final = r"(?:available|accessible|open|operational|unaffected|not (?:be )?affected)"
LATE: Final = (
    r"(?:but|and) (?:(?:the )?(?:processed final|(?:final )?processing|completion|replies|responses|answers|it|they) )?"
    r"(?:may|can|might|will) be (?:delayed|late)"
)
PROCEDURE: Final = (
    r"(?:the )?(?:(?:fall-?back|emergency|contingency|business continuity)[ -](?:procedures?|plan|solution)|fall-?back)"
)
RESEND: Final = r"(?:re-?submitted|re-?sent|re-?transmitted|(?:submitted|sent|transmitted) (?:again|anew|once more))"
MUST: Final = r"(?:needs? to|must|should|ha(?:ve|s) to|will have to)"
DECLARATIONS: Final = (
    r"(?:the |any |all )?(?:affected |rejected |failed |impacted )?"
    r"(?:entries|entry|declarations?|files?|messages?|submissions?|notifications?)"
    r"(?: (?:that|which) (?:have been|has been|were|are) (?:rejected|refused|affected)"
    rf"| (?:sent|submitted|made) (?:during|within|in) {WINDOW})?"
)
HAPPENING: Final = (
    r"(?:(?:the|this|that|our|all) )?(?:prd-? ?)?(?:planned |scheduled )?(?:service ?-?window|(?:system )?maintenance"
    r"|incident|issues?|errors?|problems?|faults?|disruptions?|malfunctions?|outage|upgrade|instability|update|(?:intermittent )?delays?)"
    r"(?: (?:with|in|on|regarding) (?:(?!\b(?:not|never|no)\b)[^.:;!?,]){2,80}?)?"
)
OVER: Final = (
    r"(?:concluded|ended|completed|finished|done|resolved|solved|closed|over|fixed|corrected|performed)"
    r"(?: (?:earlier|sooner|later) than (?:planned|expected|announced))?"
)
NOT_YET: Final = "".join(
    rf"(?<!\b{word} {article})"
    for word in ("until", "till", "when", "once", "after", "if", "before", "as soon as", "unless")
    for article in ("", "the ", "this ", "all ")
)
SIGN_IN: Final = r"(?:sign(?:ing)?|log(?:ging)?)[ -]?(?:in|on)"
IF_NECESSARY: Final = r",? (?:if|when|where) (?:it is )?(?:absolutely |strictly )(?:necessary|unavoidable)"
