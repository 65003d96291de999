"""`htpoort queue` with many files, or a folder: each file has its outcome, and a repeat adds nothing."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from htpoort import read
from htpoort.ledger import Ledger

Run = Callable[..., Any]
Process = Callable[..., Awaitable[Any]]

PARTY, CLIENT = "NL123456789.02.05", "NL123456789.03.05"
MAILBOX = "edi@forwarder.example"
SHARED = ("--system", "DMS", "--mailbox", MAILBOX)
OF_ONE = (*SHARED, "--party", PARTY)
FORM = ("--pattern", "{party}/{reference}.xml")


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a configuration, where every command looks for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTPOORT_CONFIG", raising=False)
    (tmp_path / "htpoort.toml").write_text(
        f'parties = ["{PARTY}", "{CLIENT}"]\n[ledger]\nurl = "sqlite:///htpoort.db"\n'
    )
    return tmp_path


def put(file: Path | str, octets: bytes = b"<MetaData/>", changed: int = 1_767_605_400) -> None:
    """Write a file, with the time at which it was changed."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(octets)
    os.utime(file, (changed, changed))


def queued(office: Path) -> list[tuple[str, str, str]]:
    """List system, party and K of what the ledger has."""
    with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
        return sorted((one.system, one.party, one.reference) for one, _ in ledger.exchanges.messages())


def results(facts: Any) -> list[tuple[str, str]]:
    """List each file with what became of it."""
    return [(one["file"], one["result"]) for one in facts["files"]]


