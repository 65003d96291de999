"""
Rules for notices in Danish.

A pattern sees small letters, plain dashes and quotes, and a mask in place of each time, reference and address. Its
groups ``systems`` and ``messages`` are lists of names.
"""

from __future__ import annotations

from typing import Final

from htpoort.core.notices._effects import access_stated, asks, named, part_with_issues, states, works_again
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

__all__ = ["DANISH"]

_S: Final = rf"(?P<systems>[^.:;!?{TIME}{REFERENCE}{LINK}]{{2,300}}?)"
_M: Final = rf"(?P<messages>[^.:;!?{TIME}]{{4,300}}?)"
_LINK: Final = f"[{LINK}{REFERENCE}]+"
_START: Final = r"(?:^|(?<=[.;:] ))"
_STOP: Final = r"(?=\W*$|[.,;] )"
_END: Final = rf"(?=\W*$|[.;] | (?:siden|fra) {TIME})"  # of a list of names, which has commas
_WINDOW: Final = r"(?:hele )?(?:det )?(?:prd-? ?)?(?:servicevinduet?|perioden|vedligeholdelsen|nedlukningen|lukningen)"
_DURING: Final = (
    rf"(?:,? (?:under|i|inden for|på grund af|grundet) {_WINDOW}|,? indtil (?:fejlen|problemet|hændelsen|driftsforstyrrelsen) er "
    r"(?:rettet|løst|udbedret|afhjulpet))?"
)
_AFTER: Final = (
    rf"(?:(?:efter|når) (?:(?:prd-? ?)?servicevinduets (?:afslutning|ophør|udløb)|(?:afslutningen|udløbet) af {_WINDOW}"
    rf"|{_WINDOW}(?: er (?:afsluttet|slut|overstået|ovre|færdigt|forbi))?))"
)
_FILES: Final = (
    r"(?:alle )?(?:xml-?|s2s-?)?(?:filer|meddelelser|beskeder)(?: (?:som |der )?(?:er )?(?:sendt|sendes|indsendt))? til"
)
_FAIL: Final = r"(?:fejle?r?|(?:blive(?:r)? )?afvis(?:t|es))"
_DOWN: Final = r"(?:utilgængelige?t?|ikke (?:være )?tilgængelige?t?|lukkede?t?|nede|ude af drift)"
_OPEN: Final = r"(?:tilgængelige?t?|åbent?|upåvirkede?t?|ikke (?:være )?(?:berørt|påvirket)|i drift)"
_IS: Final = r"(?:vil|er|bliver|forventes)"
_LATE: Final = (
    r"(?:kan|vil) (?:fortsat |stadig )?(?:modtages|blive modtaget),? men (?:den )?(?:endelige? )?"
    r"(?:behandling(?:en)?|svar(?:ene)?|færdigbehandling(?:en)?) (?:kan|vil) (?:blive |være )?(?:forsinkes|forsinket)"
)
_PROCEDURE: Final = r"(?:nødproceduren?|nødprocedurer(?:ne)?|fallback-?proceduren?)"
_RESEND: Final = r"(?:genindsendes|gensendes|genfremsendes|(?:indsendes|sendes|fremsendes|indberettes|indtastes) (?:igen|på ny|påny|på nyt))"
_DECLARATIONS: Final = (
    r"(?:de |alle )?(?:berørte |afviste |fejlede |påvirkede )?"
    r"(?:angivelser(?:ne)?|indtastninger|filer(?:ne)?|meddelelser(?:ne)?|indberetninger|indsendelser|ekspeditioner)"
    r"(?:,? (?:der|som) (?:er|bliver|blev) (?:blevet )?(?:afvist|berørt|fejlet),?)?"
)
_HAPPENING: Final = (
    r"(?:(?:dette|det planlagte|det|den) )?(?:prd-? ?)?(?:servicevindue(?:t)?|fejlen|problemet|problemerne|driftsforstyrrelsen"
    r"|hændelsen|vedligeholdelsen|nedlukningen|opgraderingen|forstyrrelsen|udfaldet)(?: (?:med|i|på) [^.:;!?,]{2,80}?)?"
)
_NOT_YET: Final = "".join(rf"(?<!\b{word} )" for word in ("når", "indtil", "efter", "hvis", "inden", "før", "såfremt"))
_OVER: Final = r"(?:afsluttet|overstået|ovre|slut|færdigt?|gennemført|løst|rettet|udbedret|afhjulpet|udført)"

