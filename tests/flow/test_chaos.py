"""A short storm in the suite, with a fixed seed; the long one is run by hand or nightly (tests/flow/chaos.py).

The table of docs/reliability.md comes from the long one; here it is proved that it names every fault and holds only zeros.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SHORT = (
    "kill -9 during pull and load",
    "disk full",
    "read-only folder",
    "out of memory",
    "two refreshes at once",
    "truncated landed file",
    "corrupted warehouse",
)


@pytest.fixture(scope="module")
def storm() -> list[dict]:
    """What the trials of the short storm found."""
    only = [word for fault in SHORT for word in ("--only", fault)]
    done = subprocess.run(
        [sys.executable, str(HERE / "chaos.py"), "--each", "1", "--seed", "7", "--json", *only],
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr[-4000:]
    found: list[dict] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("fault", SHORT)
def test_nothing_is_lost_doubled_or_disturbed(storm, fault):
    (tally,) = [entry for entry in storm if entry["fault"] == fault]
    assert tally["tried"] == 1
    assert (tally["lost"], tally["doubled"], tally["disturbed"], tally["notes"]) == (0, 0, 0, [])


def test_a_store_without_memory_says_so(storm):
    (tally,) = [entry for entry in storm if entry["fault"] == "out of memory"]
    assert [said for said in tally["said"] if "Out of Memory" in said or "of memory" in said], tally["said"]


def test_the_published_table_names_every_fault_and_holds_zeros_only():
    source = (HERE / "chaos.py").read_text(encoding="utf-8")
    faults = [
        line.split('"')[1]
        for line in source.partition("FAULTS: dict")[2].partition("\n}")[0].splitlines()
        if line.startswith('    "')
    ]
    assert len(faults) >= 11
    document = (HERE.parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = {
        cells[0]: cells[1:]
        for cells in (
            [c.strip() for c in line.strip("| \n").split("|")] for line in document.splitlines() if line.startswith("|")
        )
        if cells[0] in faults and len(cells) == 6
    }
    assert list(rows) == faults
    for fault, (tried, *counts, _) in rows.items():
        assert int(tried) > 0, fault
        assert counts == ["0", "0", "0"], fault
