"""Route replies: four messages arrive, two reach the process they belong to, and two are quarantined."""

from htpoort import Quarantined, Router, SentRecord

SENT = {
    "22096222734662": SentRecord(system="AGS", party="NL123456789.02.05", reference="22096222734662"),
    "22096222734663": SentRecord(system="DMS", party="NL123456789.03.05", reference="22096222734663"),
}
MESSAGES = [
    # A late reply from AGS, and one from DMS for another party.
    ("ags@htpoort.nl", "[V= DMS.NL][A= NL123456789.02.05][K=22096222734662][S=0]"),
    ("dms@htpoort.nl", "[V= DMS4.NL][A= NL123456789.03.05][K=22096222734663][S=0]"),
    # Forged: some programs read the first address, others the second.
    ("dms@htpoort.nl <evil@trader.example>", "[V= DMS4.NL][A= NL123456789.02.05][K=1][S=0]"),
    # DMS answers what was sent to AGS.
    ("dms@htpoort.nl", "[V= DMS4.NL][A= NL123456789.02.05][K=22096222734662][S=0]"),
]


def main() -> None:
    """Route each message and print where it went."""
    router = Router(parties=["NL123456789.02.05", "NL123456789.03.05"], sent=SENT.get)
    for sender, subject in MESSAGES:
        headers = f"From: {sender}\r\nTo: edi@forwarder.example\r\nSubject: {subject}\r\n"
        raw = f"{headers}Content-Transfer-Encoding: base64\r\n\r\nPFJlc3BvbnNlLz4=\r\n".encode()
        found = router.route_message(raw)
        if isinstance(found, Quarantined):
            print(f"quarantine: {found.reason.value}: {found.problems[0].message}")
        else:
            print(f"{found.system.name} for {found.party}: K={found.reference}, {found.correlation.value}")
            if found.payload.octets is not None:
                print(f"    {found.payload.octets.decode().strip()}")


if __name__ == "__main__":
    main()