class TestFolder:
    """A folder is queued as a whole, by the form of the names in it."""

    async def test_each_file_has_its_outcome(self, process: Process, office: Path) -> None:
        """One process queues what is right, refuses what is wrong, and ends with 2; the repeat adds nothing."""
        put(f"out/{PARTY}/A1.xml", b"<One/>", changed=1_767_605_401)
        put(f"out/{CLIENT}/A1.xml", b"<Two/>", changed=1_767_605_402)
        put(f"out/{PARTY}/A 2.xml", changed=1_767_605_403)
        put("out/NL123456789.99.05/A3.xml", changed=1_767_605_404)
        put(f"out/{PARTY}/A4.xml", b"", changed=1_767_605_405)
        put(f"out/{PARTY}/README.txt")
        command = ("queue", "out", *SHARED, *FORM)
        first, again = await process(*command), await process(*command, "--json")

        other = "Only files of the form {party}/{reference}.xml are queued; upper and lower case differ."
        assert (2, 2, "", "") == (first.code, again.code, first.err, again.err)
        assert [
            f"queued         out/{PARTY}/A1.xml  DMS {PARTY} A1",
            f"queued         out/{CLIENT}/A1.xml  DMS {CLIENT} A1",
            f"refused        out/{PARTY}/A 2.xml: reference is 'A 2'; give 1 to 35 letters and digits.",
            (
                "refused        out/NL123456789.99.05/A3.xml: party 'NL123456789.99.05' is not in htpoort.toml "
                f"(parties); did you mean {CLIENT} or {PARTY}? Known: {PARTY}, {CLIENT}."
            ),
            f"refused        out/{PARTY}/A4.xml: payload is empty; give the octets of the declaration.",
            f"left alone     out/{PARTY}/README.txt: {other}",
            "2 queued, 3 refused, 1 left alone.",
            "Correct what was refused and repeat the command; what is queued stays as it is.",
        ] == first.text.splitlines()
        facts = again.facts
        assert [0, 2, 3, 0, 1, 0, None] == [
            facts[name]
            for name in ("queued", "repeated", "refused", "named_twice", "left_alone", "not_reached", "stopped")
        ]
        assert ("DMS", PARTY, "A1", "queued") == tuple(
            facts["files"][0][name] for name in ("system", "party", "reference", "state")
        )
        assert ("input", "input.value") == (facts["files"][2]["error"], facts["files"][2]["problems"][0]["code"])
        assert [("DMS", PARTY, "A1"), ("DMS", CLIENT, "A1")] == queued(office)

    def test_the_same_folder_again(self, htpoort: Run, office: Path) -> None:
        """Files that were queued before are no error."""
        put("out/A1.xml", b"<One/>")
        put("out/A2.xml", b"<Two/>")
        command = ("queue", "out", *OF_ONE, "--pattern", "{reference}.xml")
        first, again = htpoort(*command), htpoort(*command)

        assert (0, 0) == (first.code, again.code)
        assert "2 queued." == first.text.splitlines()[-1]
        assert [f"queued before  out/A1.xml  DMS {PARTY} A1", f"queued before  out/A2.xml  DMS {PARTY} A2"] == (
            again.text.splitlines()[:2]
        )
        assert "2 queued before." == again.text.splitlines()[-1]
        assert [("DMS", PARTY, "A1"), ("DMS", PARTY, "A2")] == queued(office)

    def test_what_the_file_decides(self, htpoort: Run, office: Path) -> None:
        """Date is that of the file, and Message-ID follows from party, K and content, as where an agent watches."""
        put("out/A1.xml", b"<One/>")
        assert 0 == htpoort("queue", "out", *OF_ONE, "--pattern", "{reference}.xml").code
        with Ledger.open(f"sqlite:///{office}/htpoort.db") as ledger:
            ((_, raw),) = ledger.exchanges.messages()

        assert raw is not None
        assert b"\r\nDate: Mon, 05 Jan 2026 09:30:00 +0000\r\n" in raw
        assert b"\r\nMessage-ID: <e0e708be46c3dd57663a45f804f0360c@forwarder.example>\r\n" in raw
        assert b"<One/>" == read(raw).payload.octets

    def test_references_are_made(self, htpoort: Run, office: Path) -> None:
        """With `--reference auto` K follows from party and content; files that end in .xml are taken."""
        put("out/one.xml", b"<MetaData/>", changed=1_767_605_401)
        put("out/copy.xml", b"<MetaData/>", changed=1_767_605_402)
        put("out/notes.txt")
        result = htpoort("queue", "out", *OF_ONE, "--reference", "auto", "--json")

        assert 0 == result.code
        assert [("out/one.xml", "queued"), ("out/copy.xml", "repeated"), ("out/notes.txt", "left-alone")] == results(
            result.facts
        )
        assert [("DMS", PARTY, "K6XEITRYR2D6KVJMO4EC")] == queued(office)

    def test_a_folder_without_files(self, htpoort: Run, office: Path) -> None:
        """Nothing to queue is an error: the folder or the form is wrong."""
        (office / "out").mkdir()
        result = htpoort("queue", "out", *OF_ONE, "--reference", "auto")

        assert (2, "") == (result.code, result.err)
        assert (
            "no file        out: There is no file of the form *.xml in this folder; give another folder, or --pattern."
        ) == result.text.splitlines()[0]

    def test_a_name_with_a_newline(self, htpoort: Run, office: Path) -> None:
        """It stays on one line; it is no K, and no obstacle where K does not come from it."""
        put("out/A\n1.xml")
        by_name = htpoort("queue", "out", *OF_ONE, "--pattern", "{reference}.xml")
        by_content = htpoort("queue", "out", *OF_ONE, "--reference", "auto", "--json")

        assert (2, r"refused        out/A\x0a1.xml: reference is 'A\n1'; give 1 to 35 letters and digits.") == (
            by_name.code,
            by_name.text.splitlines()[0],
        )
        assert (0, [("out/A\n1.xml", "queued")]) == (by_content.code, results(by_content.facts))
        assert [("DMS", PARTY, "K6XEITRYR2D6KVJMO4EC")] == queued(office)

    def test_two_files_of_one_reference(self, htpoort: Run, office: Path) -> None:
        """The first is queued, the second is refused, and the sentence names both."""
        put("out/a/A1.xml", b"<One/>", changed=1_767_605_401)
        put("out/b/A1.xml", b"<Two/>", changed=1_767_605_402)
        result = htpoort("queue", "out", *OF_ONE, "--pattern", "*/{reference}.xml", "--json")
        first, second = result.facts["files"]

        assert (2, "queued", "refused") == (result.code, first["result"], second["result"])
        assert ["ledger.reference-used"] == [problem["code"] for problem in second["problems"]]
        assert second["problems"][0]["message"].endswith(
            "another declaration needs a new K. out/a/A1.xml has the same K."
        )
        assert [("DMS", PARTY, "A1")] == queued(office)

    def test_a_link_in_the_folder(self, htpoort: Run, office: Path) -> None:
        """It is left alone, as where an agent watches, and this is reported."""
        del office
        put("out/A1.xml")
        Path("out/A2.xml").symlink_to("A1.xml")
        result = htpoort("queue", "out", *OF_ONE, "--pattern", "{reference}.xml", "--json")

        assert (0, [("out/A1.xml", "queued"), ("out/A2.xml", "left-alone")]) == (result.code, results(result.facts))

    def test_why_each_is_left_alone(self, htpoort: Run, office: Path) -> None:
        """A link, a pipe and what is in a subfolder have the right form, so the form is not the reason."""
        del office
        put("out/A1.xml")
        put("out/sub/B1.xml")
        Path("out/A2.xml").symlink_to("A1.xml")
        os.mkfifo("out/A3.xml")
        lines = htpoort("queue", "out", *OF_ONE, "--reference", "auto").text.splitlines()
        below = "left alone     out/sub/B1.xml: It is in a subfolder, and only files of the form *.xml are queued."
        below += " Give --pattern '*/*.xml', or name that folder."

        assert [
            "left alone     out/A2.xml: It is a link, and only files are queued.",
            "left alone     out/A3.xml: It is a named pipe, and only files are queued.",
            below,
        ] == [line for line in lines if line.startswith("left alone")]

    def test_a_folder_is_not_refused(self, htpoort: Run, office: Path) -> None:
        """A folder without a file of the form is no file that was refused; still, the command fails."""
        del office
        put("out/notes.txt")
        result = htpoort("queue", "out", *OF_ONE, "--reference", "auto")

        assert 2 == result.code
        assert [
            "no file        out: There is no file of the form *.xml in this folder; give another folder, or --pattern.",
            "left alone     out/notes.txt: Only files of the form *.xml are queued; upper and lower case differ.",
            "1 left alone.",
        ] == result.text.splitlines()

    def test_by_another_pattern(self, htpoort: Run, office: Path) -> None:
        """Files that were queued under the K in their name are not declared again under one of their content."""
        put(f"old/{PARTY}/R2.xml")
        htpoort("queue", "old", *SHARED, *FORM)
        result = htpoort("queue", "old", *SHARED, "--pattern", "{party}/*.xml", "--json")
        (file,) = result.facts["files"]

        assert (2, "refused", ["folder.queued-before"]) == (
            result.code,
            file["result"],
            [problem["code"] for problem in file["problems"]],
        )
        assert file["message"].startswith("This declaration was queued before as R2, for DMS at ")
        assert [("DMS", PARTY, "R2")] == queued(office)


