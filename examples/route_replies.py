"""Route replies: four messages come in, two reach the process they belong to, two stay in quarantine."""

from htpoort import Quarantined, Router, SentRecord

SENT = {
    "22096222734662": SentRecord(system="AGS", party="NL123456789.02.05", reference="22096222734662"),
    "22096222734663": SentRecord(system="DMS", party="NL123456789.03.05", reference="22096222734663"),
}
MESSAGES = [
    # A late reply of AGS, and one of DMS for another party.
    ("ags@htpoort.nl", "[V= DMS.NL][A= NL123456789.02.05][K=22096222734662][S=0]"),
    ("dms@htpoort.nl", "[V= DMS4.NL][A= NL123456789.03.05][K=22096222734663][S=0]"),
    # Forged: some programs read the first address, some the second.
    ("dms@htpoort.nl <somebody@trader.example>", "[V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]"),
    # DMS answers what was sent to AGS.
    ("dms@htpoort.nl", "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"),
]


def main() -> None:
    """Route each message and tell where it went."""
    router = Router(parties=["NL123456789.02.05", "NL123456789.03.05"], sent=SENT.get)
    for sender, subject in MESSAGES:
        raw = f"From: {sender}\r\nTo: edi@forwarder.example\r\nSubject: {subject}\r\n\r\n<Response/>\r\n".encode()
        found = router.route_message(raw)
        if isinstance(found, Quarantined):
            print(f"quarantine: {found.reason.value}: {found.problems[0].message}")
        else:
            print(f"{found.system.name} for {found.party}: K={found.reference}, {found.correlation.value}")


if __name__ == "__main__":
    main()
