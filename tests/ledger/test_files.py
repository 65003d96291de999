"""A file for a gateway is an exchange like a message: its name is used once, and status files show how far it got."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from htpoort import (
    DMS,
    Correlation,
    InputError,
    Objection,
    Outcome,
    PartyId,
    Quarantined,
    Reason,
    Router,
    State,
    Submission,
)
from htpoort.files import (
    FileName,
    FileRouter,
    FileService,
    FileSubmission,
    GatewayUser,
    RoutedFile,
    StatusReport,
    build_file,
    entity,
    octets_of,
    render_report,
)
from htpoort.ledger import Claimed, Exchange, Ledger, Stored

USER = GatewayUser.parse("CVR_12345678_UI_12345678")
MANIFEST = FileService(name="MANIFEST", service="Manifest")
ICS = FileService(name="ICS", service="ICS")
LEASE = timedelta(minutes=2)
ACCOUNT = "CVR_12345678_UI_12345678@gateway.example:6381"
USED = "FILENAME_CANNOT_BE_REUSED_FOR_TRANSACTION"

Clock = Callable[..., datetime]


def file(
    name: str = "A1", payload: bytes = b"<Manifest/>", *, service: FileService = MANIFEST, user: GatewayUser = USER
) -> FileSubmission:
    """Build a file."""
    return build_file(service=service, user=user, name=name, payload=payload)


class Office:
    """One file, A1, and what happens to it minute by minute."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self.router = FileRouter(services=[MANIFEST, ICS], user=USER)
        self._clock = clock
        self._minute = 0

    def now(self) -> datetime:
        """Return the moment one minute after the last one."""
        self._minute += 1
        return self._clock(self._minute)

    def claim(self) -> Claimed:
        """Begin an attempt."""
        at = self.now()
        (claimed,) = self.ledger.exchanges.claim_soon(("MANIFEST",), owner="a", most=1, at=at, lease=LEASE).result()
        return claimed

    def end(self, claimed: Claimed, outcome: Outcome, *, begun: bool) -> State:
        """End an attempt; what may be tried or asked again is due at once."""
        at = self.now()
        due = at if outcome in {Outcome.DEFERRED, Outcome.UNKNOWN} else None
        return self.ledger.exchanges.settle_soon(claimed, outcome, at=at, due=due, content_begun=begun).result()

    def attempt(self, outcome: Outcome, *, begun: bool = False) -> State:
        """Make an attempt that ends with this outcome."""
        return self.end(self.claim(), outcome, begun=begun)

    def lose(self) -> None:
        """Let the worker's lease run out."""
        self._minute += 3
        self.ledger.exchanges.expire_soon(at=self._clock(self._minute)).result()

    def ask(self) -> list[str]:
        """Ask for the names of files that may have arrived."""
        return [exchange.reference for exchange in self.ledger.exchanges.ask_names(["MANIFEST"], at=self.now())]

    def fetch(self, name: str, octets: bytes = b"<x/>") -> Stored:
        """Store a file that was fetched."""
        return self.ledger.replies.take_in_file(self.router, entity(name, octets), at=self.now(), account=ACCOUNT)

    def status(self, number: int, report: StatusReport | None = None, name: str = "A1") -> Stored:
        """Store a status file."""
        octets = b"" if report is None else render_report(report)
        return self.fetch(f"status_Manifest_{name}_{number}.xml", octets)

    @property
    def exchange(self) -> Exchange:
        """The exchange as the ledger has it now."""
        exchange = self.ledger.exchanges.find("A1", party=str(USER))
        assert exchange is not None
        return exchange

    @property
    def trail(self) -> list[str]:
        """What happened to the exchange, without what every exchange has."""
        (story,) = self.ledger.story("A1", party=str(USER))
        return [entry.event for entry in story.entries if entry.event not in {"queued", "attempt-started"}]


@pytest.fixture
def office(ledger: Ledger, clock: Clock) -> Office:
    """Queue A1; return the office for it."""
    ledger.exchanges.queue(file(), at=clock())
    return Office(ledger, clock)


# ── out ──────────────────────────────────────────────────────────────────────


def test_a_file_is_an_exchange_of_its_name(ledger: Ledger, clock: Clock) -> None:
    """A queued file is an exchange of its user under its name; a worker gets its folder and its octets."""
    queued = ledger.exchanges.queue(file(payload=b"<M/>\n\xff"), at=clock(), business_reference="LRN1")
    (claimed,) = ledger.exchanges.claim_soon(("MANIFEST",), owner="a", most=9, at=clock(), lease=LEASE).result()

    assert ("MANIFEST", "CVR_12345678_UI_12345678", "A1", "LRN1", State.QUEUED, True) == (
        *(queued.system, queued.party, queued.reference, queued.business_reference, queued.state, queued.is_file),
    )
    assert ("/CVR_12345678/UI_12345678/Manifest", "A1", b"<M/>\n\xff") == (
        *(claimed.rcpt_to, claimed.reference, octets_of(claimed.raw)),
    )


