"""
Read a folder of published notices, and compare with what a careful person took from each.

Beside each `NAME.txt` stands `NAME.json` with the keys of `htpoort windows read --json`. The folder is that of
`--folder`, or `notices` in the folder that `HTPOORT_CORPUS` names, or the notices of the tests. Files whose truth
says `torn`, because careful people differ about a row, are shown and not judged.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import attrs

from htpoort.notices import notice_json, read_notice

ROW: Final = ("system", "access", "messages", "start", "end", "end_kind", "behaviour", "recovery", "fallback")
WHOLE: Final = ("authority", "language", "kind", "references", "zone", "revisions", "state", "older_windows")
TESTS: Final = Path(__file__).parent.parent / "tests" / "unit" / "notices"


@attrs.define
class Score:
    """What was stated of one notice, against its truth."""

    name: str
    torn: bool
    complete: bool
    right: int = 0
    wrong: list[str] = attrs.field(factory=list)
    missing: list[str] = attrs.field(factory=list)
    fields: dict[str, bool] = attrs.field(factory=dict)
    reported: list[str] = attrs.field(factory=list)
    codes_missing: list[str] = attrs.field(factory=list)
    codes_extra: list[str] = attrs.field(factory=list)

    @property
    def failed(self) -> bool:
        """Whether a row or a field is wrong, or a row or a code is missing, in a notice that is judged."""
        whole = all(self.fields.values())
        return not self.torn and (bool(self.wrong or self.missing or self.codes_missing) or not whole)


def rows_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a truth, which may be typed as lists."""
    return [dict(zip(ROW, row, strict=True)) if isinstance(row, list) else row for row in values["windows"]]


def codes_of(values: dict[str, Any]) -> list[str]:
    """Return the codes of the problems, each once."""
    return sorted({problem.split(":")[0] for problem in values["problems"]})


def score(path: Path) -> Score:
    """Read one text and compare."""
    truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    stated = notice_json(read_notice(path.read_text(encoding="utf-8")))
    result = Score(path.stem, bool(truth.get("torn")), stated["complete"])
    left = rows_of(truth)
    for row in stated["windows"]:
        if row in left:
            left.remove(row)
            result.right += 1
        else:
            result.wrong.append(json.dumps(row, ensure_ascii=False))
    result.missing = [json.dumps(row, ensure_ascii=False) for row in left]
    result.fields = {name: stated[name] == truth[name] for name in WHOLE}
    result.reported, expected = codes_of(stated), codes_of(truth)
    result.codes_missing = sorted(set(expected) - set(result.reported))
    result.codes_extra = sorted(set(result.reported) - set(expected))
    return result


def report(scores: list[Score], *, verbose: bool) -> None:
    """Print the table, and the sums of the files that are judged."""
    form = "{:<16} {:>8} {:>6} {:>6} {:>8}  {:<9} {:>8}  {:<26} {}"
    print(
        form.format(
            "file", "asserted", "right", "wrong", "missing", "complete", "codes", "codes missing", "codes extra"
        )
    )
    for each in scores:
        name = f"{each.name} (torn)" if each.torn else each.name
        counts = (each.right + len(each.wrong), each.right, len(each.wrong), len(each.missing))
        codes = (len(each.reported), " ".join(each.codes_missing) or "-", " ".join(each.codes_extra) or "-")
        print(form.format(name, *counts, "complete" if each.complete else "-", *codes))
        wrong = [field for field, right in each.fields.items() if not right]
        if wrong:
            print(f"    differs in: {', '.join(wrong)}")
        for kind, rows in (("wrong", each.wrong), ("missing", each.missing)):
            for row in rows if verbose else []:
                print(f"    {kind}: {row}")
    judged = [each for each in scores if not each.torn]
    fields = Counter(field for each in judged for field, right in each.fields.items() if right)
    print(f"\n{len(judged)} files judged, {len(scores) - len(judged)} torn")
    print(f"  rows asserted   {sum(each.right + len(each.wrong) for each in judged)}")
    print(f"  rows right      {sum(each.right for each in judged)}")
    print(f"  rows wrong      {sum(len(each.wrong) for each in judged)}")
    print(f"  rows missing    {sum(len(each.missing) for each in judged)}")
    print(f"  codes missing   {sum(len(each.codes_missing) for each in judged)}")
    print(f"  codes extra     {sum(len(each.codes_extra) for each in judged)}")
    for field in WHOLE:
        print(f"  {field:<15} right in {fields[field]} of {len(judged)}")


def speed(path: Path) -> float:
    """Return the lowest time of the processor for reading a text once, in milliseconds."""
    text = path.read_text(encoding="utf-8")
    times: list[float] = []
    for _ in range(30):
        start = time.process_time()
        read_notice(text)
        times.append(time.process_time() - start)
    return min(times) * 1000


def main() -> int:
    """Print the table; 1 if a judged notice is read wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    corpus = os.environ.get("HTPOORT_CORPUS")
    parser.add_argument("--folder", type=Path, default=Path(corpus) / "notices" if corpus else TESTS)
    parser.add_argument("--verbose", action="store_true", help="print each row that is wrong or missing")
    options = parser.parse_args()
    texts = sorted(path for path in options.folder.glob("*.txt") if path.with_suffix(".json").exists())
    if not texts:
        print(f"{options.folder} holds no texts with a truth beside them.", file=sys.stderr)
        return 2
    scores = [score(path) for path in texts]
    report(scores, verbose=options.verbose)
    longest = max(texts, key=lambda path: path.stat().st_size)
    print(f"  {longest.stem}: read in {speed(longest):.1f} ms, {longest.stat().st_size:,} octets")
    return 1 if any(each.failed for each in scores) else 0


if __name__ == "__main__":
    sys.exit(main())
