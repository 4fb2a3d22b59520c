"""Survey files in the formats that offices use, as raw codes with their labels: nothing interpreted, nothing lost.

SPSS (.sav, .zsav, .por), Stata (.dta), CSV with a DDI-Codebook beside it, Parquet. Every value becomes the text of its code ("1",
"2.5", ".a"), a blank becomes null, and user-missing codes stay codes. What a code means is the recode's business (`recode`).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pyreadstat

from assets.limits import declares_entities
from assets.survey.faults import SurveyFault, UnreadableSurveyFile

SUFFIXES = (".sav", ".zsav", ".por", ".dta", ".csv", ".parquet")


@dataclass(frozen=True)
class Variable:
    """One variable as its file describes it. `missing` lists declared user-missing codes and ranges ("7", "97 thru 99")."""

    name: str
    label: str = ""
    value_labels: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    universe: str = ""


@dataclass(frozen=True)
class Microdata:
    """The records of one file as text codes, with the description of each variable."""

    frame: pl.DataFrame
    variables: dict[str, Variable]


def describe(path: Path) -> dict[str, Variable]:
    """Every variable of the file, without reading a record."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _describe_csv(path)
    if suffix == ".parquet":
        with _told(path):
            return {name: Variable(name) for name in pl.read_parquet_schema(path)}
    return _describe_statistical(_pyreadstat(path, metadataonly=True, user_missing=True)[1])


def read(path: Path, columns: list[str]) -> Microdata:
    """The named columns of the file; no other column enters memory, so identifiers that nobody asked for never do.

    Raises: `SurveyFault` when a column is absent, `UnreadableSurveyFile` when the file cannot be read.
    """
    variables = describe(path)
    absent = [name for name in columns if name not in variables]
    if absent:
        raise SurveyFault(
            f"{path.name} lacks the variables {', '.join(absent)} named by its recode",
            file=path.name,
            variable=absent[0],
        )
    suffix = path.suffix.lower()
    if suffix in (".csv", ".parquet"):
        with _told(path):
            frame = (
                pl.read_csv(path, columns=columns, infer_schema=False, null_values=[""])
                if suffix == ".csv"
                else pl.read_parquet(path, columns=columns)
            )
    else:
        raw, _ = _pyreadstat(
            path, usecols=columns, user_missing=True, output_format="dict", disable_datetime_conversion=True
        )
        frame = pl.DataFrame([_codes(name, values) for name, values in raw.items()])
    text = frame.select([_as_code(frame[name]) for name in columns])
    return Microdata(text, {name: variables[name] for name in columns})


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What polars cannot read is told as a fault of the file, without the words that polars quotes from it."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as cause:
        raise UnreadableSurveyFile(
            f"{path.name} cannot be read as {path.suffix} ({type(cause).__name__}); ask for it again", file=path.name
        ) from cause


def _pyreadstat(path: Path, **options: Any) -> tuple[Any, Any]:
    """What pyreadstat reads, in the encoding that the file declares or, failing that, in Windows' Vietnamese."""
    functions: dict[str, Callable[..., Any]] = {
        ".sav": pyreadstat.read_sav, ".zsav": pyreadstat.read_sav, ".por": pyreadstat.read_por, ".dta": pyreadstat.read_dta,
    }  # fmt: skip
    function = functions.get(path.suffix.lower())
    if function is None:
        raise UnreadableSurveyFile(f"{path.name}: formats are {', '.join(SUFFIXES)}", file=path.name)
    if path.suffix.lower() == ".por":
        options.pop("user_missing", None)  # ReadStat keeps the user-missing codes of portable files as they are
    try:
        frame, meta = function(str(path), **options)
    except UnicodeDecodeError:
        frame, meta = function(str(path), encoding="WINDOWS-1258", **options)
    except pyreadstat.ReadstatError as cause:
        # ReadStat's message names the structure that failed, never a value.
        raise UnreadableSurveyFile(f"{path.name} cannot be read as {path.suffix}: {cause}", file=path.name) from cause
    return frame, meta