def test_a_name_is_used_once(ledger: Ledger, clock: Clock) -> None:
    """The same file again is the same exchange; another file of that name is refused before it is sent."""
    first = ledger.exchanges.queue(file(), at=clock())
    again = ledger.exchanges.queue(file(), at=clock(1))
    ledger.exchanges.close("A1", at=clock(2))

    assert (first.key, True) == (again.key, again.repeated)
    with pytest.raises(InputError, match=r"needs a new name\.$"):
        ledger.exchanges.queue(file(payload=b"<Other/>"), at=clock(3))
    with pytest.raises(InputError, match=r"This one is for ICS: a name is used for one system only"):
        ledger.exchanges.queue(file(service=ICS), at=clock(3))


def test_another_user_may_use_the_name(ledger: Ledger, clock: Clock) -> None:
    """Names belong to a user, as each K belongs to a party; so do validated files, whose names have a prefix."""
    other = GatewayUser.parse("CVR_12345678_UI_87654321")
    queued = [
        ledger.exchanges.queue(submission, at=clock())
        for submission in (
            file(),
            file(user=other),
            build_file(
                service=MANIFEST, user=USER, name=FileName.for_validation("A1"), payload=b"<M/>", validation_only=True
            ),
        )
    ]

    assert 3 == len({exchange.key for exchange in queued})


def test_a_file_has_no_shadow(ledger: Ledger, clock: Clock, declaration: Callable[..., Submission]) -> None:
    """A message beside a file would be of another party and K."""
    with pytest.raises(InputError, match="a file has no shadow"):
        ledger.exchanges.queue(file(), at=clock(), shadow=declaration("A1"))


# ── a name that was used ─────────────────────────────────────────────────────


def test_a_used_name_shows_that_an_earlier_attempt_arrived(office: Office) -> None:
    """After a broken upload the name is asked for again; refused as used, the first upload has arrived."""
    states = [office.attempt(Outcome.UNKNOWN), office.ask(), office.attempt(Outcome.NAME_USED)]

    assert [State.UNKNOWN, ["A1"], State.ACCEPTED] == states
    assert ["outcome-unknown", "name-asked", "accepted"] == office.trail


def test_a_used_name_of_another_file_is_a_refusal(office: Office) -> None:
    """If no content of an earlier attempt can have left, the name is another file's, and a person must see it."""
    assert State.DEFERRED == office.attempt(Outcome.DEFERRED)
    assert State.REFUSED == office.attempt(Outcome.NAME_USED)


def test_content_before_a_used_name_does_not_count(office: Office) -> None:
    """A gateway that takes the content before it refuses the name has taken nothing: that attempt proves nothing."""
    assert State.REFUSED == office.attempt(Outcome.NAME_USED, begun=True)
    assert not office.exchange.content_begun


def test_a_name_is_asked_for_when_it_is_due(office: Office, ledger: Ledger, clock: Clock) -> None:
    """The question waits as long as the worker says, and is asked for the services of its gateway alone."""
    claimed = office.claim()
    ledger.exchanges.settle_soon(claimed, Outcome.UNKNOWN, at=clock(2), due=clock(10)).result()

    assert [[], [], ["A1"]] == [
        [exchange.reference for exchange in ledger.exchanges.ask_names(systems, at=at)]
        for systems, at in [(["MANIFEST"], clock(9)), (["ICS"], clock(10)), (["MANIFEST"], clock(10))]
    ]


def test_a_lost_worker_leaves_a_question(office: Office) -> None:
    """A file whose worker was lost may have arrived; the name is asked for too."""
    office.claim()
    office.lose()

    assert (["A1"], State.QUEUED) == (office.ask(), office.exchange.state)


def test_a_message_is_never_asked_for(ledger: Ledger, clock: Clock, declaration: Callable[..., Submission]) -> None:
    """By mail nothing refuses a K that was used: a message that may have arrived waits for a reply or a person."""
    ledger.exchanges.queue(declaration("K1"), at=clock())
    (claimed,) = ledger.exchanges.claim_soon(("DMS",), owner="a", most=1, at=clock(), lease=LEASE).result()
    ledger.exchanges.settle_soon(claimed, Outcome.UNKNOWN, at=clock(), due=clock()).result()

    assert [] == ledger.exchanges.ask_names(["DMS", "MANIFEST"], at=clock(99))


