"""Nothing undescribed: every field of the catalogue has guidance, every indicator a specification (worlds: test_indicator_pencils)."""

from pathlib import Path

import pytest

from warehouse.catalogue.indicator_catalogue import (
    CATALOGUE,
    IndicatorCatalogue,
    check,
    indicator_catalogue,
    load_indicators,
)
from warehouse.catalogue.table_catalogue import CatalogueError, load_codelist, tables
from warehouse.catalogue_reference import DOCS, SECTIONS, catalogue_page, dictionary_page, field_guidance
from warehouse.indicator_reference import page

METHODS = DOCS / "methods"


def test_every_field_has_guidance_and_a_bad_example() -> None:
    guidance = field_guidance()
    assert set(guidance) == set(SECTIONS)
    for section, (_, model) in SECTIONS.items():
        assert set(guidance[section]) == set(model.model_fields), section
        for name, entry in guidance[section].items():
            assert set(entry) == {"guidance", "bad"}, f"{section}.{name}"
            assert len(entry["guidance"]) > 10, f"{section}.{name}"


def test_the_page_of_fields_is_the_catalogue() -> None:
    assert (DOCS / "catalogue.md").read_text(encoding="utf-8") == catalogue_page(), "write it again: make docs"


def test_the_committed_dictionary_is_the_catalogue() -> None:
    assert (DOCS / "data-dictionary.md").read_text(encoding="utf-8") == dictionary_page(), "write it again: make docs"


def test_the_dictionary_names_every_table_column_and_code_list() -> None:
    text = dictionary_page()
    for table in tables().values():
        part = text.partition(f"\n## {table.name}\n")[2].partition("\n## ")[0]
        assert table.row in part, table.name
        for column in table.columns:
            if not column.is_provenance:
                assert f"| `{column.name}` |" in part, f"{table.name}.{column.name}"
    for path in (CATALOGUE / "codelists").glob("*.csv"):
        assert f"\n## {path.stem}\n" in text


@pytest.mark.parametrize("code", sorted(indicator_catalogue().indicators))
def test_every_page_says_what_is_real_and_how_it_is_computed(code: str) -> None:
    known = indicator_catalogue()
    text = page(known.indicators[code], known)
    assert "| On the practice ground | `" in text
    assert "| Method | " in text
    assert "| Regional row | " in text


def test_every_method_and_interval_has_a_specification() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in METHODS.glob("*.md"))
    intervals = [code.code for code in load_codelist("interval")]
    assert [code for code in intervals if f"`{code}`" not in text] == []
    rules = [
        code.code.removeprefix("regional_") for code in load_codelist("method") if code.code.startswith("regional_")
    ]
    assert [rule for rule in rules if f"`{rule}`" not in text] == []
    for words in (
        "Wilson",
        "Clopper–Pearson",
        "Garwood",
        "Kaplan",
        "Fay and Feuer",
        "ranks",
        "sum to",
        "Coverage",
        "Membership",
    ):
        assert words in text, words


def written(folder: Path, code: str, old: str, new: str) -> IndicatorCatalogue:
    text = (CATALOGUE / "indicators" / f"{code}.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / f"{code}.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    known = indicator_catalogue()
    return IndicatorCatalogue(
        {**known.indicators, **load_indicators(folder)}, known.measures, known.denominators, known.models
    )


def test_the_new_definition_of_health_spending_replaces_the_closed_one() -> None:
    known = indicator_catalogue().indicators
    new, old = known["UH02"], known["UH03"]
    assert new.supersedes == "UH03"
    assert old.valid_to is not None
    assert old.valid_to < new.valid_from


@pytest.mark.parametrize(
    ("code", "old", "new", "words"),
    [
        ("UH03", "valid_to = 2025-03-31", "valid_to = 2015-03-31", "valid_to lies before valid_from"),
        ("UH02", 'supersedes = "UH03"', 'supersedes = "UH33"', "no other indicator"),
        ("UH02", 'supersedes = "UH03"', 'supersedes = "UH01"', "must have a valid_to before"),
        ("UH02", 'supersedes = "UH03"', 'supersedes = "2"', "is not below version 1"),
        ("UH02", 'supersedes = "UH03"', 'supersedes = "the old one"', "supersedes"),
    ],
)
def test_a_wrong_succession_is_refused(tmp_path: Path, code: str, old: str, new: str, words: str) -> None:
    with pytest.raises(CatalogueError, match=words):
        check(written(tmp_path, code, old, new))
