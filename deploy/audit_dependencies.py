"""Known vulnerabilities of exactly the packages in requirements.lock: `make audit`.

Belongs here: asking uv's audit about the pinned versions, and saying plainly when nobody could be asked. Does not belong here: the
list of packages (`make lock`), the bill of materials (`make sbom`).

Exit codes: 0 nothing is known, 2 not checked (the vulnerability service or the package index does not answer), 3 something is known.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*(?:\[[^\]]*\])?==[^\s;\\]+(?: ; [^\\]+)?")
NONE_KNOWN, NOT_CHECKED, KNOWN = 0, 2, 3

Run = Callable[[Sequence[str], Path], "subprocess.CompletedProcess[str]"]


def pins(lock: str) -> list[str]:
    """`name==version`, with its marker where it has one, of every package of a requirements file with hashes."""
    found = [PIN.match(line) for line in lock.splitlines()]
    return sorted({match[0].strip() for match in found if match})


def project_of(packages: Sequence[str]) -> str:
    """A project that depends on these versions and no others: uv audits projects, not requirements files."""
    lines = "".join(f"  {json.dumps(package)},\n" for package in packages)
    return f'[project]\nname = "audited"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = [\n{lines}]\n'


def audit(uv: Path, lock: Path, run: Run, say: Callable[[str], None]) -> int:
    """The exit code; what was found, or why nothing could be, has been said."""
    packages = pins(lock.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="mhwg-audit-") as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(project_of(packages), encoding="utf-8")
        locked = run([str(uv), "lock", "--quiet"], folder)
        if locked.returncode != 0:
            say(locked.stderr.strip())
            say(
                "NOT CHECKED: the package index does not answer, or a pinned version is gone from it. No statement is made."
            )
            return NOT_CHECKED
        done = run([str(uv), "audit", "--frozen", "--quiet"], folder)
    said = "\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
    if said:
        say(said)
    if done.returncode == 0:
        say(f"{len(packages)} packages of {lock.name}: no vulnerability is known.")
        return NONE_KNOWN
    if done.returncode == 1:
        say(f"{len(packages)} packages of {lock.name}: see above. Raise the versions (`make lock`), test, release.")
        return KNOWN
    say(f"NOT CHECKED: the vulnerability service does not answer. No statement is made about {len(packages)} packages.")
    return NOT_CHECKED


def _run(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(audit(Path(sys.executable).with_name("uv"), PROJECT / "requirements.lock", _run, print))