# ── status files and responses ───────────────────────────────────────────────


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_status_shows_that_the_file_arrived(office: Office, number: int) -> None:
    """A file of which it was unknown whether it arrived is accepted when a status file comes for it."""
    office.attempt(Outcome.UNKNOWN)
    stored = office.status(number)

    assert (Correlation.MATCHED, State.ACCEPTED) == (stored.routing.correlation, office.exchange.state)  # type: ignore[union-attr]
    assert ["outcome-unknown", {1: "handed-over", 2: "taken", 3: "response-announced"}[number], "accepted"] == (
        office.trail
    )


def test_a_status_takes_a_file_out_of_the_queue(office: Office) -> None:
    """What waits to be uploaded again is not uploaded when a status file shows that it arrived."""
    office.attempt(Outcome.UNKNOWN)
    office.ask()
    office.status(1)

    assert State.ACCEPTED == office.exchange.state


def test_only_the_response_is_an_answer(office: Office) -> None:
    """Status 3 announces a response; the file is answered when that is stored, and all four wait for delivery."""
    office.attempt(Outcome.ACCEPTED)
    states = []
    for number in (1, 2, 3):
        office.status(number)
        states.append(office.exchange.state)
    office.fetch("response_Manifest_A1.xml", b"<Answer/>")

    assert [State.ACCEPTED] * 3 == states
    assert State.ANSWERED == office.exchange.state
    assert ["accepted", "handed-over", "taken", "response-announced", "reply-received"] == office.trail
    waiting = office.ledger.replies.claim_soon("MANIFEST", owner="a", most=9, at=office.now(), lease=LEASE).result()
    assert [("A1", "Manifest", "/CVR_12345678/UI_12345678/out")] * 4 == [
        (reply.reference, reply.process_id, reply.mailbox) for reply in waiting
    ]
    assert b"<Answer/>" == octets_of(waiting[3].raw)


def test_status_files_of_the_same_content_are_several(office: Office) -> None:
    """Each number is a report of its own, even if all files are empty; the same one again is a copy."""
    office.attempt(Outcome.ACCEPTED)
    stored = [office.status(number) for number in (1, 2, 1)]

    assert [False, False, True] == [each.repeated for each in stored]
    assert stored[0].key == stored[2].key


def test_what_was_fetched_before_is_no_copy(office: Office) -> None:
    """A file that was stored but not deleted is fetched again under its name: it counts once."""
    office.attempt(Outcome.ACCEPTED)
    first, again = office.status(1), office.status(1)

    assert (first.key, True) == (again.key, again.repeated)
    assert [1] == [reply.copies for reply in office.ledger.replies.listed()]


def test_an_error_fails_the_file(office: Office) -> None:
    """Status 0: the gateway has the file and does not take it, so that a person must act, under another name."""
    office.attempt(Outcome.ACCEPTED)
    office.status(0, StatusReport(error_code="7", error_message="Not well-formed"))

    assert State.FAILED == office.exchange.state
    assert ["accepted", "error-reported", "gateway-error"] == office.trail
    with pytest.raises(InputError, match="queue the corrected file under a new name"):
        office.ledger.exchanges.resend("A1", at=office.now())
    assert (State.FAILED, "error-reported") == (office.exchange.state, office.trail[1])


def test_an_error_stands(office: Office) -> None:
    """Neither an earlier status that is fetched late nor the late report of a worker makes a failed file accepted."""
    lost = office.claim()
    office.lose()
    office.status(0)
    office.status(1)
    late = office.end(lost, Outcome.ACCEPTED, begun=True)

    assert (State.FAILED, State.FAILED) == (late, office.exchange.state)


def test_a_response_after_an_error_is_an_answer(office: Office) -> None:
    """The system behind the gateway has answered, whatever was reported before."""
    office.attempt(Outcome.ACCEPTED)
    office.status(0)
    office.fetch("response_Manifest_A1.xml")

    assert State.ANSWERED == office.exchange.state


def test_an_error_about_a_second_upload_shows_the_first(office: Office) -> None:
    """A gateway may refuse a used name by a status file: then the first upload has arrived, and there is no error."""
    office.attempt(Outcome.UNKNOWN)
    office.ask()
    office.attempt(Outcome.UNKNOWN)
    office.status(0, StatusReport(error_code=USED))

    assert State.ACCEPTED == office.exchange.state


