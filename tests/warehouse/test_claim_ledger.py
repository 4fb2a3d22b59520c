"""The ledger of claims: what it holds is whole and typed, and a wrong entry is refused with what to do."""

import pytest

from warehouse.catalogue.claim_catalogue import claims, load_claims
from warehouse.catalogue.table_catalogue import CatalogueError

ENTRY = """
[[claim]]
code = "one"
statement = {en = "A number.", vi = "Một con số."}
value = 10
sense = "about"
rounding = 1
unit = "persons"
area = "VNM"
period = "2023"
citation = "hand-made"
confidence = "confirmed"
against = {kind = "figure", indicator = "LM01"}
"""


def refused(tmp_path, text):
    (tmp_path / "claims.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError) as fault:
        load_claims(tmp_path)
    return str(fault.value)


def test_the_shipped_ledger_is_whole():
    known = claims()
    assert len(known) > 100
    assert all(claim.statement.en != claim.statement.vi for claim in known)
    assert all(claim.confidence == "from_memory" for claim in known if "not found" in claim.citation)


def test_a_good_entry_is_read(tmp_path):
    (tmp_path / "claims.toml").write_text(ENTRY, encoding="utf-8")
    (one,) = load_claims(tmp_path)
    assert (one.code, one.against.indicator, one.stated.limits()) == ("one", "LM01", (9.5, 10.5))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('sense = "about"', 'sense = "about"\nremark = "x"', "remark"),
        ('unit = "persons"', 'unit = "heads"', "claim_unit"),
        ('confidence = "confirmed"', 'confidence = "sure"', "confidence"),
        ("rounding = 1", "rounding = 0", "rounding"),
        ('sense = "about"', 'sense = "between"', "upper"),
        ('indicator = "LM01"', 'indicator = "LM99"', "LM99"),
        ('indicator = "LM01"', 'indicator = "LM01", by = {shoe_size = ["44"]}', "shoe_size"),
        ('against = {kind = "figure", indicator = "LM01"}', "", "not_comparable"),
        ('kind = "figure", indicator = "LM01"', 'kind = "register", table = "event", column = "price"', "price"),
        ('kind = "figure", indicator = "LM01"', 'kind = "register", table = "referral", distinct = "sex_code"', "referral"),
        ('kind = "figure", indicator = "LM01"', 'kind = "claim", code = "two"', "two"),
        ('kind = "figure", indicator = "LM01"', 'kind = "claim", code = "one"', "one"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused_and_named(tmp_path, before, after, said):
    assert before in ENTRY
    assert said in refused(tmp_path, ENTRY.replace(before, after, 1))


def test_a_code_stands_once(tmp_path):
    assert "one" in refused(tmp_path, ENTRY + ENTRY)
