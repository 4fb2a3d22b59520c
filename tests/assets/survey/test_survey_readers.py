"""Each format gives the same thing: codes as text, labels, missing codes; and nothing that was not asked for."""

import struct
from pathlib import Path

import pandas
import polars as pl
import pyreadstat
import pytest

from assets.survey.faults import SurveyFault, UnreadableSurveyFile
from assets.survey.readers import describe, read

PEOPLE = pl.DataFrame({"Q1": [1.0, 2.0, 8.0, None], "W": [0.5, 1.25, 2.0, 3.0], "NAME": ["An", "Bình", "Chi", "Dũng"]})
LABELS = {"Q1": {1: "Yes", 2: "No", 8: "Don't know"}}


@pytest.mark.parametrize("suffix", [".sav", ".zsav"])
def test_spss_files_keep_user_missing_codes_apart_from_blanks(tmp_path: Path, suffix: str) -> None:
    """8 stays 8 and is declared missing; the blank is null; labels come along."""
    path = tmp_path / f"x{suffix}"
    pyreadstat.write_sav(
        PEOPLE, path, compress=suffix == ".zsav", column_labels={"Q1": "Insured"}, variable_value_labels=LABELS,
        missing_ranges={"Q1": [{"lo": 7, "hi": 9}], "W": [99]},
    )  # fmt: skip
    data = read(path, ["Q1", "W"])
    assert data.frame.to_dict(as_series=False) == {"Q1": ["1", "2", "8", None], "W": ["0.5", "1.25", "2", "3"]}
    assert data.variables["Q1"].value_labels == {"1": "Yes", "2": "No", "8": "Don't know"}
    assert data.variables["Q1"].label == "Insured"
    assert data.variables["Q1"].missing == ("7 thru 9",)
    assert data.variables["W"].missing == ("99",)


def test_portable_files_keep_their_codes(tmp_path: Path) -> None:
    """A .por file carries no labels here, but every code."""
    path = tmp_path / "x.por"
    pyreadstat.write_por(PEOPLE.drop("NAME"), path)
    assert read(path, ["Q1", "W"]).frame["Q1"].to_list() == ["1", "2", "8", None]


@pytest.mark.parametrize("version", [8, 10, 12, 13, 14, 15])
def test_stata_extended_missing_values_stay_distinct(tmp_path: Path, version: int) -> None:
    """.a and .b are two answers, a plain dot is none; pyreadstat numbers file formats 104 to 119 by the Stata that wrote them."""
    path = tmp_path / "x.dta"
    frame = pandas.DataFrame({"lfs": pandas.Series([1.0, "a", "b", None], dtype=object), "w": [1.5, 2.0, 3.0, 4.0]})
    labels = {"lfs": {1: "Employed"}}
    pyreadstat.write_dta(
        frame, path, version=version, missing_user_values={"lfs": ["a", "b"]}, variable_value_labels=labels
    )
    data = read(path, ["lfs", "w"])
    assert data.frame["lfs"].to_list() == ["1", ".a", ".b", None]
    assert data.variables["lfs"].value_labels == {"1": "Employed"}


def old_stata(version: int) -> bytes:
    """A .dta file as Stata 4 to 7 wrote it (formats 104, 105, 108, 110, 111), two variables and three records, little-endian.

    pyreadstat writes 113 and later only. The lengths of the header's fields differ by format; ReadStat, made on real files of those
    years, finds every field where this puts it.
    """
    label, stamp, display = (81 if version >= 108 else 32), (0 if version < 105 else 18), (7 if version < 105 else 12)
    types = (
        {"lfs": (251, b"b"), "w": (255, b"d")} if version == 111 else {"lfs": (ord("b"), b"b"), "w": (ord("d"), b"d")}
    )
    head = struct.pack("<BBBBHI", version, 2, 1, 0, 2, 3) + b"".ljust(label, b"\0") + b"".ljust(stamp, b"\0")
    listed = bytes(code for code, _ in types.values())
    name = 33 if version >= 110 else 9
    names = b"".join(found.encode().ljust(name, b"\0") for found in types)
    order = b"\0" * 2 * (len(types) + 1)
    formats = b"".join(text.ljust(display, b"\0") for text in (b"%8.0g", b"%9.0g"))
    value_labels = b"\0" * name * len(types)
    labels = b"Labour force".ljust(label, b"\0") + b"Weight".ljust(label, b"\0")
    expansion = b"" if version < 105 else b"\0" * (3 if version < 110 else 5)
    # A byte of 127 is the only missing value of those years; .a to .z came with Stata 8.
    records = b"".join(struct.pack("<bd", *record) for record in ((1, 1.5), (2, 2.0), (127, 3.0)))
    return head + listed + names + order + formats + value_labels + labels + expansion + records


