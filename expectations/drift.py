"""Schema drift: what changed between the fields a source used to send and those it sends now, and what follows.

Belongs here: recognising new, missing, renamed and retyped fields, and the policy that decides. Does not belong here: reading a source,
the columns of our own tables (`structure`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from warehouse.catalogue.table_catalogue import CatalogueError, read_toml

POLICY_FILE = Path(__file__).parent / "drift_policy.toml"

LIKENESS = 0.75
"""Share of matching letters from which a missing and a new field of one type are proposed as a renaming."""

Kind = Literal["new", "missing", "missing_optional", "renamed", "retyped"]
Answer = Literal["accept", "stop", "map"]


@dataclass(frozen=True)
class Field:
    """A field or column of a source: its name, its type as the reader names it, and whether the mapping needs it."""

    name: str
    type: str
    is_required: bool = True
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One thing that changed. `certain` is false for a renaming that is only likely."""

    kind: Kind
    field: str
    expected: str
    got: str
    certain: bool = True

    def sentence(self) -> str:
        """The difference in one sentence, without any value."""
        if self.kind == "new":
            return f"New field {self.got!r} ({self.expected})."
        if self.kind in ("missing", "missing_optional"):
            return f"Field {self.field!r} is missing."
        if self.kind == "retyped":
            return f"Field {self.field!r} is now {self.got} and was {self.expected}."
        sure = "is now called" if self.certain else "is missing; it may now be called"
        return f"Field {self.field!r} {sure} {self.got!r}."


class DriftPolicy(BaseModel):
    """The answer to each kind of difference. A renaming that is only likely is never mapped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    new: Answer = "accept"
    missing: Answer = "stop"
    missing_optional: Answer = "accept"
    renamed: Answer = "stop"
    retyped: Answer = "stop"


@dataclass(frozen=True)
class Decision:
    """What follows from the differences: go on or stop, and under which old name each renamed field is read."""

    differences: tuple[Difference, ...]
    stopping: tuple[Difference, ...]
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_stopped(self) -> bool:
        """True when this source keeps its last good data."""
        return bool(self.stopping)

    def explanation(self, source: str) -> str:
        """What changed and what was done, for the report; empty when nothing changed."""
        if not self.differences:
            return ""
        changes = " ".join(difference.sentence() for difference in self.differences)
        if self.is_stopped:
            stops = ", ".join(sorted({difference.field or difference.got for difference in self.stopping}))
            return f"{source}: {changes} Stopped because of {stops}; the last good data stay. Adapt the mapping or ask the provider."
        return f"{source}: {changes} The load went on."


def recognise(expected: Sequence[Field], received: Mapping[str, str]) -> tuple[Difference, ...]:
    """Differences between the expected fields and those received (name -> type), in the order missing, renamed, retyped, new.

    A field found under one of its aliases is renamed for certain. A missing field and a new one of the same type and a
    like name are a likely renaming, which a person confirms by adding the alias.
    """
    renamed: dict[str, str] = {}
    differences: list[Difference] = []
    known = {entry.name for entry in expected}
    for entry in expected:
        alias = next((name for name in entry.aliases if name in received and name not in known), None)
        if entry.name not in received and alias is not None:
            renamed[entry.name] = alias
            differences.append(Difference("renamed", entry.name, entry.name, alias))
    lost = [entry for entry in expected if entry.name not in received and entry.name not in renamed]
    extra = [name for name in received if name not in known and name not in renamed.values()]
    for entry in lost:
        likely = _likely(entry, extra, received)
        if likely is not None:
            extra.remove(likely)
            differences.append(Difference("renamed", entry.name, entry.name, likely, certain=False))
        else:
            kind: Kind = "missing" if entry.is_required else "missing_optional"
            differences.append(Difference(kind, entry.name, entry.type, ""))
    for entry in expected:
        name = renamed.get(entry.name, entry.name)
        if name in received and received[name] != entry.type:
            differences.append(Difference("retyped", entry.name, entry.type, received[name]))
    differences.extend(Difference("new", "", received[name], name) for name in extra)
    order = ["missing", "missing_optional", "renamed", "retyped", "new"]
    return tuple(sorted(differences, key=lambda difference: order.index(difference.kind)))


def _likely(entry: Field, extra: Sequence[str], received: Mapping[str, str]) -> str | None:
    scored = [
        (SequenceMatcher(None, entry.name.casefold(), name.casefold()).ratio(), name)
        for name in extra
        if received[name] == entry.type
    ]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= LIKENESS else None


def decide(differences: Sequence[Difference], policy: DriftPolicy) -> Decision:
    """What follows under `policy`. An optional field that was likely renamed counts as missing; nothing likely is mapped."""
    stopping = []
    renames = {}
    for difference in differences:
        answer: Answer = getattr(policy, difference.kind)
        if difference.kind == "renamed" and answer == "map" and difference.certain:
            renames[difference.got] = difference.field
        elif answer != "accept":
            stopping.append(difference)
    return Decision(tuple(differences), tuple(stopping), renames)


def load_policy(source_group: str, path: Path = POLICY_FILE) -> DriftPolicy:
    """The policy of a source group, or the default. Raises CatalogueError for unknown keys."""
    raw = read_toml(path)
    entries = {name: entry for name, entry in raw.items() if isinstance(entry, dict)}
    try:
        policies = {name: DriftPolicy.model_validate(entry) for name, entry in entries.items()}
    except ValueError as fault:
        raise CatalogueError(
            f"{path.name}: {str(fault).splitlines()[0]}; known keys: {sorted(DriftPolicy.model_fields)}.",
            file=path.name,
        ) from fault
    return policies.get(source_group, policies.get("default", DriftPolicy()))
