"""
Parts of the patterns of the rules for Danish.

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
    "IS",
    "LATE",
    "LINKS",
    "NOT_YET",
    "OPEN",
    "OVER",
    "PROCEDURE",
    "RESEND",
    "START",
    "STOP",
    "WINDOW",
    "M",
    "S",
]

S: Final = rf"(?P<systems>[^.:;!?{TIME}{REFERENCE}{LINK}]{{2,300}}?)"
M: Final = rf"(?P<messages>[^.:;!?{TIME}]{{4,300}}?)"
LINKS: Final = f"[{LINK}{REFERENCE}]+"
START: Final = r"(?:^|(?<=[.;:] ))"
STOP: Final = r"(?=\W*$|[.,;] )"
END: Final = rf"(?=\W*$|[.;] | (?:siden|fra) {TIME}| (?:mens|fordi|når|under|på grund af|grundet) )"  # of a list of names, which has commas
WINDOW: Final = r"(?:hele )?(?:det )?(?:prd-? ?)?(?:servicevinduet?|perioden|vedligeholdelsen|nedlukningen|lukningen)"
DURING: Final = (
    rf"(?:,? (?:under|i|inden for|på grund af|grundet) {WINDOW}|,? indtil (?:fejlen|problemet|hændelsen|driftsforstyrrelsen) er "
    r"(?:rettet|løst|udbedret|afhjulpet))?"
)
AFTER: Final = (
    rf"(?:(?:efter|når) (?:(?:prd-? ?)?servicevinduets (?:afslutning|ophør|udløb)|(?:afslutningen|udløbet) af {WINDOW}"
    rf"|{WINDOW}(?: er (?:afsluttet|slut|overstået|ovre|færdigt|forbi))?))"
)
FILES: Final = r"(?:alle )?(?:xml-?|s2s-?)?(?:filer|meddelelser|beskeder)(?:,? (?:som |der )?(?:er )?(?:sendt|sendes|indsendt))? til"
FAIL: Final = r"(?:fejle?r?|(?:blive(?:r)? )?afvis(?:t|es))"
DOWN: Final = r"(?:utilgængelige?t?|ikke (?:være )?tilgængelige?t?|lukke(?:t|de)|nede|ude af drift)"
OPEN: Final = r"(?:tilgængelige?t?|åbent?|upåvirkede?t?|ikke (?:være )?(?:berørt|påvirket)|i drift)"
IS: Final = r"(?:vil|er|bliver|forventes)"
LATE: Final = (
    r"(?:(?:kan|vil) (?:fortsat |stadig )?)?(?:modtages|blive modtaget),? men (?:den )?(?:endelige? )?"
    r"(?:behandling(?:en)?|svar(?:ene)?|færdigbehandling(?:en)?) (?:kan|vil) (?:blive |være )?(?:forsinkes|forsinket|forsinkede)"
)
PROCEDURE: Final = r"(?:nødproceduren?|nødprocedurer(?:ne)?|fallback-?proceduren?)"
RESEND: Final = r"(?:genindsendes|gensendes|genfremsendes|(?:indsendes|sendes|fremsendes|indberettes|indtastes) (?:igen|på ny|påny|på nyt))"
DECLARATIONS: Final = (
    r"(?:de |alle )?(?:berørte |afviste |fejlede |påvirkede )?"
    r"(?:angivelser(?:ne)?|indtastninger|filer(?:ne)?|meddelelser(?:ne)?|indberetninger|indsendelser|ekspeditioner)"
    r"(?:,? (?:der|som) (?:er|bliver|blev) (?:blevet )?(?:afvist|berørt|fejlet),?)?"
)
HAPPENING: Final = (
    r"(?:(?:dette|det planlagte|det|den) )?(?:prd-? ?)?(?:servicevindue(?:t)?|fejlen|problemet|problemerne|driftsforstyrrelsen"
    r"|hændelsen|vedligeholdelsen|nedlukningen|opgraderingen|forstyrrelsen|udfaldet)(?: (?:med|i|på) (?:(?!\b(?:ikke|aldrig|ingen)\b)[^.:;!?,]){2,80}?)?"
)
NOT_YET: Final = "".join(rf"(?<!\b{word} )" for word in ("når", "indtil", "efter", "hvis", "inden", "før", "såfremt"))
OVER: Final = (
    r"(?:afsluttet|overstået|ovre|slut|færdigt?|gennemført|løst|rettet|udbedret|afhjulpet|udført)"
    r"(?: (?:tidligere|senere|før|hurtigere) end (?:planlagt|forventet|ventet|varslet))?"
)
