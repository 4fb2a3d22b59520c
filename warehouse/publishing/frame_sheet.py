"""A worksheet that holds one frame: headings, then one line per row, written at once.

Belongs here: the cells of a long sheet. Does not belong here: the look of the book (`workbook`). `xlsxwriter` keeps an object per
cell and checks each: 8 s of a release for 350 000 cells. The rows of a frame are regular, so their XML is written from its columns.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import polars as pl
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

TEXT_LIMIT = 32_767
"""Characters that a cell can hold."""
_EPOCH = date(1899, 12, 30)


class FrameSheet(Worksheet):  # type: ignore[misc]  # xlsxwriter is not typed throughout
    """A worksheet for a frame; text is text, whatever it begins with, and NULL is an empty cell."""

    def hold(self, frame: pl.DataFrame, heading: Format, dates: Format) -> None:
        """The sheet shows this frame from its first cell on."""
        self._held, self._heading, self._dates = frame, heading, dates
        self._check_dimensions(0, 0)
        self._check_dimensions(frame.height, max(frame.width - 1, 0))
        # Shared strings are sorted before any sheet is written, so they are registered now.
        self._index: dict[str, int] = {}
        self._share(frame.columns)
        for name, kind in frame.schema.items():
            if kind == pl.String:
                self._share(frame[name].drop_nulls().to_list())

    def _share(self, texts: list[str]) -> None:
        for text in texts:
            if text not in self._index:
                self._index[text] = int(self.str_table._get_shared_string_index(text[:TEXT_LIMIT]))
            else:
                self.str_table.count += 1

    def _write_rows(self) -> None:
        heading, dates = self._heading._get_xf_index(), self._dates._get_xf_index()
        letters = [xl_col_to_name(position) for position in range(self._held.width)]
        head = "".join(
            f'<c r="{letter}1" s="{heading}" t="s"><v>{self._index[name]}</v></c>'
            for letter, name in zip(letters, self._held.columns, strict=True)
        )
        self.fh.write(f'<row r="1">{head}</row>')
        columns = [list(self._cells(self._held[name].to_list(), dates)) for name in self._held.columns]
        for number, row in enumerate(zip(*columns, strict=True), start=2):
            cells = [f'<c r="{letter}{number}"{cell}' for letter, cell in zip(letters, row, strict=True) if cell]
            self.fh.write(f'<row r="{number}">{"".join(cells)}</row>')

    def _cells(self, values: list[Any], dates: int) -> Iterator[str]:
        """Each cell of a column after its address; empty for NULL."""
        for value in values:
            if value is None:
                yield ""
            elif isinstance(value, bool):
                yield f' t="b"><v>{int(value)}</v></c>'
            elif isinstance(value, (int, float)):
                yield f"><v>{value!r}</v></c>"
            elif isinstance(value, (date, datetime)):
                day = value.date() if isinstance(value, datetime) else value
                yield f' s="{dates}"><v>{(day - _EPOCH).days}</v></c>'
            else:
                yield f' t="s"><v>{self._index[value]}</v></c>'
