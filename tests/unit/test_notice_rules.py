"""Each rule of the notices reads what it is for, and no word that turns a sentence is overheard."""

from __future__ import annotations

from typing import Any

import pytest

from htpoort.core.notices import _facts
from htpoort.core.notices._authorities import TOLDSTYRELSEN
from htpoort.core.notices._collect import SentenceReader
from htpoort.core.notices._danish import DANISH
from htpoort.core.notices._english import ENGLISH
from htpoort.core.notices._facts import (
    AccessHeading,
    Asks,
    EventKind,
    Fact,
    Heading,
    Listing,
    Named,
    Permits,
    Remark,
    Statement,
    TimeRole,
    Times,
)
from htpoort.core.notices._text import read_text
from htpoort.notices import Access, Behaviour, Fallback, Recovery

FILE, ONLINE = Access.FILE, Access.ONLINE
ENDED = (_facts.Event(EventKind.ENDED), Times(TimeRole.END))
DUPLICATE = Remark("duplicate-notice", "The notice says that it is a copy of another one: read that one.")
ELSEWHERE = Remark("continued-elsewhere", "What happens next is in another notice: read that one.")
MISSING = Remark("reference-missing", "The sentence points to another notice and does not name it: look for it.")
TEST = Remark("test-environment", "The window concerns a test system: production goes on.")


def of(behaviour: Behaviour | None, *systems: str, access: Access | None = None, **more: Any) -> Statement:
    """Make the statement that a sentence is to give."""
    return Statement(systems=systems, access=access, behaviour=behaviour, **more)


