"""Sentences of the Dutch Helpdesk that are prose: each rule reads what it is for, wherever its times stand."""

from __future__ import annotations

import pytest

from htpoort.core.notices import _facts
from htpoort.core.notices._authorities import DOUANE
from htpoort.core.notices._collect import SentenceReader
from htpoort.core.notices._dutch_prose import DUTCH_PROSE
from htpoort.core.notices._facts import (
    EventKind,
    Fact,
    KindWord,
    Listing,
    MessageList,
    Named,
    Statement,
    Subject,
    TimeRole,
    Times,
)
from htpoort.core.notices._text import read_text
from htpoort.notices import Access, Behaviour, NoticeKind, read_notice

DOWN = Statement(behaviour=Behaviour.UNAVAILABLE, general=True)
LIMITED = Statement(behaviour=Behaviour.LIMITED, general=True)
ENDED = _facts.Event(EventKind.ENDED)
ONGOING = _facts.Event(EventKind.ONGOING)
PLANNED, INCIDENT = KindWord(NoticeKind.PLANNED), KindWord(NoticeKind.INCIDENT)
NOON = "04-05-2027 12:00"

RULES: dict[str, tuple[str, tuple[Fact, ...]]] = {
    "then-down": (
        f"Op {NOON} is het proces Malt (MALT) wegens onderhoud tijdelijk buiten gebruik.",
        (Subject(("Malt (MALT)",)), DOWN, PLANNED),
    ),
    "down-because": (
        "Door werkzaamheden zijn AGS en DMS gedeeltelijk beschikbaar.",
        (Subject(("AGS", "DMS")), LIMITED, PLANNED),
    ),
    "then-down-en": (
        f"On {NOON} the process Malt (MALT) will be partly available because of a failure.",
        (Subject(("Malt (MALT)",)), LIMITED, INCIDENT),
    ),
    "will-not-be-available": (
        f"DMS zal op {NOON} niet beschikbaar zijn vanwege werkzaamheden.",
        (Subject(("DMS",)), DOWN, PLANNED),
    ),
    "in-a-queue": (
        "Aangiften worden tot die tijd in een wachtrij gezet, en worden na de werkzaamheden alsnog verwerkt.",
        (Statement(behaviour=Behaviour.QUEUED),),
    ),
    "system-down-nl": ("Tijdens het onderhoud zijn de systemen niet beschikbaar.", (DOWN,)),
    "onderhoud-aan": (f"Er is onderhoud aan Malt (MALT) gepland op {NOON}.", (Subject(("Malt (MALT)",)), PLANNED)),
    "because-of-disruption": (
        f"Door een storing in DMS konden op {NOON} berichten niet worden verzonden.",
        (Named(("DMS",), title=False), Times(TimeRole.WINDOW)),
    ),
    "disruption-took-place-in": (
        f"Een storing deed zich voor in het NCTS op {NOON}.",
        (Named(("NCTS",), title=False), Times(TimeRole.WINDOW)),
    ),
    "disruption-solved": (
        f"De storing bij het proces Malt (MALT) is sinds {NOON} opgelost.",
        (Named(("Malt (MALT)",), title=False), ENDED, Times(TimeRole.END)),
    ),
    "named-disruption-solved": (
        f"The DMS outage of {NOON} has been fixed.",
        (Named(("DMS",), title=False), ENDED, Times(TimeRole.WINDOW)),
    ),
    "problems-with-listed": (
        "We have currently issues with the following messages:",
        (MessageList(), Statement(behaviour=Behaviour.LIMITED, general=True, aside=True), ONGOING),
    ),
    "others-as-usual": ("De overige berichten worden gewoon verwerkt.", ()),
    "message-of-system": (
        "NCTS: storing bij de verwerking van de aankomstmelding",
        (Statement(systems=("NCTS",), messages=("aankomstmelding",), behaviour=Behaviour.LIMITED), ONGOING),
    ),
    "procedure-of": ("The AGS fallback procedure is active.", (Named(("AGS",), title=False),)),
    "handled-afterwards": ("They will be processed after the maintenance.", (Statement(behaviour=Behaviour.QUEUED),)),
    "down-bare": ("Buiten gebruik", (Statement(behaviour=Behaviour.UNAVAILABLE),)),
    "processes-down-listed": (
        f"Van {NOON} tot 05-05-2027 12:00 zijn de volgende processen niet beschikbaar:",
        (Listing(Behaviour.UNAVAILABLE, subject=True),),
    ),
    "we-maintain": (
        f"Op {NOON} voeren wij onderhoud uit aan het proces Malt (MALT).",
        (Named(("Malt (MALT)",), title=False), PLANNED),
    ),
    "no-replies": (
        f"Since {NOON} companies do not receive any replies from DMS.",
        (Named(("DMS",), title=False), ONGOING, INCIDENT),
    ),
}


