"""Old Excel files (`.xls`, BIFF8 in an OLE2 container) -> cells with types, percent formats, merged areas, hidden rows.

Belongs here: the container and the records that carry cells. Does not belong here: newer formats (`workbook`), meaning.

fastexcel opens these files too, but gives neither merged areas nor hidden rows, and loses the number of empty columns at
the left, so that no cell could be named in a message. Files older than BIFF8 (Excel 95) are left to it.
Source: [MS-CFB] and [MS-XLS], the sections named at each record.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

END_OF_CHAIN = 0xFFFFFFFE
_BUILTIN_PERCENTS = {9, 10}
_BUILTIN_DATES = set(range(14, 23)) | set(range(45, 48))
_ERRORS = {0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A"}


class BiffError(Exception):
    """The bytes are no readable BIFF8 workbook. `reason` is one of damaged, protected, older."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class BiffSheet:
    """One sheet: (row, column, content, is_percent, is_formula, is_error), all counted from 1; areas inclusive."""

    name: str
    is_hidden: bool
    offset: int
    cells: list[tuple[int, int, str | float | date | bool, bool, bool, bool]] = field(default_factory=list)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)


def read_biff(data: bytes) -> tuple[list[BiffSheet], tuple[str, ...]]:
    """The worksheets of the file and the names of its fonts. Raises BiffError."""
    try:
        return _Book(workbook_stream(data)).sheets()
    except (struct.error, IndexError, ValueError, KeyError) as fault:
        raise BiffError(f"damaged record ({fault})", "damaged") from fault


def workbook_stream(data: bytes) -> bytes:
    """The stream `Workbook` of an OLE2 container. Source: [MS-CFB] 2.2 to 2.6."""
    sector = 1 << struct.unpack_from("<H", data, 30)[0]
    mini_sector = 1 << struct.unpack_from("<H", data, 32)[0]
    first_directory, cutoff, first_mini_fat = (
        struct.unpack_from("<I", data, 48)[0], struct.unpack_from("<I", data, 56)[0], struct.unpack_from("<I", data, 60)[0],
    )  # fmt: skip
    first_difat, difat_count = struct.unpack_from("<II", data, 68)
    fat_sectors = [number for number in struct.unpack_from("<109I", data, 76) if number < 0xFFFFFFFA]

    def block(number: int) -> bytes:
        return data[sector * (number + 1) : sector * (number + 2)]

    for _ in range(difat_count):
        entries = struct.unpack(f"<{sector // 4}I", block(first_difat))
        fat_sectors += [number for number in entries[:-1] if number < 0xFFFFFFFA]
        first_difat = entries[-1]
    fat = [
        entry
        for number in fat_sectors
        for entry in struct.unpack(f"<{sector // 4}I", block(number).ljust(sector, b"\xff"))
    ]

    def chain(start: int, table: list[int]) -> Iterator[int]:
        seen = 0
        while start < END_OF_CHAIN and start < len(table) and seen <= len(table):
            yield start
            start = table[start]
            seen += 1

    directory = b"".join(block(number) for number in chain(first_directory, fat))
    root_start = 0
    for offset in range(0, len(directory) - 127, 128):
        length, kind = struct.unpack_from("<HB", directory, offset + 64)
        name = directory[offset : offset + max(0, length - 2)].decode("utf-16-le", errors="replace")
        start, size = struct.unpack_from("<II", directory, offset + 116)
        if kind == 5:
            root_start = start
        if name not in ("Workbook", "Book"):
            if name == "EncryptedPackage":
                raise BiffError("protected by a password", "protected")
            continue
        if size >= cutoff:
            return b"".join(block(number) for number in chain(start, fat))[:size]
        mini_fat_data = b"".join(block(number) for number in chain(first_mini_fat, fat))
        mini_fat = list(struct.unpack(f"<{len(mini_fat_data) // 4}I", mini_fat_data))
        container = b"".join(block(number) for number in chain(root_start, fat))
        parts = [container[mini_sector * number : mini_sector * (number + 1)] for number in chain(start, mini_fat)]
        return b"".join(parts)[:size]
    raise BiffError("no workbook inside", "damaged")


