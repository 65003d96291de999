"""
The authorities whose notices are read: their zones, labels, words, names of systems, and rules.

A further authority is one more table here, and rules for its sentences.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import attrs

from htpoort.core.notices._danish import DANISH
from htpoort.core.notices._douane import DOUANE_BREAKS, DOUANE_MARKS, DOUANE_NAMES, DOUANE_RULES
from htpoort.core.notices._english import ENGLISH
from htpoort.core.notices._rules import RuleSet
from htpoort.core.notices._systems import SystemNames
from htpoort.core.notices.notice import Access, NoticeKind, NoticeState

__all__ = ["AUTHORITIES", "NO_AUTHORITY", "Authority", "Label"]


class Label(enum.Enum):
    """What stands after a label."""

    UPDATED = "updated"
    PUBLISHED = "published"
    OLDER = "older"
    """The text before the newest one."""
    TYPE = "type"
    STATUS = "status"
    SYSTEM = "system"
    MESSAGE = "message"


@lru_cache(maxsize=4096)
def _translated(name: str, translations: tuple[tuple[str, str], ...]) -> str:
    name = name.casefold()
    for word, other in translations:
        name = name.replace(word, other)
    return name


@attrs.frozen(kw_only=True, eq=False)
class Authority:
    """
    What is known of an authority's notices; all text to compare with is folded.

    Args:
        key: Its name in a `Notice`.
        zone: The zone of its times.
        languages: The languages that it publishes in.
        marks: What only its notices have; the more of it a text has, the surer it is of this authority.
        labels: Words at the start of a line, longest first where one begins with another.
        kinds: Its words for what a notice is about.
        statuses: Its words for the state; None if the word leaves the state open.
        names: The names of systems that it prints.
        others: Systems of the authority that no declaration goes to.
        tests: Names of test systems.
        breaks: What begins a new sentence even if the line end before it was lost.
        reference: The form of its references.
        rules: For its sentences.
        stamp_begins_text: Whether a stamp below a text begins an older text.
        translations: Words of names in one language, and the same in another.
        access: The access that a sentence is about which does not say.
        one_subject: Whether each notice is about one thing that its title names, perhaps in two languages.
    """

    key: str | None
    zone: str | None
    languages: tuple[str, ...]
    marks: tuple[str, ...] = ()
    labels: Mapping[str, Label] = attrs.field(factory=dict[str, Label])
    kinds: Mapping[str, NoticeKind] = attrs.field(factory=dict[str, NoticeKind])
    statuses: Mapping[str, NoticeState | None] = attrs.field(factory=dict[str, "NoticeState | None"])
    names: SystemNames = attrs.field(factory=SystemNames)
    others: frozenset[str] = frozenset()
    tests: frozenset[str] = frozenset()
    breaks: re.Pattern[str]
    reference: re.Pattern[str] | None = None
    rules: RuleSet
    stamp_begins_text: bool = True
    translations: tuple[tuple[str, str], ...] = ()
    access: Access = Access.ANY
    one_subject: bool = False

    def canonical(self, name: str) -> str:
        """Return a name in one language, to compare with others."""
        return _translated(name, self.translations)


_DANISH_NAMES: Final = SystemNames(
    known=(
        "Import", "Export", "Eksport", "ICS", "ICS2", "Import Control System (ICS)", "Manifest",
        "NCTS", "NCTS (Transit)", "Transit (NCTS)", "Transit", "Forsendelse", "DMS", "DMS Import", "DMS Export",
        "DMS Eksport", "DMS Forsendelse", "DMS Forsendelse (NCTS)", "DMS Transit", "DMS Transit (NCTS)",
        "Customs portal (DMS import)", "Customs Portal", "Toldportalen (DMS import)", "Toldportalen", "EMCS",
        "EU-systems", "EU-systemer", "EU systems", "EU-CTP", "IPEP", "Traderportal",
        "E-tax for businesses (NTSE)", "TastSelv Erhverv (NTSE)",
        "TFE (testsystems)", "TFE (testsystemer)", "TFE", "AES", "H7", "VIES", "TARIC",
        "Tariff", "Toldtarif",
    ),
    categories=frozenset(
        {"other messages", "andre meddelelser", "øvrige meddelelser", "other", "andet", "all customs systems",
         "toldsystemer"}
    ),
)  # fmt: skip

TOLDSTYRELSEN: Final = Authority(
    key="toldstyrelsen",
    zone="Europe/Copenhagen",
    languages=("en", "da"),
    marks=(
        "danish customs agency", "toldstyrelsen", "info.skat.dk", "skat.dk", "prd-service", "tfe", "servicevindue",
        "scheduled unavailability", "unavailability status", "planlagt nedlukning", "nedlukning status",
        "dms eksport", "dms forsendelse", "dms export", "wo0000", "tastselv", "b2b gateway",
        "inc0000", "files sent to", "ncts (transit)", "transit (ncts)", "toldsystem", "toldsegment", "customs portal",
        "meddelelse", "import control system", "manifest", "eksport", "virksomhederne", "kl. ", "nødprocedure",
    ),
    labels={
        "last updated": Label.UPDATED, "sidst opdateret": Label.UPDATED, "senest opdateret": Label.UPDATED,
        "dato for udgivelse": Label.PUBLISHED, "date of publication": Label.PUBLISHED,
        "updated": Label.UPDATED, "opdateret": Label.UPDATED, "published": Label.PUBLISHED, "udgivet": Label.PUBLISHED,
        "publiceret": Label.PUBLISHED, "offentliggjort": Label.PUBLISHED, "oprettet": Label.PUBLISHED,
        "type": Label.TYPE, "status": Label.STATUS, "systems": Label.SYSTEM, "systemer": Label.SYSTEM,
        "system": Label.SYSTEM, "message": Label.MESSAGE, "meddelelse": Label.MESSAGE, "besked": Label.MESSAGE,
    },
    kinds={
        "scheduled unavailability": NoticeKind.PLANNED, "planned unavailability": NoticeKind.PLANNED,
        "planlagt nedlukning": NoticeKind.PLANNED, "planlagt nedetid": NoticeKind.PLANNED,
        "planlagt utilgængelighed": NoticeKind.PLANNED, "planlagt servicevindue": NoticeKind.PLANNED,
        "service window": NoticeKind.PLANNED, "servicevindue": NoticeKind.PLANNED,
        "disruption": NoticeKind.INCIDENT, "service disruption": NoticeKind.INCIDENT, "incident": NoticeKind.INCIDENT,
        "operational disruption": NoticeKind.INCIDENT, "unscheduled unavailability": NoticeKind.INCIDENT,
        "driftsforstyrrelse": NoticeKind.INCIDENT, "driftsforstyrrelser": NoticeKind.INCIDENT,
        "nedbrud": NoticeKind.INCIDENT, "fejl": NoticeKind.INCIDENT, "error": NoticeKind.INCIDENT,
        "problem": NoticeKind.INCIDENT, "information": NoticeKind.OTHER,
    },
    statuses={
        "closed": NoticeState.ENDED, "afsluttet": NoticeState.ENDED, "lukket": NoticeState.ENDED,
        "resolved": NoticeState.ENDED, "løst": NoticeState.ENDED, "udført": NoticeState.ENDED,
        "completed": NoticeState.ENDED, "cancelled": NoticeState.CANCELLED, "canceled": NoticeState.CANCELLED,
        "aflyst": NoticeState.CANCELLED, "open": None, "active": None, "aktiv": None, "åben": None, "ongoing": None,
        "igangværende": None, "in progress": None, "under behandling": None, "planned": None, "planlagt": None,
        "scheduled": None, "scheduled unavailability": None, "planlagt nedlukning": None, "disruption": None,
        "planlagt nedetid": None, "planlagt utilgængelighed": None, "planlagt servicevindue": None,
        "driftsforstyrrelse": None, "information": None,
    },
    names=_DANISH_NAMES,
    others=frozenset({
        "e-tax for businesses (ntse)", "tastselv erhverv (ntse)", "tastselv", "tastselv erhverv", "tastselv borger",
        "motorregistret", "eindkomst", "eincome", "mitid", "skattekontoen", "one stop moms", "moms one stop shop",
    }),
    tests=frozenset({"tfe (testsystems)", "tfe (testsystemer)", "tfe", "tfe/test", "test"}),
    breaks=re.compile(
        r"(?<= )(?:files? (?:sent )?to |the online systems? for |affected entries |the use of (?:the )?fallback |"
        r"you may only use |please (?:note|refer) |file access(?:[:.,]| \(s2s\))|s2s \(files?\) access"
        r"|online access[:.,]|arrival declarations|filer (?:sendt )?til |der er lukket for |nødprocedure"
        r"|fil adgang|filadgang|online adgang|updated?:? [0-9]|the danish customs agency|prd-service ?window"
        r"|expected end)"
    ),
    translations=(("eksport", "export"), ("forsendelse", "transit"), ("toldportalen", "customs portal")),
    reference=re.compile(r"\b(?:wo|inc|chg|crq|prb)[0-9]{6,20}\b"),
    rules=RuleSet((*ENGLISH, *DANISH), _DANISH_NAMES),
)  # fmt: skip

DOUANE: Final = Authority(
    key="douane",
    zone="Europe/Amsterdam",
    languages=("nl", "en"),
    marks=DOUANE_MARKS,
    labels={
        "publication date": Label.PUBLISHED, "posted on": Label.PUBLISHED, "geplaatst op": Label.PUBLISHED,
        "publicatiedatum": Label.PUBLISHED, "published": Label.PUBLISHED,
        "date of publication": Label.PUBLISHED, "datum publicatie": Label.PUBLISHED, "gepubliceerd": Label.PUBLISHED,
        "previous message": Label.OLDER, "vorig bericht": Label.OLDER, "previous notice": Label.OLDER,
        "vorige bericht": Label.OLDER, "eerder bericht": Label.OLDER,
    },
    names=DOUANE_NAMES,
    breaks=DOUANE_BREAKS,
    rules=DOUANE_RULES,
    stamp_begins_text=False,
    access=Access.FILE,
    one_subject=True,
)  # fmt: skip

NO_AUTHORITY: Final = attrs.evolve(TOLDSTYRELSEN, key=None, zone=None, marks=())
"""What all notices share, for one whose authority is not known."""

AUTHORITIES: Final = {authority.key: authority for authority in (TOLDSTYRELSEN, DOUANE)}
