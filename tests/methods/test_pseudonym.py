"""Pseudonyms: canonical forms, separation of programmes, and nothing given away."""

import hashlib
import hmac
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.pseudonym import (
    Pseudonymiser,
    PseudonymKeyError,
    canonical_date,
    canonical_digits,
    canonical_name,
    canonical_text,
)

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def maker() -> Pseudonymiser:
    return Pseudonymiser(KEY, "k1")


def test_a_token_is_the_hmac_of_the_canonical_message(maker: Pseudonymiser) -> None:
    message = "\x1f".join(["mhwg", "tb", "national_id", "079203001234"]).encode()
    expected = hmac.new(KEY.encode(), message, hashlib.sha256).hexdigest()[:40]
    assert maker.token("tb", "national_id", ["079203001234"]) == expected


def test_the_same_person_written_differently_has_one_token(maker: Pseudonymiser) -> None:
    ways = ["079 203 001 234", "079203001234", " 079-203-001-234 ", "០៧៩២០៣០០១២៣៤"]
    assert len({maker.person_token("tb", national_id=way) for way in ways}) == 1


def test_names_in_any_order_and_spelling_of_marks_are_one(maker: Pseudonymiser) -> None:
    forms = [
        ("Nguyễn", "Văn Đức"),
        ("NGUYEN", "Van Duc"),
        ("Van Duc", "Nguyen"),
        (unicodedata.normalize("NFD", "Nguyễn"), " Văn  Đức "),
    ]
    tokens = {maker.person_token("tb", family_name=one, given_name=two, birth_date="1980-02-03") for one, two in forms}
    assert len(tokens) == 1
    assert next(iter(tokens))[1] == "name_birth"
    assert canonical_name("Đỗ-Thị", "Án") == "an do thi"


def test_programmes_kinds_and_keys_do_not_join(maker: Pseudonymiser) -> None:
    other = Pseudonymiser("another key that is long enough", "k2")
    tokens = {
        maker.token("tb", "national_id", ["1"]),
        maker.token("labour", "national_id", ["1"]),
        maker.token("tb", "passport", ["1"]),
        other.token("tb", "national_id", ["1"]),
    }
    assert len(tokens) == 4


def test_parts_do_not_run_together(maker: Pseudonymiser) -> None:
    assert maker.token("tb", "x", ["ab", "c"]) != maker.token("tb", "x", ["a", "bc"])


def test_the_national_number_beats_the_name(maker: Pseudonymiser) -> None:
    token, basis = maker.person_token(
        "tb", national_id="1234", family_name="A", given_name="B", birth_date="1980-01-01"
    )
    assert (token, basis) == (maker.token("tb", "national_id", ["1234"]), "national_id")


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"family_name": "An"},
        {"birth_date": "1980-01-01"},
        {"family_name": "An", "birth_date": "1980"},
        {"national_id": "none"},
    ],
)
def test_too_little_to_know_a_person_makes_no_token(maker: Pseudonymiser, known: dict[str, str]) -> None:
    assert maker.person_token("tb", **known) == (None, "_U")


def test_short_keys_are_refused_and_never_shown() -> None:
    with pytest.raises(PseudonymKeyError) as caught:
        Pseudonymiser("short-key", "k1")
    assert "short-key" not in str(caught.value)
    assert KEY not in repr(Pseudonymiser(KEY, "k1"))


def test_dates_are_kept_as_calendar_days() -> None:
    assert canonical_date("1980-02-03T00:00:00.000") == "1980-02-03"
    assert [canonical_date(text) for text in ("", "1980-02-30", "03/02/1980", "1980-02-031")] == [""] * 4


def test_canonical_text_has_one_form() -> None:
    assert canonical_text("  STRASSE \t Straße ") == "strasse strasse"
    assert canonical_text(unicodedata.normalize("NFD", "Hòa")) == canonical_text("HÒA") == "hòa"


@given(name=st.text(alphabet=st.characters(categories=("L", "Zs")), max_size=30))
def test_word_order_never_matters(name: str) -> None:
    words = name.split()
    assert canonical_name(*words) == canonical_name(*reversed(words))


@given(number=st.text(alphabet="0123456789 -.", max_size=20))
def test_digits_survive_any_punctuation(number: str) -> None:
    assert canonical_digits(number) == "".join(sign for sign in number if sign.isdigit())