def read(sentence: str) -> tuple[tuple[str, ...], tuple[Fact, ...], bool]:
    """Read one sentence by the rules of the Helpdesk: rules, facts, and whether all of it."""
    (line,) = read_text(sentence).lines
    reading = SentenceReader(DOUANE).read(line).reading
    return reading.rules, tuple(dict.fromkeys(reading.facts)), reading.understood


@pytest.mark.parametrize("name", RULES)
def test_a_rule_reads_what_it_is_for(name: str) -> None:
    """A sentence that a rule is for is read by this rule, as a whole, and states what it says."""
    sentence, facts = RULES[name]
    rules, read_facts, understood = read(sentence)
    assert (True, facts, True) == (name in rules, read_facts, understood)


def test_each_rule_has_its_sentence() -> None:
    """Each rule has one name and one sentence here."""
    assert sorted(RULES) == sorted(rule.name for rule in DUTCH_PROSE)


@pytest.mark.parametrize(
    "sentence",
    [
        f"Op {NOON} is alles wat u zoekt niet beschikbaar.",
        "Due to a disruption in the XYZ central system.",
        "De storing in alles wat u zoekt is verholpen.",
        "Er is onderhoud aan alles wat u zoekt.",
        "The whole fallback procedure is active.",
        "Alles: storing in de aankomstmelding",
        "Since noon you do not receive any replies from whatever you use.",
        "U ontvangt geen antwoorden.",
        "The network will carry out maintenance on its central hub.",
    ],
)
def test_what_is_no_name_is_no_system(sentence: str) -> None:
    """A sentence that names no process, or a part of the authority's own network, is about none."""
    assert not [
        fact for fact in read(sentence)[1] if isinstance(fact, (Subject, Named)) or getattr(fact, "systems", ())
    ]


@pytest.mark.parametrize(
    ("sentence", "event"),
    [(f"Sinds {NOON} is DMS weer beschikbaar.", True), ("Wacht totdat de storing is verholpen.", False)],
)
def test_over_or_still_to_come(sentence: str, event: bool) -> None:  # noqa: FBT001
    """A process that is available again is; a disruption that is awaited to end has not ended."""
    assert event is (ENDED in read(sentence)[1])


@pytest.mark.parametrize(
    ("text", "access"),
    [
        ("The system will be unavailable during the maintenance.", Access.ANY),
        ("Messages will be kept and processed after the maintenance.", Access.FILE),
    ],
)
def test_a_system_that_is_down_is_down_for_every_access(text: str, access: Access) -> None:
    """Where nothing is said of messages, the access is not stated; else it is that of messages."""
    head = "Maintenance on Malt (MALT)\nPublication date 01-05-2027, 09:00\nOn 4 May 2027, from 9 pm to 11.30 pm, "
    notice = read_notice(f"{head}maintenance will be carried out on Malt (MALT).\n{text}\n")
    assert [access] == [row.access for row in notice.windows]


TABLE = """Gepland onderhoud
Publicatiedatum 01-05-2027, 09:00
Systeem | {start} | {end} | Gevolg
DMS | {first} | 12:30 | Berichten worden gebufferd
NCTS | 05-05-2027 20:00 | 06-05-2027 06:00 | Niet beschikbaar
Deel deze pagina
"""