def _code(value: object) -> str:
    """The text of one code: 1.0 is "1", a Stata extended missing "a" is ".a"."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _codes(name: str, values: Iterable[object]) -> pl.Series:
    """One column of pyreadstat's dictionary as text; numbers mixed with letters are Stata's extended missing values."""
    listed = list(values)
    has_numbers = any(isinstance(value, int | float) for value in listed)
    cleaned: list[str | None] = []
    for value in listed:
        if value is None or value != value or value == "":  # NaN is the only value that differs from itself
            cleaned.append(None)
        elif has_numbers and isinstance(value, str) and len(value) == 1 and value.isalpha():
            cleaned.append(f".{value.lower()}")
        else:
            cleaned.append(_code(float(value) if isinstance(value, int) else value))
    return pl.Series(name, cleaned, dtype=pl.String)


def _as_code(series: pl.Series) -> pl.Series:
    if series.dtype == pl.String:
        return series.str.strip_chars().replace("", None)
    if series.dtype == pl.Boolean:
        return series.cast(pl.Int8).cast(pl.String)
    if series.dtype.is_float():
        # Distinct values are few beside the records; each is spelt once.
        spelt = {value: _code(value) for value in series.drop_nulls().drop_nans().unique().to_list()}
        return series.fill_nan(None).replace_strict(spelt, default=None, return_dtype=pl.String)
    return series.cast(pl.String)


def _describe_statistical(meta: Any) -> dict[str, Variable]:
    """Variables of an SPSS or Stata file from pyreadstat's metadata."""
    described = {}
    for name in meta.column_names:
        labels = meta.variable_value_labels.get(name, {})
        ranges = meta.missing_ranges.get(name, [])
        letters = meta.missing_user_values.get(name, [])
        missing = [f".{letter}" for letter in letters]
        for limits in ranges:
            low, high = _code(limits["lo"]), _code(limits["hi"])
            missing.append(low if low == high else f"{low} thru {high}")
        described[name] = Variable(
            name,
            (meta.column_names_to_labels.get(name) or "").strip(),
            {_label_code(code, letters): text.strip() for code, text in labels.items()},
            tuple(missing),
        )
    return described


def _label_code(code: object, letters: list[str]) -> str:
    return (
        f".{code}"
        if isinstance(code, str) and (code in letters or (len(code) == 1 and code.isalpha()))
        else _code(code)
    )


def _describe_csv(path: Path) -> dict[str, Variable]:
    """Variables of a CSV file: names from its first line, everything else from the DDI-Codebook of the same name (.xml)."""
    with _told(path):
        names = pl.read_csv(path, n_rows=0, infer_schema=False).columns
    codebook = path.with_suffix(".xml")
    described = _describe_ddi(codebook) if codebook.exists() else {}
    return {name: described.get(name, Variable(name)) for name in names}


def _describe_ddi(path: Path) -> dict[str, Variable]:
    """Variables of a DDI-Codebook (2.x): label, categories, missing categories and universe, in whatever namespace.

    Entities are not expanded: `ElementTree` refuses those it does not know, and a codebook has no business declaring any.
    """
    text = path.read_bytes()
    if declares_entities(text):
        raise UnreadableSurveyFile(
            f"{path.name} declares a document type or entities, which a codebook must not", file=path.name
        )
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as cause:
        raise UnreadableSurveyFile(f"{path.name} is not well-formed XML: {cause}", file=path.name) from cause
    described = {}
    for element in root.iterfind(".//{*}var"):
        name = element.get("name", "")
        labels, missing = {}, []
        for category in element.iterfind("{*}catgry"):
            code = (category.findtext("{*}catValu") or "").strip()
            labels[code] = (category.findtext("{*}labl") or "").strip()
            if category.get("missing", "N").upper() == "Y":
                missing.append(code)
        described[name] = Variable(
            name,
            (element.findtext("{*}labl") or "").strip(),
            labels,
            tuple(missing),
            (element.findtext("{*}universe") or "").strip(),
        )
    return described
