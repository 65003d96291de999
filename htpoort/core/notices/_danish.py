"""Rules for notices in Danish: what happens to which systems, and what is asked for; see `_danish_words`."""

from __future__ import annotations

from typing import Final

from htpoort.core.notices import _danish_words as w
from htpoort.core.notices._danish_events import EVENTS_DA, IDLE_DA, MOVES_DA, TITLES_DA
from htpoort.core.notices._danish_prose import PROSE_DA
from htpoort.core.notices._effects import access_stated, asks, part_with_issues, states
from htpoort.core.notices._facts import Asks, Listing, Permits
from htpoort.core.notices._rules import TIME, rule
from htpoort.core.notices.notice import Access, Behaviour, Fallback, Recovery

__all__ = ["DANISH"]

_BEHAVIOUR: Final = (
    rule(
        "files-rejected-da",
        rf"{w.FILES} {w.S}{w.DURING},? (?:(?:vil )?(?:enten )?{w.FAIL}(?: ?(?:/|eller|og) ?{w.FAIL})?"
        r"|kan ikke (?:sendes|modtages|behandles)(?!,? (?:før|inden)))"
        rf"{w.DURING}",
        effect=states(Behaviour.REJECTED, Access.FILE),
        cues="fejl|afvis|kan ikke",
    ),
    rule(
        "files-queued-da",
        rf"{w.FILES} {w.S}{w.DURING},? (?:(?:(?:kan|vil) (?:fortsat |stadig )?)?(?:modtages|sendes|indsendes|blive modtaget),?"
        r" (?:og|men) )?"
        rf"(?:vil )?(?:først )?(?:(?:blive(?:r)? )?(?:først )?(?:behandlet|behandles)|sættes i kø(?: og behandles)?)(?: først)?,? {w.AFTER}",
        effect=states(Behaviour.QUEUED, Access.FILE),
        cues="behandle|sættes",
    ),
    rule(
        "files-not-possible-da",
        rf"(?:det (?:vil|er) ikke (?:være )?muligt at|der kan ikke) (?:sende|indsende|sendes|indsendes) (?:filer|meddelelser|xml-filer) til "
        rf"{w.S}{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.FILE),
        cues="muligt|kan ikke",
    ),
    rule(
        "files-delayed-da",
        rf"{w.START}{w.FILES} {w.S} {w.LATE}{w.DURING}",
        effect=states(Behaviour.DELAYED, Access.FILE),
        cues="forsinke",
    ),
    rule(
        "messages-delayed-da",
        rf"{w.START}(?P<messages>[^.:;!?{TIME}]{{4,300}}) til {w.S}{w.DURING} {w.LATE}{w.DURING}",
        effect=states(Behaviour.DELAYED),
        cues="forsinke",
    ),
    rule(
        "online-closed-da",
        rf"(?:der (?:er|vil være) )?lukket for (?:den )?online[ -]?adgang(?:en)?(?: til {w.S})?{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="lukket for",
    ),
    rule(
        "online-unavailable-da",
        rf"(?:den |det |de )?online[ -]?(?:adgang(?:en)?|system(?:et|er|erne)?)(?: (?:til|for) {w.S})? {w.IS} (?:være |bliver )?{w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="online",
    ),
    rule(
        "access-stated-da",
        rf"(?:(?P<online>online)|fil|s2s)[ -]?adgang(?:en)?(?: til {w.S})? {w.IS} (?:være |bliver )?(?:(?P<open>{w.OPEN})|{w.DOWN}){w.DURING}",
        effect=access_stated,
        cues="adgang",
    ),
    rule(
        "systems-listed-da",
        rf"(?:det betyder,? at )?(?:de )?følgende (?:told)?systemer {w.IS} (?:være )?{w.DOWN}{w.DURING}",
        Listing(Behaviour.UNAVAILABLE),
        cues="følgende",
    ),
    rule(
        "companies-without-da",
        rf"(?:virksomhederne|brugerne|virksomheder|brugere|man) vil(?: dog)?(?: -)? for {w.S}(?: vedkommende)?(?: -)? opleve "
        r"(?:utilgængelighed|nedetid)(?: (?:det meste af|i (?:dele|store dele) af)(?: [a-zæøå]+)?)?(?: i tidsrummet)?",
        effect=states(Behaviour.UNAVAILABLE),
        cues="opleve",
    ),
    rule(
        "without-downtime-da",
        rf"(?:vedrørende|for|hvad angår) {w.S}(?:,| vil)[^.:;]{{0,160}}(?:uden nedetid|ingen nedetid)",
        effect=states(Behaviour.NORMAL),
        cues="nedetid",
    ),
    rule(
        "system-available-da",
        rf"{w.START}{w.S} (?:er|vil være|forbliver) (?:fortsat |stadig )?{w.OPEN}{w.DURING}",
        effect=states(Behaviour.NORMAL),
        cues="tilgængelig|åben|påvirke|berørt|drift",
    ),
    rule(
        "system-unavailable-da",
        rf"{w.START}{w.S} (?:er|vil være|bliver) (?:i øjeblikket |pt\.? )?{w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE),
        cues="tilgængelig|lukket|nede|ude af drift",
    ),
    rule(
        "instability-da",
        r"(?:(?:kort(?:e|varige?)?|mindre|perioder med) )*(?:ustabilitet|utilgængelighed|udfald)(?: ?(?:/|og|eller) ?(?:ustabilitet|utilgængelighed|nedetid|udfald))?"
        rf"(?: (?:på|i|for) {w.S})? (?:kan|må|vil) (?:kunne )?(?:forekomme|forventes|opleves){w.DURING}"
        r"|der kan (?:forekomme|opleves|være) (?:korte?(?:varige?)? )?(?:ustabilitet|udfald)(?: ?(?:/|og|eller) ?(?:utilgængelighed|nedetid|udfald))?",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="stabilitet|utilgængelighed|udfald",
    ),
    rule(
        "part-with-issues-da",
        r"(?:der er |vi (?:har|oplever) )?(?:i øjeblikket |pt\.? |lige nu )?(?:tekniske )?(?:(?:drifts)?problemer|fejl|udfordringer|forstyrrelser) (?:med|i|på) "
        rf"(?P<part>(?:(?!\b(?:ikke|ingen|aldrig)\b)[^.:;,{TIME}]){{2,80}}?)(?: (?:i|på) {w.S}{w.END}|{w.STOP})",
        effect=part_with_issues,
        cues="problem|fejl|udfordring|forstyrrelse",
    ),
    rule(
        "refer-to-office-da",
        r"(?:du bedes |venligst )?(?:kontakt(?:e)?|henvend(?:e)? dig til|ret(?:te)? henvendelse til) (?:et|dit|det relevante) told(?:ekspeditions?)?kontor,? (?:hvis|såfremt) "
        r"(?:du|i) (?:har (?:brug|behov) for|skal) [^.:;]{3,160}",
        effect=states(None),
        cues="kontor",
    ),
)

