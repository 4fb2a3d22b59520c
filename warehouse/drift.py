"""Schema drift: what changed between the fields a source used to send and those it sends now, and what follows.

Belongs here: recognising new, missing, renamed and retyped fields, the policy that decides, and the fields last accepted. Does not
belong here: reading a source (`assets.delivery`), the columns of our own tables (`expectations.structure`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from warehouse.catalogue.table_catalogue import CatalogueError, read_toml
from warehouse.history import as_naive_utc

POLICY_FILE = Path(__file__).parent / "catalogue" / "drift.toml"

LIKENESS = 0.75
"""Share of matching letters from which a missing and a new field of one type are proposed as a renaming."""

UNTYPED = "empty"
"""Type of a field that came without any value."""

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


def recognise(
    expected: Sequence[Field], received: Mapping[str, str], understood: Collection[str] = ()
) -> tuple[Difference, ...]:
    """Differences between the expected fields and those received (name -> type), in the order missing, renamed, retyped, new.

    A field found under one of its aliases is renamed for certain. A missing field and a new one of the same type and a
    like name are a likely renaming, which a person confirms by adding the alias. `understood`: received names whose
    meaning the reader knows: none of them is a field of another meaning under a new name ("this quarter" is not "this month").
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
        likely = _likely(entry, [name for name in extra if name not in understood], received)
        if likely is not None:
            extra.remove(likely)
            differences.append(Difference("renamed", entry.name, entry.name, likely, certain=False))
        else:
            kind: Kind = "missing" if entry.is_required else "missing_optional"
            differences.append(Difference(kind, entry.name, entry.type, ""))
    for entry in expected:
        name = renamed.get(entry.name, entry.name)
        # A column without a single value has no type to compare.
        if name in received and received[name] != entry.type and UNTYPED not in (received[name], entry.type):
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


def decide(
    differences: Sequence[Difference], policy: DriftPolicy, confirmed: Collection[tuple[str, str, str]] = ()
) -> Decision:
    """What follows under `policy`. An optional field that was likely renamed counts as missing; nothing likely is mapped.

    `confirmed`: (kind, field, name or type received) of differences that a person has looked at and accepted.
    """
    stopping = []
    renames = {}
    for difference in differences:
        answer: Answer = getattr(policy, difference.kind)
        if difference.kind == "renamed" and answer == "map" and difference.certain:
            renames[difference.got] = difference.field
        elif answer != "accept" and (difference.kind, difference.field, difference.got) not in confirmed:
            stopping.append(difference)
    return Decision(tuple(differences), tuple(stopping), renames)


class Confirmed(BaseModel):
    """One difference that a person has looked at: the source may go on with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    part: str
    kind: Kind
    field: str = ""
    got: str = ""
    why: str
    by: str


class Alias(BaseModel):
    """Another name under which a source sends a field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    field: str
    alias: str


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    confirmed: tuple[Confirmed, ...] = ()
    alias: tuple[Alias, ...] = ()


def _named(path: Path) -> _Named:
    try:
        return _Named.model_validate(read_toml(path))
    except ValueError as fault:
        raise CatalogueError(f"{path.name}: {str(fault).splitlines()[0]}", file=path.name) from fault


def aliases(source_group: str, path: Path = POLICY_FILE) -> dict[str, str]:
    """Known other names of fields of a source group -> the field."""
    return {entry.alias: entry.field for entry in _named(path).alias if entry.source == source_group}


def confirmed(source_code: str, part_code: str, path: Path = POLICY_FILE) -> set[tuple[str, str, str]]:
    """Differences of one part of a source that a person has accepted."""
    return {
        (entry.kind, entry.field, entry.got)
        for entry in _named(path).confirmed
        if (entry.source, entry.part) == (source_code, part_code)
    }


@dataclass(frozen=True)
class PartDrift:
    """One part of a delivery held against the fields last accepted: what changed, what follows, and its fields now."""

    source_code: str
    part_code: str
    receipt_id: str
    fields: tuple[Field, ...]
    decision: Decision
    expected: tuple[Field, ...]
    """Empty for a part that was never accepted before: there is nothing to hold it against."""


