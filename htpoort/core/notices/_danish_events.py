"""Rules for notices in Danish: the event, titles, and what states nothing; see `_danish_words`."""

from __future__ import annotations

from typing import Final

from htpoort.core.notices import _danish_words as w
from htpoort.core.notices._effects import ended, moved, named, works_again
from htpoort.core.notices._facts import AccessHeading, Event, EventKind, Remark, TimeRole, Times
from htpoort.core.notices._rules import TIME, rule
from htpoort.core.notices.notice import Access

__all__ = ["EVENTS_DA", "IDLE_DA", "MOVES_DA", "TITLES_DA"]

TITLES_DA: Final = (
    rule(
        "access-file-da",
        r"^(?:fil|s2s)[ -]?adgang(?: \(s2s\))?\W*$|^s2s \(fil\)[ -]?adgang\W*$",
        AccessHeading(Access.FILE),
        cues="adgang",
    ),
    rule("access-online-da", r"^online[ -]?adgang\W*$", AccessHeading(Access.ONLINE), cues="online"),
    rule(
        "title-systems-da",
        rf"servicevinduer? (?:på |for |i )?(?:alle toldsystemer ?[/,]? ?)?{w.S}(?=\W*$| ?{TIME})",
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

MOVES_DA: Final = (
    rule(
        "moved-da",
        rf"(?:{w.HAPPENING} )?(?:(?:(?:den|planlagt til) )?(?P<old>{TIME}+),? )?(?:er |bliver )?(?:blevet )?"
        rf"(?:flyttet|udskudt|rykket)(?: (?P<from>{TIME}+))? til(?= (?:den )?{TIME})",
        effect=moved,
        cues="flyttet|udskudt|rykket",
    ),
)

EVENTS_DA: Final = (
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
        rf"(?:er )?en kopi af (?:{w.LINKS}|[^.:;]{{3,80}})",
        Remark("duplicate-notice", "The notice says that it is a copy of another one: read that one."),
        cues="kopi",
    ),
    rule(
        "goes-on-elsewhere-da",
        rf"(?:følg|se) (?:venligst )?(?:den videre udvikling|yderligere opdateringer|flere opdateringer|opdateringer)(?: (?:på|i|under|her))?:? {w.LINKS}",
        Remark("continued-elsewhere", "What happens next is in another notice: read that one."),
        cues="følg|se ",
    ),
    rule(
        "reference-missing-da",
        r"(?:bemærk,? (?:venligst )?at )?(?:der er )?[^.:;]{0,80}(?:,? se(?: også)?|opfølgning på)\W*$",
        Remark("reference-missing", "The sentence points to another notice and does not name it: look for it."),
        cues=" se|opfølgning",
    ),
    rule("ended-word-da", rf"^(?:opdatering\W+)?(?:er )?{w.OVER}(?=\W|$)", Event(EventKind.ENDED), Times(TimeRole.END)),
    rule(
        "ended-da",
        rf"{w.NOT_YET}\b{w.HAPPENING} (?:er|blev|var) (?:nu )?{w.OVER}(?: (?:kl|fra|siden))?",
        effect=ended,
        cues="er |blev|var",
    ),
    rule(
        "ended-after-time-da",
        rf"(?<={TIME}) er (?:nu )?{w.OVER}",
        Event(EventKind.ENDED),
        Times(TimeRole.END),
        cues="er ",
    ),
    rule(
        "system-works-again-da",
        rf"{w.START}{w.S} (?:er|kører|fungerer) (?:nu )?(?:igen (?:tilgængelige?|oppe|åben|i drift)|(?:tilgængelige?|oppe|åben|i drift) igen)",
        effect=works_again,
        cues="igen",
    ),
    rule(
        "works-again-da",
        r"(?:alle )?(?:systemet|systemerne|toldsystemer(?:ne)?|driften) (?:er|kører|fungerer) (?:nu )?(?:igen )?(?:tilgængelige?|oppe|normalt?|stabilt|i (?:normal )?drift)(?: igen)?",
        effect=works_again,
        cues="igen|normal|oppe",
    ),
    rule(
        "cancelled-da",
        rf"(?:{w.HAPPENING} )?(?:er |bliver )?(?:blevet )?(?:aflyst|annulleret)",
        Event(EventKind.CANCELLED),
        Times(TimeRole.OTHER),
        cues="aflyst|annulleret",
    ),
    rule(
        "postponed-da",
        rf"(?:{w.HAPPENING} )?(?:er |bliver )?(?:blevet )?(?:udskudt|flyttet)(?: (?:indtil videre|på ubestemt tid|til senere))?{w.STOP}",
        Event(EventKind.MOVED),
        Times(TimeRole.OTHER),
        cues="udskudt|flyttet",
    ),
    rule(
        "extended-da",
        rf"(?:{w.HAPPENING} )?(?:er |bliver )?(?:blevet )?forlænget(?: (?:til|indtil))?",
        Event(EventKind.DELAYED),
        Times(TimeRole.NEW_END),
        cues="forlænget",
    ),
    rule(
        "delayed-da",
        rf"(?:{w.HAPPENING} (?:er |bliver )(?:blevet )?|^)forsinket(?:,? ?tidshorisont(?:en)? (?:er )?(?:u?kendt|ukendt))?",
        Event(EventKind.DELAYED),
        cues="forsinket",
    ),
    rule(
        "end-unknown-da",
        r"(?:det )?(?:nye |nyt )?sluttidspunkt(?:et)? (?:er|kendes) (?:endnu )?(?:ukendt|ikke(?: kendt)?)(?: endnu)?",
        Event(EventKind.DELAYED),
        Times(TimeRole.OTHER),
        cues="sluttid",
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

IDLE_DA: Final = (
    rule("apology-da", r"vi beklager(?: (?:ulejligheden|de gener|eventuelle gener))?[^.:;]{0,60}", cues="beklager"),
    rule("signature-da", r"med venlig hilsen|venlig hilsen", cues="hilsen"),
    rule(
        "client-updated-da",
        r"efter servicevinduet(?: vil| bliver)? online[ -]?klienten[^.:;]{0,120}(?:opdateret|opdateres) automatisk",
        cues="klient",
    ),
)
