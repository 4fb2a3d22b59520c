"""`python -m benchmarks.report [--from RESULTS]`: docs/performance.md and its plot say what docs/performance.json says.

Belongs here: tables and the plot made of the figures. Does not belong here: measuring; the words around the tables, which stand in the
page itself and are kept.

With `--from` the figures of a run (var/benchmarks/results.json) become those of the page first.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.measure import PROJECT, Row

PAGE, FIGURES, PLOT = (PROJECT / "docs" / f"performance{ending}" for ending in (".md", ".json", "-growth.svg"))
UNITS = {
    "whole": "", "values": "data values", "history": "rows", "checks": "staged values", "entities": "entities", "survey": "respondents",
    "disclosure": "figures", "peers": "data values",
}  # fmt: skip
TITLES = {
    "whole": "The whole command, its parts, and analysts' questions (practice ground)",
    "values": "DHIS2 data values", "history": "History", "checks": "Checks", "entities": "DHIS2 tracker entities",
    "survey": "Survey respondents", "disclosure": "Disclosure control",
}  # fmt: skip
PLOTTED = ("values", "history", "checks", "entities", "survey", "disclosure")


def targets(told: Mapping[str, Any]) -> str:
    """Every measured line that a target of the design bounds."""
    lines = [line for line in told["lines"] if line["target"] is not None]
    rows = [
        [line["stage"], _size(line), _bounded(line), line["target_is"], "yes" if line["is_met"] else "**no**"]
        for line in lines
    ]
    for grown in told["growth"]:
        exponent = grown["processor_from_a_million"]
        if grown["family"] in ("values", "history") and exponent is not None and not grown["stage"].startswith("read"):
            words = f"processor time grows with size^{exponent:.2f} from 1 million to {grown['to']:,}"
            rows.append([grown["stage"], "", words, "1.05", "yes" if exponent <= 1.05 else "**no**"])
    return _table(["stage", "size", "measured", "target", "met"], rows, "lllll")


def figures(told: Mapping[str, Any]) -> str:
    """Every line but the peers', family by family."""
    parts = []
    for family, title in TITLES.items():
        lines = [line for line in told["lines"] if line["family"] == family]
        if not lines:
            continue
        rows = [
            [line["stage"], _size(line), _seconds(line["seconds"]), f"{line['spread']:.0%}", str(line["repetitions"]),
             _seconds(line["cpu_seconds"]), f"{line['peak_mib']:,.0f}", _seconds(line["floor_seconds"]),
             _seconds(line["floor_cpu_seconds"]), _number(line["ratio"]), _number(line["cpu_ratio"]), line["floor_is"]]
            for line in sorted(lines, key=lambda line: line["size"])
        ]  # fmt: skip
        head = ["stage", "size", "seconds", "±", "times", "processor s", "peak MiB", "floor s", "floor processor s", "ratio",
                "ratio of processor time", "floor"]  # fmt: skip
        parts.append(f"**{title}**\n\n{_table(head, rows, 'lrrrrrrrrrrl')}")
    return "\n\n".join(parts)


def growth(told: Mapping[str, Any]) -> str:
    """Exponents of every stage that ran at several sizes."""
    rows = [
        [grown["stage"], UNITS[grown["family"]], f"{grown['from']:,} – {grown['to']:,}", _number(grown["time"]),
         _number(grown["processor"]), _number(grown["time_from_a_million"]), _number(grown["processor_from_a_million"]),
         _number(grown["memory"])]
        for grown in told["growth"] if grown["family"] in PLOTTED
    ]  # fmt: skip
    head = ["stage", "of", "sizes", "time", "processor", "time from 1 million", "processor from 1 million", "memory"]
    return _table(head, rows, "lllrrrrr")


def peers(told: Mapping[str, Any]) -> str:
    """The peers: their cost over ours, or what was wrong with what they returned."""
    rows = []
    for line in told["lines"]:
        if line["family"] != "peers":
            continue
        wrong = line["said"].get("wrong")
        measured = [
            _seconds(line["seconds"]),
            f"{line['peak_mib']:,.0f}",
            _seconds(line["floor_seconds"]),
            _number(line["ratio"]),
            _number(line["cpu_ratio"]),
        ]
        said = f"not timed: {wrong}" if wrong else ""
        version = line["said"].get("version", "")
        rows.append(
            [
                line["stage"],
                version,
                _size(line),
                *(["", "", "", "", ""] if wrong else measured),
                said or line["floor_is"],
            ]
        )
    head = [
        "peer",
        "version",
        "size",
        "seconds",
        "peak MiB",
        "here s",
        "peer / here",
        "in processor time",
        "what it is held against",
    ]
    return _table(head, rows, "lllrrrrrl") if rows else "No peer was measured."