def judge(
    connection: Any | None,
    source_code: str,
    source_group: str,
    part_code: str,
    receipt_id: str,
    fields: Sequence[Field],
    meaning: Callable[[str], str | None] | None = None,
) -> PartDrift:
    """One part of a delivery against the fields that were last accepted for it; without a store there are none.

    `meaning`: what the reader of the part takes a name for; another name of the same meaning is a known other name.
    """
    expected: tuple[Field, ...] = ()
    if connection is not None:
        expected = _accepted(connection, source_code, part_code, aliases(source_group))
    understood: set[str] = set()
    if meaning is not None:
        expected = _under_other_names(expected, [field.name for field in fields], meaning)
        understood = {field.name for field in fields if meaning(field.name) is not None}
    differences = recognise(expected, {field.name: field.type for field in fields}, understood) if expected else ()
    accepted = confirmed(source_code, part_code) if differences else ()
    decision = decide(differences, load_policy(source_group), accepted)
    return PartDrift(source_code, part_code, receipt_id, tuple(fields), decision, expected)


def _under_other_names(
    expected: Sequence[Field], received: Sequence[str], meaning: Callable[[str], str | None]
) -> tuple[Field, ...]:
    """The expected fields, each with the received names of its meaning among its aliases."""
    by_meaning: dict[str | None, list[str]] = {}
    for name in received:
        by_meaning.setdefault(meaning(name), []).append(name)
    by_meaning.pop(None, None)
    return tuple(
        replace(entry, aliases=(*entry.aliases, *by_meaning.get(meaning(entry.name), ()))) for entry in expected
    )


def _accepted(connection: Any, source_code: str, part_code: str, known_as: Mapping[str, str]) -> tuple[Field, ...]:
    rows = connection.execute(
        """select field_name, field_type, is_required from ops.source_field
        where source_code = ? and part_code = ? order by field_name""",
        [source_code, part_code],
    ).fetchall()
    return tuple(
        Field(name, kind, required, tuple(alias for alias, field in known_as.items() if field == name))
        for name, kind, required in rows
    )


def note(connection: Any, drifts: Sequence[PartDrift], at: datetime) -> int:
    """Differences not yet on file are; the number of them."""
    rows = [
        (
            drift.source_code,
            drift.part_code,
            difference.kind,
            difference.field,
            difference.got,
            "stop" if difference in drift.decision.stopping else _answer(difference, drift.decision),
            difference.sentence(),
            as_naive_utc(at),
        )
        for drift in drifts
        for difference in drift.decision.differences
    ]
    new = 0
    for row in rows:
        found = connection.execute(
            """select 1 from ops.field_drift where source_code = ? and part_code = ? and drift_code = ? and field_name = ?
            and received_name = ? and answer_code = ?""",
            list(row[:6]),
        ).fetchall()
        if not found:
            connection.execute("insert into ops.field_drift values (?, ?, ?, ?, ?, ?, ?, ?)", list(row))
            new += 1
    return new


def _answer(difference: Difference, decision: Decision) -> str:
    return "map" if difference.got in decision.renames else "accept"


def accept(connection: Any, drifts: Sequence[PartDrift], at: datetime) -> None:
    """The fields of these parts are what the next delivery is held against.

    A field that can be done without stays expected when a delivery lacks it: the next may have it again.
    """
    for drift in drifts:
        if drift.expected and not drift.decision.differences:
            continue
        renames = drift.decision.renames
        now = {renames.get(field.name, field.name): field for field in drift.fields}
        kept = {field.name: field for field in drift.expected if not field.is_required}
        connection.execute(
            "delete from ops.source_field where source_code = ? and part_code = ?", [drift.source_code, drift.part_code]
        )
        rows = [
            [drift.source_code, drift.part_code, name, field.type, field.is_required, as_naive_utc(at)]
            for name, field in {**kept, **now}.items()
        ]
        if rows:
            connection.executemany("insert into ops.source_field values (?, ?, ?, ?, ?, ?)", rows)


def load_policy(source_group: str, path: Path = POLICY_FILE) -> DriftPolicy:
    """The policy of a source group, or the default. Raises CatalogueError for unknown keys."""
    raw = read_toml(path)
    _named(path)
    entries = {name: entry for name, entry in raw.items() if isinstance(entry, dict)}
    try:
        policies = {name: DriftPolicy.model_validate(entry) for name, entry in entries.items()}
    except ValueError as fault:
        raise CatalogueError(
            f"{path.name}: {str(fault).splitlines()[0]}; known keys: {sorted(DriftPolicy.model_fields)}.",
            file=path.name,
        ) from fault
    return policies.get(source_group, policies.get("default", DriftPolicy()))
