"""Secondary suppression: the cheapest further rows to hide so that no primary cell can be worked out from the sums.

For a primary cell the search looks for another whole-number table that agrees with everything public and differs from
the truth by the demanded width in that cell; every row whose cell differs must be hidden. The cheapest such table is
a small integer programme over the cells nearest to the target (fixed charge per row). Later targets use what earlier
ones hid for free. At the end, rows that turned out not to be needed are shown again.

*Source*: the deviation form of the cell suppression problem (Fischetti and Salazar-González 2001, Management Science
47(7)), solved one target at a time. The result is checked by `intervals`, which shares nothing with this search.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from methods.disclosure.intervals import Block, block_of
from methods.disclosure.parts import independent_parts
from methods.disclosure.solver import Programme
from methods.disclosure.system import BoolArray, CountSystem, FloatArray, IntArray

# Cells nearest to the target that a search may move. Small first: a sum needs few partners, and integer programmes
# grow fast.
NEIGHBOURHOODS = (60, 400)
# Up to this many open rows the cheapest pattern is found exactly (within the branching limit), above it by re-
# weighted linear programmes.
EXACT_OPEN_ROWS = 150
BRANCHING_LIMIT = 400
# A hop through an equation costs this much in the nearness order, so that near cells of equal cost come first.
HOP = 0.05
CLEANING_BLOCK_CELLS = 1000
# Blocks of hidden cells in which a few pivots decide whether a demand is already met.
WARM_BLOCK_CELLS = 2000
# Groups up to this size get a second, re-weighted programme per target: fewer cells hidden for twice the time.
REWEIGHTED_GROUP_CELLS = 3000
# Programmes that cleaning may spend on one independent part, and for each of its cells: it saves cells, it does not protect
# any. Dearest rows come first.
CLEANING_SOLVES = 25
CLEANING_SOLVES_PER_CELL = 0.05
CLEANING_BRANCHING_CELLS = 150
# Groups of connected cells up to this size are searched by integer programmes around the target; larger ones by one linear
# programme over the whole group, which keeps its basis from target to target.
LOCAL_GROUP_CELLS = 120
# Reward per unit for moving another cell whose demand is still open: one table then proves many cells.
REWARD = 0.02


@dataclass(frozen=True)
class SuppressionPattern:
    """Rows to hide: `primary` by rule, `secondary` to protect them. `unprotectable` are cells that stay narrow
    whatever is hidden.
    """

    hidden_rows: BoolArray
    primary_rows: BoolArray
    unprotectable: tuple[int, ...]
    certificates: tuple[Mapping[int, int], ...] = ()

    @property
    def secondary_rows(self) -> BoolArray:
        """Rows that are hidden only to protect others."""
        return np.asarray(self.hidden_rows & ~self.primary_rows)


def choose_suppression(
    system: CountSystem,
    primary_rows: BoolArray,
    *,
    hints: BoolArray | None = None,
    hint_primary: BoolArray | None = None,
    hint_unmoved: BoolArray | None = None,
    hint_discount: float = 0.5,
    informed_width: int = 1,
    ignore: Iterable[int] = (),
) -> SuppressionPattern:
    """Every cell with a demand has a feasible interval at least that wide, at a low total weight of hidden rows.

    `hints` are rows that were hidden last time, `hint_primary` those of them that were small themselves: where the small
    rows of a connected group are the same as then and last time's pattern still serves, the search starts from it; elsewhere
    such rows cost less. `hint_unmoved` are rows whose counts are those of last time: a group of such rows only is kept as it
    was, another is rid of what it does not need any more. With `informed_width` each primary cell keeps that many further
    values even for a reader who uses the statuses (primary = small). `ignore` lists cells whose demand is hopeless and accepted.
    """
    hidden = primary_rows.copy()
    ignored = np.isin(np.arange(system.cell_count), list(ignore))
    hopeless = np.flatnonzero(ignored | (system.never_hidden() & (system.need > 0))).tolist()
    certificates: list[Mapping[int, int]] = []
    for part in independent_parts(system):
        rows, cells = part.rows, part.cells
        search = _Search(
            part.system, primary_rows[rows], _of(hints, rows), hint_discount, frozenset(np.flatnonzero(ignored[cells]))
        )
        search.run(_of(hints, rows), _of(hint_primary, rows), _of(hint_unmoved, rows), informed_width)
        hidden[rows] = search.hidden_rows
        hopeless += cells[sorted(search.hopeless[False])].tolist()
        certificates += [
            {int(cells[cell]): shift for cell, shift in change.items()} for change in search.tables.change_of.values()
        ]
    return SuppressionPattern(hidden, primary_rows.copy(), tuple(sorted(set(hopeless))), tuple(certificates))


def _of(marks: BoolArray | None, rows: IntArray) -> BoolArray | None:
    return None if marks is None else np.asarray(marks[rows])


class _Search:
    """State of one choice: hidden rows so far and, per cell, the least and greatest value in any table found so
    far.
    """

    def __init__(
        self,
        system: CountSystem,
        primary_rows: BoolArray,
        hints: BoolArray | None,
        discount: float,
        ignore: frozenset[int],
    ) -> None:
        self.system = system
        self.hidden_rows = primary_rows.copy()
        self.primary_rows = primary_rows
        self.cost = system.row_weight.copy()
        if hints is not None:
            self.cost = np.where(hints, self.cost * discount, self.cost)
        self.fixed = system.never_hidden()
        self.hopeless: dict[bool, set[int]] = {False: set(ignore), True: set(ignore)}
        self.tables = _Tables()
        self.by_cell = system.by_cell
        self.group_of = np.full(system.cell_count, -1)
        self.groups = system.components(~self.fixed)
        for number, cells in enumerate(self.groups):
            self.group_of[cells] = number
        self.wide: dict[tuple[int, bool], _Wide] = {}
        self.bare: dict[tuple[int, bool], Block] = {}
        self.unproven: set[int] = set()
        self.cleaning_solves = 0
        self.kept_rows: IntArray = np.array([], dtype=np.int64)
        self.rows_of = system.revealed_by
        self.open_cost = self._open_cost()

    def run(
        self,
        hints: BoolArray | None,
        hint_primary: BoolArray | None,
        hint_unmoved: BoolArray | None,
        informed_width: int,
    ) -> None:
        """Every demand that can be met is met: last time's pattern first, then the search, then cleaning."""
        if hints is not None and hint_primary is not None:
            self.keep_last(hints, hint_primary, hint_unmoved, informed_width)
        self.protect_all(is_informed=False, width=None)
        if informed_width > 0:
            self.protect_all(is_informed=True, width=informed_width)
        self.clean(informed_width)

    def _open_cost(self) -> FloatArray:
        """What hiding each cell would cost now: the weight of the rows that still reveal it."""
        return np.asarray(self.rows_of @ np.where(self.hidden_rows, 0.0, self.cost))

    # -- protection
    # -------------------------------------------------------------------------------------------------------------

    def protect_all(self, *, is_informed: bool, width: int | None) -> None:
        """Demands met one after the other: widest first, then largest, then in cell order."""
        targets = np.flatnonzero(self.system.need > 0)
        order = np.lexsort((targets, -self.system.truth[targets], -self.system.need[targets]))
        self.unproven = set(targets.tolist())
        self._use_what_is_hidden(targets[order], is_informed, width)
        for target in targets[order]:
            cell = int(target)
            need = int(self.system.need[cell]) if width is None else width
            if cell in self.hopeless[is_informed] or self.fixed[cell]:
                self.hopeless[is_informed].add(cell)
                continue
            if self.tables.reach(cell, is_informed) >= need:
                self.unproven.discard(cell)
                continue
            if self._protect_widely(cell, need, is_informed):
                continue
            if self._is_hopeless(cell, need, is_informed) or not self._protect(cell, need, is_informed):
                self.hopeless[is_informed].add(cell)

    def _wide(self, group: int, is_informed: bool) -> "_Wide":
        if (group, is_informed) not in self.wide:
            cells = self.groups[group]
            reach = 3 * int(self.system.need[cells].max())
            self.wide[group, is_informed] = _Wide(self.system, cells, *self._limits(cells, reach, is_informed))
        return self.wide[group, is_informed]

    def keep_last(
        self, hints: BoolArray, hint_primary: BoolArray, unmoved: BoolArray | None, informed_width: int
    ) -> None:
        """Groups whose small rows did not change start from last time's pattern, and end there if it still protects.

        Without this, two runs on equal data could choose two patterns of equal worth, and a release would seem to change.
        """
        rows_of_group = [np.unique(self.rows_of[cells].indices) for cells in self.groups]
        tried = [
            number
            for number, rows in enumerate(rows_of_group)
            if len(rows) and np.array_equal(self.primary_rows[rows], hint_primary[rows])
        ]
        for number in tried:
            rows = rows_of_group[number]
            self.hidden_rows[rows] |= hints[rows] & self.system.row_is_hideable[rows]
        demanded = np.flatnonzero((self.system.need > 0) & np.isin(self.group_of, tried) & ~self.fixed)
        self._use_what_is_hidden(demanded, False, None)
        self._use_what_is_hidden(demanded, True, informed_width)
        # Only what the quick look left open is worth branching for.
        self._use_what_is_hidden(demanded, False, None, branches=True)
        self._use_what_is_hidden(self._hopeful(demanded, informed_width), True, informed_width, branches=True)
        broken = {
            int(self.group_of[cell])
            for cell in demanded.tolist()
            for is_informed, need in ((False, int(self.system.need[cell])), (True, informed_width))
            if cell not in self.hopeless[is_informed]
            and self.tables.reach(cell, is_informed) < need
            and not self._is_hopeless(cell, need, is_informed)
        }
        for number in broken:
            rows = rows_of_group[number]
            self.hidden_rows[rows] = self.primary_rows[rows]
            self.tables.forget(self.tables.moving(self.groups[number].tolist()))
        kept = [
            rows_of_group[number]
            for number in tried
            if number not in broken and (unmoved is None or unmoved[rows_of_group[number]].all())
        ]
        self.kept_rows = np.unique(np.concatenate([*kept, np.array([], dtype=np.int64)]))
        self.open_cost = self._open_cost()

    def _hopeful(self, targets: IntArray, informed_width: int) -> IntArray:
        """Those whom a reader of the statuses could be kept from placing; the others are remembered as hopeless."""
        for cell in targets.tolist():
            if self.tables.reach(cell, True) < informed_width and self._is_hopeless(cell, informed_width, True):
                self.hopeless[True].add(cell)
        return np.array([cell for cell in targets.tolist() if cell not in self.hopeless[True]], dtype=np.int64)

    def _use_what_is_hidden(
        self, targets: IntArray, is_informed: bool, width: int | None, *, branches: bool = False
    ) -> None:
        """Looks for tables that need no further hiding, which is most of them where small cells are many: a few pivots each."""
        group_of = np.full(self.system.cell_count, -1)
        groups = self.system.components(self.system.hidden_cells(self.hidden_rows))
        for number, cells in enumerate(groups):
            group_of[cells] = number
        blocks: dict[int, Block] = {}
        for target in targets:
            cell, number = int(target), int(group_of[target])
            need = int(self.system.need[cell]) if width is None else width
            if number < 0 or len(groups[number]) > WARM_BLOCK_CELLS or cell in self.hopeless[is_informed]:
                continue
            if number not in blocks:
                blocks[number] = block_of(self.system, groups[number], is_informed=is_informed)
            block = blocks[number]
            position = int(np.searchsorted(block.cells, cell))
            for sense in (-1, 1):
                if self.tables.reach(cell, is_informed) >= need:
                    break
                table = block.solve(position, sense, is_last_resort=branches)
                if table is not None:
                    self.tables.add(block.cells, table - block.truth, is_informed)

    def _protect_widely(self, cell: int, need: int, is_informed: bool) -> bool:
        """One linear programme over the whole connected group; for groups too large for integer programmes."""
        group = int(self.group_of[cell])
        if len(self.groups[group]) <= LOCAL_GROUP_CELLS:
            return False
        wide = self._wide(group, is_informed)
        for shift in (need, -need):
            change = wide.cheapest(cell, shift, self.open_cost, self._open_demands(wide.cells, is_informed, need))
            if change is not None:
                self._accept(wide.cells, change, is_informed)
                return True
        return False

    def _open_demands(self, cells: IntArray, is_informed: bool, width: int) -> IntArray:
        """Positions of cells whose demand no table proves yet."""
        positions = []
        for position in np.flatnonzero(self.system.need[cells] > 0):
            cell = int(cells[position])
            if cell in self.unproven:
                need = width if is_informed else int(self.system.need[cell])
                if self.tables.reach(cell, is_informed) < need:
                    positions.append(position)
                else:
                    self.unproven.discard(cell)
        return np.array(positions, dtype=np.int64)

    def _accept(self, cells: IntArray, change: IntArray, is_informed: bool) -> None:
        """Keeps the table and hides every row that shows a cell it moves."""
        moved = cells[change != 0]
        self.tables.add(cells, change, is_informed)
        newly = np.unique(self.rows_of[moved].indices)
        newly = newly[~self.hidden_rows[newly]]
        if len(newly):
            self.hidden_rows[newly] = True
            touched = np.unique(sparse.csr_array(self.rows_of[:, newly]).nonzero()[0])
            self.open_cost[touched] = self._open_cost()[touched]

    def _protect(self, cell: int, need: int, is_informed: bool) -> bool:
        truth = int(self.system.truth[cell])
        shifts = [need, -need] if truth >= need else [need]
        if is_informed:
            # Within the small range a single step either way is enough.
            shifts = [need, -need]
        for size in self._sizes(cell):
            local = self._neighbourhood(cell, size)
            for shift in shifts:
                if self._move(cell, shift, local, is_informed):
                    return True
            if not is_informed and self._widen_in_place(cell, need):
                return True
            if not is_informed:
                # Up a little and down the rest: needed where the sums around the cell are themselves small.
                for up in range(need - 1, 0, -1):
                    down = need - up
                    if down <= truth and self._move(cell, up, local, False) and self._move(cell, -down, local, False):
                        return True
            if len(local) < size:
                break
        return self._hide_around(cell, need, is_informed)

    def _hide_around(self, cell: int, need: int, is_informed: bool) -> bool:
        """Last resort where no cheap pattern was found: everything near the cell is hidden, if that serves at all."""
        before = self.hidden_rows.copy()
        for size in (30, 120, 600, self.system.cell_count):
            local = self._neighbourhood(cell, size)
            trial = before.copy()
            near = np.unique(self.rows_of[local].indices)
            trial[near[self.system.row_is_hideable[near]]] = True
            hidden = self.system.hidden_cells(trial)
            block = block_of(self.system, local[hidden[local]], is_informed=is_informed)
            if self._widest(block, cell) < need:
                continue
            for sense in (-1, 1):
                table = block.solve(int(np.searchsorted(block.cells, cell)), sense)
                if table is not None:
                    self.tables.add(block.cells, table - block.truth, is_informed)
            self.hidden_rows = trial
            self.open_cost = self._open_cost()
            return True
        return False

    @staticmethod
    def _widest(block: Block, cell: int) -> int:
        position = int(np.searchsorted(block.cells, cell))
        tables = [block.solve(position, sense) for sense in (-1, 1)]
        values = [int(block.truth[position]), *(int(table[position]) for table in tables if table is not None)]
        return max(values) - min(values)

    def _is_hopeless(self, cell: int, need: int, is_informed: bool) -> bool:
        """True when hiding everything would not serve: then no search is worth its time."""
        group = int(self.group_of[cell])
        if (group, is_informed) not in self.bare:
            self.bare[group, is_informed] = block_of(self.system, self.groups[group], is_informed=is_informed)
        block = self.bare[group, is_informed]
        return block.relaxed_width(int(np.searchsorted(block.cells, cell))) < need

    def _sizes(self, cell: int) -> tuple[int, ...]:
        """Neighbourhoods worth a search: a small group at once, a large one in steps."""
        count = len(self.groups[int(self.group_of[cell])])
        if count <= LOCAL_GROUP_CELLS:
            return (LOCAL_GROUP_CELLS,)
        return (*(size for size in NEIGHBOURHOODS if size < count), count)

    def _widen_in_place(self, cell: int, need: int) -> bool:
        """True when what is hidden already leaves the interval wide enough; only looked at in blocks small enough
        to be cheap.
        """
        hidden = self.system.hidden_cells(self.hidden_rows)
        local = self._neighbourhood(cell, 400, within=hidden)
        block = block_of(self.system, local, is_informed=False)
        position = int(np.searchsorted(local, cell))
        for sense in (-1, 1):
            table = block.solve(position, sense)
            if table is not None:
                self.tables.add(local, table - self.system.truth[local], False)
        return self.tables.reach(cell, False) >= need

    def _neighbourhood(self, cell: int, size: int, within: BoolArray | None = None) -> IntArray:
        """The cells nearest to the target, counting what it would cost to hide the cells on the way; sorted."""
        matrix, columns = self.system.equations, self.by_cell
        best: dict[int, float] = {cell: 0.0}
        queue: list[tuple[float, int]] = [(0.0, cell)]
        done: set[int] = set()
        seen_equations: set[int] = set()
        while queue and len(done) < size:
            distance, current = heapq.heappop(queue)
            if current in done:
                continue
            done.add(current)
            for equation in columns.indices[columns.indptr[current] : columns.indptr[current + 1]]:
                if equation in seen_equations:
                    continue
                seen_equations.add(int(equation))
                for other in matrix.indices[matrix.indptr[equation] : matrix.indptr[equation + 1]]:
                    if self.fixed[other] or other in done or (within is not None and not within[other]):
                        continue
                    length = distance + HOP + float(self.open_cost[other])
                    if length < best.get(int(other), np.inf):
                        best[int(other)] = length
                        heapq.heappush(queue, (length, int(other)))
        return np.array(sorted(done), dtype=np.int64)

    def _limits(self, local: IntArray, reach: int, is_informed: bool) -> tuple[FloatArray, FloatArray]:
        system = self.system
        truth = system.truth[local]
        low, high = -truth.astype(float), np.full(len(local), float(reach))
        if is_informed:
            small = system.need[local] > 0
            low = np.where(small, system.small_low[local] - truth, np.minimum(system.large_low[local], truth) - truth)
            high = np.where(small, np.minimum(system.small_high[local] - truth, reach), reach)
        return np.clip(low, -reach, 0).astype(float), np.maximum(high, 0).astype(float)

    def _move(self, cell: int, shift: int, local: IntArray, is_informed: bool) -> bool:
        """Finds another table in which the target differs by `shift`; hides the rows that must be hidden for it."""
        system = self.system
        part = system.equations_among(local)
        low, high = self._limits(local, 3 * abs(shift), is_informed)
        position = int(np.searchsorted(local, cell))
        if not low[position] <= shift <= high[position]:
            return False
        low[position] = high[position] = shift
        reveal = self.rows_of[local]
        rows = np.unique(reveal.indices)
        open_rows = rows[~self.hidden_rows[rows]]
        if len(open_rows) <= EXACT_OPEN_ROWS:
            change = self._cheapest_exactly(part, low, high, reveal[:, open_rows], self.cost[open_rows])
        else:
            change = self._cheapest_roughly(part, low, high, self.open_cost[local])
        if change is None:
            return False
        self._accept(local, change, is_informed)
        return True

    @staticmethod
    def _cheapest_exactly(
        part: sparse.csr_array, low: FloatArray, high: FloatArray, reveal: sparse.csr_array, cost: FloatArray
    ) -> IntArray | None:
        """The change with the least total cost of rows to hide: one binary per open row, which alone lets its
        cells move.
        """
        cells, rows = len(low), len(cost)
        # Feasible at all? A linear programme says no faster than branching does.
        if part.shape[0] and Programme(part, np.zeros(part.shape[0]), low, high).solve(np.zeros(cells)) is None:
            return None
        pairs = reveal.tocoo()
        count = len(pairs.row)
        at = np.arange(count)
        upward = sparse.csr_array(
            (
                np.concatenate([np.ones(count), -high[pairs.row]]),
                (np.concatenate([at, at]), np.concatenate([pairs.row, cells + pairs.col])),
            ),
            shape=(count, cells + rows),
        )
        downward = sparse.csr_array(
            (
                np.concatenate([-np.ones(count), low[pairs.row]]),
                (np.concatenate([at, at]), np.concatenate([pairs.row, cells + pairs.col])),
            ),
            shape=(count, cells + rows),
        )
        balance = sparse.hstack([part, sparse.csr_array((part.shape[0], rows))]).tocsr()
        constraints = [LinearConstraint(balance, 0, 0)] if part.shape[0] else []
        if count:
            constraints += [LinearConstraint(upward, -np.inf, 0), LinearConstraint(downward, -np.inf, 0)]
        answer = milp(
            np.concatenate([np.zeros(cells), cost]),
            constraints=constraints,
            bounds=Bounds(np.concatenate([low, np.zeros(rows)]), np.concatenate([high, np.ones(rows)])),
            integrality=np.ones(cells + rows),
            options={"node_limit": BRANCHING_LIMIT, "mip_rel_gap": 0.0},
        )
        if answer.x is None:
            return None
        change = np.rint(answer.x[:cells]).astype(np.int64)
        return change if not np.any(part @ change) else None

    @staticmethod
    def _cheapest_roughly(
        part: sparse.csr_array, low: FloatArray, high: FloatArray, cost: FloatArray
    ) -> IntArray | None:
        """A cheap change by linear programmes whose weights are divided by the last change, so that few cells
        move.
        """
        cells = len(low)
        matrix = sparse.hstack([part, -part]).tocsr()
        # The target has low = high: both halves are pinned by their bounds.
        up_high, down_high = np.maximum(high, 0), np.maximum(-low, 0)
        up_low, down_low = np.maximum(low, 0), np.maximum(-high, 0)
        bounds = np.column_stack([np.concatenate([up_low, down_low]), np.concatenate([up_high, down_high])])
        weight = cost + 1e-4
        best: IntArray | None = None
        best_cost = np.inf
        for _ in range(3):
            answer = linprog(
                np.concatenate([weight, weight]),
                A_eq=matrix,
                b_eq=np.zeros(matrix.shape[0]),
                bounds=bounds,
                method="highs",
            )
            if answer.status != 0:
                return best
            exact = answer.x[:cells] - answer.x[cells:]
            change = np.rint(exact).astype(np.int64)
            if np.abs(exact - change).max() > 1e-6 or np.any(part @ change):
                whole = milp(
                    np.concatenate([weight, weight]),
                    constraints=LinearConstraint(matrix, 0, 0),
                    bounds=Bounds(bounds[:, 0], bounds[:, 1]),
                    integrality=np.ones(2 * cells),
                    options={"node_limit": BRANCHING_LIMIT},
                )
                if whole.x is None:
                    return best
                change = np.rint(whole.x[:cells] - whole.x[cells:]).astype(np.int64)
                if np.any(part @ change):
                    return best
            total = float(cost[change != 0].sum())
            if total < best_cost:
                best, best_cost = change, total
            weight = (cost + 1e-4) / (np.abs(change) + 0.1)
        return best

    # -- cleaning ------------------------------------------------------------------------------------------------

    def clean(self, informed_width: int) -> None:
        """Secondary rows that no demand needs are shown again, dearest first.

        Blocks too large to re-check are left as they are.
        """
        system = self.system
        candidates = np.setdiff1d(np.flatnonzero(self.hidden_rows & ~self.primary_rows), self.kept_rows)
        candidates = candidates[np.lexsort((candidates, -system.row_weight[candidates]))]
        if not len(candidates):
            return
        by_row = system.revealed_by.tocsc()
        number_of = np.full(system.cell_count, -1)
        groups = system.components(system.hidden_cells(self.hidden_rows))
        for number, group in enumerate(groups):
            number_of[group] = number
        blocks: dict[tuple[int, bool], Block] = {}
        allowed = CLEANING_SOLVES + CLEANING_SOLVES_PER_CELL * system.cell_count
        for row in candidates:
            if self.cleaning_solves > allowed:
                break
            cells = by_row.indices[by_row.indptr[row] : by_row.indptr[row + 1]]
            shown = [int(cell) for cell in cells if number_of[cell] >= 0]
            numbers = {int(number_of[cell]) for cell in shown}
            if sum(len(groups[number]) for number in numbers) > CLEANING_BLOCK_CELLS:
                continue
            for number in numbers:
                for kind in (False, True):
                    if (number, kind) not in blocks:
                        blocks[number, kind] = block_of(system, groups[number], is_informed=kind)
            if self._still_protected(shown, number_of, blocks, informed_width):
                self.hidden_rows[row] = False
                self.tables.forget(self.tables.moving(shown))

    def _still_protected(
        self, shown: list[int], number_of: IntArray, blocks: dict[tuple[int, bool], Block], informed_width: int
    ) -> bool:
        """True when every demand holds with these cells shown; only demands that leaned on them are solved anew.

        On success the cells stay shown in the blocks.
        """
        system = self.system
        if any(system.need[cell] > 0 and cell not in self.hopeless[False] for cell in shown):
            return False
        lost = self.tables.moving(shown)
        numbers = {int(number_of[cell]) for cell in shown}
        touched = [blocks[number, kind] for number in sorted(numbers) for kind in (False, True)]
        demanded = np.concatenate(
            [blocks[number, False].cells for number in sorted(numbers)] or [np.array([], dtype=int)]
        )
        demanded = np.sort(demanded[system.need[demanded] > 0])
        shaken = [int(cell) for cell in demanded if not lost.isdisjoint(self.tables.by_cell.get(int(cell), ()))]
        places = [np.flatnonzero(np.isin(block.cells, shown)) for block in touched]
        for block, place in zip(touched, places, strict=True):
            block.show(place)
        for is_informed, width in ((False, None), (True, informed_width)):
            for cell in shaken:
                need = int(system.need[cell]) if width is None else width
                if cell in self.hopeless[is_informed] or self.tables.reach(cell, is_informed, lost) >= need:
                    continue
                block = blocks[int(number_of[cell]), is_informed]
                position = int(np.searchsorted(block.cells, cell))
                self.cleaning_solves += 2
                for sense in (-1, 1):
                    table = block.solve(position, sense, is_last_resort=len(block.cells) <= CLEANING_BRANCHING_CELLS)
                    if table is not None:
                        self.tables.add(block.cells, table - block.truth, is_informed)
                    if self.tables.reach(cell, is_informed, lost) >= need:
                        break
                else:
                    for touched_block, place in zip(touched, places, strict=True):
                        touched_block.hide(place)
                    return False
        return True