def _records(stream: bytes, offset: int) -> Iterator[tuple[int, bytes, int]]:
    """Record number, body and offset, from `offset` on."""
    while offset + 4 <= len(stream):
        number, length = struct.unpack_from("<HH", stream, offset)
        yield number, stream[offset + 4 : offset + 4 + length], offset
        offset += 4 + length


def _rk(raw: int) -> float:
    """Number in RK form: 30 bits of an integer or of a double, perhaps in hundredths. Source: [MS-XLS] 2.5.217."""
    if raw & 2:
        value = float(struct.unpack("<i", struct.pack("<I", raw))[0] >> 2)
    else:
        value = struct.unpack("<d", b"\0\0\0\0" + struct.pack("<I", raw & 0xFFFFFFFC))[0]
    return value / 100 if raw & 1 else value


class _Strings:
    """Reads the shared strings across CONTINUE records, where a string may change its width at the seam ([MS-XLS] 2.5.293)."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks = blocks
        self.block = 0
        self.at = 0

    def take(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            piece = self.blocks[self.block][self.at : self.at + count - len(out)]
            out += piece
            self.at += len(piece)
            if len(out) < count:
                self.block, self.at = self.block + 1, 0
        return out

    def string(self) -> str:
        length, flags = struct.unpack("<HB", self.take(3))
        runs = struct.unpack("<H", self.take(2))[0] if flags & 8 else 0
        extra = struct.unpack("<I", self.take(4))[0] if flags & 4 else 0
        text, wide = "", bool(flags & 1)
        while len(text) < length:
            room = len(self.blocks[self.block]) - self.at
            if room == 0:
                self.block, self.at = self.block + 1, 0
                wide = bool(self.take(1)[0] & 1)
                continue
            count = min(length - len(text), room // (2 if wide else 1))
            text += self.take(count * 2).decode("utf-16-le") if wide else self.take(count).decode("latin-1")
        self.take(runs * 4 + extra)
        return text


def _text(body: bytes, offset: int, length_size: int) -> str:
    """An unicode string inside one record."""
    length = body[offset] if length_size == 1 else struct.unpack_from("<H", body, offset)[0]
    flags = body[offset + length_size]
    start = offset + length_size + 1
    if flags & 1:
        return body[start : start + 2 * length].decode("utf-16-le")
    return body[start : start + length].decode("latin-1")


class _Book:
    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self.strings: list[str] = []
        self.fonts: list[str] = []
        self.formats: dict[int, str] = {}
        self.styles: list[int] = []
        self.from_1904 = False
        self.found: list[BiffSheet] = []
        self._globals()

    def _globals(self) -> None:
        blocks: list[bytes] = []
        collecting = False
        for number, body, _ in _records(self.stream, 0):
            if number == 0x0809 and struct.unpack_from("<H", body, 0)[0] != 0x0600:
                raise BiffError("older than Excel 97", "older")
            if number == 0x003C and collecting:
                blocks.append(body)
                continue
            collecting = False
            if number == 0x002F:
                raise BiffError("protected by a password", "protected")
            if number == 0x00FC:
                blocks = [body]
                collecting = True
            elif number == 0x0085:
                offset, state, kind = struct.unpack_from("<IBB", body, 0)
                if kind == 0:
                    self.found.append(BiffSheet(_text(body, 6, 1), state != 0, offset))
            elif number == 0x0022:
                self.from_1904 = struct.unpack_from("<H", body, 0)[0] == 1
            elif number == 0x041E:
                self.formats[struct.unpack_from("<H", body, 0)[0]] = _text(body, 2, 2)
            elif number == 0x00E0:
                self.styles.append(struct.unpack_from("<H", body, 2)[0])
            elif number == 0x0031:
                self.fonts.append(_text(body, 14, 1))
            elif number == 0x000A:
                break
        if blocks:
            reader = _Strings(blocks)
            _, unique = struct.unpack("<II", reader.take(8))
            self.strings = [reader.string() for _ in range(unique)]

    def sheets(self) -> tuple[list[BiffSheet], tuple[str, ...]]:
        for sheet in self.found:
            self._fill(sheet)
        return self.found, tuple(dict.fromkeys(self.fonts))

    def _number(
        self, sheet: BiffSheet, row: int, column: int, style: int, value: float, is_formula: bool = False
    ) -> None:
        code = self.styles[style] if style < len(self.styles) else 0
        text = self.formats.get(code, "")
        if (code in _BUILTIN_DATES or (text and "y" in text.lower() and "0" not in text)) and value >= 1:
            epoch = date(1904, 1, 1) if self.from_1904 else date(1899, 12, 30)
            sheet.cells.append((row + 1, column + 1, epoch + timedelta(days=int(value)), False, is_formula, False))
            return
        is_percent = code in _BUILTIN_PERCENTS or "%" in text
        sheet.cells.append((row + 1, column + 1, value, is_percent, is_formula, False))

    def _fill(self, sheet: BiffSheet) -> None:
        pending: tuple[int, int] | None = None
        depth = 0
        for number, body, _ in _records(self.stream, sheet.offset):
            if number == 0x0809:
                depth += 1
            elif number == 0x000A:
                depth -= 1
                if depth == 0:
                    return
            elif depth != 1:
                continue  # an embedded chart has records of its own
            elif number == 0x00FD:
                row, column, _, index = struct.unpack_from("<HHHI", body, 0)
                sheet.cells.append((row + 1, column + 1, self.strings[index], False, False, False))
            elif number == 0x0204:
                row, column, _ = struct.unpack_from("<HHH", body, 0)
                sheet.cells.append((row + 1, column + 1, _text(body, 6, 2), False, False, False))
            elif number == 0x0203:
                row, column, style, value = struct.unpack_from("<HHHd", body, 0)
                self._number(sheet, row, column, style, value)
            elif number == 0x027E:
                row, column, style, raw = struct.unpack_from("<HHHI", body, 0)
                self._number(sheet, row, column, style, _rk(raw))
            elif number == 0x00BD:
                row, first = struct.unpack_from("<HH", body, 0)
                for index in range((len(body) - 6) // 6):
                    style, raw = struct.unpack_from("<HI", body, 4 + 6 * index)
                    self._number(sheet, row, first + index, style, _rk(raw))
            elif number == 0x0006:
                pending = self._formula(sheet, body)
            elif number == 0x0207 and pending:
                sheet.cells.append((pending[0] + 1, pending[1] + 1, _text(body, 0, 2), False, True, False))
                pending = None
            elif number == 0x0205:
                row, column, _, value, is_error = struct.unpack_from("<HHHBB", body, 0)
                content = _ERRORS.get(value, "#ERROR") if is_error else bool(value)
                sheet.cells.append((row + 1, column + 1, content, False, False, bool(is_error)))
            elif number == 0x00E5:
                for index in range(struct.unpack_from("<H", body, 0)[0]):
                    first, last, left, right = struct.unpack_from("<HHHH", body, 2 + 8 * index)
                    sheet.merged.append((first + 1, left + 1, last + 1, right + 1))
            elif number == 0x0208:
                row, *_, flags = struct.unpack_from("<HHHHHHI", body, 0)
                if flags & 0x20:
                    sheet.hidden_rows.add(row + 1)
            elif number == 0x007D:
                first, last, _, _, flags = struct.unpack_from("<HHHHH", body, 0)
                if flags & 1:
                    sheet.hidden_columns.update(range(first + 1, last + 2))

    def _formula(self, sheet: BiffSheet, body: bytes) -> tuple[int, int] | None:
        """The cached value of a formula; the place of the cell when its text follows in a STRING record."""
        row, column, style = struct.unpack_from("<HHH", body, 0)
        if body[12:14] != b"\xff\xff":
            self._number(sheet, row, column, style, struct.unpack_from("<d", body, 6)[0], is_formula=True)
            return None
        kind = body[6]
        if kind == 0:
            return row, column
        if kind == 1:
            sheet.cells.append((row + 1, column + 1, bool(body[8]), False, True, False))
        elif kind == 2:
            sheet.cells.append((row + 1, column + 1, _ERRORS.get(body[8], "#ERROR"), False, True, True))
        return None