def test_an_error_about_the_name_of_the_only_upload(office: Office) -> None:
    """If only one upload can have arrived, the name is another file's, and this file is not taken."""
    office.attempt(Outcome.ACCEPTED)
    office.status(0, StatusReport(error_code=USED))

    assert State.FAILED == office.exchange.state


# ── evidence never overrules what is known ───────────────────────────────────


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_status_of_what_was_not_uploaded_settles_nothing(office: Office, number: int) -> None:
    """If no content can have left, the status is about another file of that name: kept, marked, and shown."""
    stored = office.status(number)

    assert (State.QUEUED, ["early-reply-received"]) == (office.exchange.state, office.trail)
    assert [(stored.key, "not-sent")] == [(reply.key, reply.correlation) for reply in office.ledger.replies.listed()]
    assert 1 == office.ledger.status().not_sent_replies


@pytest.mark.parametrize(
    ("numbers", "outcome", "after"),
    [
        ([1], Outcome.ACCEPTED, State.ACCEPTED),
        ([1], Outcome.UNKNOWN, State.ACCEPTED),
        ([0], Outcome.ACCEPTED, State.FAILED),
        ([0, 1], Outcome.UNKNOWN, State.FAILED),
    ],
)
def test_the_end_of_an_attempt_decides(office: Office, numbers: list[int], outcome: Outcome, after: State) -> None:
    """A status file that comes during the first attempt counts once content may have left."""
    claimed = office.claim()
    for number in numbers:
        office.status(number)
    during = office.exchange.state
    settled = office.end(claimed, outcome, begun=True)

    assert (State.SENDING, after, after) == (during, settled, office.exchange.state)


def test_a_response_during_an_attempt_answers_it(office: Office) -> None:
    """The response wins over the status files that came with it."""
    claimed = office.claim()
    for number in (1, 2, 3):
        office.status(number)
    office.fetch("response_Manifest_A1.xml")

    assert State.ANSWERED == office.end(claimed, Outcome.ACCEPTED, begun=True)


def test_a_status_during_an_attempt_without_content(office: Office) -> None:
    """If the attempt did not get as far as the content, the status is about another file, and this one still waits."""
    claimed = office.claim()
    office.status(1)

    assert State.DEFERRED == office.end(claimed, Outcome.DEFERRED, begun=False)
    assert ["not-sent"] == [reply.correlation for reply in office.ledger.replies.listed()]


def test_a_lost_worker_and_a_status(office: Office) -> None:
    """If the worker is lost while a status waits for its report, content may have left, so the status counts."""
    office.claim()
    office.status(2)
    office.lose()

    assert State.ACCEPTED == office.exchange.state


def test_a_worker_that_sent_nothing_takes_the_proof_back(office: Office) -> None:
    """A status is about another file if the worker that was thought dead reports that no content left."""
    lost = office.claim()
    office.lose()
    office.status(1)
    accepted = office.exchange.state
    after = office.end(lost, Outcome.DEFERRED, begun=False)

    assert (State.ACCEPTED, State.DEFERRED) == (accepted, after)
    assert ["not-sent"] == [reply.correlation for reply in office.ledger.replies.listed()]


def test_an_error_during_the_second_upload_of_a_name(office: Office) -> None:
    """The gateway refuses the second upload by a status file while that is still under way: the first has arrived."""
    office.attempt(Outcome.UNKNOWN)
    office.ask()
    claimed = office.claim()
    office.status(0, StatusReport(error_code=USED))

    assert State.ACCEPTED == office.end(claimed, Outcome.UNKNOWN, begun=True)


# ── responses ────────────────────────────────────────────────────────────────


def test_a_status_announces_a_response_of_any_name(office: Office) -> None:
    """Status 3 names the response file, whose own name may carry nothing of the upload."""
    office.attempt(Outcome.ACCEPTED)
    office.status(3, StatusReport(response="IE328_20261102.xml"))
    stored = office.fetch("IE328_20261102.xml")

    assert ("A1", State.ANSWERED) == (stored.routing.reference, office.exchange.state)  # type: ignore[union-attr]


def test_a_foreign_file_is_quarantined(office: Office) -> None:
    """A file that carries the name of no upload, and that no status file announces, waits for a person."""
    office.attempt(Outcome.ACCEPTED)
    office.status(3, StatusReport(response="other.xml"))
    stored = office.fetch("newsletter.xml", b"<News/>")

    assert isinstance(stored.routing, Quarantined)
    assert Reason.FOREIGN_FILE == stored.routing.reason
    assert (State.ACCEPTED, b"<News/>") == (
        office.exchange.state,
        octets_of(office.ledger.quarantine.message(stored.key)),
    )