def test_a_table_has_a_row_for_each_of_its_windows() -> None:
    """Each row of a table is a system with its own times and what happens to it."""
    text = TABLE.format(start="Begin", end="Einde", first=NOON).replace("| 12:30", "| 04-05-2027 12:30")
    rows = [
        (row.system, f"{row.start:%d %H:%M}", f"{row.end:%d %H:%M}", str(row.behaviour))
        for row in read_notice(text).windows
        if row.start and row.end
    ]
    assert [("DMS", "04 12:00", "04 12:30", "queued"), ("NCTS", "05 20:00", "06 06:00", "unavailable")] == rows


@pytest.mark.parametrize(("start", "first"), [("Begin", "later"), ("Oorzaak", NOON), ("Systeem", NOON)])
def test_what_does_not_fit_its_head_is_no_table(start: str, first: str) -> None:
    """A table with another head, or without times below it, gives no window."""
    notice = read_notice(TABLE.format(start=start, end="Einde", first=first))
    assert (False, []) == (notice.complete, [row for row in notice.windows if row.start])


def test_a_table_without_effects() -> None:
    """The date and the hours of a window may stand in columns of their own, in any order."""
    text = "Onderhoud\nPublicatiedatum 01-05-2027, 09:00\nDatum | Tijd | Proces\n04-05-2027 | 12:00 - 12:30 | DMS\n"
    assert [("DMS", "04 12:00")] == [
        (row.system, f"{row.start:%d %H:%M}") for row in read_notice(text, authority="douane").windows if row.start
    ]


@pytest.mark.parametrize(
    ("title", "state"),
    [
        ("Storing DMS opgelost", "ended"),
        ("Onderhoud DMS uitgesteld", "moved"),
        ("Gepland onderhoud DMS geannuleerd", "cancelled"),
        ("Storing alles wat u zoekt opgelost", "unclear"),
        ("Onderhoud alles wat u zoekt", "unclear"),
    ],
)
def test_a_title_that_says_what_became_of_it(title: str, state: str) -> None:
    """The last word of a title is no part of a name: it says that it is over, put off or called off."""
    text = f"{title}\nPublicatiedatum 01-05-2027, 09:00\nStuur een lijst van uw aangiften per e-mail.\n"
    notice = read_notice(text)
    assert (state, ["DMS"] if "DMS" in title else [None]) == (
        notice.state,
        [row.system for row in notice.windows],
    )


def test_not_to_send_again_is_to_wait() -> None:
    """Who is asked not to send again waits; a list is asked for by other words."""
    asked = [fact for fact in read("Please do not submit your declarations again.")[1] if isinstance(fact, _facts.Asks)]
    assert ["wait"] == [fact.recovery for fact in asked]


@pytest.mark.parametrize(
    "sentence",
    [
        f"Vanaf {NOON} is DMS naar verwachting weer beschikbaar.",
        f"Van {NOON} is DMS mogelijk niet beschikbaar.",
        "Berichten worden niet bewaard en moeten opnieuw worden ingestuurd.",
    ],
)
def test_what_is_only_expected_or_denied_is_not_stated(sentence: str) -> None:
    """What is probable is no fact, and *not* in one clause forbids nothing of the next."""
    assert not [fact for fact in read(sentence)[1] if isinstance(fact, (Subject, Statement, _facts.Asks))]


@pytest.mark.parametrize(
    ("sentence", "queued"),
    [
        ("Alle meldingen komen in de wachtrij.", True),
        ("Aangiften die u indient, blijven in de wachtrij staan.", True),
        ("Zij worden die avond in een wachtrij geplaatst en worden pas na de storing verwerkt.", True),
        ("Aangiften worden die avond niet in een wachtrij gezet.", False),
        ("Geen meldingen komen in de wachtrij.", False),
        ("Meldingen komen nooit in de wachtrij.", False),
        ("Meldingen komen in de wachtrij en worden na de storing niet verwerkt.", False),
    ],
)
def test_a_queue(sentence: str, queued: bool) -> None:  # noqa: FBT001 - a table
    """What is put into a queue is queued, however it is said; what is not, or is not processed later, is not."""
    text = f"Onderhoud DMS\n\nOp {NOON} tot 04-05-2027 13:00 is er onderhoud aan DMS. {sentence}\n"
    found = {row.behaviour for row in read_notice(text, authority="douane").windows}

    assert queued is (found == {Behaviour.QUEUED})
