"""A linear system of counts taken apart into pieces that cannot help or hurt each other.

Two cells belong to one piece when an equation ties them or a row reveals both. What stays public whatever is hidden ties
nothing: it is a constant. So what is hidden in one piece can be chosen without looking at another, at a cost that grows with
the number of pieces and not with its square.

Choosing and auditing do not belong here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from methods.disclosure.system import BoolArray, CountSystem, IntArray


@dataclass(frozen=True)
class Part:
    """One piece: its cells and rows by their numbers in the whole, and the system that they make on their own."""

    cells: IntArray
    rows: IntArray
    system: CountSystem


def independent_parts(system: CountSystem) -> Iterator[Part]:
    """The pieces in which some cell has a demand that hiding could still meet, by their first cell."""
    free = ~system.never_hidden()
    by_cell = sparse.csr_array(system.equations.T)
    label = _labels(system, by_cell, free)
    wanted = np.unique(label[free & (system.need > 0)])
    order = np.argsort(label, kind="stable")
    order = order[free[order]]
    starts = np.searchsorted(label[order], wanted)
    stops = np.searchsorted(label[order], wanted, side="right")
    pieces = sorted((order[start:stop] for start, stop in zip(starts, stops, strict=True)), key=lambda cells: cells[0])
    for cells in pieces:
        revealed = system.revealed_by[cells]
        rows = np.unique(revealed.indices)
        ties = by_cell[cells]
        equations = np.unique(ties.indices)
        yield Part(
            cells,
            rows,
            CountSystem(
                truth=system.truth[cells],
                known=system.known[cells],
                need=system.need[cells],
                small_low=system.small_low[cells],
                small_high=system.small_high[cells],
                large_low=system.large_low[cells],
                row_weight=system.row_weight[rows],
                row_is_hideable=system.row_is_hideable[rows],
                revealed_by=sparse.csr_array(
                    (revealed.data, np.searchsorted(rows, revealed.indices), revealed.indptr),
                    shape=(len(cells), len(rows)),
                ),
                equations=sparse.csr_array(
                    sparse.csr_array(
                        (ties.data, np.searchsorted(equations, ties.indices), ties.indptr),
                        shape=(len(cells), len(equations)),
                    ).T
                ),
            ),
        )


def _labels(system: CountSystem, by_cell: sparse.csr_array, free: BoolArray) -> IntArray:
    """The number of the piece of each cell; cells that are always public stand alone."""
    keep = sparse.diags_array(free.astype(np.int8), dtype=None).tocsr()
    ties = sparse.hstack(
        [keep @ (by_cell != 0).astype(np.int8), keep @ (system.revealed_by != 0).astype(np.int8)]
    ).tocsr()
    ties.eliminate_zeros()
    count = system.cell_count
    graph = sparse.block_array([[None, ties], [ties.T, None]]).tocsr()
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    return np.asarray(label[:count], dtype=np.int64)