def test_a_status_of_an_unknown_name_is_quarantined(office: Office) -> None:
    """A status file of an upload that this ledger does not know belongs to no exchange here."""
    assert isinstance(office.status(1, name="B9").routing, Quarantined)


def test_a_response_for_another_user_is_not_this_users(office: Office, ledger: Ledger, clock: Clock) -> None:
    """A file in the out folder of one user never settles an upload of another user."""
    other = GatewayUser.parse("CVR_12345678_UI_87654321")
    ledger.exchanges.queue(file("B1", user=other), at=clock())
    (mine, theirs) = ledger.exchanges.claim_soon(("MANIFEST",), owner="a", most=9, at=clock(), lease=LEASE).result()
    for claimed in (mine, theirs):
        ledger.exchanges.settle_soon(claimed, Outcome.ACCEPTED, at=clock()).result()
    stored = office.fetch("response_Manifest_B1.xml")

    assert isinstance(stored.routing, Quarantined)


def test_the_record_of_a_response(office: Office) -> None:
    """What is returned names the upload, so that a log line can."""
    office.attempt(Outcome.ACCEPTED)
    routing = office.fetch("response_Manifest_A1.xml").routing

    assert isinstance(routing, RoutedFile)
    assert ("MANIFEST", str(USER), "A1", None) == (
        *(routing.system.name, str(routing.party), routing.reference, routing.status),
    )


# ── what a person releases ───────────────────────────────────────────────────


def test_a_foreign_file_is_released_to_its_upload(office: Office) -> None:
    """A person gives a response whose name fits nothing to an upload, which is answered by it, and may take it back."""
    office.attempt(Outcome.ACCEPTED)
    office.status(1)
    key = office.fetch("answer.xml", b"<Answer/>").key
    quarantine, chosen = office.ledger.quarantine, {"service": MANIFEST, "user": USER, "reference": "A1"}
    stored = quarantine.release_file(key, **chosen, at=office.now())

    assert (Correlation.MATCHED, State.ANSWERED) == (stored.routing.correlation, office.exchange.state)  # type: ignore[union-attr]
    assert b"<Answer/>" == octets_of(office.ledger.replies.get(stored.key).raw)
    quarantine.withdraw(key, at=office.now(), reason="of another upload")
    assert State.ACCEPTED == office.exchange.state


def test_a_released_status_file_stays_one(office: Office) -> None:
    """A status file of another name proves nothing of an upload; given to it by name, it shows that it arrived."""
    office.attempt(Outcome.UNKNOWN)
    key = office.status(1, name="B9").key
    chosen = {"service": MANIFEST, "user": USER, "reference": "A1"}
    with pytest.raises(InputError, match=r"is the status file of B9, not of A1"):
        office.ledger.quarantine.release_file(key, **chosen, at=office.now())
    assert State.UNKNOWN == office.exchange.state
    office.ledger.quarantine.release_file(
        key, **chosen, at=office.now(), despite=[Objection.OTHER_UPLOAD], reason="the helpdesk renamed it"
    )

    assert State.ACCEPTED == office.exchange.state


def test_what_contradicts_a_release(office: Office, clock: Clock, router: Router, reply: Callable[..., bytes]) -> None:
    """A file is released neither to another user's upload nor to a mail system, and a message not to a service."""
    quarantine = office.ledger.quarantine
    other = GatewayUser.parse("CVR_12345678_UI_87654321")
    office.ledger.exchanges.queue(file("B1", user=other), at=clock())
    key = office.fetch("answer.xml", b"<Answer/>").key
    with pytest.raises(InputError, match="was uploaded by another user than CVR_12345678_UI_12345678"):
        quarantine.release_file(key, service=MANIFEST, user=USER, reference="B1", at=office.now())
    with pytest.raises(InputError, match="A1 was uploaded to MANIFEST, not to ICS"):
        quarantine.release_file(key, service=ICS, user=USER, reference="A1", at=office.now())
    with pytest.raises(InputError, match=r"is not the folder of CVR_12345678_UI_87654321"):
        quarantine.release_file(key, service=MANIFEST, user=other, reference="B1", at=office.now())
    party = PartyId.parse("NL123456789.02.05")
    with pytest.raises(InputError, match="is a file; give a file service"):
        quarantine.release(key, system=DMS, party=party, reference="K1", at=office.now())
    mail = office.ledger.replies.take_in(
        router, reply("K1", mailbox="x@other.example"), mail_from=None, at=office.now()
    ).key
    with pytest.raises(InputError, match="this is a message and no file of a gateway"):
        quarantine.release_file(mail, service=MANIFEST, user=USER, reference="A1", at=office.now())

    assert State.QUEUED == office.exchange.state
