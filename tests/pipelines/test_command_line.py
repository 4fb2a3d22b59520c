"""What every verb of `mhwg` keeps: documented exit codes, JSON for programs, no colour where none is wanted, completion, no traceback."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from pipelines.cli import app, call
from pipelines.failures import Exit
from pipelines.settings import PROJECT

COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-7]")
NOTHING_TO_READ = {
    "dev": "runs until it is stopped",
    "service": "runs until it is stopped, or answers by its exit code",
    "practice serve": "runs until it is stopped; a program reads --ready-file",
    "init": "writes one file and says where",
}
"""Verbs without --json, and why no program reads what they print."""


def verbs() -> dict[str, set[str]]:
    """Every verb with its options."""
    found: dict[str, set[str]] = {}

    def walk(name: str, command) -> None:
        if hasattr(command, "commands"):
            for word, below in command.commands.items():
                walk(f"{name} {word}".strip(), below)
        else:
            found[name] = {option for parameter in command.params for option in parameter.opts}

    walk("", get_command(app))
    return found


def test_every_verb_has_json_or_nothing_to_read():
    without = {name for name, options in verbs().items() if "--json" not in options}
    assert without == set(NOTHING_TO_READ)
    assert len(verbs()) > 40


def test_the_runbook_has_the_table_of_exit_codes_and_the_readme_agrees():
    text = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
    part = text.split("## Exit codes")[1].split("\n## ")[0]
    rows = {int(code): name for code, name in re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", part, flags=re.MULTILINE)}
    assert rows == {int(code): code.name for code in Exit}
    line = next(
        line
        for line in (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("Exit codes:")
    )
    assert [int(code) for code in re.findall(r"(\d+) [a-z]", line)] == [int(code) for code in Exit]


def test_exit_codes_do_not_change():
    """As first documented; scripts rely on them."""
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0, "BUG": 1, "PARTIAL": 2, "REFUSED": 3, "SETTINGS": 4, "BUSY": 5, "NOT_FOUND": 6, "USAGE": 64, "INTERRUPTED": 130,
    }  # fmt: skip


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The practice ground where nothing has been refreshed yet."""
    monkeypatch.setenv("MHWG_SETTINGS", str(PROJECT / "practice" / "mhwg.toml"))
    monkeypatch.setenv("MHWG_STATE", str(tmp_path / "var"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return tmp_path / "var"


ARGUMENTS = {
    "explain": ["TB11", "--area", "VNM", "--period", "2026"],
    "restore": ["/no/such/backup.tar"],
    "erase": ["a" * 40, "--yes"],
    "release as-of": ["2026-01-01"],
    "release withdraw": ["20260101T000000Z", "--reason", "a test of the tests"],
    "quarantine show": ["q1"],
    "quarantine release": ["q1", "--reason", "a test of the tests"],
    "quarantine discard": ["q1", "--reason", "a test of the tests"],
    "quarantine hold": ["q1", "--reason", "a test of the tests"],
    "labour inspect": ["/no/such/file.xlsx"],
    "survey inspect": ["/no/such/file.sav"],
    "indicator alternates": ["TB02"],
    "retention": [],
    "keys rotate": [],
    "practice reset": [],
}


@pytest.mark.parametrize("verb", sorted(set(ARGUMENTS)))
def test_on_a_bare_folder_a_verb_says_in_a_sentence_what_is_missing(
    bare: Path, verb: str, capsys: pytest.CaptureFixture[str]
):
    """No verb fails with a traceback because nothing has been refreshed yet, and none invents a state."""
    code = call(lambda: app([*verb.split(), *ARGUMENTS[verb]], standalone_mode=False))
    said = capsys.readouterr()
    assert code in (Exit.NOT_FOUND, Exit.USAGE, Exit.REFUSED), (verb, code)
    assert len(said.err.strip()) > 20
    assert "Traceback" not in said.err
    assert not (bare / "warehouse.duckdb").exists()


def test_practice_time_moves_on_and_starts_over_for_programs_too(bare: Path, capsys: pytest.CaptureFixture[str]):
    assert call(lambda: app(["practice", "advance", "2", "--json"], standalone_mode=False)) == 0
    first = json.loads(capsys.readouterr().out)["instant"]
    assert call(lambda: app(["practice", "advance", "--json"], standalone_mode=False)) == 0
    assert json.loads(capsys.readouterr().out)["instant"] > first
    assert call(lambda: app(["practice", "reset"], standalone_mode=False)) == Exit.USAGE
    assert bare.exists()
    assert call(lambda: app(["practice", "reset", "--yes", "--json"], standalone_mode=False)) == 0
    assert not bare.exists()


def on_a_terminal(*words: str, **environment: str) -> bytes:
    """What the command writes when a person sits before it."""
    master, slave = pty.openpty()
    kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *words],
        stdout=slave, stderr=slave, stdin=slave, cwd=PROJECT, env={**kept, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(slave)
    found = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not block:
            break
        found += block
    done.wait()
    os.close(master)
    return found


def test_no_color_is_honoured(bare: Path):
    shown = on_a_terminal("doctor")
    assert COLOUR.search(shown), shown[-500:]
    plain = on_a_terminal("doctor", NO_COLOR="1")
    assert not COLOUR.search(plain)
    assert b"python" in plain


@pytest.mark.parametrize(
    ("words", "wanted"), [("mhwg era", {"erase"}), ("mhwg keys ", {"rotate"}), ("mhwg re", {"refresh", "release"})]
)
def test_the_shell_completes_verbs(bare: Path, words: str, wanted: set[str]):
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'mhwg'; from pipelines.cli import main; main()"],
        capture_output=True, text=True, cwd=PROJECT,
        env={**os.environ, "_MHWG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
    )  # fmt: skip
    assert wanted <= set(done.stdout.split()), done.stderr
