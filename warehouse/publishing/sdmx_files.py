"""SDMX files of a release: structure and data in SDMX-ML 2.1, and data in SDMX-CSV 2.

Belongs here: mapping observation columns to SDMX dimensions and attributes, building the structure with `sdmx1`, writing.
Does not belong here: the codes themselves (code lists and entries of the catalogue).

SDMX 2.1 has one measure; interval bounds, standard error, numerator, denominator and records are attributes of the
observation. A province is ADM1 with its vintage inside its country; a suppressed or missing figure has no OBS_VALUE, and
OBS_STATUS says why. Codes lose characters that SDMX identifiers cannot have; the code's name keeps the original.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import polars as pl
import sdmx
from sdmx.message import DataMessage, Header, StructureMessage
from sdmx.model import common
from sdmx.model import v21 as model

from warehouse.catalogue.table_catalogue import CatalogueError, load_codelist
from warehouse.publishing.content import ReleaseContent
from warehouse.publishing.names import Names

AGENCY = "MHWG"
STRUCTURE = "MIGRANT_HEALTH"
VERSION = "1.0"

DIMENSIONS = {
    "FREQ": "frequency",
    "REPORTING_TYPE": "N national, R regional",
    "SERIES": "indicator",
    "REF_AREA": "country or region",
    "ADM1": "province with its vintage, _T when the figure is of the whole area",
    "SEX": "sex",
    "AGE": "age group",
    "MIGRANT_STATUS": "migrant status",
    "MIGRANT_BASIS": "what makes a person a migrant",
    "CNTRY_ORIGIN": "origin",
    "CNTRY_DEST": "destination",
    "CUST_BREAKDOWN": "further breakdown",
    "DEF_VERSION": "version of the definition",
}
"""Dimensions before TIME_PERIOD, in key order, with their meaning."""

ATTRIBUTES = {
    "OBS_STATUS": ("obs_status", "SDMX observation status"),
    "OBS_FLAGS": ("obs_flags", "all observation status codes"),
    "CONF_STATUS": ("conf_status", "SDMX confidentiality status"),
    "UNIT_MEASURE": ("unit_code", "unit"),
    "LOWER": ("lower", "lower bound of the 95% interval"),
    "UPPER": ("upper", "upper bound of the 95% interval"),
    "SE": ("se", "standard error"),
    "NUM": ("numerator", "numerator"),
    "DEN": ("denominator", "denominator"),
    "N_UNW": ("n", "unweighted records"),
    "METHOD": ("method_code", "method"),
    "INTERVAL": ("interval_code", "kind of interval"),
    "COVERAGE": ("coverage_share", "share of the population covered by a regional figure"),
    "MEMBERSHIP": ("membership_version", "membership of the region"),
    "SOURCE_DETAIL": ("source_codes", "sources"),
    "FOOTNOTE": ("footnote_codes", "caveats"),
    "PRACTICE": ("is_practice", "true when the figure is made up for practice"),
}
"""Attributes of each observation: the column they come from and their meaning."""

_CODELISTS = {
    "SEX": "sex",
    "MIGRANT_STATUS": "migrant_status",
    "MIGRANT_BASIS": "migrant_basis",
    "AGE": "age",
    "CUST_BREAKDOWN": "category",
}
_FREQUENCIES = {"A": "annual", "Q": "quarterly", "M": "monthly", "W": "weekly"}


def write_sdmx(content: ReleaseContent, folder: Path) -> None:
    """`folder` holds structure.xml, data.xml and data.csv with every figure of the release."""
    folder.mkdir()
    frame = sdmx_frame(content)
    structure = _structure(content, frame)
    (folder / "structure.xml").write_bytes(sdmx.to_xml(structure, pretty_print=True))
    (folder / "data.xml").write_bytes(_data_message(content, structure, frame))
    flow = f"{AGENCY}:{STRUCTURE}({VERSION})"
    columns = [*DIMENSIONS, "TIME_PERIOD", "OBS_VALUE", *ATTRIBUTES]
    frame.select(
        pl.lit("dataflow").alias("STRUCTURE"), pl.lit(flow).alias("STRUCTURE_ID"), pl.lit("R").alias("ACTION"), *columns
    ).write_csv(folder / "data.csv", line_terminator="\r\n")


def sdmx_frame(content: ReleaseContent) -> pl.DataFrame:
    """The observations with SDMX columns in key order; numbers as numbers, lists joined by semicolons."""
    parents = {area.area_code: area for area in content.catalogue.areas}

    def country(code: str) -> str:
        area = parents.get(code)
        while area is not None and area.area_type_code == "province" and area.parent_code in parents:
            area = parents[area.parent_code]
        if area is not None and area.area_type_code != "province":
            return area.area_code
        return {"VN34": "VNM", "VN63": "VNM", "KH": "KHM"}.get(code.split("-")[0], code)

    observations = content.observations
    areas = observations["area_code"].unique().to_list()
    country_of = {code: country(code) for code in areas}
    province_of = {code: "_T" if country_of[code] == code else code for code in areas}
    plain = {
        "SERIES": "indicator_code",
        "SEX": "sex_code",
        "AGE": "age_code",
        "MIGRANT_STATUS": "migrant_status_code",
        "MIGRANT_BASIS": "migrant_basis_code",
        "CNTRY_ORIGIN": "origin_code",
        "CNTRY_DEST": "destination_code",
        "CUST_BREAKDOWN": "category_code",
        "DEF_VERSION": "definition_version",
    }
    shaped = observations.with_columns(
        pl.col("area_code").replace_strict(country_of).alias("REF_AREA"),
        pl.col("area_code").replace_strict(province_of).alias("ADM1"),
        pl.col("period_code").map_elements(sdmx_period, return_dtype=pl.String).alias("TIME_PERIOD"),
        pl.col("period_code").map_elements(frequency, return_dtype=pl.String).alias("FREQ"),
        pl.col("value").alias("OBS_VALUE"),
        *(
            pl.col(column).map_elements(identifier, return_dtype=pl.String).alias(name)
            for name, column in plain.items()
        ),
    ).with_columns(
        pl.when(pl.col("REF_AREA") == "ASEAN").then(pl.lit("R")).otherwise(pl.lit("N")).alias("REPORTING_TYPE")
    )
    attributes = [
        pl.col(column).list.join(";").replace("", None).alias(name)
        if isinstance(observations.schema[column], pl.List)
        else pl.col(column).alias(name)
        for name, (column, _) in ATTRIBUTES.items()
    ]
    ordered = shaped.select(*DIMENSIONS, "TIME_PERIOD", "OBS_VALUE", *attributes)
    return ordered.sort([*DIMENSIONS, "TIME_PERIOD"])


def sdmx_period(period_code: str) -> str:
    """A DHIS2 period in SDMX form: 2026, 2026-Q2, 2026-07, 2026-W11."""
    year, rest = period_code[:4], period_code[4:]
    if not rest:
        return year
    if rest.startswith("W"):
        return f"{year}-W{int(rest[1:]):02d}"
    return f"{year}-{rest}"


def frequency(period_code: str) -> str:
    """SDMX frequency of a DHIS2 period."""
    rest = period_code[4:]
    return {"": "A", "Q": "Q", "W": "W"}.get(rest[:1], "M")


def identifier(code: str) -> str:
    """The code with only the characters that an SDMX identifier may have."""
    return re.sub(r"[^A-Za-z0-9_@$\-]", "_", code)


def _structure(content: ReleaseContent, frame: pl.DataFrame) -> StructureMessage:
    agency = common.Agency(id=AGENCY)
    kept: dict[str, Any] = {"maintainer": agency, "version": VERSION, "is_final": True, "is_external_reference": False}
    message = StructureMessage(header=_header(content))
    scheme = common.ConceptScheme(id="CS_MHWG", name={"en": "Concepts of the migrant-health tables"}, **kept)
    structure = model.DataStructureDefinition(
        id=STRUCTURE, name={"en": "Migrant-health indicators", "vi": "Chỉ số sức khoẻ người di cư"}, **kept
    )
    for name, meaning in DIMENSIONS.items():
        concept = _concept(scheme, name, meaning)
        codelist = _codelist(content, frame, name, kept)
        message.codelist[codelist.id] = codelist
        structure.dimensions.append(
            common.Dimension(
                id=name, concept_identity=concept, local_representation=common.Representation(enumerated=codelist)
            )
        )
    period = _concept(scheme, "TIME_PERIOD", "period")
    structure.dimensions.append(common.TimeDimension(id="TIME_PERIOD", concept_identity=period))
    structure.measures.append(
        model.PrimaryMeasure(id="OBS_VALUE", concept_identity=_concept(scheme, "OBS_VALUE", "the figure"))
    )
    for name, (_, meaning) in ATTRIBUTES.items():
        structure.attributes.append(
            common.DataAttribute(
                id=name,
                concept_identity=_concept(scheme, name, meaning),
                related_to=model.PrimaryMeasureRelationship(),
                usage_status=model.UsageStatus.conditional,
            )
        )
    flow = model.DataflowDefinition(id=STRUCTURE, name={"en": "Migrant-health indicators"}, structure=structure, **kept)
    message.concept_scheme[scheme.id] = scheme
    message.structure[structure.id] = structure
    message.dataflow[flow.id] = flow
    return message


def _header(content: ReleaseContent) -> Header:
    at = content.recorded_at.replace(tzinfo=UTC)
    return Header(id=f"MHWG_{content.release_id}", prepared=at, sender=common.Agency(id=AGENCY), test=False)


def _concept(scheme: common.ConceptScheme, name: str, meaning: str) -> common.Concept:
    concept = common.Concept(id=name, name={"en": meaning})
    scheme.append(concept)
    return concept


def _codelist(content: ReleaseContent, frame: pl.DataFrame, dimension: str, kept: Mapping[str, Any]) -> common.Codelist:
    """The codes that the release uses in a dimension, named in both languages."""
    codelist: common.Codelist = common.Codelist(id=f"CL_{dimension}", name={"en": DIMENSIONS[dimension]}, **kept)
    names = _code_names(content, dimension)
    for code in sorted(frame[dimension].unique()):
        en, vi = names.get(code, (code, code))
        codelist.append(common.Code(id=code, name={"en": en, "vi": vi}))
    return codelist


def _code_names(content: ReleaseContent, dimension: str) -> dict[str, tuple[str, str]]:
    if dimension == "SERIES":
        return {card.code: (card.name_en, card.name_vi) for card in content.catalogue.indicators}
    if dimension == "FREQ":
        return {code: (name, name) for code, name in _FREQUENCIES.items()}
    if dimension in ("REF_AREA", "ADM1", "CNTRY_ORIGIN", "CNTRY_DEST"):
        english, vietnamese = Names(content.catalogue, "en"), Names(content.catalogue, "vi")
        columns = ("area_code", "origin_code", "destination_code")
        codes = {code for column in columns for code in content.observations[column].unique()}
        return {identifier(code): (english.area(code), vietnamese.area(code)) for code in codes - {"_T"}} | {
            "_T": ("Total", "Tổng số"),
            "VNM": (english.area("VNM"), vietnamese.area("VNM")),
        }
    if dimension in _CODELISTS:
        try:
            return {
                identifier(code.code): (code.name_en, code.name_vi) for code in load_codelist(_CODELISTS[dimension])
            } | {"_T": ("Total", "Tổng số")}
        except CatalogueError:
            originals = content.observations["age_code" if dimension == "AGE" else "category_code"].unique()
            return {identifier(code): (code, code) for code in originals}
    return {}


def _data_message(content: ReleaseContent, structure: StructureMessage, frame: pl.DataFrame) -> bytes:
    """The data message: envelope by `sdmx1`, observations written line by line.

    `sdmx1` needs 0.4 ms per observation, a release has tens of thousands; the tests read the message back with it.
    """
    empty = model.StructureSpecificDataSet(
        structured_by=structure.structure[STRUCTURE], described_by=structure.dataflow[STRUCTURE]
    )
    message = DataMessage(
        header=_header(content),
        data=[empty],
        dataflow=structure.dataflow[STRUCTURE],
        observation_dimension=model.AllDimensions,
    )
    envelope = sdmx.to_xml(message, pretty_print=True).decode("utf-8")
    opening, tag, closing = envelope.partition(f'<mes:DataSet structureRef="{STRUCTURE}"/>')
    if not tag:
        raise ValueError("the SDMX envelope has no empty data set; sdmx1 writes it differently in this version")
    attributes = [list(_attributes(name, frame[name].to_list())) for name in frame.columns]
    lines = ["    <Obs" + "".join(row) + "/>\n" for row in zip(*attributes, strict=True)]
    body = f'<mes:DataSet structureRef="{STRUCTURE}">\n{"".join(lines)}  </mes:DataSet>'
    return (opening + body + closing).encode("utf-8")


def _attributes(name: str, values: list[object]) -> Iterator[str]:
    """` NAME="value"` per value, nothing for NULL. Codes repeat, so each is escaped once."""
    known: dict[object, str] = {}
    for value in values:
        if value is None:
            yield ""
        elif isinstance(value, float):
            yield f' {name}="{value!r}"'
        else:
            if value not in known:
                known[value] = f" {name}={quoteattr(_text(value))}"
            yield known[value]


def _text(value: object) -> str:
    """A number so that it reads back as itself, a truth value as XML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
