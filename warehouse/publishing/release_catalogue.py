"""From the catalogue's entries to the cards that a release carries.

Belongs here: translating indicator entries, area rows and sources into `ReleaseCatalogue`, and the version of the whole.
Does not belong here: the entries themselves (`catalogue`), anything about one release (`release`).
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache

import polars as pl

from warehouse.catalogue.indicator_catalogue import Indicator, IndicatorCatalogue, indicator_catalogue
from warehouse.catalogue.regional_catalogue import RegionalCatalogue, regional_catalogue
from warehouse.catalogue.source_catalogue import sources as catalogue_sources
from warehouse.catalogue.table_catalogue import CATALOGUE, CatalogueError, load_codelist
from warehouse.publishing.content import Area, IndicatorCard, ReleaseCatalogue, Source


def release_catalogue(
    areas: pl.DataFrame,
    *,
    indicators: IndicatorCatalogue | None = None,
    regional: RegionalCatalogue | None = None,
    reference_sources: Sequence[Source] = (),
    practice_sources: Iterable[str] = (),
    version: str | None = None,
) -> ReleaseCatalogue:
    """The meaning of one release.

    `areas`: rows of core.area_current as `release_areas` reads them. `reference_sources`: one
    per reference series, with source_code `reference:<series_code>`. `practice_sources`: codes of sources that are made up.
    """
    entries = indicators or indicator_catalogue()
    made_up = set(practice_sources)
    plain = [
        Source(
            source_code=entry.code,
            name_en=entry.name.en,
            name_vi=entry.name.vi,
            producer=entry.producer,
            citation=entry.citation,
            licence=entry.licence,
            is_practice=entry.code in made_up,
        )
        for entry in catalogue_sources()
    ]
    return ReleaseCatalogue(
        indicators=tuple(card_of(entries.indicators[code], entries) for code in sorted(entries.indicators)),
        regional=regional or regional_catalogue(),
        areas=tuple(
            Area(**{name: row[name] for name in Area.__dataclass_fields__ if name in row})
            for row in areas.unique("area_code", keep="last", maintain_order=True)
            .sort("area_code")
            .iter_rows(named=True)
        ),
        sources=(*plain, *sorted(reference_sources, key=lambda source: source.source_code)),
        version=version or catalogue_version(),
    )


_ADDITIVE = {
    "count": "sum", "reference_count": "sum",
    "share": "ratio", "ratio": "ratio", "proportion_wilson": "ratio", "rate_garwood": "ratio",
}  # fmt: skip
"""Methods whose figures of parts add up to the figure of the whole; medians, means and estimates do not."""


def card_of(indicator: Indicator, catalogue: IndicatorCatalogue) -> IndicatorCard:
    """What a reader must know of one indicator, from its entry."""
    unit = _names("unit").get(indicator.unit, (indicator.unit, indicator.unit))
    method = _names("method").get(indicator.method, (indicator.method, indicator.method))
    below = indicator.denominator_text
    caveats = indicator.caveats
    frameworks = [f"GCM {number}" for number in indicator.gcm] + [*indicator.aphda, *indicator.who_plan]
    return IndicatorCard(
        code=indicator.code,
        name_en=indicator.name.en,
        name_vi=indicator.name.vi,
        unit_code=indicator.unit,
        unit_en=_lower_first(unit[0]),
        unit_vi=_lower_first(unit[1]),
        decimals=indicator.decimals,
        definition_version=indicator.definition_version,
        definition_en=indicator.definition.en,
        definition_vi=indicator.definition.vi,
        numerator=indicator.numerator_text.en,
        numerator_vi=indicator.numerator_text.vi,
        denominator=below.en if below else "",
        denominator_vi=below.vi if below else "",
        method_code=indicator.method,
        method_en=method[0],
        method_vi=method[1],
        direction=indicator.direction,
        official_codes=indicator.official_codes,
        definition_source=indicator.definition_source,
        frameworks=tuple(frameworks),
        caveats=(caveats.en,) if caveats else (),
        caveats_vi=(caveats.vi,) if caveats else (),
        source_codes=indicator.sources,
        series_codes=_series(indicator, catalogue),
        is_experimental=indicator.experimental,
        factor=float(indicator.factor),
        alternates=_alternates(indicator, catalogue),
        total_over=indicator.denominator.total_over if indicator.denominator else (),
        additive_code=_ADDITIVE.get(indicator.method, "none"),
    )


def _series(indicator: Indicator, catalogue: IndicatorCatalogue) -> tuple[str, ...]:
    """Source codes of the reference series that the indicator reads, above and below the line."""
    found = list(indicator.numerator.filter.get("series_code", ()))
    denominator = catalogue.denominator_use(indicator)
    if denominator is not None:
        found += denominator.filter.get("series_code", ())
    return tuple(dict.fromkeys(f"reference:{code}" for code in found))


def _alternates(indicator: Indicator, catalogue: IndicatorCatalogue) -> tuple[tuple[str, str], ...]:
    """Code and edition of the registry entries that could serve instead of the named denominator."""
    use = indicator.denominator
    if use is None or use.named is None:
        return ()
    return tuple((name, catalogue.denominators[name].edition) for name in catalogue.denominators[use.named].alternates)


@cache
def _names(codelist: str) -> dict[str, tuple[str, str]]:
    try:
        return {code.code: (code.name_en, code.name_vi) for code in load_codelist(codelist)}
    except CatalogueError:
        return {}


_PERCENT = "%"


def _lower_first(text: str) -> str:
    """A unit as it stands under a heading: small first letter, and the sign for percent."""
    if text in ("Percent", "Phần trăm"):
        return _PERCENT
    return text[:1].lower() + text[1:] if text[1:2].islower() or not text[1:2].isalpha() else text


@cache
def catalogue_version() -> str:
    """A short fingerprint of every file of the catalogue: it changes when a meaning changes."""
    digest = hashlib.sha256()
    for path in sorted(CATALOGUE.rglob("*")):
        if path.suffix in (".toml", ".csv"):
            digest.update(path.relative_to(CATALOGUE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
