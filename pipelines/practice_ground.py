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


@dataclass(frozen=True)
class _Child:
    """The process of the servers, the file in which it tells that it is ready, and its log."""

    process: "subprocess.Popen[bytes]"
    ready: Path
    log: Path


_starting: dict[Path, _Child] = {}
"""By state folder: servers that were started before the run that needs them, and not taken by it yet."""


@contextmanager
def starting_ground(settings: Settings) -> Iterator[None]:
    """The practice servers begin to start, for the next `practice_ground` of this process: they take 2 s to listen, and a refresh
    meanwhile imports what it needs on the other core. They are gone at the end, taken or not; on real sources nothing is started."""
    if not settings.practice:
        yield
        return
    child = _starting[settings.state_folder] = _started(settings)
    try:
        yield
    finally:
        _starting.pop(settings.state_folder, None)
        _stop(child)


@contextmanager
def practice_ground(settings: Settings) -> Iterator[Ground]:
    """The practice servers answer while the block runs; on real sources nothing is started.

    Raises SettingsError with the child's own words when it does not come up.
    """
    if not settings.practice:
        yield Ground()
        return
    child = _starting.pop(settings.state_folder, None) or _started(settings)
    try:
        yield _wait_until_ready(child)
    finally:
        _stop(child)


def _started(settings: Settings) -> _Child:
    folder = settings.state_folder / "practice"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Named by process: runs of several sources each have servers of their own at the same time.
    ready = folder / f"ready-{os.getpid()}.json"
    ready.unlink(missing_ok=True)
    log = folder / f"servers-{os.getpid()}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "practice", "serve", "--ready-file", str(ready)],
            stdin=subprocess.PIPE,  # the child ends when this end closes, so a killed refresh leaves no server behind
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**environment(), "MHWG_STATE": str(settings.state_folder)},
            cwd=settings.state_folder,
        )
    return _Child(process, ready, log)


def _stop(child: _Child) -> None:
    """The process has ended and its files are gone; once more does nothing."""
    if child.process.stdin:
        child.process.stdin.close()
    try:
        child.process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.process.kill()
        child.process.wait()
    child.ready.unlink(missing_ok=True)
    child.log.unlink(missing_ok=True)


def _wait_until_ready(child: _Child) -> Ground:
    deadline = time.monotonic() + START_SECONDS
    while not child.ready.exists():
        if child.process.poll() is not None or time.monotonic() > deadline:
            words = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise SettingsError("the practice ground did not start: " + (" / ".join(words) or "no word from it"))
        time.sleep(0.05)
    told = json.loads(child.ready.read_text(encoding="utf-8"))
    return Ground(datetime.fromisoformat(told["instant"]), told["urls"])