def machine(told: Mapping[str, Any]) -> str:
    """What the figures were measured on, and when."""
    facts, days = told["machine"], sorted(line["measured_at"][:10] for line in told["lines"])
    loads = [line["load"] for line in told["lines"]]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['cores']} cores ({facts['processor']}), {facts['memory_gib']} GiB, Python {facts['python']}; {versions}. Measured "
        f"{days[0]} to {days[-1]}; load average after a line between {min(loads):.1f} and {max(loads):.1f}."
    )


BLOCKS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "machine": machine, "targets": targets, "figures": figures, "growth": growth, "peers": peers,
}  # fmt: skip


def page_with(text: str, told: Mapping[str, Any]) -> str:
    """The page with every block made anew. Raises ValueError when it lacks a block."""
    for name, block in BLOCKS.items():
        marked = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        text, count = marked.subn(lambda found, block=block: f"{found[1]}{block(told)}\n{found[2]}", text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"docs/performance.md has {count} blocks {name!r}; there must be one")
    return text


def plotted(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points of the plot, each with its stage and exponents as the legend shows them."""
    points = []
    for grown in told["growth"]:
        if grown["family"] not in PLOTTED or grown["stage"].startswith("read"):
            continue
        label = f"{UNITS[grown['family']]}: {grown['stage']} (t {_number(grown['processor'])}, m {_number(grown['memory'])})"
        points += [
            {"stage": label, "size": line["size"], "seconds": line["cpu_seconds"], "MiB": line["peak_mib"]}
            for line in told["lines"] if (line["family"], line["stage"]) == (grown["family"], grown["stage"]) and line["cpu_seconds"]
        ]  # fmt: skip
    return points


def mark(told: Mapping[str, Any]) -> str:
    """What the plot carries to tell of which figures it is made."""
    return f"<!-- figures {sha256(json.dumps(plotted(told), sort_keys=True).encode()).hexdigest()[:16]} -->"


def draw(told: Mapping[str, Any]) -> str:
    """Time and memory against size on logarithmic axes, as SVG."""
    import altair as alt
    import polars as pl
    import vl_convert

    def panel(quantity: str, title: str) -> Any:
        return (
            alt.Chart(pl.DataFrame(plotted(told)))
            .mark_line(point=True)
            .encode(
                alt.X("size:Q", scale=alt.Scale(type="log"), title="size", axis=alt.Axis(format="~s")),
                alt.Y(f"{quantity}:Q", scale=alt.Scale(type="log"), title=title),
                alt.Color("stage:N", title="stage (exponents)", legend=alt.Legend(labelLimit=420, titleLimit=420, columns=1),
                          scale=alt.Scale(scheme="tableau20")),
            )
            .properties(width=380, height=420)
        )  # fmt: skip

    chart = panel("seconds", "processor time, seconds") | panel("MiB", "peak memory, MiB")
    return f"{vl_convert.vegalite_to_svg(chart.to_json()).rstrip()}\n{mark(told)}\n"


def _size(line: Mapping[str, Any]) -> str:
    return f"{line['size']:,} {UNITS[line['family']]}" if line["size"] else ""


def _seconds(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f"{seconds * 1000:.3g} ms" if seconds < 0.1 else f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}"


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _bounded(line: Mapping[str, Any]) -> str:
    if line["target_of"] == "peak_mib":
        return f"{line['peak_mib']:,.0f} MiB"
    if line["target_of"] == "seconds":
        told = _seconds(line["seconds"]) + ("" if line["seconds"] < 0.1 else " s")
        cpu = line["cpu_seconds"]
        return told if not cpu else f"{told}, of which processor time {_seconds(cpu)}" + ("" if cpu < 0.1 else " s")
    if line["ratio"] is None:
        return ""
    cpu = f"{line['cpu_ratio']:.2f} x in processor time, " if line["cpu_ratio"] else ""
    return f"{cpu}{line['ratio']:.2f} x by the clock: {line['floor_is']}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> str:
    rule = ["---:" if side == "r" else "---" for side in sides]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def main() -> None:
    """The page, and the plot where its figures changed."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    reader.add_argument("--from", dest="source", type=Path, help="result file whose figures become those of the page")
    asked = reader.parse_args()
    if asked.source:
        FIGURES.write_text(asked.source.read_text(encoding="utf-8"), encoding="utf-8")
    told = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert all(
        Row.from_json({k: v for k, v in line.items() if k not in ("family", "measured_at", "load")})
        for line in told["lines"]
    )
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), told), encoding="utf-8")
    if not PLOT.exists() or mark(told) not in PLOT.read_text(encoding="utf-8"):
        PLOT.write_text(draw(told), encoding="utf-8")


if __name__ == "__main__":
    main()
