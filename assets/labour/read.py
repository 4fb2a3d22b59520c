"""One labour file of any kind -> what it holds. The one function that the rest of the source calls.

Belongs here: choosing the reader by what the bytes are and by the layout that recognises itself. Does not belong here: the
readers themselves, landing, frames.
"""

import json
from pathlib import Path

from assets.labour.bulletin import read_bulletin_sheet
from assets.labour.encodings import EncodingDoubt
from assets.labour.faults import Fault
from assets.labour.figures import Document, Figure, ReadResult, read_figure_form, rejected
from assets.labour.layout import find_layout
from assets.labour.register import SAFE_NAME, read_safe_register
from assets.labour.workbook import UnreadableFile, open_workbook

REFUSAL_NAME = "refused.json"
"""Name of the note that is landed in place of a file whose content may not be stored."""


def read_landed(data: bytes, landed_name: str, name: str) -> ReadResult:
    """What a landed file holds; `name` is the one it was received under."""
    if landed_name == REFUSAL_NAME:
        note = json.loads(data)
        fault = Fault(note["code"], "error", name, "", "", note["found"], note["expected"], note["advice"])
        return ReadResult(name, "", "", None, faults=(fault,))
    if landed_name == SAFE_NAME:
        return read_safe_register(data, name)
    return read_file(data, name)


def read_file(source: Path | bytes, name: str | None = None) -> ReadResult:
    """Everything that one file holds, and every fault in it. Never raises for a bad file: what is sound is returned."""
    if isinstance(source, Path):
        name = name or source.name
        source = source.read_bytes()
    name = name or "unnamed"
    if name.lower().endswith(".toml"):
        return read_figure_form(source, name)
    try:
        book = open_workbook(source, name)
    except UnreadableFile as refused:
        fault = Fault("unreadable", "error", name, "", "", refused.found, "a workbook or a text table", refused.advice)
        return ReadResult(name, "", "", None, faults=(fault,))
    except EncodingDoubt as doubt:
        fault = Fault(
            "encoding", "error", name, "", "", str(doubt), f"one of {', '.join(doubt.candidates)} with two known headers",
            "Save the file as UTF-8 (CSV UTF-8 in Excel) and send it again.",
        )  # fmt: skip
        return ReadResult(name, "", "", None, faults=(fault,))

    faults: list[Fault] = []
    figures: list[Figure] = []
    recognised: dict[tuple[str, str], str] = {}
    documents: list[Document] = []
    layout_names: list[str] = []
    for sheet in book.sheets:
        if not sheet.cells:
            continue
        if sheet.is_hidden:
            faults.append(
                Fault("hidden_sheet", "note", name, sheet.name, "", "a hidden sheet", "visible sheets",
                      "It was not loaded. Show it in the file if it was meant to be published.")
            )  # fmt: skip
            continue
        match = find_layout(sheet)
        if match is None:
            faults.append(
                Fault("no_layout", "error", name, sheet.name, "", f"{len(sheet.cells)} cells that fit no layout",
                      "the header of a known layout",
                      "Run `mhwg labour inspect` on the file; it drafts a layout. Nothing of this sheet was loaded.")
            )  # fmt: skip
            continue
        result = read_bulletin_sheet(sheet, match, name)
        faults.extend(result.faults)
        figures.extend(result.figures)
        recognised.update(result.recognised)
        layout_names.append(match.layout.name)
        if result.document is not None:
            documents.append(result.document)
    # A sheet beside recognised ones that fits nothing is a cover or notes page, and no error.
    if layout_names:
        faults = [
            Fault(f.code, "note", f.file, f.sheet, f.cell, f.found, f.expected, f.advice)
            if f.code == "no_layout"
            else f
            for f in faults
        ]
    if not layout_names and not faults:
        faults.append(
            Fault("empty", "error", name, "", "", "no cell with content", "a table",
                  "Ask for the file again; perhaps it was saved before it was filled.")
        )  # fmt: skip
    figures = _across_sheets(figures, faults, name)
    document = max(documents, key=lambda found: found.published_on) if documents else None
    return ReadResult(
        name,
        "+".join(dict.fromkeys(layout_names)),
        book.encoding,
        document,
        tuple(figures),
        faults=tuple(faults),
        recognised=recognised,
    )


def _across_sheets(figures: list[Figure], faults: list[Fault], name: str) -> list[Figure]:
    """Each fact once for the whole file. Sheets that say the same count once; sheets that differ are quarantined together."""
    by_fact: dict[tuple[str, str, str, str, str], list[Figure]] = {}
    for figure in figures:
        if not figure.rejections:
            by_fact.setdefault(figure.fact, []).append(figure)
    kept = [figure for figure in figures if figure.rejections]
    for fact, same in by_fact.items():
        if len({figure.value for figure in same}) == 1:
            kept.append(same[0])
            continue
        fault = Fault(
            "sheets_differ", "error", name, "", ", ".join(figure.pointer for figure in same),
            " and ".join(figure.printed or str(figure.value) for figure in same) + f" for {' '.join(fact)}",
            "one figure per file", "All were quarantined. Ask the provider which sheet is right.",
        )  # fmt: skip
        faults.append(fault)
        kept.extend(rejected(figure, fault.message) for figure in same)
    return kept