_ORDERS: Final = (
    rule(
        "resubmit-same-reference-da",
        rf"{w.DECLARATIONS}(?: (?:i|til) {w.S})? skal {w.RESEND}(?: {w.AFTER})?,? med (?:det )?samme (?:lrn|referencenummer|reference)",
        effect=asks(Recovery.SAME_REFERENCE),
        cues="samme",
    ),
    rule(
        "resubmit-new-reference-da",
        rf"{w.DECLARATIONS}(?: (?:i|til) {w.S})? skal {w.RESEND}(?: {w.AFTER})?,? med (?:et )?(?:nyt|andet) (?:lrn|referencenummer)",
        effect=asks(Recovery.NEW_REFERENCE),
        cues="nyt|andet",
    ),
    rule(
        "resubmit-da",
        rf"{w.DECLARATIONS}(?: (?:i|til) {w.S})? (?:skal|bør|må) {w.RESEND}(?: {w.AFTER})?",
        effect=asks(Recovery.RESUBMIT),
        cues="sendes|ny|igen",
    ),
    rule(
        "no-resubmission-da",
        rf"(?:det er ikke nødvendigt|der er ikke behov for|du behøver ikke) at (?:gensende|genindsende|sende [^.:;]{{0,60}}igen)(?: {w.DECLARATIONS})?",
        Asks(recovery=Recovery.WAIT),
        cues="ikke",
    ),
    rule(
        "fallback-no-longer-da",
        rf"{w.PROCEDURE} (?:kan|må) ikke længere (?:anvendes|benyttes|bruges)",
        Permits(Fallback.NO_LONGER, 4),
        cues="ikke længere",
    ),
    rule(
        "fallback-as-needed-da",
        rf"{w.PROCEDURE} (?:kan|må) (?:anvendes|benyttes|bruges) (?:i (?:for)?nødvendigt omfang|i fornødent omfang|efter behov|ved behov){w.DURING}",
        Permits(Fallback.AS_NEEDED, 2),
        cues="omfang|behov",
    ),
    rule(
        "fallback-only-if-necessary-da",
        rf"(?:du må kun (?:anvende|benytte|bruge) {w.PROCEDURE}|{w.PROCEDURE} (?:må|kan|bør) kun (?:anvendes|benyttes|bruges)){w.DURING},? (?:hvis|såfremt|når) (?:det er )?"
        r"(?:absolut |strengt )?nødvendigt",
        Permits(Fallback.ONLY_IF_NECESSARY, 2),
        cues="kun",
    ),
    rule(
        "fallback-example-da",
        r"(?:(?:det kan )?(?:for eksempel|fx|f\.eks\.|eksempelvis)(?: være)?),? (?:i tilfælde af |ved )?(?:letfordærvelige |let fordærvelige )(?:varer|fødevarer)",
        cues="fordærvelig",
    ),
    rule(
        "fallback-contact-office-da",
        rf"(?:du skal kontakte|(?:venligst )?kontakt(?: venligst)?) (?:det relevante |dit |et )?told(?:ekspeditions?)?(?:kontor|sted)(?:et)?,? "
        rf"(?:hvis|såfremt|inden) du (?:har (?:brug|behov) for at|skal|vil|ønsker at)? ?(?:anvende|benytte|bruge|anvender|benytter|bruger) "
        rf"{w.PROCEDURE}{w.DURING}",
        cues="kontakt",
    ),
    rule(
        "fallback-allowed-da",
        rf"{w.PROCEDURE} (?:kan|må|er tilladt at) (?:anvendes|benyttes|bruges){w.DURING}|det er tilladt at (?:anvende|benytte|bruge) {w.PROCEDURE}{w.DURING}",
        Permits(Fallback.ALLOWED),
        cues="procedure",
    ),
)

DANISH: Final = (*IDLE_DA, *MOVES_DA, *TITLES_DA, *_BEHAVIOUR, *_ORDERS, *PROSE_DA, *EVENTS_DA)
