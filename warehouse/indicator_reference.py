"""Indicator entries -> pages for readers: one Markdown page each, and a contents page.

Belongs here: text made from the catalogue, so that it cannot say anything else than what is computed. Does not belong here:
values, the pages of a release (`warehouse.publishing`).
"""

from collections.abc import Mapping
from pathlib import Path

from warehouse.catalogue.breakdowns import wanted_breakdowns
from warehouse.catalogue.indicator_catalogue import Indicator, IndicatorCatalogue, MeasureUse, indicator_catalogue
from warehouse.catalogue.table_catalogue import load_codelist


def _labels(name: str) -> Mapping[str, str]:
    return {code.code: code.name_en for code in load_codelist(name)}


def _use(use: MeasureUse, catalogue: IndicatorCatalogue) -> str:
    filters = "; ".join(f"{column} in {', '.join(codes)}" for column, codes in use.filter.items())
    text = f"{use.aggregate} of measure `{use.measure}` ({catalogue.measures[use.measure].row})"
    return f"{text}, where {filters}" if filters else text


def _tags(indicator: Indicator) -> str:
    parts = []
    if indicator.gcm:
        parts.append("Global Compact objectives " + ", ".join(str(number) for number in indicator.gcm))
    if indicator.aphda:
        parts.append("ASEAN health agenda " + ", ".join(indicator.aphda))
    if indicator.who_plan:
        parts.append("WHO action plan " + ", ".join(indicator.who_plan))
    return "; ".join(parts) or "none"


def page(indicator: Indicator, catalogue: IndicatorCatalogue) -> str:
    """The page of one indicator."""
    units, methods = _labels("unit"), _labels("method")
    denominator = catalogue.denominator_use(indicator)
    rows = [
        ("Tier", indicator.tier),
        ("Official codes", ", ".join(indicator.official_codes) or "none"),
        ("Definition version", _version(indicator)),
        ("Supersedes", indicator.supersedes or "nothing"),
        ("Unit", f"{units[indicator.unit]}; shown with {indicator.decimals} decimals"),
        ("Method", methods[indicator.method]),
        ("Numerator", f"{indicator.numerator_text.en}: {_use(indicator.numerator, catalogue)}"),
    ]
    if denominator is not None and indicator.denominator_text is not None:
        text = f"{indicator.denominator_text.en}: {_use(denominator, catalogue)}"
        if indicator.denominator is not None and indicator.denominator.named is not None:
            entry = catalogue.denominators[indicator.denominator.named]
            text += f". Registry entry `{indicator.denominator.named}`: {entry.edition}"
            text += f". {entry.proxy}" if entry.proxy else ""
            if entry.alternates:
                text += ". Shown beside it with " + ", ".join(
                    catalogue.denominators[name].edition for name in entry.alternates
                )
        rows += [("Denominator", text), ("Factor", f"{indicator.factor:g}")]
    breakdowns = "; ".join(
        " x ".join(name.removesuffix("_code") for name in group) or "total" for group in indicator.breakdowns
    )
    rows += [
        ("Breakdowns", breakdowns),
        ("Periods", ", ".join(indicator.period_types)),
        ("Areas", ", ".join(indicator.area_levels)),
        ("Regional row", _regional(indicator)),
        ("Better", indicator.direction),
        (
            "Plausible range",
            f"{indicator.plausible.lower:g} to {indicator.plausible.upper:g}" if indicator.plausible else "not set",
        ),
        ("Sources", ", ".join(indicator.sources)),
        ("On the practice ground", _practice(indicator, catalogue)),
        ("Source of the definition", indicator.definition_source),
        ("Frameworks", _tags(indicator)),
    ]
    lines = [f"# {indicator.code}: {indicator.name.en}", "", f"*{indicator.name.vi}*", ""]
    lines += [indicator.definition.en, "", f"*{indicator.definition.vi}*", ""]
    if indicator.experimental:
        lines += ["**Experimental:** no official definition is known.", ""]
    lines += ["| | |", "|---|---|", *[f"| {name} | {value.replace('|', '/')} |" for name, value in rows], ""]
    if indicator.caveats is not None:
        lines += ["**What to beware of.** " + indicator.caveats.en, "", f"*{indicator.caveats.vi}*", ""]
    without = [line for line in wanted_breakdowns() if line.indicator_code == indicator.code and not line.given]
    if without:
        lines += ["**Not told apart by** (wanted, and out of scope for the reason given):", ""]
        lines += [f"- {line.wanted}: {line.reason_en} *{line.reason_vi}*" for line in without]
        lines.append("")
    lines.append(f"Generated from `warehouse/catalogue/indicators/{indicator.code}.toml`; edit that file.")
    return "\n".join(lines) + "\n"


def _version(indicator: Indicator) -> str:
    until = f" to {indicator.valid_to}" if indicator.valid_to else ""
    return f"{indicator.definition_version}, valid from {indicator.valid_from}{until}"


def _practice(indicator: Indicator, catalogue: IndicatorCatalogue) -> str:
    """What is real and what is synthetic above and below the line while there are no settings."""
    uses = [indicator.numerator, catalogue.denominator_use(indicator)]
    told = {use.measure: catalogue.measures[use.measure].practice_ground for use in uses if use is not None}
    return "; ".join(f"`{name}` {text}" for name, text in told.items())


def _regional(indicator: Indicator) -> str:
    rule = indicator.regional
    if rule.rule == "not_aggregated":
        return "none"
    text = rule.rule.replace("_", " ") + (f", weight {rule.weight}" if rule.weight else "")
    return f"{text}; from {rule.minimum_coverage:.0%} coverage of {rule.coverage_population}"


def pages(catalogue: IndicatorCatalogue) -> dict[str, str]:
    """File name and text of every page: README.md with the contents, then one page per indicator."""
    found = {f"{code}.md": page(indicator, catalogue) for code, indicator in catalogue.indicators.items()}
    lines = [
        "# Indicators",
        "",
        "Made from the catalogue. How they are computed: `docs/methods/indicator-engine.md`.",
        "",
    ]
    lines += ["| code | name | tên | tier |", "|---|---|---|---|"]
    lines += [
        f"| [{code}]({code}.md) | {indicator.name.en} | {indicator.name.vi} | {indicator.tier} |"
        for code, indicator in catalogue.indicators.items()
    ]
    return {"README.md": "\n".join(lines) + "\n", **found}


def write_pages(folder: Path, catalogue: IndicatorCatalogue) -> list[Path]:
    """The folder holds exactly the pages of the catalogue. Returns the files that were new, changed or removed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages(catalogue)
    touched = [path for path in folder.glob("*.md") if path.name not in made]
    for path in touched:
        path.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            touched.append(path)
    return touched


if __name__ == "__main__":
    write_pages(Path(__file__).parents[1] / "docs" / "indicators", indicator_catalogue())
