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
