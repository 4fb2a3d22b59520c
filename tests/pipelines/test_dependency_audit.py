"""`make audit`: the pinned versions are what is asked about, and "nobody answered" is never told as "nothing found"."""

import subprocess
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SPEC = spec_from_file_location("audit_dependencies", PROJECT / "deploy" / "audit_dependencies.py")
assert SPEC is not None
assert SPEC.loader is not None
audit_dependencies = module_from_spec(SPEC)
SPEC.loader.exec_module(audit_dependencies)


def locked() -> set[str]:
    """Requirements of the lock, read another way: everything between the hashes, spaces gone."""
    text = (PROJECT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    return {line.split("--hash")[0].replace(" ", "") for line in text.splitlines() if line.strip() and line[0] != "#"}


@pytest.mark.parametrize(
    ("lock_code", "audit_code", "code", "words"),
    [
        (0, 0, 0, "no vulnerability is known"),
        (0, 1, 3, "Raise the versions"),
        (0, 2, 2, "NOT CHECKED"),
        (2, 0, 2, "NOT CHECKED"),
    ],
)
def test_each_answer_has_its_exit_code(lock_code: int, audit_code: int, code: int, words: str):
    said: list[str] = []
    asked: set[str] = set()

    def run(command, folder):
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked.update(entry.replace(" ", "") for entry in project["dependencies"])
        is_lock = command[1] == "lock"
        return subprocess.CompletedProcess(command, lock_code if is_lock else audit_code, "", "from uv")

    found = audit_dependencies.audit(Path("uv"), PROJECT / "requirements.lock", run, said.append)
    assert found == code
    assert words in said[-1]
    assert asked == locked()
    assert len(asked) > 100
