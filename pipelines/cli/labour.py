"""`mhwg labour inspect`: what the readers make of one file, cell by cell, and a first layout for a form that nobody knows."""

import json
from dataclasses import asdict
from pathlib import Path

from pipelines.cli.console import console, file_to_inspect
from pipelines.failures import Exit


def inspect_file(name: str, *, draft: bool, as_json: bool) -> int:
    """The file is explained; nothing of it was loaded. REFUSED when it cannot be opened at all."""
    from assets.labour.inspection import inspect

    path: Path = file_to_inspect(name)
    told = inspect(path)
    unreadable = not told.format
    if as_json:
        content = {**asdict(told), "faults": [{**asdict(fault), "message": fault.message} for fault in told.faults]}
        console().print_json(json.dumps(content, ensure_ascii=False, default=str))
    elif draft:
        for sheet, text in told.drafts.items():
            print(f"# Sheet {sheet}\n{text}" if len(told.drafts) > 1 else text, end="")
        if not told.drafts:
            print(f"# {path.name}: no sheet without a layout has country names in it; there is nothing to draft.")
    else:
        for line in told.lines():
            print(line)
    return Exit.REFUSED if unreadable else Exit.DONE