class _Wide:
    """The cheapest change over a whole group of cells as one linear programme in upward and downward moves."""

    def __init__(self, system: CountSystem, cells: IntArray, low: FloatArray, high: FloatArray) -> None:
        self.cells = cells
        self.part = system.equations_among(cells)
        self.low, self.high = low, high
        matrix = sparse.hstack([self.part, -self.part]).tocsr()
        count = len(cells)
        self.programme = Programme(
            matrix, np.zeros(matrix.shape[0]), np.zeros(2 * count), np.concatenate([high, -low]).astype(float)
        )

    def cheapest(self, cell: int, shift: int, open_cost: FloatArray, wanted: IntArray) -> IntArray | None:
        """A whole-number change that moves the cell by `shift` at a low cost of cells to hide; None when there is none.

        The second programme divides each cost by the first change, so that fewer cells move.
        """
        count = len(self.cells)
        position = int(np.searchsorted(self.cells, cell))
        if not self.low[position] <= shift <= self.high[position]:
            return None
        both = np.array([position, position + count])
        pinned = np.array([max(shift, 0), max(-shift, 0)], dtype=float)
        self.programme.bound(both, pinned, pinned)
        base = open_cost[self.cells]
        best: IntArray | None = None
        best_cost = np.inf
        divisor = np.ones(count)
        for _ in range(2 if count <= REWEIGHTED_GROUP_CELLS else 1):
            price = np.where(base > 0, base / divisor, 0.0) + 1e-4
            up, down = price.copy(), price.copy()
            free = wanted[base[wanted] == 0]
            up[free] -= REWARD
            down[free] += REWARD
            answer = self.programme.solve(np.concatenate([up, down]))
            if answer is None:
                break
            exact = answer[:count] - answer[count:]
            change = np.rint(exact).astype(np.int64)
            if np.abs(exact - change).max() > 1e-6 or (self.part @ change).any():
                break
            total = float(base[change != 0].sum())
            if total < best_cost:
                best, best_cost = change, total
            if total == 0:
                break
            divisor = np.abs(change) / abs(shift) + 0.05
        self.programme.bound(both, np.zeros(2), np.array([self.high[position], -self.low[position]]))
        return best


