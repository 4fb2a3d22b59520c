"""Faults on purpose: a refresh is killed, starved, locked out, cut off or lied to; afterwards the last good release must
stand, the next refresh must complete, and nothing may be lost or doubled.

    python tests/flow/chaos.py --runs 100 --seed 1 --write docs/reliability.md     by hand or nightly
    the suite runs a few of each (tests/flow/test_chaos.py)

How: a small installation (programme registers, and one DHIS2 server where the fault is on the wire) on real parts. This
process imports everything once and opens nothing; every refresh is a forked child, so that a trial costs seconds.
What is compared: every open row of every table with history, without system times, against an undisturbed run.
"""

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import pickle
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
Rows = dict[str, list[str]]
STOP_AT: list[float] = []
"""When no further trial is begun; empty: never."""


def _conftest() -> Any:
    spec = importlib.util.spec_from_file_location("small_rivers", HERE / "conftest.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["small_rivers"] = module
    spec.loader.exec_module(module)
    return module


# One refresh, in a child --------------------------------------------------------------------------------------------------


def child(work: Callable[[], Any], *, before: Callable[[], None] | None = None) -> tuple[int, Path]:
    """`work` runs in a forked process; its result will be in the file. Nothing of it stays in this process."""
    handle, name = tempfile.mkstemp(prefix="chaos-")
    result = Path(name)
    pid = os.fork()
    if pid:
        os.close(handle)
        return pid, result
    try:
        os.setsid()
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        if before:
            before()
        os.write(handle, pickle.dumps(work()))  # open since before the fault, which may forbid to open or to write
        os._exit(0)
    except BaseException as fault:
        with suppress(BaseException):
            os.write(handle, pickle.dumps({"fault": " ".join(f"{type(fault).__name__}: {fault}".split())[:300]}))
        os._exit(1)


def wait(pid: int, result: Path, *, seconds: float | None = None, is_over: Callable[[], bool] | None = None) -> Any:
    """What the child left; None when it was killed, also by this process after `seconds` or when `is_over` says so."""
    until = time.monotonic() + (seconds or float("inf"))
    while (seconds or is_over) and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() > until or (is_over and is_over()):
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    os.waitpid(pid, 0)
    data = result.read_bytes()
    result.unlink(missing_ok=True)
    return pickle.loads(data) if data else None


def run(work: Callable[[], Any], **options: Any) -> Any:
    """What the child left, when it has ended."""
    return wait(*child(work, **options))


@cache
def job_of(name: str) -> Any:
    """A job of the definitions, made once in the first process. The state folder is asked for when a run begins."""
    from pipelines.definitions import defs

    return defs().resolve_job_def(name)


def refresh(river: Any, source: str, *, is_release: bool = False, are_runs_elsewhere: bool = False) -> dict[str, Any]:
    """The jobs that the weekly schedule starts, in this process: the source's own, and the release build if wanted.

    `are_runs_elsewhere`: Dagster's records are out of reach of the fault (as in PostgreSQL), which then meets the data.
    """
    os.environ.update({**river.environment(), "MHWG_STATE": str(river.state)})
    os.chdir(river.folder)
    import dagster as dg

    from pipelines.dead_runs import close_dead_runs
    from pipelines.settings import load_settings, use_dagster_home

    use_dagster_home(load_settings())
    told: dict[str, Any] = {}
    with dg.DagsterInstance.ephemeral() if are_runs_elsewhere else dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        for name in (f"refresh_{source}", *(["publish"] if is_release else [])):
            done = job_of(name).execute_in_process(
                instance=instance, raise_on_error=False, run_config={"loggers": {"progress": {}}}
            )
            errors = [e.step_failure_data.error for e in done.all_events if e.is_step_failure]
            errors += [e.job_failure_data.error for e in done.all_events if e.is_job_failure and not errors]
            faults = [error.to_string() for error in errors if error]
            told[name] = {"success": done.success, "faults": faults, "cpu_seconds": time.process_time()}
    return told


def content(river: Any) -> Rows:
    """Every open row of every table with history, without system times; and the keys that are open twice."""
    os.environ.update({**river.environment(), "MHWG_STATE": str(river.state)})
    from warehouse.catalogue.table_catalogue import tables
    from warehouse.store import Warehouse

    found: Rows = {}
    with Warehouse(river.state / "warehouse.duckdb").connect(read_only=True) as connection:
        for table in tables().values():
            if not table.history:
                continue
            # Receipts carry the day on which they were received; what they say is in the other columns.
            columns = [
                c.name
                for c in table.columns
                if c.name not in ("receipt_id", "receipt_ids") and "recorded" not in c.name
            ]
            rows = connection.execute(f"select {', '.join(columns)} from {table.name}_current order by all").fetchall()
            if rows:
                found[table.name] = [hashlib.sha256(repr(row).encode()).hexdigest() for row in rows]
            twice = connection.execute(
                f"select count(*) from (select 1 from {table.name}_current group by {', '.join(table.key)} having count(*) > 1)"
            ).fetchall()[0][0]
            if twice:
                found[f"twice {table.name}"] = [str(twice)]
        receipts = connection.execute("select payload_sha256 from ops.receipt order by all").fetchall()
        found["ops.receipt"] = [row[0] for row in receipts]
    return found


def release_state(river: Any) -> dict[str, str]:
    """The release that is shown, file by file."""
    current = river.state / "release" / "current"
    if not current.exists():
        return {}
    folder = current.resolve()
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextmanager
def reader(river: Any) -> Iterator[Callable[[], str]]:
    """An analyst with the release open in another process; calling it asks again, on the same connection."""
    code = (
        "import duckdb, sys\n"
        "c = duckdb.connect(sys.argv[1], read_only=True)\n"
        "for _ in sys.stdin:\n"
        "    print(c.execute('select count(*), sum(hash(o)) from observation o').fetchall(), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(river.state / "release" / "current" / "mhwg.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask() -> str:
        assert process.stdin
        assert process.stdout
        process.stdin.write("again\n")
        process.stdin.flush()
        return process.stdout.readline()

    try:
        yield ask
    finally:
        process.communicate()


# The trials ---------------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of the trials of one fault."""

    fault: str
    tried: int = 0
    lost: int = 0
    doubled: int = 0
    disturbed: int = 0
    notes: list[str] = field(default_factory=list)
    said: dict[str, int] = field(default_factory=dict)
    """What the disturbed refreshes said of their fault, and how often."""

    def hear(self, told: Any) -> None:
        """What a disturbed refresh left is counted: its faults' last causes, "killed", or "it completed"."""
        if told is None:
            sentences = ["killed"]
        elif "fault" in told:
            sentences = [f"no refresh: {told['fault']}"]
        else:
            sentences = [last_cause(fault) for job in told.values() for fault in job["faults"]]
            is_done = all(job["success"] for job in told.values())
            sentences = sentences or ["it completed" if is_done else "it failed without a word"]
        for sentence in sentences:
            self.said[sentence] = self.said.get(sentence, 0) + 1


@dataclass
class Ground:
    """The installation before the change (`base`), and what an undisturbed refresh of the change makes of it."""

    folder: Path
    base: Any
    expected: Rows
    expected_release: dict[str, str]
    seconds: float
    release_seconds: float
    small: Any
    source: str = "programme"

    def trial(self, number: int, fault: str) -> Any:
        """A fresh copy of the installation with the change waiting in its inbox."""
        folder = self.folder / f"{fault}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        river = self.base.copy(folder)
        if self.source == "programme":
            bring_change(river, self.small)
        return river


def bring_change(river: Any, small: Any) -> None:
    """What the offices would have sent by the practice ground's first Monday lies in the inbox."""
    from practice.programme import write_inbox

    inbox = river.state / "inbox" / "programme"
    inbox.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_inbox(inbox, datetime(2026, 7, 6, tzinfo=UTC))


def prepare(folder: Path, small: Any) -> Ground:
    """The installation refreshed once and released; and, aside, with the change taken in undisturbed."""
    base = small.new_river(folder / "base", "http://127.0.0.1:9")
    base.settings["dhis2"] = []
    base.write_settings()
    os.environ.update(base.environment())
    for name in ("refresh_programme", "publish"):
        job_of(name)
    first = run(lambda: refresh(base, "programme", is_release=True))
    assert all(job["success"] for job in first.values()), first
    whole = base.copy(folder / "whole")
    bring_change(whole, small)
    begun = time.monotonic()
    loaded = run(lambda: refresh(whole, "programme"))
    seconds = time.monotonic() - begun
    begun = time.monotonic()
    released = run(lambda: refresh(whole, "programme", is_release=True))
    assert loaded, released
    print(json.dumps({"load": loaded, "release": released, "seconds": seconds}), file=sys.stderr)
    expected = run(lambda: content(whole))
    return Ground(folder, base, expected, release_state(whole), seconds, time.monotonic() - begun, small)


def judge(ground: Ground, river: Any, tally: Tally, ask: Callable[[], str], seen: str, *, is_release: bool) -> None:
    """The next refresh completes; what is missing, doubled or was disturbed is counted."""
    tally.tried += 1
    told = run(lambda: refresh(river, ground.source, is_release=is_release))
    if not told or not all(job["success"] for job in told.values()):
        tally.lost += 1
        tally.notes.append(f"the next refresh did not complete: {str(told)[-600:]}")
        return
    found = run(lambda: content(river))
    for name in sorted(ground.expected.keys() | found.keys()):
        if not is_release and name.split(".")[0] not in ("core", "restricted", "ops"):
            continue  # computed by the release build, which is not part of this trial
        wanted, has = ground.expected.get(name, []), found.get(name, [])
        missing = sum((collected(wanted) - collected(has)).values())
        extra = sum((collected(has) - collected(wanted)).values())
        if missing or extra:
            tally.notes.append(f"{name}: {missing} missing, {extra} too many")
        tally.lost += missing
        tally.doubled += extra
    if ask() != seen:
        tally.disturbed += 1
    left = list((river.state / "landing").rglob(".pulls")) if (river.state / "landing").exists() else []
    if left:
        tally.doubled += 1
        tally.notes.append("a pull still waits after the refresh")


def last_cause(fault: str) -> str:
    """The sentence of a fault that Dagster tells with its causes and their traces: the last cause, on one line."""
    cause = fault.rpartition("The above exception was caused by the following exception:\n")[2]
    return " ".join(cause.partition("\nStack Trace:")[0].split())[:300]


def collected(rows: list[str]) -> Any:
    from collections import Counter

    return Counter(rows)


def disturbed(
    ground: Ground, number: int, tally: Tally, disturb: Callable[[Any], None], *, is_release: bool = False
) -> None:
    """One trial: an open reader, the fault, the release as it was before or as a whole new one, then the judgement."""
    if STOP_AT and time.monotonic() > STOP_AT[0]:
        return
    river = ground.trial(number, tally.fault.replace(" ", "-").replace("/", "-"))
    before = release_state(river)
    with reader(river) as ask:
        seen = ask()
        disturb(river)
        now = release_state(river)
        if now != before and not is_whole(river):
            tally.disturbed += 1
            tally.notes.append("the release that is shown is neither the old one nor a whole new one")
        judge(ground, river, tally, ask, seen, is_release=is_release)
    shutil.rmtree(river.folder, ignore_errors=True)


def is_whole(river: Any) -> bool:
    """The release that is shown has every file that its manifest names, byte for byte."""
    folder = (river.state / "release" / "current").resolve()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return all(
        (folder / name).exists() and hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"]
        for name, entry in ((e["path"], e) for e in manifest["files"])
    )


def killed_after(seconds: float, work: Callable[[], Any]) -> Callable[[Any], None]:
    def disturb(_: Any) -> None:
        pid, result = child(work)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                result.unlink(missing_ok=True)
                return
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        wait(pid, result)

    return disturb


def kill_loads(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """SIGKILL at a random moment between the first look into the inbox and the last byte of the load."""
    for number in range(runs):
        moment = chance.uniform(0.02, 1.0) * ground.seconds
        disturbed(
            ground,
            number,
            tally,
            lambda river, at=moment: killed_after(at, lambda: refresh(river, ground.source))(river),
        )


def kill_releases(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """SIGKILL at a random moment of load, computation and publication."""
    for number in range(runs):
        moment = chance.uniform(0.1, 1.0) * (ground.seconds + ground.release_seconds)
        disturbed(
            ground,
            number,
            tally,
            lambda river, at=moment: killed_after(at, lambda: refresh(river, ground.source, is_release=True))(river),
            is_release=True,
        )


def fill_disks(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """No file may grow beyond a random size: writes fail with an error, as on a full disk. Dagster's records are met, or only
    the data."""
    store = (ground.base.state / "warehouse.duckdb").stat().st_size
    for number in range(runs):
        limit = int(chance.choice([4096, 20_000, store // 2, store, store + 200_000]) * chance.uniform(0.5, 1.0))

        def starve(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        def disturb(river: Any, starving: Callable[[], None] = starve, apart: bool = number % 3 > 0) -> None:
            tally.hear(
                run(lambda: refresh(river, ground.source, are_runs_elsewhere=apart, is_release=True), before=starving)
            )

        disturbed(ground, number, tally, disturb, is_release=True)


def lock_folders(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """A folder of the state may be read and not written, by its owner."""
    names = ["landing", ".", "landing/programme", "release", "locks", "dagster"]
    for number in range(runs):
        name = names[number % len(names)]

        def disturb(river: Any, name: str = name) -> None:
            target = river.state / name
            mode = target.stat().st_mode

            os.chmod(target, 0o555)
            try:
                tally.hear(run(lambda: refresh(river, ground.source, is_release=True), before=obey_permissions))
            finally:
                os.chmod(target, mode)

        disturbed(ground, number, tally, disturb, is_release=True)


def obey_permissions() -> None:
    """Root no longer writes through permissions: CAP_DAC_OVERRIDE is given up (capabilities(7); other users never had it)."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; low word, then the high words
    if libc.capget(header, sets) == 0:
        for number in (0, 1):
            sets[number] &= ~(1 << 1)
        if libc.capset(header, sets) == 0:
            return
    raise OSError(ctypes.get_errno(), "the capabilities of this process could not be changed")


def starve_memory(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """Memory runs out in three ways: the store's limit is met, the process gets no more address space, or the kernel kills
    what grew (here: this process, watching its size)."""
    for number in range(runs):

        def small_store(megabytes: int = chance.randint(1, 4)) -> None:
            from warehouse import store

            begin = store.Warehouse.__init__

            def begin_small(self: Any, *arguments: Any, **options: Any) -> None:
                begin(self, *arguments, **options)
                self.memory_mb = self.most_memory_mb = megabytes

            store.Warehouse.__init__ = begin_small  # type: ignore[method-assign]
            store.CONFIGURATION["max_temp_directory_size"] = "0MB"

        def small_space(more: float = chance.uniform(20, 300) * (1 << 20)) -> None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = int(pages * resource.getpagesize() + more)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

        grown = chance.uniform(2, 60) * (1 << 20)
        way = (small_store, small_space, None)[number % 3]

        def disturb(river: Any, way: Callable[[], None] | None = way, grown: float = grown) -> None:
            pid, result = child(lambda: refresh(river, ground.source, is_release=True), before=way)
            first = anonymous_bytes(pid)
            # A library that cannot start a thread may wait for it for ever.
            seconds = 20 + 2 * (ground.seconds + ground.release_seconds)
            is_over = None if way else lambda: anonymous_bytes(pid) > first + grown
            tally.hear(wait(pid, result, seconds=seconds, is_over=is_over))

        disturbed(ground, number, tally, disturb, is_release=True)


def anonymous_bytes(pid: int) -> int:
    """Memory of its own that a process holds; 0 when it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def jump_clocks(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """The machine's clock stands years back or days ahead while a refresh runs; then it is right again."""
    for number in range(runs):
        jump = timedelta(days=chance.choice([-4000, -365, -1, 1, 30]))

        def wrong(jump: timedelta = jump) -> None:
            from warehouse.clock import WallClock

            WallClock.now = lambda self: datetime.now(UTC).replace(microsecond=0) + jump  # type: ignore[method-assign]

        disturbed(
            ground,
            number,
            tally,
            lambda river, b=wrong: tally.hear(run(lambda: refresh(river, ground.source), before=b)),
        )


def refresh_twice_at_once(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """Two refreshes of one source start together: one waits for the other."""
    for number in range(runs):

        def disturb(river: Any) -> None:
            both = [child(lambda: refresh(river, ground.source)) for _ in range(2)]
            for told in [wait(*each) for each in both]:
                if not told or not all(job["success"] for job in told.values()):
                    tally.notes.append(f"one of two refreshes failed: {str(told)[-600:]}")
                    tally.lost += 1

        disturbed(ground, number, tally, disturb)


def cut_landed_files(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """A landed file loses its end between landing and load; it is recognised, never loaded short, and pulled again."""
    for number in range(runs):

        def disturb(river: Any) -> None:
            land_only(river, ground.source)
            waiting = [
                path
                for note in (river.state / "landing" / ground.source / ".pulls").glob("*.json")
                for receipt in json.loads(note.read_text(encoding="utf-8"))
                for path in sorted((river.state / "landing" / receipt["path"] / "files").iterdir())
            ]
            victim = chance.choice(waiting)
            with victim.open("r+b") as stream:
                stream.truncate(int(victim.stat().st_size * chance.uniform(0.0, 0.9)))
            told = run(lambda: refresh(river, ground.source))
            if told and told[f"refresh_{ground.source}"]["success"]:
                tally.notes.append("a truncated file was loaded")

        disturbed(ground, number, tally, disturb)


def land_only(river: Any, source: str) -> None:
    """The source is pulled and not loaded: what a cut between the two leaves."""

    def work() -> None:
        os.environ.update({**river.environment(), "MHWG_STATE": str(river.state)})
        import dagster as dg

        from pipelines.definitions import defs
        from pipelines.settings import load_settings, use_dagster_home

        use_dagster_home(load_settings())
        job = (
            defs()
            .resolve_job_def(f"refresh_{source}")
            .get_subset(asset_selection=frozenset({dg.AssetKey(["landing", source])}))
        )
        with dg.DagsterInstance.get() as instance:
            job.execute_in_process(instance=instance)

    run(work)


def corrupt_stores(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """Bytes of the warehouse file are overwritten or its end is lost: recognised, nothing published from it; restored from
    a backup, as `mhwg restore` does, the next refresh goes on."""
    for number in range(runs):

        def disturb(river: Any) -> None:
            backup = run(lambda: backed_up(river))
            store = river.state / "warehouse.duckdb"
            size = store.stat().st_size
            with store.open("r+b") as stream:
                if chance.random() < 0.3:
                    stream.truncate(int(size * chance.uniform(0.05, 0.9)))
                else:
                    for _ in range(40):
                        stream.seek(int(chance.uniform(0, size - 64)))
                        stream.write(chance.randbytes(64))
            told = run(lambda: refresh(river, ground.source, is_release=True))
            tally.hear(told)
            if told and "fault" not in told and all(job["success"] for job in told.values()):
                tally.notes.append("a corrupted warehouse was used without a word")
            run(lambda: restored(river, backup))
            bring_change(river, ground.small)  # the office's file, which came after the backup

        disturbed(ground, number, tally, disturb, is_release=True)


def backed_up(river: Any) -> Path:
    """The backup that `mhwg backup` takes."""
    from warehouse.backup import take_backup
    from warehouse.store import Warehouse

    store = Warehouse(river.state / "warehouse.duckdb")
    return take_backup(store, river.state, river.folder / "backups", datetime.now(UTC), river.folder / "mhwg.toml").path


def restored(river: Any, backup: Path) -> None:
    """The state is what the backup holds, as `mhwg restore --replace` makes it."""
    from warehouse.backup import restore_backup

    restore_backup(backup, river.state, replace=True)


# Faults on the wire -------------------------------------------------------------------------------------------------------


class CuttingProxy:
    """A TCP proxy in front of a server that cuts every connection after so many bytes of answer, until told to stop."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.cut_after: int | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self.target)) as far:
            threading.Thread(target=self._pump, args=(near, far, None), daemon=True).start()
            self._pump(far, near, self.cut_after)
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        sent = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if limit is not None and sent + len(data) > limit:
                    sink.sendall(data[: max(0, limit - sent)])
                    return
                sink.sendall(data)
                sent += len(data)


def serve_and_cut() -> None:
    """The practice server of Viet Nam behind a cutting proxy, in a process of its own (this one must not have threads when
    it forks). Says the proxy's port; each line of standard input is a number of bytes, or empty for no cutting."""
    small = _conftest()
    with tempfile.TemporaryDirectory(prefix="chaos-clock-") as folder:
        clock = small.PracticeClock(Path(folder))
        running = small.serve(small.World(clock.seed), clock, (small.SERVER,))
        proxy = CuttingProxy(int(running.urls[small.SERVER].rpartition(":")[2].partition("/")[0]))
        print(proxy.port, flush=True)
        for line in sys.stdin:
            proxy.cut_after = int(line) if line.strip() else None
            print("ok", flush=True)
        running.stop()


@contextmanager
def wire(ground: Ground) -> Iterator[tuple[Ground, Callable[[int | None], None]]]:
    """The installation with a DHIS2 server behind a proxy; calling the second makes the proxy cut, or stop cutting."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin
    assert server.stdout

    def cut(after: int | None) -> None:
        assert server.stdin
        assert server.stdout
        server.stdin.write(f"{'' if after is None else after}\n")
        server.stdin.flush()
        server.stdout.readline()

    try:
        for name in ("wire", "wire-whole"):
            shutil.rmtree(ground.folder / name, ignore_errors=True)
        base = ground.base.copy(ground.folder / "wire")
        base.settings["dhis2"] = [ground.small.small_server(f"http://127.0.0.1:{int(server.stdout.readline())}")]
        base.write_settings()
        job_of.cache_clear()
        os.environ.update(base.environment())
        job_of("refresh_dhis2_vnm")
        whole = base.copy(ground.folder / "wire-whole")
        begun = time.monotonic()
        told = run(lambda: refresh(whole, "dhis2_vnm"))
        assert told["refresh_dhis2_vnm"]["success"], told
        seconds = time.monotonic() - begun
        yield (
            Ground(ground.folder, base, run(lambda: content(whole)), {}, seconds, 0.0, ground.small, "dhis2_vnm"),
            cut,
        )
    finally:
        server.stdin.close()
        server.wait()
        job_of.cache_clear()


def cut_servers(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """The server's connections break in the middle of an answer, every time, until the client gives up; then it is back."""
    with wire(ground) as (installation, cut):
        for number in range(runs):

            def disturb(river: Any) -> None:
                cut(int(chance.choice([0, 300, 5_000, 60_000]) * chance.uniform(0.2, 1.0)))
                told = run(lambda: refresh(river, installation.source))
                if told and told["refresh_dhis2_vnm"]["success"]:
                    tally.notes.append("nothing was long enough to be cut")
                cut(None)

            disturbed(installation, number, tally, disturb)


def lose_names(ground: Ground, tally: Tally, runs: int, chance: random.Random) -> None:
    """No host name can be resolved; then it can."""

    def no_names() -> None:
        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        socket.getaddrinfo = unknown

    with wire(ground) as (installation, _):
        for number in range(runs):

            def disturb(river: Any) -> None:
                told = run(lambda: refresh(river, installation.source), before=no_names)
                if not told or told["refresh_dhis2_vnm"]["success"]:
                    tally.notes.append(f"a pull without names: {str(told)[-300:]}")

            disturbed(installation, number, tally, disturb)


FAULTS: dict[str, Callable[[Ground, Tally, int, random.Random], None]] = {
    "kill -9 during pull and load": kill_loads,
    "kill -9 during load, computation and release": kill_releases,
    "disk full": fill_disks,
    "read-only folder": lock_folders,
    "out of memory": starve_memory,
    "clock jump": jump_clocks,
    "two refreshes at once": refresh_twice_at_once,
    "truncated landed file": cut_landed_files,
    "corrupted warehouse": corrupt_stores,
    "server dying mid-page": cut_servers,
    "DNS failure": lose_names,
}


def warm() -> None:
    """Everything a refresh imports is imported, nothing is opened: forks of this process start at once."""
    import importlib

    for name in (
        "great_expectations", "duckdb_sqlalchemy", "scipy.stats", "altair", "vl_convert", "sdmx", "xlsxwriter", "jinja2",
        "pipelines.definitions", "warehouse.publishing.release", "svy",
    ):  # fmt: skip
        with suppress(ImportError):
            importlib.import_module(name)
    ctypes.CDLL(None).prctl(1, 0)


def tallies(runs: dict[str, int], seed: int, folder: Path) -> list[Tally]:
    """Every fault tried so many times, from one seed."""
    small = _conftest()
    warm()
    ground = prepare(folder, small)
    found = []
    for fault, trial in FAULTS.items():
        if not runs.get(fault):
            continue
        tally = Tally(fault)
        trial(ground, tally, runs[fault], random.Random(f"{seed} {fault}"))
        found.append(tally)
        print(json.dumps(tally.__dict__), file=sys.stderr, flush=True)
    return found


BEGIN, END = "<!-- generated by tests/flow/chaos.py -->", "<!-- end of the generated table -->"


def write_table(document: Path, found: list[Tally], seed: int) -> None:
    """The document's table says what these trials found; rows of faults that were not tried this time stay."""
    text = document.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    rows = {
        line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("| ") and "---" not in line
    }
    for tally in (entry for entry in found if entry.tried):
        rows[tally.fault] = (
            f"| {tally.fault} | {tally.tried} | {tally.lost} | {tally.doubled} | {tally.disturbed} | {seed} |"
        )
    lines = ["| fault | times tried | lost | doubled | readers disturbed | seed |", "|---|---:|---:|---:|---:|---:|"]
    lines += [rows[fault] for fault in FAULTS if fault in rows]
    document.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


def main() -> int:
    """The trials have run and the table is written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="times the load is killed; other faults in proportion")
    parser.add_argument("--seed", type=int, default=20260706)
    parser.add_argument("--only", action="append", help="only this fault; may repeat")
    parser.add_argument("--each", type=int, help="this many trials of every fault")
    parser.add_argument("--minutes", type=float, help="begin no trial after so many minutes")
    parser.add_argument("--write", type=Path, help="write the table into this document")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_and_cut()
        return 0
    if arguments.minutes:
        STOP_AT.append(time.monotonic() + 60 * arguments.minutes)
    runs = {fault: arguments.each or max(1, arguments.runs // 10) for fault in FAULTS}
    if not arguments.each:
        runs["kill -9 during pull and load"] = arguments.runs
    if arguments.only:
        runs = {fault: count for fault, count in runs.items() if fault in arguments.only}
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        os.chmod(folder, 0o755)
        found = tallies(runs, arguments.seed, Path(folder))
    if arguments.json:
        print(json.dumps([tally.__dict__ for tally in found]))
    if arguments.write:
        write_table(arguments.write, found, arguments.seed)
    return int(any(tally.lost or tally.doubled or tally.disturbed for tally in found))


if __name__ == "__main__":
    sys.exit(main())
