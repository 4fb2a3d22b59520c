"""The simulated clock: where it starts, that it only goes forward, and that it survives."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from practice.clock import PracticeClock


def test_it_starts_on_a_monday_at_five_in_viet_nam(tmp_path: Path) -> None:
    clock = PracticeClock(tmp_path / "practice")
    assert clock.instant() == datetime(2026, 7, 5, 22, 0, tzinfo=UTC)
    assert clock.week == 0
    assert not clock.path.exists(), "looking at the clock writes nothing"


def test_advance_moves_by_weeks_and_is_kept(tmp_path: Path) -> None:
    before = PracticeClock(tmp_path).instant()
    PracticeClock(tmp_path).advance()
    PracticeClock(tmp_path).advance(2)
    assert PracticeClock(tmp_path).instant() - before == timedelta(weeks=3)


def test_it_does_not_go_back_but_by_reset(tmp_path: Path) -> None:
    clock = PracticeClock(tmp_path)
    with pytest.raises(ValueError, match="only goes forward"):
        clock.advance(0)
    clock.advance(5)
    clock.reset(seed=7)
    assert (clock.week, clock.seed) == (0, 7)
    clock.advance()
    assert clock.seed == 7
