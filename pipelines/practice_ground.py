"""The practice ground as a process of its own: started when a run needs its servers, stopped when the run ends.

Belongs here: starting and stopping `mhwg practice serve`. Does not belong here: anything of the practice world; nothing
but `pipelines.cli.practice` imports it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.failures import SettingsError
from pipelines.settings import Settings, environment

START_SECONDS = 300.0
"""A child that ends is noticed at once; this is for one that hangs. It was 60: with ten programs on two cores it took longer."""


@dataclass(frozen=True)
class Ground:
    """Where the sources are: the simulated instant and the address of each practice server; empty on real sources."""

    instant: datetime | None = None
    urls: Mapping[str, str] | None = None


@contextmanager
def practice_ground(settings: Settings) -> Iterator[Ground]:
    """The practice servers answer while the block runs; on real sources nothing is started.

    Raises SettingsError with the child's own words when it does not come up.
    """
    if not settings.practice:
        yield Ground()
        return
    folder = settings.state_folder / "practice"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Named by process: runs of several sources each have servers of their own at the same time.
    ready = folder / f"ready-{os.getpid()}.json"
    ready.unlink(missing_ok=True)
    log = folder / f"servers-{os.getpid()}.log"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "practice", "serve", "--ready-file", str(ready)],
            stdin=subprocess.PIPE,  # the child ends when this end closes, so a killed refresh leaves no server behind
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**environment(), "MHWG_STATE": str(settings.state_folder)},
            cwd=settings.state_folder,
        )
        try:
            yield _wait_until_ready(child, ready, log)
        finally:
            if child.stdin:
                child.stdin.close()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            ready.unlink(missing_ok=True)
            log.unlink(missing_ok=True)


def _wait_until_ready(child: "subprocess.Popen[bytes]", ready: Path, log: Path) -> Ground:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise SettingsError("the practice ground did not start: " + (" / ".join(words) or "no word from it"))
        time.sleep(0.05)
    told = json.loads(ready.read_text(encoding="utf-8"))
    return Ground(datetime.fromisoformat(told["instant"]), told["urls"])
