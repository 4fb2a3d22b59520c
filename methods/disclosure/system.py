"""One linear system for everything a release says about counts: cells, the rows that reveal them, and the sums that
tie them.

A *cell* is a number of people. A *row* is a published observation; it reveals one cell or several (a proportion
reveals its numerator and its denominator). A cell is hidden when nobody else made it known and every row that reveals
it is hidden. A *latent* cell is revealed by no row: the remainder of an incomplete sum, or the complement of a
numerator.

Choosing and auditing do not belong here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CountSystem:
    """Cells, rows and equations; the truth satisfies every equation.

    `need` is the width that the feasible interval of a cell must have (0: no demand). `small_low` and `small_high`
    bound what a reader may conclude from the status alone when the cell is marked primary; `large_low` when it is
    marked secondary.
    """

    truth: IntArray
    known: BoolArray
    need: IntArray
    small_low: IntArray
    small_high: IntArray
    large_low: IntArray
    row_weight: FloatArray
    row_is_hideable: BoolArray
    revealed_by: sparse.csr_array  # cells x rows
    equations: sparse.csr_array  # equations x cells, right-hand side = equations @ truth

    @property
    def cell_count(self) -> int:
        """Number of cells, latent ones included."""
        return int(self.truth.shape[0])

    @property
    def row_count(self) -> int:
        """Number of published observations that reveal cells."""
        return int(self.row_weight.shape[0])

    def hidden_cells(self, hidden_rows: BoolArray) -> BoolArray:
        """True for each cell that no published row and no outside knowledge reveals."""
        open_rows = (~hidden_rows).astype(np.int64)
        revealed = (self.revealed_by @ open_rows) > 0
        return np.asarray(~revealed & ~self.known)

    def never_hidden(self) -> BoolArray:
        """True for each cell that stays public whatever is suppressed here."""
        fixed = (self.revealed_by @ (~self.row_is_hideable).astype(np.int64)) > 0
        return np.asarray(fixed | self.known)

    @cached_property
    def by_cell(self) -> sparse.csc_array:
        """The equations stored by cell: some cells of a large system are taken out without a look at the others."""
        return sparse.csc_array(self.equations)

    def equations_among(self, cells: IntArray) -> sparse.csr_array:
        """The equations that these cells take part in, with only these cells in them."""
        part = sparse.csr_array(self.by_cell[:, cells])
        return part[np.flatnonzero(np.diff(part.indptr))]

    def components(self, cells: BoolArray) -> list[IntArray]:
        """The marked cells in groups that no equation connects; groups and members in ascending order."""
        index = np.flatnonzero(cells)
        if index.size == 0:
            return []
        part = sparse.csr_array(self.by_cell[:, index])
        pattern = sparse.csr_array((np.ones(part.nnz, dtype=np.int8), part.indices, part.indptr), shape=part.shape)
        graph = (pattern.T.astype(np.int32) @ pattern.astype(np.int32)).tocsr()
        _, label = sparse.csgraph.connected_components(graph, directed=False)
        order = np.argsort(label, kind="stable")
        cuts = np.flatnonzero(np.diff(label[order])) + 1
        groups = [index[group] for group in np.split(order, cuts)]
        return sorted(groups, key=lambda group: int(group[0]))


@dataclass
class SystemBuilder:
    """Collects cells, rows and sums in the order in which they are named and freezes them into a `CountSystem`."""

    truth: list[int] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    need: list[int] = field(default_factory=list)
    small_low: list[int] = field(default_factory=list)
    small_high: list[int] = field(default_factory=list)
    large_low: list[int] = field(default_factory=list)
    row_weight: list[float] = field(default_factory=list)
    row_is_hideable: list[bool] = field(default_factory=list)
    _revealed: list[tuple[int, int]] = field(default_factory=list)
    _entries: list[tuple[int, int, int]] = field(default_factory=list)
    _equation_count: int = 0
    _seen: set[tuple[tuple[int, int], ...]] = field(default_factory=set)

    def add_cell(self, truth: int, *, known: bool = False, large_low: int = 0) -> int:
        """One more cell; returns its number. `large_low` is what the status 'secondary' would tell about its least
        value.
        """
        if truth < 0:
            raise ValueError(f"a count cannot be negative: {truth}")
        self.truth.append(truth)
        self.known.append(known)
        self.need.append(0)
        self.small_low.append(0)
        self.small_high.append(np.iinfo(np.int64).max)
        self.large_low.append(large_low)
        return len(self.truth) - 1

    def demand(self, cell: int, need: int, small_low: int, small_high: int) -> None:
        """The cell is primary: its feasible interval must be at least `need` wide; a reader knows
        small_low..small_high from the status.
        """
        if need > self.need[cell]:
            self.need[cell] = need
        self.small_low[cell] = max(self.small_low[cell], small_low)
        self.small_high[cell] = min(self.small_high[cell], small_high)

    def add_row(self, cells: Sequence[int], weight: float, *, hideable: bool = True) -> int:
        """One more published observation that reveals these cells; returns its number."""
        row = len(self.row_weight)
        self.row_weight.append(weight)
        self.row_is_hideable.append(hideable)
        self._revealed.extend((cell, row) for cell in dict.fromkeys(cells))
        return row

    def add_equation(self, terms: Sequence[tuple[int, int]]) -> None:
        """A sum that an attacker may use: the terms (cell, coefficient) keep the value that they have in the
        truth. Repeats are ignored.
        """
        key = tuple(sorted(terms))
        if key in self._seen:
            return
        self._seen.add(key)
        self._entries.extend((self._equation_count, cell, coefficient) for cell, coefficient in key)
        self._equation_count += 1

    def add_sum(self, total: int, parts: Sequence[int]) -> int | None:
        """total = sum of parts, with a latent remainder when the parts fall short; returns the remainder's cell.

        Where the parts exceed the total they overlap (persons counted twice): then only 'no part exceeds the total'
        is added.
        """
        remainder = self.truth[total] - sum(self.truth[part] for part in parts)
        if remainder == 0:
            self.add_equation([(total, 1), *((part, -1) for part in parts)])
            return None
        if remainder > 0:
            latent = self.add_cell(remainder)
            self.add_equation([(total, 1), (latent, -1), *((part, -1) for part in parts)])
            return latent
        for part in parts:
            self.add_limit(total, part)
        return None

    def add_limit(self, whole: int, part: int) -> None:
        """The part is at most the whole, as a numerator is at most its denominator; nobody knows by how much, even if by nothing."""
        if self.truth[part] <= self.truth[whole]:
            slack = self.add_cell(self.truth[whole] - self.truth[part])
            self.add_equation([(whole, 1), (part, -1), (slack, -1)])

    def freeze(self) -> CountSystem:
        """The finished system."""
        cells, rows = len(self.truth), len(self.row_weight)
        revealed = np.array(self._revealed, dtype=np.int64).reshape(-1, 2)
        entries = np.array(self._entries, dtype=np.int64).reshape(-1, 3)
        return CountSystem(
            truth=np.array(self.truth, dtype=np.int64),
            known=np.array(self.known, dtype=bool),
            need=np.array(self.need, dtype=np.int64),
            small_low=np.array(self.small_low, dtype=np.int64),
            small_high=np.array(self.small_high, dtype=np.int64),
            large_low=np.array(self.large_low, dtype=np.int64),
            row_weight=np.array(self.row_weight, dtype=np.float64),
            row_is_hideable=np.array(self.row_is_hideable, dtype=bool),
            revealed_by=sparse.csr_array(
                (np.ones(len(revealed), dtype=np.int64), (revealed[:, 0], revealed[:, 1])), shape=(cells, rows)
            ),
            equations=sparse.csr_array(
                (entries[:, 2].astype(np.float64), (entries[:, 0], entries[:, 1])),
                shape=(self._equation_count, cells),
            ),
        )
