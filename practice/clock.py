"""The simulated clock of the practice ground: one small file that says which week it is there.

It moves only when told to, so that two refreshes in the same simulated week see the same world. Real time does not belong
here.
"""

import json
import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

STARTED_ON = date(2026, 7, 6)
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
HOUR = time(5, 0)
DEFAULT_SEED = 20260706


class PracticeClock:
    """The clock kept in `folder`/clock.json; a folder without the file stands at the start."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "clock.json"

    def _read(self) -> dict[str, object]:
        if not self.path.exists():
            return {"seed": DEFAULT_SEED, "started_on": STARTED_ON.isoformat(), "week": 0}
        state: dict[str, object] = json.loads(self.path.read_text(encoding="utf-8"))
        return state

    def _write(self, seed: int, started_on: date, week: int) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = self.path.with_suffix(".part")
        state = {"seed": seed, "started_on": started_on.isoformat(), "week": week}
        aside.write_text(json.dumps(state) + "\n", encoding="utf-8")
        os.replace(aside, self.path)

    @property
    def seed(self) -> int:
        """The seed of the world that this clock belongs to."""
        return int(str(self._read()["seed"]))

    @property
    def week(self) -> int:
        """Simulated weeks since the start."""
        return int(str(self._read()["week"]))

    @property
    def started_on(self) -> date:
        """The Monday on which the simulated time began."""
        return date.fromisoformat(str(self._read()["started_on"]))

    def instant(self) -> datetime:
        """The simulated instant, in UTC: Monday 05:00 of Viet Nam in the current week."""
        day = self.started_on + timedelta(weeks=self.week)
        return datetime.combine(day, HOUR, tzinfo=ZONE).astimezone(UTC)

    def advance(self, weeks: int = 1) -> datetime:
        """The clock stands `weeks` later and the new instant is returned.

        *Raises* ValueError for a number below one: the practice world has no way back but `reset`.
        """
        if weeks < 1:
            raise ValueError(f"the practice clock only goes forward: weeks = {weeks}")
        self._write(self.seed, self.started_on, self.week + weeks)
        return self.instant()

    def reset(self, seed: int | None = None, started_on: date = STARTED_ON) -> datetime:
        """The clock stands at its start again, in the world of `seed` if one is given."""
        self._write(self.seed if seed is None else seed, started_on, 0)
        return self.instant()
