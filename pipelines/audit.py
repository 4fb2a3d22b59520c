"""The audit log: who ran which command, when, and how it ended. One line of JSON for each, in `audit/commands.jsonl` of the state.

Belongs here: what is written and what is left out. Does not belong here: refreshes (Dagster's run storage has them, with the user
as a tag: a refresh with nothing new leaves every file of the state as it was).

Values that may name a person (a token, a reason in free words) are replaced by `***`.
"""

import getpass
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

PRIVATE_OPTIONS = ("--reason", "--token")
PRIVATE_VERBS = ("erase",)
TOKEN_LIKE = re.compile(r"[0-9A-Fa-f]{40}")
"""What a pseudonym looks like."""
UNNOTED = ("refresh", "practice", "dev", "init")
"""Refreshes and `dev` are in Dagster's own record; `practice` is no real data; `init` has no state yet."""


def user() -> str:
    """Name of the account that runs the process, or its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def without_private(arguments: Sequence[str]) -> list[str]:
    """The words of a command line with every private value replaced."""
    kept: list[str] = []
    hides_next = False
    for word in arguments:
        option, _, value = word.partition("=")
        if hides_next:
            kept.append("***")
            hides_next = False
        elif option in PRIVATE_OPTIONS:
            kept.append(f"{option}=***" if value else option)
            hides_next = not value
        elif (kept and kept[0] in PRIVATE_VERBS and not word.startswith("-")) or TOKEN_LIKE.fullmatch(word):
            kept.append("***")  # a token also after a verb that was mistyped
        else:
            kept.append(word)
    return kept


def is_noted(arguments: Sequence[str]) -> bool:
    """True for a command that belongs in the log."""
    verb = next((word for word in arguments if not word.startswith("-")), None)
    return verb is not None and verb not in UNNOTED and not {"-h", "--help"} & set(arguments)


def note(state: Path, arguments: Sequence[str], exit_code: int, begun_at: datetime) -> None:
    """The command stands in the audit log, unless it needs none or there is no state to audit. The file is the owner's alone."""
    if not is_noted(arguments) or not state.is_dir():
        return
    line = {
        "at": begun_at.astimezone(UTC).isoformat(timespec="seconds"),
        "user": user(),
        "command": without_private(arguments),
        "exit_code": exit_code,
        "process": os.getpid(),
    }
    folder = state / "audit"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / "commands.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as log:
        log.write(json.dumps(line, ensure_ascii=False) + "\n")


def commands_done(state: Path, verb: str) -> list[datetime]:
    """When commands of this verb ended with exit code 0, as the log has it; a line cut short by a power cut is passed over."""
    path = state / "audit" / "commands.jsonl"
    found = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(ValueError, KeyError):
            line = json.loads(text)
            if line["command"][:1] == [verb] and line["exit_code"] == 0:
                found.append(datetime.fromisoformat(line["at"]))
    return found