RULES: dict[str, tuple[str, tuple[Fact, ...]]] = {
    "files-rejected": (
        "All files sent to Import and NCTS are refused during the maintenance.",
        (of(Behaviour.REJECTED, "Import", "NCTS", access=FILE),),
    ),
    "files-queued": (
        "Messages for ICS2 and EMCS are kept and handled once the downtime is over.",
        (of(Behaviour.QUEUED, "ICS2", "EMCS", access=FILE),),
    ),
    "files-delayed": (
        "Files to Manifest are received, but replies may be late.",
        (of(Behaviour.DELAYED, "Manifest", access=FILE),),
    ),
    "messages-delayed": (
        "Arrival notices and manifests sent to Manifest are accepted, but answers may be delayed.",
        (of(Behaviour.DELAYED, "Manifest", messages=("Arrival notices", "manifests")),),
    ),
    "online-available": ("Online access to Export is open.", (of(Behaviour.NORMAL, "Export", access=ONLINE),)),
    "online-unavailable": (
        "The web pages for Export and NCTS are closed throughout the period.",
        (of(Behaviour.UNAVAILABLE, "Export", "NCTS", access=ONLINE),),
    ),
    "access-stated": ("File access to EMCS will be down.", (of(Behaviour.UNAVAILABLE, "EMCS", access=FILE),)),
    "sign-in-impossible": (
        "Signing in to EU-CTP is impossible during the downtime.",
        (of(Behaviour.UNAVAILABLE, "EU-CTP", access=ONLINE),),
    ),
    "sign-in-issues": ("We are receiving reports about logging in.", (of(Behaviour.LIMITED, access=ONLINE),)),
    "link-closed": (
        "The interface between ICS2 and Manifest is down.",
        (of(Behaviour.LIMITED, "ICS2", "Manifest"),),
    ),
    "systems-listed": ("The following systems are closed:", (Listing(Behaviour.UNAVAILABLE),)),
    "system-available": ("Export remains open during the outage.", (of(Behaviour.NORMAL, "Export"),)),
    "system-unavailable": ("EMCS is down.", (of(Behaviour.UNAVAILABLE, "EMCS"),)),
    "instability": (
        "Brief interruptions of ICS2 can occur within the period.",
        (of(Behaviour.UNSTABLE, "ICS2", general=True),),
    ),
    "instability-with": ("With unstable operation and outages.", (of(Behaviour.UNSTABLE, general=True),)),
    "system-unstable": ("ICS2 is currently unstable.", (of(Behaviour.UNSTABLE, "ICS2"),)),
    "slow-answers": (
        "We are currently experiencing slow response times in Export.",
        (of(Behaviour.DELAYED, "Export"), _facts.Event(EventKind.ONGOING)),
    ),
    "delays-occur": ("Short delays may occur in replies.", (of(Behaviour.DELAYED, general=True),)),
    "files-processed-later": (
        "Messages to EMCS are accepted and will be handled later.",
        (of(Behaviour.QUEUED, "EMCS", access=FILE),),
    ),
    "files-not-possible": (
        "It is not possible to upload files to EMCS.",
        (of(Behaviour.UNAVAILABLE, "EMCS", access=FILE),),
    ),
    "not-possible": ("It will not be possible to lodge entries in EMCS.", (of(Behaviour.UNAVAILABLE, "EMCS"),)),
    "replies-delayed": ("Answers from EMCS may be delayed.", (of(Behaviour.DELAYED, "EMCS", access=FILE),)),
    "all-unavailable": ("All customs systems are offline.", (of(Behaviour.UNAVAILABLE, general=True),)),
    "instability-expected": (
        "There can be brief interruptions of ICS2.",
        (of(Behaviour.UNSTABLE, "ICS2", general=True),),
    ),
    "instability-seen": (
        "We are seeing instability in ICS2.",
        (of(Behaviour.UNSTABLE, "ICS2"), _facts.Event(EventKind.ONGOING)),
    ),
    "system-may-be-unstable": ("The customs systems can be unstable.", (of(Behaviour.UNSTABLE, general=True),)),
    "instability-in": ("Brief interruptions could occur in ICS2.", (of(Behaviour.UNSTABLE, "ICS2"),)),
    "resubmit-please": ("Please resend all rejected messages.", (Asks(recovery=Recovery.RESUBMIT),)),
    "system-works-again": ("EMCS is online again.", ENDED),
    "new-time": (
        "New period: 4 May 2027, 19:00-20:00",
        (_facts.Event(EventKind.MOVED), Times(TimeRole.NEW)),
    ),
    "new-end": ("The end time is changed to 19:00", (_facts.Event(EventKind.EDITED), Times(TimeRole.NEW_END))),
    "more-to-come": ("Additional information will come.", (Times(TimeRole.OTHER),)),
    "supplier-works": ("Our technicians are at it.", ()),
    "contact-desk": ("Contact our help desk.", ()),
    "files-not-possible-da": (
        "Der kan ikke sendes filer til EMCS.",
        (of(Behaviour.UNAVAILABLE, "EMCS", access=FILE),),
    ),
    "system-works-again-da": ("EMCS er nu oppe igen.", ENDED),
    "messages-not-possible": (
        "Guarantee queries cannot be sent to EMCS.",
        (of(Behaviour.LIMITED, "EMCS", messages=("Guarantee queries",)),),
    ),
    "starts-and-ends": (
        "The upgrade begins at 4 May 2027, 19:00 and will finish at 4 May 2027, 20:00",
        (Times(TimeRole.WINDOW), Times(TimeRole.NEW_END)),
    ),
    "start-labelled": ("Start time: 4 May 2027, 19:00", (Times(TimeRole.WINDOW),)),
    "end-labelled": ("Ends 4 May 2027, 20:00", (Times(TimeRole.NEW_END),)),
    "start-labelled-da": ("Starttidspunkt: 4. maj 2027 kl. 19.00", (Times(TimeRole.WINDOW),)),
    "end-labelled-da": ("Slutter den 4. maj 2027 kl. 20.00", (Times(TimeRole.NEW_END),)),
    "part-with-issues": (
        "We are seeing problems with the quota check in Import.",
        (of(Behaviour.LIMITED, "Import"), _facts.Event(EventKind.ONGOING)),
    ),
    "refer-to-office": ("Contact your local customs office if you want to export live animals.", (of(None),)),
    "no-resubmission": ("There is no need to resend messages.", (Asks(recovery=Recovery.WAIT),)),
    "resubmit-same-reference": (
        "Rejected declarations must be sent again under the same LRN.",
        (Asks(recovery=Recovery.SAME_REFERENCE),),
    ),
    "resubmit-new-reference": (
        "Failed declarations have to be submitted again with a new LRN.",
        (Asks(recovery=Recovery.NEW_REFERENCE),),
    ),
    "resubmit": (
        "Rejected messages to EMCS must be sent again after the downtime.",
        (Asks(recovery=Recovery.RESUBMIT, systems=("EMCS",)),),
    ),
    "fallback-no-longer": ("The emergency procedure may no longer be used.", (Permits(Fallback.NO_LONGER, 4),)),
    "fallback-only-if-necessary": (
        "You can only make use of the fallback procedure if it is strictly necessary.",
        (Permits(Fallback.ONLY_IF_NECESSARY, 2),),
    ),
    "fallback-if-necessary": (
        "The contingency plan may be used only where absolutely unavoidable.",
        (Permits(Fallback.ONLY_IF_NECESSARY, 2),),
    ),
    "fallback-as-needed": ("The fallback procedure can be used as needed.", (Permits(Fallback.AS_NEEDED, 2),)),
    "fallback-required": ("You have to follow the emergency procedure.", (Permits(Fallback.REQUIRED, 3),)),
    "fallback-contact-office": ("Please contact the customs office before using the emergency procedure.", ()),
    "fallback-example": ("For instance perishable items.", ()),
    "fallback-allowed": ("The emergency procedure may be used.", (Permits(Fallback.ALLOWED),)),
    "fallback-you-may": ("You are permitted to use the fallback procedure.", (Permits(Fallback.ALLOWED),)),
    "copy-of-another": ("It is a duplicate of https://notices.example/7", (DUPLICATE,)),
    "goes-on-elsewhere": ("Find more updates under https://notices.example/8", (ELSEWHERE,)),
    "reference-missing": ("Follow-up on", (MISSING,)),
    "marked-ended": ("Marked as solved.", ENDED),
    "ended-word": ("Finished.", ENDED),
    "ended": ("The outage is over.", ENDED),
    "ended-after-time": ("3 May 2027, 19:10 is done", ENDED),
    "works-again": ("All systems are working normally.", ENDED),
    "cancelled": ("The upgrade was called off.", (_facts.Event(EventKind.CANCELLED), Times(TimeRole.OTHER))),
    "moved": (
        "The maintenance has been rescheduled to 4 May 2027, 19:00-20:00.",
        (_facts.Event(EventKind.MOVED), Times(TimeRole.NEW)),
    ),
    "postponed": (
        "The upgrade is postponed until further notice.",
        (_facts.Event(EventKind.MOVED), Times(TimeRole.OTHER)),
    ),
    "extended": (
        "The outage is prolonged until 4 May 2027 at 21:00.",
        (_facts.Event(EventKind.DELAYED), Times(TimeRole.NEW_END)),
    ),
    "delayed": ("The upgrade is delayed, the time horizon is unknown.", (_facts.Event(EventKind.DELAYED),)),
    "expected-end": ("Estimated completion: 4 May 2027, 23:10.", (Times(TimeRole.EXPECTED_END),)),
    "edited-start": ("Change of the start time.", (_facts.Event(EventKind.EDITED), Times(TimeRole.START))),
    "edited-end": ("Correction of the end time.", (_facts.Event(EventKind.EDITED), Times(TimeRole.NEW_END))),
    "ongoing": ("We are investigating the problem.", (_facts.Event(EventKind.ONGOING),)),
    "access-file": ("S2S access", (AccessHeading(FILE),)),
    "access-online": ("Web access:", (AccessHeading(ONLINE),)),
    "test-window": ("TEST-service window", (TEST,)),
    "title-systems": ("Service window for EMCS and ICS2", (Named(("EMCS", "ICS2")),)),
    "title-upgrade": ("Upgrade of EMCS", (Named(("EMCS",)),)),
    "title-window-for": (
        "Service window 4 May 2027, 1800-2100 for EMCS, ICS2 and Export",
        (Named(("EMCS", "ICS2", "Export")),),
    ),
    "file-answers-with-issues": (
        "Problems with file replies from EMCS.",
        (of(Behaviour.LIMITED, "EMCS", access=FILE), _facts.Event(EventKind.ONGOING)),
    ),
    "works-online": (
        "Declarations can be made in Export online.",
        (of(Behaviour.NORMAL, "Export", access=ONLINE),),
    ),
    "title-sign-in": ("Log-in errors", ()),
    "title-response-times": ("Slow response times in EMCS", (Named(("EMCS",)),)),
    "title-gateways": ("Service window gateways", ()),
    "client-updated": (
        "After the service window the online client for EMCS will be updated automatically.",
        (Times(TimeRole.OTHER),),
    ),
    "citrix": ("Ask us first if you have Citrix.", ()),
    "newsletter": ("(our newsletter of spring)", (Times(TimeRole.OTHER),)),
    "signature": ("Kind regards", ()),
    "apology": ("We are sorry for the inconvenience.", ()),
    "read-more": ("For more information: https://notices.example/9", ()),
    "files-rejected-da": (
        "Filer til Import vil blive afvist under servicevinduet.",
        (of(Behaviour.REJECTED, "Import", access=FILE),),
    ),
    "files-queued-da": (
        "Meddelelser til EMCS kan modtages, men behandles først når servicevinduet er slut.",
        (of(Behaviour.QUEUED, "EMCS", access=FILE),),
    ),
    "files-delayed-da": (
        "Filer til Manifest vil blive modtaget, men svarene kan blive forsinket.",
        (of(Behaviour.DELAYED, "Manifest", access=FILE),),
    ),
    "messages-delayed-da": (
        "Vare- og krydslister og meldinger til EU indsendt til EMCS i perioden kan modtages, men svar kan forsinkes.",
        (of(Behaviour.DELAYED, "EMCS", messages=("Vare- og krydslister", "meldinger til EU")),),
    ),
    "online-closed-da": (
        "Der vil være lukket for onlineadgang til EMCS, NCTS og Import i perioden.",
        (of(Behaviour.UNAVAILABLE, "EMCS", "NCTS", "Import", access=ONLINE),),
    ),
    "online-unavailable-da": (
        "Online systemet for Eksport vil være nede.",
        (of(Behaviour.UNAVAILABLE, "Eksport", access=ONLINE),),
    ),
    "access-stated-da": ("Filadgang til NCTS er åben.", (of(Behaviour.NORMAL, "NCTS", access=FILE),)),
    "systems-listed-da": ("Følgende toldsystemer er lukkede:", (Listing(Behaviour.UNAVAILABLE),)),
    "companies-without-da": ("Brugerne vil for EMCS opleve nedetid.", (of(Behaviour.UNAVAILABLE, "EMCS"),)),
    "without-downtime-da": ("Hvad angår EMCS vil det ske uden nedetid.", (of(Behaviour.NORMAL, "EMCS"),)),
    "system-available-da": ("Eksport er fortsat åben.", (of(Behaviour.NORMAL, "Eksport"),)),
    "system-unavailable-da": ("EMCS er i øjeblikket nede.", (of(Behaviour.UNAVAILABLE, "EMCS"),)),
    "instability-da": (
        "Korte udfald på ICS2 kan forekomme i perioden.",
        (of(Behaviour.UNSTABLE, "ICS2", general=True),),
    ),
    "part-with-issues-da": (
        "Vi oplever fejl med kvoter i Import.",
        (of(Behaviour.LIMITED, "Import"), _facts.Event(EventKind.ONGOING)),
    ),
    "refer-to-office-da": ("Kontakt dit toldekspeditionskontor, hvis du skal eksportere heste.", (of(None),)),
    "resubmit-same-reference-da": (
        "Afviste filer skal sendes igen med samme LRN.",
        (Asks(recovery=Recovery.SAME_REFERENCE),),
    ),
    "resubmit-new-reference-da": (
        "Fejlede indberetninger skal indsendes på ny med nyt LRN.",
        (Asks(recovery=Recovery.NEW_REFERENCE),),
    ),
    "resubmit-da": ("De afviste filer skal genindsendes.", (Asks(recovery=Recovery.RESUBMIT),)),
    "no-resubmission-da": (
        "Det er ikke nødvendigt at genindsende filer.",
        (Asks(recovery=Recovery.WAIT),),
    ),
    "fallback-no-longer-da": ("Nødprocedure kan ikke længere bruges.", (Permits(Fallback.NO_LONGER, 4),)),
    "fallback-as-needed-da": ("Nødproceduren må bruges ved behov.", (Permits(Fallback.AS_NEEDED, 2),)),
    "fallback-only-if-necessary-da": (
        "Nødproceduren må kun benyttes, når det er strengt nødvendigt.",
        (Permits(Fallback.ONLY_IF_NECESSARY, 2),),
    ),
    "fallback-example-da": ("Eksempelvis ved letfordærvelige varer.", ()),
    "fallback-contact-office-da": (
        "Du skal kontakte dit toldekspeditionskontor, hvis du vil bruge nødproceduren.",
        (),
    ),
    "fallback-allowed-da": ("Nødproceduren må anvendes i perioden.", (Permits(Fallback.ALLOWED),)),
    "copy-of-another-da": ("Er en kopi af https://notices.example/7", (DUPLICATE,)),
    "goes-on-elsewhere-da": ("Se flere opdateringer på https://notices.example/8", (ELSEWHERE,)),
    "reference-missing-da": ("Opfølgning på", (MISSING,)),
    "ended-word-da": ("Afsluttet.", ENDED),
    "ended-da": ("Fejlen er nu rettet.", ENDED),
    "ended-after-time-da": ("3. maj 2027 kl. 19.10 er færdig", ENDED),
    "works-again-da": ("Systemerne fungerer igen normalt.", ENDED),
    "cancelled-da": ("Servicevinduet er annulleret.", (_facts.Event(EventKind.CANCELLED), Times(TimeRole.OTHER))),
    "moved-da": (
        "Opgraderingen er blevet rykket til den 4. maj 2027 kl. 19.00-20.00.",
        (_facts.Event(EventKind.MOVED), Times(TimeRole.NEW)),
    ),
    "postponed-da": (
        "Servicevinduet er udskudt på ubestemt tid.",
        (_facts.Event(EventKind.MOVED), Times(TimeRole.OTHER)),
    ),
    "extended-da": (
        "Nedlukningen forlænget til 4. maj 2027 kl. 21.00.",
        (_facts.Event(EventKind.DELAYED), Times(TimeRole.NEW_END)),
    ),
    "delayed-da": ("Forsinket, tidshorisonten er ukendt.", (_facts.Event(EventKind.DELAYED),)),
    "expected-end-da": ("Forventet afslutning: 4. maj 2027 kl. 21.00.", (Times(TimeRole.EXPECTED_END),)),
    "edited-start-da": ("Rettelse af starttidspunkt.", (_facts.Event(EventKind.EDITED), Times(TimeRole.START))),
    "edited-end-da": ("Ændret sluttidspunkt.", (_facts.Event(EventKind.EDITED), Times(TimeRole.NEW_END))),
    "ongoing-da": ("Vi arbejder på en løsning.", (_facts.Event(EventKind.ONGOING),)),
    "upgrade-da": ("Der foretages en teknisk opgradering i netværket.", ()),
    "access-file-da": ("Filadgang:", (AccessHeading(FILE),)),
    "access-online-da": ("Onlineadgang", (AccessHeading(ONLINE),)),
    "title-systems-da": ("Servicevindue på EMCS og ICS2", (Named(("EMCS", "ICS2")),)),
    "test-window-da": ("TFE-servicevindue", (TEST,)),
    "client-updated-da": (
        "Efter servicevinduet vil online klienten for EMCS blive opdateret automatisk.",
        (),
    ),
    "apology-da": ("Vi beklager ulejligheden.", ()),
    "signature-da": ("Med venlig hilsen", ()),
    "section-with-times": (
        "EMCS/ICS2: 4 May 2027, 19:00-20:00",
        (Heading(("EMCS", "ICS2")), Times(TimeRole.WINDOW)),
    ),
    "files-rejected-here": ("Messages will be refused during the outage.", (of(Behaviour.REJECTED, access=FILE),)),
    "files-queued-here": (
        "All files are received, but will be handled when the outage is over.",
        (of(Behaviour.QUEUED, access=FILE),),
    ),
    "not-online": ("EMCS and ICS2 will be down online.", (of(Behaviour.UNAVAILABLE, "EMCS", "ICS2", access=ONLINE),)),
    "no-online-access": ("There is no online access to EMCS.", (of(Behaviour.UNAVAILABLE, "EMCS", access=ONLINE),)),
    "no-online-use": (
        "It is not possible to log in to EMCS.",
        (of(Behaviour.UNAVAILABLE, "EMCS", access=ONLINE),),
    ),
    "no-file-access": ("There will be no file access.", (of(Behaviour.UNAVAILABLE, access=FILE),)),
    "system-down": ("It will be closed during the outage.", (of(Behaviour.UNAVAILABLE, general=True),)),
    "down-then": ("On 4 May 2027 EMCS will be temporarily down.", (of(Behaviour.UNAVAILABLE, "EMCS"),)),
    "takes-place": ("The upgrade will take place on 4 May 2027 from 19:00 to 20:00.", ()),
    "called-off": (
        "The maintenance will not be carried out.",
        (_facts.Event(EventKind.CANCELLED), Times(TimeRole.WINDOW)),
    ),
    "end-unknown": (
        "The new end time is still unknown.",
        (_facts.Event(EventKind.DELAYED), Times(TimeRole.OTHER)),
    ),
    "page-around": ("Privacy statement", ()),
    "files-rejected-here-da": ("Alle filer vil blive afvist i perioden.", (of(Behaviour.REJECTED, access=FILE),)),
    "files-queued-here-da": (
        "Meddelelser modtages, men behandles først når nedlukningen er slut.",
        (of(Behaviour.QUEUED, access=FILE),),
    ),
    "no-online-access-da": (
        "Der er ingen online adgang til EMCS.",
        (of(Behaviour.UNAVAILABLE, "EMCS", access=ONLINE),),
    ),
    "no-online-use-da": (
        "Det vil ikke være muligt at logge på EMCS.",
        (of(Behaviour.UNAVAILABLE, "EMCS", access=ONLINE),),
    ),
    "no-file-access-da": ("Der er ikke filadgang.", (of(Behaviour.UNAVAILABLE, access=FILE),)),
    "system-down-da": ("Systemerne er lukket i perioden.", (of(Behaviour.UNAVAILABLE, general=True),)),
    "down-then-da": ("Den 4. maj 2027 er EMCS nede.", (of(Behaviour.UNAVAILABLE, "EMCS"),)),
    "takes-place-da": ("Opgraderingen gennemføres den 4. maj 2027 kl. 19.00-20.00.", ()),
    "called-off-da": (
        "Nedlukningen bliver ikke til noget.",
        (_facts.Event(EventKind.CANCELLED), Times(TimeRole.WINDOW)),
    ),
    "end-unknown-da": (
        "Sluttidspunktet er endnu ukendt.",
        (_facts.Event(EventKind.DELAYED), Times(TimeRole.OTHER)),
    ),
    "and-resubmit": (
        "Files sent to EMCS or ICS2 will be refused, and they must be sent again when it is up again.",
        (
            of(Behaviour.REJECTED, "EMCS", "ICS2", access=FILE),
            Asks(recovery=Recovery.RESUBMIT, of_sentence=True),
        ),
    ),
    "files-delayed-here": (
        "Files are accepted as usual, but replies may be late.",
        (of(Behaviour.DELAYED, access=FILE, general=True),),
    ),
    "files-cannot-be-sent": ("Files cannot be uploaded to EMCS.", (of(Behaviour.UNAVAILABLE, "EMCS", access=FILE),)),
    "closed-down-da": ("EMCS lukkes den 4. maj 2027 kl. 19.00.", (of(Behaviour.UNAVAILABLE, "EMCS", general=True),)),
    "and-resubmit-da": (
        "Filer til EMCS eller ICS2 bliver afvist og skal sendes igen, når systemet er oppe.",
        (
            of(Behaviour.REJECTED, "EMCS", "ICS2", access=FILE),
            Asks(recovery=Recovery.RESUBMIT, of_sentence=True),
        ),
    ),
}


