"""`mhwg explain`: where one figure comes from, as a tree.

Belongs here: reading the request and drawing the answer. Does not belong here: finding it (`warehouse.explain`).
"""

import json
from typing import Any

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import load_settings

_DIMENSION_OPTIONS = {
    "sex": "sex_code",
    "age": "age_code",
    "migrant_status": "migrant_status_code",
    "migrant_basis": "migrant_basis_code",
    "origin": "origin_code",
    "destination": "destination_code",
    "category": "category_code",
}


def run(indicator: str, area: str, period: str, breakdown: list[str], *, as_json: bool) -> int:
    """The explanation of one figure of the warehouse. Breakdowns as name=code, for instance sex=F."""
    codes: dict[str, str] = {}
    for text in breakdown:
        name, sign, code = text.partition("=")
        if not sign or name not in _DIMENSION_OPTIONS:
            raise Refused(f"--by {text}: expected NAME=CODE with one of {', '.join(_DIMENSION_OPTIONS)}.", Exit.USAGE)
        codes[_DIMENSION_OPTIONS[name]] = code
    from pipelines.resources import warehouse_of
    from warehouse.explain import NoSuchCell, explain

    warehouse = warehouse_of(load_settings())
    try:
        with warehouse.showing_victims(), warehouse.connect(read_only=True) as connection:
            told = explain(connection, indicator, area, period, codes)
    except NoSuchCell as fault:
        raise Refused(str(fault), Exit.NOT_FOUND) from fault
    if as_json:
        console().print_json(json.dumps(told, ensure_ascii=False, default=str))
    else:
        _draw(told)
    return Exit.DONE


def _draw(told: dict[str, Any]) -> None:
    from rich.tree import Tree

    cell, figure, definition = told["cell"], told["figure"], told["definition"]
    codes = " ".join(str(cell[name]) for name in _DIMENSION_OPTIONS.values() if cell[name] != "_T")
    tree = Tree(
        f"{cell['indicator_code']} {cell['area_code']} {cell['period_code']} {codes}".strip() + f": {_value(figure)}",
        highlight=False,
    )
    _branch(
        tree,
        f"definition, version {definition['version']}",
        [definition["name"], definition["text"], f"= {definition['formula']}", f"source: {definition['source']}"]
        + [f"version {v['version']} ({v['digest']}) since {v['since']}" for v in definition["in_force_since"]],
    )
    _branch(
        tree,
        "counts",
        ([f"hidden: {figure['hidden']}"] if figure["hidden"] else [
            f"{name}: {_number(figure[name])}" for name in ("numerator", "denominator", "n") if figure[name] is not None
        ])
        + [f"{c['side']} from {c['source']}: {_number(c['quantity'])} in {_number(c['records'])} records" for c in told["counts"]],
    )  # fmt: skip
    _branch(tree, "status", [f"{s['code']}: {s['meaning']}" for s in figure["status"]] + figure["notes"])
    _branch(
        tree,
        "receipts",
        [
            f"{r['receipt_id']} {r['source_code']} sha256 {r['sha256'][:16]} {r['locator']}, received {r['received_at']}"
            + (f", published {r['published_on']}" if r["published_on"] else "")
            for r in told["receipts"]
        ],
    )
    _branch(
        tree,
        "held back, would have counted",
        [f"{h['records']} of {h['table']} from {h['source']}: {h['reason']}" for h in told["held_back"]],
    )
    checks = told["checks"]
    _branch(
        tree,
        f"checks: {checks['passed']} passed, {len(checks['failed'])} failed",
        [f"{c['rule']} on {c['table']} ({c['source']}): {c['unexpected']} rows. {c['why']}" for c in checks["failed"]],
        always=True,
    )
    _branch(
        tree,
        "corrections on its inputs",
        [
            f"{c['correction_code']}: {c['action_code']} {c['table_name']}.{c['column_name']} of {c['provider_code']} in"
            f" {c['rows']} rows since {c['acts_since']}, by {c['entered_by']}: {c['reason']}"
            for c in told["corrections"]
        ],
    )
    _branch(
        tree,
        "denominators",
        [
            f"{d['denominator_code']} ({d['edition']}): {_number(d['denominator'])}, value {_number(d['value'])}"
            + (f" ({d['difference_percent']:+.2f} %)" if d["difference_percent"] is not None else "")
            for d in told["denominators"]
        ],
    )
    _branch(
        tree,
        "vintages",
        [
            f"{v['recorded_from']} to {v['recorded_to'] or 'now'}: {_number(v['value'])} {v['status']}"
            f" (definition {v['definition_version']})" + (f", because of {', '.join(v['causes'])}" if v["causes"] else "")
            for v in told["vintages"]
        ],
    )  # fmt: skip
    console().print(tree)


def _branch(tree: Any, heading: str, lines: list[str], *, always: bool = False) -> None:
    if not lines and not always:
        return
    from rich.markup import escape

    branch = tree.add(f"[bold]{escape(heading)}[/]")
    for line in lines:
        branch.add(escape(line))


def _value(figure: dict[str, Any]) -> str:
    if figure["hidden"]:
        return "hidden"
    if figure["value"] is None:
        return "no value"
    bounds = f" ({_number(figure['lower'])} to {_number(figure['upper'])})" if figure["lower"] is not None else ""
    return f"{_number(figure['value'])} {figure['unit_code']}{bounds}"


def _number(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