_TITLES: Final = (
    rule(
        "access-file-da",
        r"^(?:fil|s2s)[ -]?adgang(?: \(s2s\))?\W*$|^s2s \(fil\)[ -]?adgang\W*$",
        AccessHeading(Access.FILE),
        cues="adgang",
    ),
    rule("access-online-da", r"^online[ -]?adgang\W*$", AccessHeading(Access.ONLINE), cues="online"),
    rule(
        "title-systems-da",
        rf"servicevinduer? (?:på |for |i )?(?:alle toldsystemer ?[/,]? ?)?{_S}(?=\W*$| ?{TIME})",
        effect=named,
        cues="servicevindue",
    ),
    rule(
        "test-window-da",
        r"(?:tfe|test)[ /-]*(?:test)?[ -]*servicevindue",
        Remark("test-environment", "The window concerns a test system: production goes on."),
        cues="tfe|test",
    ),
)

_BEHAVIOUR: Final = (
    rule(
        "files-rejected-da",
        rf"{_FILES} {_S} (?:(?:vil )?(?:enten )?{_FAIL}(?: ?(?:/|eller|og) ?{_FAIL})?|kan ikke (?:sendes|modtages|behandles))"
        rf"{_DURING}",
        effect=states(Behaviour.REJECTED, Access.FILE),
        cues="fejl|afvis|kan ikke",
    ),
    rule(
        "files-queued-da",
        rf"{_FILES} {_S} (?:(?:kan|vil) (?:fortsat |stadig )?(?:modtages|sendes|indsendes|blive modtaget),? (?:og|men) )?"
        rf"(?:vil )?(?:først )?(?:(?:blive(?:r)? )?(?:først )?(?:behandlet|behandles)|sættes i kø(?: og behandles)?) (?:først )?{_AFTER}",
        effect=states(Behaviour.QUEUED, Access.FILE),
        cues="behandle|sættes",
    ),
    rule(
        "files-not-possible-da",
        rf"(?:det (?:vil|er) ikke (?:være )?muligt at|der kan ikke) (?:sende|indsende|sendes|indsendes) (?:filer|meddelelser|xml-filer) til "
        rf"{_S}{_DURING}{_END}",
        effect=states(Behaviour.UNAVAILABLE, Access.FILE),
        cues="muligt|kan ikke",
    ),
    rule(
        "files-delayed-da",
        rf"{_START}{_FILES} {_S} {_LATE}{_DURING}",
        effect=states(Behaviour.DELAYED, Access.FILE),
        cues="forsinke",
    ),
    rule(
        "messages-delayed-da",
        rf"{_START}(?P<messages>[^.:;!?{TIME}]{{4,300}}) til {_S}{_DURING} {_LATE}{_DURING}",
        effect=states(Behaviour.DELAYED),
        cues="forsinke",
    ),
    rule(
        "online-closed-da",
        rf"(?:der (?:er|vil være) )?lukket for (?:den )?online[ -]?adgang(?:en)?(?: til {_S})?{_DURING}{_END}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="lukket for",
    ),
    rule(
        "online-unavailable-da",
        rf"(?:den |det |de )?online[ -]?(?:adgang(?:en)?|system(?:et|er|erne)?)(?: (?:til|for) {_S})? {_IS} (?:være |bliver )?{_DOWN}{_DURING}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="online",
    ),
    rule(
        "access-stated-da",
        rf"(?:(?P<online>online)|fil|s2s)[ -]?adgang(?:en)?(?: til {_S})? {_IS} (?:være |bliver )?(?:(?P<open>{_OPEN})|{_DOWN}){_DURING}",
        effect=access_stated,
        cues="adgang",
    ),
    rule(
        "systems-listed-da",
        rf"(?:det betyder,? at )?(?:de )?følgende (?:told)?systemer {_IS} (?:være )?{_DOWN}{_DURING}",
        Listing(Behaviour.UNAVAILABLE),
        cues="følgende",
    ),
    rule(
        "companies-without-da",
        rf"(?:virksomhederne|brugerne|virksomheder|brugere|man) vil(?: dog)?(?: -)? for {_S}(?: vedkommende)?(?: -)? opleve "
        r"(?:utilgængelighed|nedetid)(?: (?:det meste af|i (?:dele|store dele) af)(?: [a-zæøå]+)?)?(?: i tidsrummet)?",
        effect=states(Behaviour.UNAVAILABLE),
        cues="opleve",
    ),
    rule(
        "without-downtime-da",
        rf"(?:vedrørende|for|hvad angår) {_S}(?:,| vil)[^.:;]{{0,160}}(?:uden nedetid|ingen nedetid)",
        effect=states(Behaviour.NORMAL),
        cues="nedetid",
    ),
    rule(
        "system-available-da",
        rf"{_START}{_S} (?:er|vil være|forbliver) (?:fortsat |stadig )?{_OPEN}{_DURING}",
        effect=states(Behaviour.NORMAL),
        cues="tilgængelig|åben|påvirke|berørt|drift",
    ),
    rule(
        "system-unavailable-da",
        rf"{_START}{_S} (?:er|vil være|bliver) (?:i øjeblikket |pt\.? )?{_DOWN}{_DURING}",
        effect=states(Behaviour.UNAVAILABLE),
        cues="tilgængelig|lukket|nede|ude af drift",
    ),
    rule(
        "instability-da",
        r"(?:(?:kort(?:e|varige?)?|mindre|perioder med) )*(?:ustabilitet|utilgængelighed|udfald)(?: ?(?:/|og|eller) ?(?:ustabilitet|utilgængelighed|nedetid|udfald))?"
        rf"(?: (?:på|i|for) {_S})? (?:kan|må|vil) (?:kunne )?(?:forekomme|forventes|opleves){_DURING}"
        r"|der kan (?:forekomme|opleves|være) (?:korte?(?:varige?)? )?(?:ustabilitet|udfald)(?: ?(?:/|og|eller) ?(?:utilgængelighed|nedetid|udfald))?",
        effect=states(Behaviour.UNSTABLE, general=True),
        cues="stabilitet|utilgængelighed|udfald",
    ),
    rule(
        "part-with-issues-da",
        r"(?:der er |vi (?:har|oplever) )?(?:i øjeblikket |pt\.? |lige nu )?(?:tekniske )?(?:(?:drifts)?problemer|fejl|udfordringer|forstyrrelser) (?:med|i|på) "
        rf"(?P<part>[^.:;,{TIME}]{{2,80}}?)(?: (?:i|på) {_S}{_END}|{_STOP})",
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
        rf"{_DECLARATIONS}(?: (?:i|til) {_S})? skal {_RESEND}(?: {_AFTER})?,? med (?:det )?samme (?:lrn|referencenummer|reference)",
        effect=asks(Recovery.SAME_REFERENCE),
        cues="samme",
    ),
    rule(
        "resubmit-new-reference-da",
        rf"{_DECLARATIONS}(?: (?:i|til) {_S})? skal {_RESEND}(?: {_AFTER})?,? med (?:et )?(?:nyt|andet) (?:lrn|referencenummer)",
        effect=asks(Recovery.NEW_REFERENCE),
        cues="nyt|andet",
    ),
    rule(
        "resubmit-da",
        rf"{_DECLARATIONS}(?: (?:i|til) {_S})? (?:skal|bør|må) {_RESEND}(?: {_AFTER})?",
        effect=asks(Recovery.RESUBMIT),
        cues="sendes|ny|igen",
    ),
    rule(
        "no-resubmission-da",
        rf"(?:det er ikke nødvendigt|der er ikke behov for|du behøver ikke) at (?:gensende|genindsende|sende [^.:;]{{0,60}}igen)(?: {_DECLARATIONS})?",
        Asks(recovery=Recovery.WAIT),
        cues="ikke",
    ),
    rule(
        "fallback-no-longer-da",
        rf"{_PROCEDURE} (?:kan|må) ikke længere (?:anvendes|benyttes|bruges)",
        Permits(Fallback.NO_LONGER, 4),
        cues="ikke længere",
    ),
    rule(
        "fallback-as-needed-da",
        rf"{_PROCEDURE} (?:kan|må) (?:anvendes|benyttes|bruges) (?:i (?:for)?nødvendigt omfang|i fornødent omfang|efter behov|ved behov){_DURING}",
        Permits(Fallback.AS_NEEDED, 2),
        cues="omfang|behov",
    ),
    rule(
        "fallback-only-if-necessary-da",
        rf"(?:du må kun (?:anvende|benytte|bruge) {_PROCEDURE}|{_PROCEDURE} (?:må|kan|bør) kun (?:anvendes|benyttes|bruges)){_DURING},? (?:hvis|såfremt|når) (?:det er )?"
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
        rf"du skal kontakte (?:det relevante |dit )?told(?:ekspeditions?)?kontor(?:et)?,? (?:hvis|såfremt) du (?:har (?:brug|behov) for at|skal|vil) (?:anvende|benytte|bruge) {_PROCEDURE}{_DURING}",
        cues="kontakte",
    ),
    rule(
        "fallback-allowed-da",
        rf"{_PROCEDURE} (?:kan|må|er tilladt at) (?:anvendes|benyttes|bruges){_DURING}|det er tilladt at (?:anvende|benytte|bruge) {_PROCEDURE}{_DURING}",
        Permits(Fallback.ALLOWED),
        cues="procedure",
    ),
)