class TestFiles:
    """Several files are queued as the arguments name them."""

    def test_names_below_any_folder(self, htpoort: Run, office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The form is that of the end of the path, from wherever the command starts."""
        put(f"out/{PARTY}/A1.xml", b"<One/>")
        put(f"out/{CLIENT}/B1.xml", b"<Two/>")
        monkeypatch.chdir(office / "out" / PARTY)
        files = ("A1.xml", f"../{CLIENT}/B1.xml")
        result = htpoort("queue", *files, *SHARED, *FORM, "--config", str(office / "htpoort.toml"), "--json")

        assert (0, [(file, "queued") for file in files]) == (result.code, results(result.facts))
        assert [("DMS", PARTY, "A1"), ("DMS", CLIENT, "B1")] == queued(office)

    def test_any_name_with_a_made_reference(self, htpoort: Run, office: Path) -> None:
        """A file that is named is taken, whatever its ending."""
        put("one.edi", b"UNB+UNOC:3'")
        put("two", b"UNB+UNOC:4'")
        result = htpoort("queue", "one.edi", "two", *OF_ONE, "--reference", "auto", "--json")

        assert (0, 2) == (result.code, result.facts["queued"])
        assert 2 == len(queued(office))

    def test_what_is_wrong_with_a_file(self, htpoort: Run, office: Path) -> None:
        """A file that is missing, is none, or has another form is refused; the others are queued all the same."""
        put("A1.xml")
        put("A1.txt")
        os.mkfifo("A2.xml")
        Path("A3.xml").symlink_to("A1.xml")
        files = ("gone.xml", "A1.txt", "A2.xml", "A3.xml", "A1.xml")
        result = htpoort("queue", *files, *OF_ONE, "--pattern", "{reference}.xml")

        assert 2 == result.code
        assert [
            "refused        gone.xml: It cannot be read: No such file or directory.",
            "refused        A1.txt: The name does not have the form {reference}.xml.",
            "refused        A2.xml: It is still being written, or is not a file; queue it when it is complete.",
            f"queued         A3.xml  DMS {PARTY} A3",
            f"queued         A1.xml  DMS {PARTY} A1",
        ] == result.text.splitlines()[:5]
        assert [("DMS", PARTY, "A1"), ("DMS", PARTY, "A3")] == queued(office)

    def test_a_file_twice(self, htpoort: Run, office: Path) -> None:
        """A file that is named twice, by whatever path, is queued once, and that is no error."""
        put("out/A1.xml")
        files = ("out/A1.xml", "./out/../out/A1.xml", "out")
        result = htpoort("queue", *files, *OF_ONE, "--pattern", "{reference}.xml")

        assert 0 == result.code
        assert [
            f"queued         out/A1.xml  DMS {PARTY} A1",
            "named twice    ./out/../out/A1.xml: It is queued once.",
            "named twice    out/A1.xml: It is queued once.",
            "1 queued, 2 named twice.",
        ] == result.text.splitlines()
        assert [("DMS", PARTY, "A1")] == queued(office)

    def test_the_plan_chooses(self, htpoort: Run, office: Path) -> None:
        """Without --system, [cutover] names the system of each party, also by --kind."""
        with (office / "htpoort.toml").open("a") as file:
            file.write(f'[[cutover.move]]\nparty = "{PARTY}"\nsystem = "DMS"\nkind = "import"\nsince = 2020-01-01\n')
        put(f"{PARTY}/A1.xml")
        put(f"{CLIENT}/A1.xml")
        files = (f"{PARTY}/A1.xml", f"{CLIENT}/A1.xml")
        result = htpoort("queue", *files, "--mailbox", MAILBOX, *FORM, "--kind", "import")

        assert 0 == result.code
        assert [("AGS", CLIENT, "A1"), ("DMS", PARTY, "A1")] == queued(office)

    def test_a_kind_that_no_move_has(self, htpoort: Run, office: Path) -> None:
        """A slip in --kind may choose the old system, so it is reported once, as a line and as a key."""
        with (office / "htpoort.toml").open("a") as file:
            file.write(f'[[cutover.move]]\nparty = "{PARTY}"\nsystem = "DMS"\nkind = "import"\nsince = 2020-01-01\n')
        put(f"{PARTY}/A1.xml")
        put(f"{CLIENT}/A1.xml")
        files = (f"{PARTY}/A1.xml", f"{CLIENT}/A1.xml")
        command = ("queue", *files, "--mailbox", MAILBOX, *FORM, "--kind", "imprt")
        text, facts = htpoort(*command).text, htpoort(*command, "--json").facts

        note = "no move in [cutover] has the kind imprt, so only the moves without a kind count"
        assert ["2 queued.", f"Note: {note}."] == text.splitlines()[-2:]
        assert (2, note) == (facts["repeated"], facts["kind"])
        assert "kind" not in htpoort(*command[:-1], "Import", "--json").facts


class TestOne:
    """One file, or standard input, is answered as before; K may be made for it."""

    async def test_a_made_reference(self, process: Process, office: Path) -> None:
        """`--reference auto` gives the K of party and content, and the same for a file as for standard input."""
        put("one.xml")
        command = (*OF_ONE, "--reference", "auto", "--json")
        file, stdin = (
            await process("queue", "one.xml", *command),
            await process("queue", *command, stdin=b"<MetaData/>"),
        )

        assert [(0, False), (0, True)] == [(one.code, one.facts["repeated"]) for one in (file, stdin)]
        assert "K6XEITRYR2D6KVJMO4EC" == file.facts["reference"] == stdin.facts["reference"]
        assert [("DMS", PARTY, "K6XEITRYR2D6KVJMO4EC")] == queued(office)

    def test_the_same_as_in_a_folder(self, htpoort: Run, office: Path) -> None:
        """A file that was queued by itself is known where its folder is queued."""
        put("out/one.xml")
        one = htpoort("queue", "out/one.xml", *OF_ONE, "--reference", "auto")
        many = htpoort("queue", "out", *OF_ONE, "--reference", "auto", "--json")

        assert (0, 0, [("out/one.xml", "repeated")]) == (one.code, many.code, results(many.facts))
        assert 1 == len(queued(office))


class TestOptions:
    """Options that do not fit are refused before anything is queued, each with what to do."""

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("a.xml", *SHARED, "--reference", "A1"), "--party is missing."),
            (
                ("a.xml", *OF_ONE),
                "--reference is missing; give a new K, or auto, which makes one from the party and the payload.",
            ),
            (
                ("a.xml", "b.xml", *OF_ONE, "--reference", "A1"),
                "--reference A1 is the K of one declaration; give auto, or --pattern to take K from names.",
            ),
            (
                ("a.xml", "b.xml", *OF_ONE),
                "Each file needs a K; give --pattern to take it from the name, or --reference auto.",
            ),
            (
                ("a.xml", *OF_ONE, "--pattern", "{reference}.xml", "--reference", "auto"),
                "--pattern takes K from the name of each file, so leave out --reference auto.",
            ),
            (
                ("a.xml", "-", *OF_ONE, "--reference", "auto"),
                "- is standard input, which is one declaration without a name; queue it by itself.",
            ),
            (
                ("a.xml", "b.xml", *OF_ONE, "--reference", "auto", "--date", "2026-11-02T09:05:07+01:00"),
                "--date is of one declaration; leave it out.",
            ),
            (
                ("a.xml", *OF_ONE, "--pattern", "{K}.xml"),
                "--pattern has the placeholder {K}; only {reference}, {party} and {system} are known.",
            ),
            (
                ("a.xml", *OF_ONE, *FORM),
                f"--party is '{PARTY}', but pattern has {{party}}; leave one of them out.",
            ),
            (
                ("a.xml", *SHARED, "--pattern", "{reference}.xml"),
                "--party is not given, and --pattern has no {party}; give the party ID of all files.",
            ),
            (
                ("a.xml", "b.xml", "--mailbox", MAILBOX, "--party", PARTY, "--reference", "auto"),
                "--system is not given, and there is no plan to choose it by; give the name of a system.",
            ),
            (
                ("a.xml", "b.xml", "--mailbox", "edi", "--system", "DMS", *FORM),
                "--mailbox is 'edi', not a plain mailbox, name@domain.",
            ),
        ],
    )
    def test_what_does_not_fit(self, htpoort: Run, office: Path, arguments: tuple[str, ...], sentence: str) -> None:
        """It is refused once, not for each file."""
        put("a.xml", b"<One/>")
        put("b.xml", b"<Two/>")
        result = htpoort("queue", *arguments)

        assert 2 == result.code
        assert sentence in result.err
        assert 1 == result.err.count("htpoort:")
        assert [] == queued(office)


# Runs the command, and does something when it opens a file whose name begins with A2.
DISTURBED = """
import os, resource, signal, sys
from htpoort.cli import main
action, *sys.argv[1:] = sys.argv[1:]
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
def interrupt_twice():
    interrupt()
    interrupt()
def fill_the_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
def hook(event, arguments):
    if event == "open" and os.path.basename(str(arguments[0])).startswith("A2."):
        globals()[action]()
sys.addaudithook(hook)
main()
"""


class TestInterrupted:
    """Ctrl-C, or a ledger that fails, leaves what is queued as it is; the command reports what that is."""

    @staticmethod
    async def run(*arguments: str) -> tuple[int, str, str]:
        """Run the command; the first argument is what happens at the second file."""
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", DISTURBED, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await started.communicate()
        assert started.returncode is not None
        return started.returncode, out.decode(), err.decode()

    @pytest.fixture
    def command(self, office: Path) -> tuple[str, ...]:
        """Write three files, and give the command that queues them."""
        del office
        for number in range(1, 4):
            put(f"out/A{number}.xml", f"<Number>{number}</Number>".encode(), changed=1_767_605_400 + number)
        return ("queue", "out", *OF_ONE, "--pattern", "{reference}.xml")

    async def test_between_two_files(self, process: Process, office: Path, command: tuple[str, ...]) -> None:
        """The file that is being queued is queued; the repeat queues the others."""
        code, out, err = await self.run("interrupt", *command)

        assert (1, "2 queued, 1 not reached.") == (code, out.splitlines()[-1])
        assert "htpoort: Interrupted. Repeat the command to queue the others; what is queued stays as it is.\n" == err
        assert [("DMS", PARTY, "A1"), ("DMS", PARTY, "A2")] == queued(office)

        again = await process(*command)
        assert (0, "1 queued, 2 queued before.") == (again.code, again.text.splitlines()[-1])
        assert [("DMS", PARTY, f"A{number}") for number in range(1, 4)] == queued(office)

    async def test_at_once(self, office: Path, command: tuple[str, ...]) -> None:
        """A second Ctrl-C does not wait for the file; what is unknown is named, also for a program."""
        code, out, err = await self.run("interrupt_twice", *command, "--json")
        facts = json.loads(out)

        assert (1, "", 1, 2) == (code, err, facts["queued"], facts["not_reached"])
        assert {
            "error": "interrupted",
            "message": (
                "Interrupted. out/A2.xml may be queued or not. "
                "Repeat the command to queue the others; what is queued stays as it is."
            ),
            "retryable": True,
        } == facts["stopped"]
        assert [("DMS", PARTY, "A1")] == queued(office)

    async def test_a_full_disk(self, process: Process, office: Path, command: tuple[str, ...]) -> None:
        """The command stops, and reports what was queued until then; the repeat queues the others."""
        code, out, err = await self.run("fill_the_disk", *command)

        assert (1, f"queued         out/A1.xml  DMS {PARTY} A1", "1 queued, 2 not reached.") == (
            code,
            *out.splitlines(),
        )
        assert err.startswith("htpoort: The ledger ")
        assert [("DMS", PARTY, "A1")] == queued(office)

        again = await process(*command)
        assert (0, "2 queued, 1 queued before.") == (again.code, again.text.splitlines()[-1])


class TestProgress:
    """A bar shows how far a command is, only where a person sees it."""

    async def test_on_a_terminal(self, office: Path) -> None:
        """It is on standard error, and standard output has the same as always."""
        del office
        for number in range(3):
            put(f"out/A{number}.xml", f"<Number>{number}</Number>".encode())
        code, out, shown = await _on_terminal("queue", "out", *OF_ONE, "--pattern", "{reference}.xml")

        assert (0, "3 queued.") == (code, out.decode().splitlines()[-1])
        assert b"\x1b" not in out
        assert b"Queueing" in shown
        assert b"3/3" in shown

    async def test_without_a_known_end(self, office: Path, process: Run) -> None:
        """`export` counts its lines, and `prune` shows that it is at work."""
        del office
        put("out/A1.xml", b"<MetaData/>")
        await process("queue", "out", *OF_ONE, "--pattern", "{reference}.xml")
        code, out, shown = await _on_terminal("export")

        assert (0, 1) == (code, len(out.splitlines()))
        assert b"Exporting" in shown

        code, out, shown = await _on_terminal("prune", "--older-than", "3000")

        assert (0, b"\x1b" in out) == (code, False)
        assert b"Counting" in shown


async def _on_terminal(*arguments: str) -> tuple[int | None, bytes, bytes]:
    """Run a command whose standard error is a terminal; return its exit code, its output, and what is shown."""
    screen, terminal = pty.openpty()
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "htpoort", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    out, _ = await started.communicate()
    shown = b""
    while chunk := _read(screen):
        shown += chunk
    os.close(screen)
    return started.returncode, out, shown


def _read(descriptor: int) -> bytes:
    """Read what a terminal shows; a terminal that no process has open gives an error on Linux."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
