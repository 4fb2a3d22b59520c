"""`mhwg template`: a register as a workbook or CSV that the working group fills in and sends back.

Belongs here: choosing the register and writing the file. Does not belong here: what a register asks (`assets.programme`).
"""

import json
from difflib import get_close_matches
from pathlib import Path

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused


def run(code: str | None, language: str, kind: str, output: str | None, *, as_json: bool) -> int:
    """The template stands at `output` (by default `<register>.<kind>` here), or the registers are listed without a code."""
    from assets.programme.read import registers, template
    from assets.programme.template import template_of
    from warehouse.publishing.register_template import write_register_template

    if language not in ("en", "vi"):
        raise Refused(f"--language {language}: there are en and vi.", Exit.USAGE)
    if kind not in ("xlsx", "csv"):
        raise Refused(f"--format {kind}: there are xlsx and csv.", Exit.USAGE)
    known = registers()
    if code is None:
        if as_json:
            listed = {name: dict(register.title) for name, register in known.items()}
            console().print_json(json.dumps(listed, ensure_ascii=False))
        else:
            for name, register in known.items():
                console().print(f"[bold]{name}[/]  {register.title[language]}", highlight=False)
        return Exit.DONE
    if code not in known:
        near = get_close_matches(code, list(known), 1) or sorted(known)[:3]
        raise Refused(
            f"there is no register {code!r}; nearest: {', '.join(near)}. `mhwg template` lists all.", Exit.NOT_FOUND
        )
    register = known[code]
    path = Path(output or f"{code}.{kind}")
    if path.exists():
        raise Refused(f"{path} exists already; give another name with --output, or move it away.", Exit.USAGE)
    if kind == "xlsx":
        path.write_bytes(write_register_template(template_of(register), language))
    else:
        path.write_text(template(code, language), encoding="utf-8")
    if as_json:
        console().print_json(json.dumps({"register": code, "file": str(path)}, ensure_ascii=False))
    else:
        console().print(f"{path}: {register.title[language]}", highlight=False, markup=False)
    return Exit.DONE