_EVENTS: Final = (
    rule(
        "start-labelled-da",
        rf"^(?:start(?:er|tid|tidspunkt)?|begynder)(?: den)?:? ?(?={TIME}\W*$)",
        Times(TimeRole.WINDOW),
        cues="start|begynder",
    ),
    rule(
        "end-labelled-da",
        rf"^(?:slut(?:ter|tid|tidspunkt)?|afsluttes)(?: den)?:? ?(?={TIME}\W*$)",
        Times(TimeRole.NEW_END),
        cues="slut",
    ),
    rule(
        "copy-of-another-da",
        rf"(?:er )?en kopi af (?:{_LINK}|[^.:;]{{3,80}})",
        Remark("duplicate-notice", "The notice says that it is a copy of another one: read that one."),
        cues="kopi",
    ),
    rule(
        "goes-on-elsewhere-da",
        rf"(?:følg|se) (?:venligst )?(?:den videre udvikling|yderligere opdateringer|flere opdateringer|opdateringer)(?: (?:på|i|under|her))?:? {_LINK}",
        Remark("continued-elsewhere", "What happens next is in another notice: read that one."),
        cues="følg|se ",
    ),
    rule(
        "reference-missing-da",
        r"(?:bemærk,? (?:venligst )?at )?(?:der er )?[^.:;]{0,80}(?:,? se(?: også)?|opfølgning på)\W*$",
        Remark("reference-missing", "The sentence points to another notice and does not name it: look for it."),
        cues=" se|opfølgning",
    ),
    rule("ended-word-da", rf"^(?:opdatering\W+)?(?:er )?{_OVER}(?=\W|$)", Event(EventKind.ENDED), Times(TimeRole.END)),
    rule(
        "ended-da",
        rf"{_NOT_YET}\b{_HAPPENING} (?:er|blev|var) (?:nu )?{_OVER}(?: (?:kl|fra|siden))?",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="er |blev|var",
    ),
    rule(
        "ended-after-time-da",
        rf"(?<={TIME}) er (?:nu )?{_OVER}",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="er ",
    ),
    rule(
        "system-works-again-da",
        rf"{_START}{_S} (?:er|kører|fungerer) (?:nu )?(?:igen (?:tilgængelige?|oppe|åben|i drift)|(?:tilgængelige?|oppe|åben|i drift) igen)",
        effect=works_again,
        cues="igen",
    ),
    rule(
        "works-again-da",
        r"(?:alle )?(?:systemet|systemerne|toldsystemer(?:ne)?|driften) (?:er|kører|fungerer) (?:nu )?(?:igen )?(?:tilgængelige?|oppe|normalt?|stabilt|i (?:normal )?drift)(?: igen)?",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="igen|normal|oppe",
    ),
    rule(
        "cancelled-da",
        rf"(?:{_HAPPENING} )?(?:er |bliver )?(?:blevet )?(?:aflyst|annulleret)",
        Event(EventKind.CANCELLED),
        Times(TimeRole.OTHER),
        cues="aflyst|annulleret",
    ),
    rule(
        "moved-da",
        rf"(?:{_HAPPENING} )?(?:er |bliver )?(?:blevet )?(?:flyttet|udskudt|rykket)(?: fra {TIME}+)? til(?= (?:den )?{TIME})",
        Event(EventKind.MOVED),
        Times(TimeRole.NEW),
        cues="flyttet|udskudt|rykket",
    ),
    rule(
        "postponed-da",
        rf"(?:{_HAPPENING} )?(?:er |bliver )?(?:blevet )?(?:udskudt|flyttet)(?: (?:indtil videre|på ubestemt tid|til senere))?{_STOP}",
        Event(EventKind.MOVED),
        Times(TimeRole.OTHER),
        cues="udskudt|flyttet",
    ),
    rule(
        "extended-da",
        rf"(?:{_HAPPENING} )?(?:er |bliver )?(?:blevet )?forlænget(?: (?:til|indtil))?",
        Event(EventKind.DELAYED),
        Times(TimeRole.NEW_END),
        cues="forlænget",
    ),
    rule(
        "delayed-da",
        rf"(?:{_HAPPENING} (?:er |bliver )(?:blevet )?|^)forsinket(?:,? ?tidshorisont(?:en)? (?:er )?(?:u?kendt|ukendt))?",
        Event(EventKind.DELAYED),
        cues="forsinket",
    ),
    rule(
        "expected-end-da",
        r"(?:nyt )?(?:forvent(?:et|es|ede)) (?:at være )?(?:sluttidspunkt|sluttid|slut|afsluttet|afslutning|færdigt?|løst)(?: (?:er|den|kl))*",
        Times(TimeRole.EXPECTED_END),
        cues="forvent",
    ),
    rule(
        "edited-start-da",
        r"(?:ændring|rettelse|ændret|rettet)(?: af| i)? starttidspunkt(?:et)?(?: til)?",
        Event(EventKind.EDITED),
        Times(TimeRole.START),
        cues="starttid",
    ),
    rule(
        "edited-end-da",
        r"(?:ændring|rettelse|ændret|rettet)(?: af| i)? sluttidspunkt(?:et)?(?: til)?",
        Event(EventKind.EDITED),
        Times(TimeRole.NEW_END),
        cues="sluttid",
    ),
    rule(
        "ongoing-da",
        r"(?:der arbejdes (?:på|med)|vi arbejder (?:på|med)|fejlen (?:undersøges|er ved at blive)) ?[^.:;]{0,60}",
        Event(EventKind.ONGOING),
        cues="arbejde|undersøges",
    ),
    rule(
        "upgrade-da",
        r"(?:foretages|gennemføres) en (?:større |mindre )?(?:teknisk )?opgradering(?: i [^.:;]{2,80})?",
        cues="opgradering",
    ),
)

_IDLE: Final = (
    rule("apology-da", r"vi beklager(?: (?:ulejligheden|de gener|eventuelle gener))?[^.:;]{0,60}", cues="beklager"),
    rule("signature-da", r"med venlig hilsen|venlig hilsen", cues="hilsen"),
    rule(
        "client-updated-da",
        r"efter servicevinduet(?: vil| bliver)? online[ -]?klienten[^.:;]{0,120}(?:opdateret|opdateres) automatisk",
        cues="klient",
    ),
)

DANISH: Final = (*_IDLE, *_TITLES, *_BEHAVIOUR, *_ORDERS, *_EVENTS)