def read(sentence: str) -> tuple[tuple[str, ...], tuple[Fact, ...], bool, bool]:
    """Read one sentence by the rules of the Danish authority: rules, facts, whether all of it, whether turned."""
    (line,) = read_text(sentence).lines
    reading = SentenceReader(TOLDSTYRELSEN).read(line).reading
    return reading.rules, reading.facts, reading.understood, reading.turned


@pytest.mark.parametrize("name", RULES)
def test_a_rule_reads_what_it_is_for(name: str) -> None:
    """A sentence that a rule is for is read by this rule, as a whole, and states what it says."""
    sentence, facts = RULES[name]
    rules, read_facts, understood, turned = read(sentence)
    assert (True, facts, True, False) == (name in rules, read_facts, understood, turned)


def test_each_rule_has_its_sentence() -> None:
    """Each rule for English and for Danish has one name and one sentence here."""
    assert sorted(RULES) == sorted(rule.name for rule in (*ENGLISH, *DANISH))


TURNED = (
    "It is not so that files sent to Import are rejected during the maintenance.",
    "Files sent to Import are rejected during the maintenance, except those of Monday.",
    "Only on Monday is the emergency procedure allowed.",
    "The outage is over, but not for NCTS.",
    "The maintenance on Monday is not cancelled.",
    "The disruption in Import is not over.",
    "Fejlen i Import er ikke rettet.",
    "Fejlen er rettet, dog ikke i NCTS.",
    "Rejected files must be sent again, unless they were sent by night.",
)


