"""The audit log: every command but a refresh is in it, with who and how it ended, and no private word."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from pipelines import audit
from pipelines.settings import PROJECT

AT = datetime(2026, 7, 6, 5, 0, tzinfo=UTC)


def lines(state):
    return [json.loads(line) for line in (state / "audit" / "commands.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (
            ["quarantine", "release", "q1", "--reason", "Nguyễn Văn A rang"],
            ["quarantine", "release", "q1", "--reason", "***"],
        ),
        (["quarantine", "discard", "q1", "--reason=Trần B"], ["quarantine", "discard", "q1", "--reason=***"]),
        (["erase", "4f1d0a", "--reason", "asked", "--json"], ["erase", "***", "--reason", "***", "--json"]),
        (["table", "RT01", "--language", "vi"], ["table", "RT01", "--language", "vi"]),
        (["ersae", "0123456789abcdef0123456789abcdef01234567"], ["ersae", "***"]),
        (["keys", "rotate", "--leave-unseen"], ["keys", "rotate", "--leave-unseen"]),
        (["retention"], ["retention"]),
    ],
)
def test_private_words_are_left_out(words, kept):
    assert audit.without_private(words) == kept


def test_the_file_is_the_owners_and_grows_by_one_line_a_command(tmp_path):
    audit.note(tmp_path, ["table", "RT01"], 0, AT)
    audit.note(tmp_path, ["erase", "canary-token"], 6, AT)
    log = tmp_path / "audit" / "commands.jsonl"
    assert oct(log.stat().st_mode & 0o777) == "0o600"
    assert oct(log.parent.stat().st_mode & 0o777) == "0o700"
    first, second = lines(tmp_path)
    assert first == {
        "at": "2026-07-06T05:00:00+00:00", "user": audit.user(), "command": ["table", "RT01"], "exit_code": 0,
        "process": os.getpid(),
    }  # fmt: skip
    assert second["exit_code"] == 6
    assert "canary-token" not in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["refresh", "--json"], ["practice", "advance"], ["dev"], ["table", "--help"], []])
def test_what_is_recorded_elsewhere_or_does_nothing_leaves_no_line(tmp_path, words):
    audit.note(tmp_path, words, 0, AT)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_where_there_is_no_state(tmp_path):
    audit.note(tmp_path / "var", ["status"], 6, AT)
    assert not (tmp_path / "var").exists()


def test_the_command_itself_writes_it(tmp_path):
    state = tmp_path / "var"
    state.mkdir()
    environment = {**os.environ, "MHWG_STATE": str(state), "MHWG_SETTINGS": str(PROJECT / "practice" / "mhwg.toml")}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "table", "RT01"], env=environment, capture_output=True, text=True
    )
    (line,) = lines(state)
    assert line["command"] == ["table", "RT01"]
    assert line["exit_code"] == done.returncode == 6