@pytest.mark.parametrize("version", [104, 105, 108, 110, 111])
def test_files_of_old_stata_versions_are_read(tmp_path: Path, version: int) -> None:
    path = tmp_path / "x.dta"
    path.write_bytes(old_stata(version))
    data = read(path, ["lfs", "w"])
    assert data.frame["lfs"].to_list() == ["1", "2", None]
    assert data.frame["w"].to_list() == ["1.5", "2", "3"]
    assert data.variables["lfs"].label == "Labour force"


def test_csv_takes_its_labels_from_the_codebook_beside_it(tmp_path: Path) -> None:
    """DDI-Codebook in its namespace: label, categories, missing categories, universe. Codes keep their leading zeros."""
    path = tmp_path / "x.csv"
    path.write_text("prov,ins\n01,1\n79,\n", encoding="utf-8")
    path.with_suffix(".xml").write_text(
        '<codeBook xmlns="ddi:codebook:2_5"><dataDscr><var name="ins"><labl>Insured</labl><universe>15+</universe>'
        '<catgry><catValu>1</catValu><labl>Yes</labl></catgry><catgry missing="Y"><catValu>9</catValu><labl>Refused</labl>'
        "</catgry></var></dataDscr></codeBook>",
        encoding="utf-8",
    )
    data = read(path, ["prov", "ins"])
    assert data.frame.to_dict(as_series=False) == {"prov": ["01", "79"], "ins": ["1", None]}
    insured = data.variables["ins"]
    assert (insured.label, insured.universe, insured.missing) == ("Insured", "15+", ("9",))
    assert insured.value_labels == {"1": "Yes", "9": "Refused"}


def test_a_codebook_with_entities_is_refused(tmp_path: Path) -> None:
    """Entity expansion can fill the memory; a codebook has no use for it."""
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    path.with_suffix(".xml").write_text('<!DOCTYPE c [<!ENTITY a "aaaa">]><codeBook>&a;</codeBook>', encoding="utf-8")
    with pytest.raises(UnreadableSurveyFile, match="entities"):
        describe(path)


def test_parquet_gives_codes_as_text(tmp_path: Path) -> None:
    """Integers, floats, booleans and text all become the text of their code."""
    path = tmp_path / "x.parquet"
    pl.DataFrame({"i": [1, None], "f": [2.0, 2.5], "b": [True, None], "s": [" x ", ""]}).write_parquet(path)
    assert read(path, ["i", "f", "b", "s"]).frame.to_dict(as_series=False) == {
        "i": ["1", None], "f": ["2", "2.5"], "b": ["1", None], "s": ["x", None],
    }  # fmt: skip


def test_columns_that_are_not_asked_for_are_not_read(tmp_path: Path) -> None:
    """The name is in the file and not in memory."""
    path = tmp_path / "x.sav"
    pyreadstat.write_sav(PEOPLE, path)
    data = read(path, ["Q1"])
    assert data.frame.columns == ["Q1"]
    assert "Bình" not in str(data)


def test_an_absent_variable_and_a_damaged_file_are_told_apart(tmp_path: Path) -> None:
    """The first is for whoever wrote the recode, the second for the provider."""
    path = tmp_path / "x.sav"
    pyreadstat.write_sav(PEOPLE, path)
    with pytest.raises(SurveyFault, match="lacks the variables Q9") as absent:
        read(path, ["Q9"])
    assert absent.value.variable == "Q9"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableSurveyFile, match=r"x\.sav"):
        read(path, ["Q1"])
