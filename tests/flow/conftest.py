"""A small river for the tests of operations: one DHIS2 server with three provinces' worth of units, one bulletin, reference
series. The same parts as the whole practice ground; a refresh takes seconds.

The server runs in this process; its world is the practice ground's at its first Monday, so nothing in it is real.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from practice.clock import PracticeClock
from practice.dhis2 import serve
from practice.labour import write_inbox
from practice.world.region import World

PROJECT = Path(__file__).resolve().parents[2]
SERVER = "vnm"
BULLETINS = ("lao-dong-ngoai-nuoc_year-2022.xlsx", "lao-dong-ngoai-nuoc_year-2023.xlsx")
SECRETS = {
    "MHWG_DHIS2_VNM_CREDENTIAL": "practice-token",
    "MHWG_PSEUDONYM_KEY": "a key of the tests, for people who do not exist",
}


def toml_text(value: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """Settings as TOML: scalars first, then tables, then arrays of tables."""
    lines = [f"[{'.'.join(path)}]"] if path else []
    tables, arrays = [], []
    for key, entry in value.items():
        if isinstance(entry, dict):
            tables.append((key, entry))
        elif isinstance(entry, list) and entry and isinstance(entry[0], dict):
            arrays.append((key, entry))
        else:
            text = entry.isoformat() if hasattr(entry, "isoformat") else json.dumps(entry, ensure_ascii=False)
            lines.append(f"{key} = {text}")
    for key, entry in tables:
        lines.append(toml_text(entry, (*path, key)))
    for key, entries in arrays:
        for entry in entries:
            body = toml_text(entry, (*path, key))
            lines.append(body.replace(f"[{'.'.join((*path, key))}]", f"[[{'.'.join((*path, key))}]]", 1))
    return "\n".join(lines)


def small_server(url: str) -> dict[str, Any]:
    """The practice server of Viet Nam as a real one would be named in the settings, with little to collect."""
    practice = tomllib.loads((PROJECT / "practice" / "mhwg.toml").read_text(encoding="utf-8"))
    entry = next(entry for entry in practice["dhis2"] if entry["code"] == SERVER)
    entry |= {"url": url, "data_from": date(2026, 1, 1), "root_org_units": ["udUWlvRlKQs", "di9Hzwq95tq"]}
    entry["data_set"] = [each for each in entry["data_set"] if each["code"] == "TB_MONTHLY"]
    return entry


@dataclass
class River:
    """One installation: its folder with settings and state, and the `mhwg` command on it."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "var"

    def write_settings(self) -> None:
        """The settings file says what `settings` says."""
        (self.folder / "mhwg.toml").write_text(toml_text(self.settings), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """The environment of a command: this installation's settings and secrets, no terminal tricks."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("MHWG_", "DAGSTER_"))}
        return {
            **kept, **SECRETS, **self.secrets, "MHWG_SETTINGS": str(self.folder / "mhwg.toml"), "NO_COLOR": "1", "COLUMNS": "160",
        }  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        """The command line of `mhwg`."""
        return [sys.executable, "-m", "pipelines.cli", *arguments]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`mhwg` with these arguments, run to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, env=self.environment(), cwd=self.folder
        )

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """`mhwg` with these arguments, started."""
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.folder,
            **options,
        )

    def refresh(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a refresh says of itself; it must end with `code`."""
        done = self.run("refresh", "--json", *arguments)
        assert done.returncode == code, done.stdout[-2000:] + done.stderr[-3000:]
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def copy(self, folder: Path) -> "River":
        """Another installation in the same state."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return River(folder, dict(self.settings), dict(self.secrets))


@pytest.fixture(scope="session")
def practice_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the practice server of Viet Nam, up for the whole session."""
    clock = PracticeClock(tmp_path_factory.mktemp("clock"))
    running = serve(World(clock.seed), clock, (SERVER,))
    try:
        yield running.urls[SERVER]
    finally:
        running.stop()


def new_river(folder: Path, url: str, **settings: Any) -> River:
    """An installation that has never been refreshed: settings, and bulletins in its inbox."""
    folder.mkdir(parents=True, exist_ok=True)
    river = River(folder, {"organisation": "A small river", **settings, "dhis2": [small_server(url)]})
    river.write_settings()
    sent = folder / "sent"
    sent.mkdir()
    write_inbox(sent, datetime(2026, 7, 6, tzinfo=UTC))
    inbox = river.state / "inbox" / "labour"
    inbox.mkdir(parents=True, mode=0o700)
    for name in BULLETINS:
        shutil.copy(sent / name, inbox / name)
    shutil.rmtree(sent)
    return river


@pytest.fixture(scope="session")
def small_rivers() -> Any:
    """This module, for tests that make rivers of their own."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def leak_search() -> Any:
    """The search for planted identifiers; a file beside the tests, because the folder is no package."""
    spec = importlib.util.spec_from_file_location("leak_search", Path(__file__).with_name("leak_search.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
