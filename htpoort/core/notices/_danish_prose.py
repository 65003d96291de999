"""Rules for notices in Danish that are written as prose, or name no system; see `_danish_words`."""

from __future__ import annotations

from typing import Final

from htpoort.core.notices import _danish_words as w
from htpoort.core.notices._effects import states
from htpoort.core.notices._facts import Asks, Event, EventKind, TimeRole, Times
from htpoort.core.notices._rules import TIME, rule
from htpoort.core.notices.notice import Access, Behaviour, Recovery

__all__ = ["PROSE_DA"]

_FILES: Final = r"(?:alle )?(?:xml-?|s2s-?)?(?:filer|meddelelser|angivelser)(?:,? (?:som |der )?(?:er |bliver )?(?:sendt|sendes|indsendt))?"

PROSE_DA: Final = (
    rule(
        "files-rejected-here-da",
        rf"^{_FILES}{w.DURING} (?:vil )?{w.FAIL}(?: ?(?:/|eller|og) ?{w.FAIL})?{w.DURING}",
        effect=states(Behaviour.REJECTED, Access.FILE),
        cues="fejl|afvis",
    ),
    rule(
        "files-queued-here-da",
        rf"^{_FILES}{w.DURING} (?:(?:(?:kan|vil) (?:fortsat |stadig )?)?(?:modtages|sendes|blive modtaget),? (?:og|men) )?"
        rf"(?:vil )?(?:først )?(?:(?:blive(?:r)? )?(?:først )?(?:behandlet|behandles)|sættes i kø(?: og behandles)?) (?:først )?{w.AFTER}",
        effect=states(Behaviour.QUEUED, Access.FILE),
        cues="behandle|sættes",
    ),
    rule(
        "no-online-access-da",
        rf"(?:der (?:er|vil være) )?(?:ikke|ingen) (?:mulighed for )?online[ -]?adgang(?: (?:til|for) {w.S})?{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="online",
    ),
    rule(
        "no-online-use-da",
        rf"det (?:er|vil) (?:i øjeblikket )?ikke (?:være )?muligt at (?:logge på|logge ind (?:på|i)|tilgå|anvende|bruge|benytte|arbejde i)"
        rf" {w.S}(?: online)?{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.ONLINE),
        cues="muligt",
    ),
    rule(
        "no-file-access-da",
        rf"(?:der (?:er|vil være) )?(?:ikke|ingen) (?:mulighed for )?(?:fil|s2s)[ -]?adgang(?: (?:til|for) {w.S})?{w.DURING}{w.END}",
        effect=states(Behaviour.UNAVAILABLE, Access.FILE),
        cues="adgang",
    ),
    rule(
        "system-down-da",
        rf"^(?:systemet|systemerne|toldsystemerne|det|de) (?:er|vil være|bliver) {w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE, general=True),
        cues="tilgængelig|lukket|nede|ude af drift",
    ),
    rule(
        "down-then-da",
        rf"^(?:(?:den |fra |i perioden )?{TIME}++,? ?)+(?:er|vil|bliver) {w.S} (?:være )?{w.DOWN}{w.DURING}",
        effect=states(Behaviour.UNAVAILABLE),
        cues="tilgængelig|lukket|nede|ude af drift",
    ),
    rule(
        "closed-down-da",
        rf"^{w.S} (?:lukkes|lukker|tages)(?: (?:ned|ud af drift))?(?= ?(?:den )?{TIME})",
        effect=states(Behaviour.UNAVAILABLE, general=True),
        cues="lukkes|lukker|tages",
    ),
    rule(
        "and-resubmit-da",
        rf",? og (?:de )?skal {w.RESEND}(?:,? {w.AFTER}|,? når (?:systemet|systemerne) er (?:oppe|tilgængeligt?e?|i drift|åbent?)(?: igen)?)?",
        Asks(recovery=Recovery.RESUBMIT, of_sentence=True),
        cues=" og ",
    ),
    rule(
        "takes-place-da",
        rf"{w.HAPPENING} (?:finder sted|gennemføres|afholdes|er planlagt|foregår|varer)(?: (?:den|til|fra))?(?= ?{TIME})",
        cues="finder|gennemføres|afholdes|planlagt|foregår|varer",
    ),
    rule(
        "called-off-da",
        rf"{w.HAPPENING}(?: (?:den |fra )?{TIME}+)? (?:gennemføres|afholdes) (?:alligevel |dog )?ikke(?: alligevel)?|{w.HAPPENING} bliver ikke til noget",
        Event(EventKind.CANCELLED),
        Times(TimeRole.WINDOW),
        cues="ikke",
    ),
)
