"""The books of beliefs: `beliefs/<schema>.<table>.toml` as typed rules, and the whole suite of a table.

Belongs here: reading and refusing. Does not belong here: the beliefs themselves, running them.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from expectations.rules import ROW_NUMBER, Dimension, Expect, Form, Never, Query, Rule
from expectations.structure import structural_rules
from warehouse.catalogue.table_catalogue import CatalogueError, Table, read_entry
from warehouse.quality import Level, Severity

BOOKS = Path(__file__).parent / "beliefs"

_UNGUARDED = re.compile(r"\b(select|over)\b", re.IGNORECASE)
"""DuckDB's TRY takes neither subqueries nor window functions."""


class Belief(BaseModel):
    """One belief: what it says, why, how grave, and exactly one of `never`, `query`, `expect`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    says: str = Field(min_length=10)
    says_vi: str | None = Field(default=None, min_length=10)
    """The same for a provider who reads Vietnamese; needed where a provider is told of it (staging and core)."""
    why: str = Field(min_length=15)
    why_vi: str | None = Field(default=None, min_length=15)
    severity: Severity
    level: Level
    dimension: Dimension = "internal"
    owner: str | None = None
    never: str | None = None
    query: str | None = None
    expect: dict[str, Any] | None = None
    broken_by: dict[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_form(self) -> "Belief":
        given = [name for name in ("never", "query", "expect") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"belief {self.rule!r} needs exactly one of never, query, expect; got {given or 'none'}")
        if self.expect is not None and "type" not in self.expect:
            raise ValueError(f"belief {self.rule!r}: expect needs a type")
        if self.query is not None:
            if "{rows}" not in self.query:
                raise ValueError(f"belief {self.rule!r}: the query must read the batch as {{rows}}")
            if self.level == "row" and ROW_NUMBER not in self.query:
                raise ValueError(f"belief {self.rule!r}: a query about rows must return {ROW_NUMBER}")
        return self

    def form(self) -> Form:
        """The belief as a form that a batch can run."""
        if self.never is not None:
            return Never(self.never, is_guarded=_UNGUARDED.search(self.never) is None)
        if self.query is not None:
            return Query(self.query, self.query if self.level == "row" else None)
        assert self.expect is not None
        arguments = {name: value for name, value in self.expect.items() if name != "type"}
        return Expect(str(self.expect["type"]), arguments)


class Override(BaseModel):
    """A structural rule judged otherwise than by default, with the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    severity: Severity
    level: Level
    why: str = Field(min_length=15)


class Book(BaseModel):
    """All that is believed about one table, and who answers for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    owner: str
    belief: tuple[Belief, ...] = ()
    structural: tuple[Override, ...] = ()


def load_books(folder: Path | None = None) -> dict[str, Book]:
    """Every book by table. Raises CatalogueError naming file, key and nearest valid key."""
    books: dict[str, Book] = {}
    for path in sorted((folder or BOOKS).glob("*.toml")):
        book = read_entry(path, Book)
        if path.stem != book.table:
            raise CatalogueError(
                f"{path.name}: holds table {book.table!r}; name the file {book.table}.toml.",
                file=path.name,
                key="table",
            )
        books[book.table] = book
    return books


@cache
def books() -> dict[str, Book]:
    """The books shipped with the code."""
    return load_books()


def rules_for(table: Table, book: Book | None = None) -> tuple[Rule, ...]:
    """The whole suite of `table`: structure from the catalogue, then the beliefs of its book.

    Raises CatalogueError when two rules share a code or an override names no structural rule.
    """
    book = book if book is not None else books().get(table.name)
    structural = {rule.code: rule for rule in structural_rules(table)}
    if book is None:
        return tuple(structural.values())
    for override in book.structural:
        if override.rule not in structural:
            raise CatalogueError(
                f"{table.name}.toml: no structural rule {override.rule!r}; there are: {sorted(structural)}.",
                file=f"{table.name}.toml",
                key=override.rule,
            )
        structural[override.rule] = _overridden(structural[override.rule], override)
    rules = [*structural.values(), *(_from_belief(table, book, belief) for belief in book.belief)]
    repeated = sorted(code for code, times in Counter(rule.code for rule in rules).items() if times > 1)
    if repeated:
        raise CatalogueError(f"{table.name}.toml: rules named twice: {repeated}.", file=f"{table.name}.toml")
    return tuple(rules)


def _overridden(rule: Rule, override: Override) -> Rule:
    return Rule(
        code=rule.code,
        table=rule.table,
        description=rule.description,
        description_vi=rule.description_vi,
        why=override.why,
        severity=override.severity,
        level=override.level,
        owner=rule.owner,
        dimension=rule.dimension,
        form=rule.form,
        is_structural=True,
    )


def _from_belief(table: Table, book: Book, belief: Belief) -> Rule:
    return Rule(
        code=belief.rule,
        table=table.name,
        description=belief.says,
        description_vi=belief.says_vi or "",
        why_vi=belief.why_vi or "",
        why=belief.why,
        severity=belief.severity,
        level=belief.level,
        owner=belief.owner or book.owner,
        dimension=belief.dimension,
        form=belief.form(),
        broken_by=belief.broken_by,
    )
