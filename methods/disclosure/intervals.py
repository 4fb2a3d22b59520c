"""What an attacker can still work out: the least and the greatest value of each hidden cell over all whole-number
tables that agree with what is public.

Linear programmes and, where a corner is fractional, integer programmes (HiGHS). The audit of a release rests on this
file alone: it takes nothing from the search that chose what to hide.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from methods.disclosure.solver import Programme
from methods.disclosure.system import BoolArray, CountSystem, FloatArray, IntArray

# Blocks up to this many hidden cells get both ends of every interval exactly. Above it the ends are only proven
# reachable (the true
# interval is at least as wide), except for cells with a demand that these tables do not meet: those are solved
# exactly in any block.
EXACT_BLOCK_CELLS = 150
# Where the corner of the linear programme is fractional, branching finds the whole-number end: for every cell of a block
# up to this size, above it only for demands that nothing else proves.
BRANCHING_BLOCK_CELLS = 60


@dataclass(frozen=True)
class FeasibleInterval:
    """The values that a hidden cell can still take. `upper` is None when nothing public bounds it; `is_exact` is
    False when the true one may be wider.
    """

    cell: int
    lower: int
    upper: int | None
    is_exact: bool

    @property
    def width(self) -> int | None:
        """Upper minus lower; None when unbounded."""
        return None if self.upper is None else self.upper - self.lower


@dataclass
class Block:
    """Hidden cells that equations connect, with everything public moved to the right-hand side."""

    cells: IntArray
    matrix: sparse.csr_array
    truth: IntArray
    lower: FloatArray
    upper: FloatArray
    ceiling: int
    _programme: Programme | None = None

    def solve(self, position: int, sense: int, *, is_last_resort: bool = True) -> IntArray | None:
        """A whole-number table with the least (sense 1) or greatest (sense -1) value at this position; None if HiGHS finds
        none. Without last resort, a fractional corner counts as none: branching costs a hundred times as much.
        """
        cost = np.zeros(len(self.cells))
        cost[position] = sense
        right = self.matrix @ self.truth
        if self._programme is None:
            self._programme = Programme(self.matrix, right, self.lower.copy(), self.upper.copy())
        answer = self._programme.solve(cost)
        if answer is None:
            return None
        table = np.rint(answer).astype(np.int64)
        if np.abs(answer - table).max() < 1e-6 and np.array_equal(self.matrix @ table, right):
            return table
        if not is_last_resort:
            return None
        # A fractional corner overstates what an attacker must reckon with: people come in whole numbers.
        whole = milp(
            cost,
            constraints=LinearConstraint(self.matrix, right, right) if self.matrix.shape[0] else (),
            bounds=Bounds(self._programme.lower, self._programme.upper),
            integrality=np.ones(len(self.cells)),
            options={"mip_rel_gap": 0.0},
        )
        if whole.status != 0 or whole.x is None:
            return None
        table = np.rint(whole.x).astype(np.int64)
        return table if np.array_equal(self.matrix @ table, right) else None

    def relaxed_width(self, position: int) -> float:
        """An upper limit of the width of this cell's interval: fractions of persons allowed, so no branching."""
        self._set(np.array([], dtype=np.int64), np.array([]), np.array([]))
        assert self._programme is not None
        ends = []
        for sense in (1, -1):
            cost = np.zeros(len(self.cells))
            cost[position] = sense
            answer = self._programme.solve(cost)
            if answer is None:
                return float("inf")
            ends.append(float(answer[position]))
        return float(np.floor(ends[1] + 1e-6) - np.ceil(ends[0] - 1e-6))

    def show(self, positions: IntArray) -> None:
        """These cells are public from now on."""
        self._set(positions, self.truth[positions].astype(float), self.truth[positions].astype(float))

    def hide(self, positions: IntArray) -> None:
        """These cells are hidden again."""
        self._set(positions, self.lower[positions], self.upper[positions])

    def _set(self, positions: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        if self._programme is None:
            right = self.matrix @ self.truth
            self._programme = Programme(self.matrix, right, self.lower.copy(), self.upper.copy())
        if len(positions):
            self._programme.bound(positions, lower, upper)


TOLD_NOTHING, TOLD_LARGE, TOLD_SMALL = -1, 0, 1
"""What the letter beside a hidden cell tells: nothing, 'hidden to protect others', or 'small itself'."""


def block_of(system: CountSystem, cells: IntArray, *, is_informed: bool, letters: IntArray | None = None) -> Block:
    """The block of these hidden cells. An informed attacker also uses the letters: primary means small, secondary
    means not small; `letters` says per cell of the system what its letter tells, where that is not its true kind.
    """
    truth = system.truth[cells]
    ceiling = int(4 * system.truth[cells].sum() + 4 * system.need.max(initial=0) + 1000)
    lower = np.zeros(len(cells))
    upper = np.full(len(cells), float(ceiling))
    if is_informed:
        told = np.where(system.need[cells] > 0, TOLD_SMALL, TOLD_LARGE) if letters is None else letters[cells]
        large_low = np.where(told == TOLD_LARGE, np.minimum(system.large_low[cells], truth), 0)
        lower = np.where(told == TOLD_SMALL, system.small_low[cells], large_low).astype(float)
        upper = np.where(told == TOLD_SMALL, np.minimum(system.small_high[cells], ceiling), ceiling).astype(float)
        lower, upper = np.minimum(lower, truth), np.maximum(upper, truth)
    return Block(cells, system.equations_among(cells), truth, lower, upper, ceiling)


def feasible_intervals(
    system: CountSystem,
    hidden_rows: BoolArray,
    *,
    is_informed: bool = False,
    letters: IntArray | None = None,
    only_demanded: bool = False,
    only: Collection[int] | None = None,
    certificates: Sequence[Mapping[int, int]] = (),
    exact_block_cells: int = EXACT_BLOCK_CELLS,
) -> list[FeasibleInterval]:
    """The interval of every hidden cell given everything public, in cell order; on request only of cells with a demand, or of
    some cells.

    `certificates` are other tables, as changes against the truth. Each is checked against every equation, every public cell
    and every bound before it counts; a false one is ignored.
    """
    hidden = system.hidden_cells(hidden_rows)
    reached = _reached_by(system, hidden, certificates, is_informed, letters)
    found: list[FeasibleInterval] = []
    asked = system.need > 0 if only_demanded else np.ones(system.cell_count, dtype=bool)
    if only is not None:
        asked = asked & np.isin(np.arange(system.cell_count), list(only))
    limit = 0 if only_demanded else exact_block_cells
    for cells in system.components(hidden):
        if asked[cells].any():
            block = block_of(system, cells, is_informed=is_informed, letters=letters)
            found.extend(_of_block(system, block, reached, is_informed, limit, asked[cells]))
    return sorted((interval for interval in found if asked[interval.cell]), key=lambda interval: interval.cell)


def _reached_by(
    system: CountSystem,
    hidden: BoolArray,
    certificates: Sequence[Mapping[int, int]],
    is_informed: bool,
    letters: IntArray | None,
) -> tuple[IntArray, IntArray]:
    """Least and greatest value of each cell over the truth and all certificates that hold."""
    least, greatest = system.truth.copy(), system.truth.copy()
    bounds = block_of(system, np.arange(system.cell_count), is_informed=is_informed, letters=letters)
    columns = system.by_cell
    for certificate in certificates:
        cells = np.fromiter(certificate.keys(), dtype=np.int64)
        change = np.fromiter(certificate.values(), dtype=np.int64)
        table = system.truth[cells] + change
        if not hidden[cells].all() or (table < bounds.lower[cells]).any() or (table > bounds.upper[cells]).any():
            continue
        if (columns[:, cells] @ change).any():
            continue
        least[cells] = np.minimum(least[cells], table)
        greatest[cells] = np.maximum(greatest[cells], table)
    return least, greatest


def _of_block(
    system: CountSystem,
    block: Block,
    reached: tuple[IntArray, IntArray],
    is_informed: bool,
    exact_block_cells: int,
    asked: BoolArray,
) -> list[FeasibleInterval]:
    """Both ends per cell; tables found for one cell serve the others, so most ends cost no programme of their own."""
    least, greatest = reached[0][block.cells], reached[1][block.cells]
    outer_low, outer_high = propagate(block)
    need = np.minimum(system.need[block.cells], 1) if is_informed else system.need[block.cells]
    is_small = len(block.cells) <= exact_block_cells
    low_done = np.asarray(least <= outer_low)
    high_done = np.asarray(greatest >= outer_high)
    # Demands first: their tables reveal most about the rest of the block.
    for position in np.argsort(-need, kind="stable"):
        if not asked[position]:
            continue
        for sense in (-1, 1):
            if (low_done if sense > 0 else high_done)[position]:
                continue
            is_proven = need[position] == 0 or greatest[position] - least[position] >= need[position]
            if not is_small and is_proven:
                continue
            table = block.solve(
                int(position), sense, is_last_resort=not is_proven or len(block.cells) <= BRANCHING_BLOCK_CELLS
            )
            if table is None:
                continue  # stays at the narrower, safe side: what is proven reachable
            np.minimum(least, table, out=least)
            np.maximum(greatest, table, out=greatest)
            (low_done if sense > 0 else high_done)[position] = True
            low_done |= least <= outer_low
            high_done |= greatest >= outer_high
    return [
        FeasibleInterval(
            int(cell),
            int(least[i]),
            None if greatest[i] >= block.ceiling else int(greatest[i]),
            bool(low_done[i] and high_done[i]),
        )
        for i, cell in enumerate(block.cells)
    ]


def propagate(block: Block, rounds: int = 20) -> tuple[IntArray, IntArray]:
    """Bounds that follow from single equations, repeated: never narrower than the truth, cheap, and often already
    exact.
    """
    low, high = block.lower.copy(), block.upper.copy()
    matrix = block.matrix
    if matrix.shape[0] == 0:
        return np.ceil(low).astype(np.int64), np.floor(high).astype(np.int64)
    right = matrix @ block.truth
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    columns, sign = matrix.indices, matrix.data
    for _ in range(rounds):
        term_low = np.where(sign > 0, low[columns], -high[columns]) * np.abs(sign)
        term_high = np.where(sign > 0, high[columns], -low[columns]) * np.abs(sign)
        rest_low = np.bincount(rows, term_low, matrix.shape[0])[rows] - term_low
        rest_high = np.bincount(rows, term_high, matrix.shape[0])[rows] - term_high
        # sign * x = right - rest
        own_low = np.where(sign > 0, right[rows] - rest_high, rest_low - right[rows]) / np.abs(sign)
        own_high = np.where(sign > 0, right[rows] - rest_low, rest_high - right[rows]) / np.abs(sign)
        new_low, new_high = low.copy(), high.copy()
        np.maximum.at(new_low, columns, np.ceil(own_low - 1e-9))
        np.minimum.at(new_high, columns, np.floor(own_high + 1e-9))
        if np.array_equal(new_low, low) and np.array_equal(new_high, high):
            break
        low, high = new_low, new_high
    return low.astype(np.int64), high.astype(np.int64)