class _Tables:
    """Other whole-number tables that agree with everything public, kept as changes against the truth.

    Each is a proof for all the cells that it moves at once. A table stays a proof as long as every cell that it moves is
    hidden.
    """

    def __init__(self) -> None:
        self.change_of: dict[int, dict[int, int]] = {}
        self.by_cell: dict[int, dict[int, int]] = {}
        self.informed: set[int] = set()
        self._next = 0
        # Least and greatest change per cell over all tables, and over the informed ones: asked for a hundred times as often
        # as it moves.
        self._ends: dict[bool, dict[int, tuple[int, int]]] = {False: {}, True: {}}

    def add(self, cells: IntArray, change: IntArray, is_informed: bool) -> None:
        """One more table; an informed one also respects what the statuses tell."""
        moved = np.flatnonzero(change)
        if not len(moved):
            return
        number = self._next
        self._next += 1
        self.change_of[number] = dict(zip(cells[moved].tolist(), change[moved].tolist(), strict=True))
        kinds = (False, True) if is_informed else (False,)
        for cell, value in self.change_of[number].items():
            self.by_cell.setdefault(cell, {})[number] = value
            for kind in kinds:
                if (ends := self._ends[kind].get(cell)) is not None:
                    self._ends[kind][cell] = min(ends[0], value), max(ends[1], value)
        if is_informed:
            self.informed.add(number)

    def reach(self, cell: int, is_informed: bool, without: set[int] | frozenset[int] = frozenset()) -> int:
        """How far apart the values of this cell lie in the tables, the truth included."""
        ends = None if without else self._ends[is_informed].get(cell)
        if ends is None:
            least = greatest = 0
            for number, value in self.by_cell.get(cell, {}).items():
                if least <= value <= greatest or number in without or (is_informed and number not in self.informed):
                    continue
                least, greatest = min(least, value), max(greatest, value)
            ends = least, greatest
            if not without:
                self._ends[is_informed][cell] = ends
        return ends[1] - ends[0]

    def moving(self, cells: Iterable[int]) -> set[int]:
        """Tables that move one of these cells."""
        return {number for cell in cells for number in self.by_cell.get(cell, {})}

    def forget(self, numbers: Iterable[int]) -> None:
        """Drops tables that are proofs no longer."""
        for number in list(numbers):
            for cell in self.change_of.pop(number):
                del self.by_cell[cell][number]
                self._ends[False].pop(cell, None)
                self._ends[True].pop(cell, None)
            self.informed.discard(number)
