"""
The Dutch National Customs Helpdesk: its zone, labels, words, names of systems, and rules.

Data alone; `htpoort.core.notices._authorities` makes an authority of it.
"""

from __future__ import annotations

import re
from typing import Final

from htpoort.core.notices._dutch import DUTCH
from htpoort.core.notices._english import ENGLISH
from htpoort.core.notices._rules import RuleSet
from htpoort.core.notices._systems import SystemNames

__all__ = ["DOUANE_BREAKS", "DOUANE_MARKS", "DOUANE_NAMES", "DOUANE_RULES"]

DOUANE_NAMES: Final = SystemNames(
    known=(
        "AGS", "DMS", "NCTS", "EMCS", "ICS", "ICS2", "ECS", "DSU", "Deco", "DECO", "DTV", "DVA", "HTG", "GPA", "CDMS",
        "EU Trader Portal", "Mijn Douane", "PoUS", "CCS", "AES", "DMS in- en uitvoer, opslag", "AGS in- en uitvoer",
    ),
)  # fmt: skip

DOUANE_MARKS: Final = (
    "douane", "dutch custom", "national customs helpdesk", "nationale helpdesk", "nh.douane", "publication date",
    "publicatiedatum", "publication", "publicatie", "main process", "mainprocess",
    "hoofdproces", "the process ", "het proces", "availability of the", "beschikbaarheid van het", "previous message:",
    "vorig bericht", "( modified )", "( gewijzigd )", "share this page", "deel deze pagina", "noodprocedure",
    "government systems", "overheid", "htg",
    "ags", "ncts", "emcs", "service messages", "bto",
    "berichtenverkeer", "aangifte", "storing", " deco", "dtv",
    "uur", "return messages", "retourberichten", "buffered", "nl - ", "geschatte", "sti", "registered consignee", "lrn",
)  # fmt: skip

DOUANE_BREAKS: Final = re.compile(
    r"(?<= )(?:you (?:can|are allowed|may|will be informed)|we advise|(?:scheduled|planned|emergency) maintenance:"
    r"|gepland onderhoud:|spoedonderhoud:|u (?:kunt|mag|wordt)|wij adviseren|as a result|hierdoor|after completion"
    r"|na afloop|share this page|deel deze pagina|however:|this has an impact|this affects|(?:the|all|these|all"
    r" received) messages (?:will|are)|alle berichten|de berichten worden|dit heeft|due to|url: )"
)

_NEUTRAL_WORDS: Final = """
    received unavailability component recovery outage failure electronic ontvangen uitval
    aangifte aangiften aanleveren afloop after alsnog any bericht berichten can completion custom customs
    declaration declarations deliver door during dutch end ends follow gebruikelijk gedurende government
    hersteld indienen insturen kan kunt main mainprocess maintenance malfunction may message messages
    momenteel na necessary onderdeel onderhoud performed possible proces process processed processen processes
    required return send still storing submit temporarily these they tijdelijk unavailable usual usually
    verstoring verwerkt zoals zolang"""
_NEUTRAL: Final = frozenset(_NEUTRAL_WORDS.split())

DOUANE_RULES: Final = RuleSet((*DUTCH, *ENGLISH), DOUANE_NAMES, _NEUTRAL)