@pytest.mark.parametrize("sentence", TURNED)
def test_a_word_that_turns_the_sense_takes_all_facts(sentence: str) -> None:
    """A sentence with a word that can turn its sense, and that no rule covers, states nothing."""
    _, facts, understood, turned = read(sentence)
    assert ((), False, True) == (facts, understood, turned)


@pytest.mark.parametrize(
    "sentence",
    [
        "Files are looked at when the error is corrected.",
        "Please wait until the outage is over.",
        "Please wait until the planned maintenance is over.",
        "Please wait until the customs systems are available again.",
        "Vent venligst, indtil det planlagte servicevindue er overstået.",
        "Vent venligst, indtil fejlen er rettet.",
    ],
)
def test_what_is_still_to_come_is_not_over(sentence: str) -> None:
    """A sentence that says what holds until something is over does not say that it is over."""
    assert () == read(sentence)[1]


@pytest.mark.parametrize(
    "sentence",
    [
        "The emergency procedure may be used until the error is corrected.",
        "Nødproceduren må bruges, indtil fejlen er løst.",
    ],
)
def test_a_permission_until_it_is_over(sentence: str) -> None:
    """A permission that ends with the disturbance is a permission."""
    assert ((Permits(Fallback.ALLOWED),), True) == read(sentence)[1:3]


@pytest.mark.parametrize(
    "sentence",
    [
        "The maintenance 4 May 2027, 19:00-20:00 has been postponed to 5 May 2027, 19:00-20:00.",
        "The maintenance has been moved from 4 May 2027, 19:00-20:00 to 5 May 2027, 19:00-20:00.",
        "Vedligeholdelsen er flyttet fra 4. maj 2027 kl. 19.00-20.00 til 5. maj 2027 kl. 19.00-20.00.",
    ],
)
def test_the_time_from_which_it_was_moved_does_not_count(sentence: str) -> None:
    """Of two times around a word that something was moved, the second one is the new one."""
    facts = (_facts.Event(EventKind.MOVED), Times(TimeRole.OTHER), Times(TimeRole.NEW))
    assert (facts, True) == read(sentence)[1:3]


def test_a_heading_with_times_names_known_systems() -> None:
    """A line of other words and a time begins no section."""
    assert () == read("Everything else: 4 May 2027, 19:00-20:00")[1]


def test_files_that_wait_are_not_rejected() -> None:
    """Files that cannot be processed until the end are kept."""
    assert (of(Behaviour.QUEUED, "Import", access=FILE),) == read(
        "Files sent to Import cannot be processed until the service window has ended."
    )[1]


def test_slow_answers_are_late_and_no_part_that_fails() -> None:
    """Problems with the time that answers take are delays."""
    delayed = (of(Behaviour.DELAYED, "Import"), _facts.Event(EventKind.ONGOING))
    assert delayed == read("There are problems with response times in Import.")[1]


def test_words_that_are_left_make_a_sentence_unread() -> None:
    """A sentence of which other words are left states what its rules found, and counts as not understood."""
    assert (
        ("files-rejected",),
        (of(Behaviour.REJECTED, "Import", access=FILE),),
        False,
        False,
    ) == read("Files sent to Import are rejected by the new firewall.")


def test_a_list_that_holds_no_names_is_no_list_of_systems() -> None:
    """A rule whose list of systems holds other words does not match."""
    assert ((), (), False, False) == read("Files sent to whatever you like are rejected.")


def test_a_sentence_of_endless_length_is_not_read() -> None:
    """A sentence that is longer than any notice has is left unread."""
    assert ((), (), False, False) == read("Files sent to Import are rejected " + "again and " * 300)
