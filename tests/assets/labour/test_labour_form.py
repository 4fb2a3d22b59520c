"""The TOML form for figures typed from a press release: what it takes, and one sentence for each thing wrong with it."""

from datetime import date

import pytest

from assets.labour.read import read_file

HEAD = 'title = "Nine months of 2023"\nsource = "kinhtedothi"\nagency = "press"\nkind = "press"\n'
FIGURE = {
    "series": '"deployments"',
    "window": '"cumulative"',
    "period": '"202309"',
    "destination": '"_T"',
    "sex": '"_T"',
    "value": "111507",
    "precision": '"exact"',
    "confidence": '"confirmed"',
}


def form(head: str = HEAD, **changes: str | None) -> bytes:
    """A form of one sound figure, some of its keys changed or (None) left out."""
    entries = {key: value for key, value in (FIGURE | changes).items() if value is not None}
    return (head + "[[figure]]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())).encode()


def test_a_figure_comes_with_its_citation() -> None:
    result = read_file(form(HEAD + "published_on = 2023-10-05\n"), "nine months.toml")
    assert result.faults == ()
    (figure,) = result.sound
    assert figure.fact == ("deployments", "cumulative", "202309", "_T", "_T")
    assert (figure.value, figure.finality_code, figure.pointer) == (111507, "provisional", "nine months.toml!figure 1")
    assert result.document is not None
    assert (result.document.source_url, result.document.published_on) == ("kinhtedothi", date(2023, 10, 5))
    assert result.document.published_on_basis_code == "stated"


def test_without_a_date_the_fifth_day_after_the_period_is_assumed_and_said_so() -> None:
    document = read_file(form(), "x.toml").document
    assert document is not None
    assert (document.published_on, document.published_on_basis_code) == (date(2023, 10, 5), "assumed")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"title = ", "no valid TOML"),
        (b"\xff\xfe\x00", "no valid TOML"),
        (HEAD.replace("source", "sauce").encode() + b"[[figure]]\n", "no figure without a citation"),
        (HEAD.encode(), "no figure"),
        (HEAD.encode() + b"figure = 3\n", "figure that is no table"),
        (form(HEAD + 'agncy = "press"\n'), "'agncy'"),
        (form(series='"deployment"'), "series = 'deployment'"),
        (form(window='"monthly"'), "window = 'monthly'"),
        (form(period='"202313"'), "period = '202313'"),
        (form(period=None), "period = None"),
        (form(sex='"W"'), "sex = 'W'"),
        (form(value='"111.507"'), "value = '111.507'"),
        (form(value="true"), "value = True"),
        (form(value=None), "value = None"),
        (form(precision='"about"'), "precision = 'about'"),
        (form(confidence='"unverified"'), "an unverified figure marked exact"),
        (form(destinaton='"JPN"'), "'destinaton'"),
    ],
)
def test_each_fault_is_one_sentence_with_place_found_expected_and_advice(data: bytes, told: str) -> None:
    result = read_file(data, "press.toml")
    messages = [fault.message for fault in result.faults]
    assert len([message for message in messages if told in message]) == 1, messages
    assert all(message.startswith("press.toml") for message in messages)
    assert all("; expected " in message and message.rstrip().endswith(".") for message in messages)
    assert [figure for figure in result.sound if told not in "'agncy'"] == []


def test_a_sound_figure_loads_beside_a_bad_one_and_the_bad_one_is_kept_with_its_reasons() -> None:
    both = form() + b'[[figure]]\nseries = "x"\nwindow = "month"\nperiod = "2023-9"\nvalue = "?"\n'
    result = read_file(both, "two.toml")
    assert [figure.value for figure in result.sound] == [111507]
    (bad,) = result.rejected
    assert len(bad.rejections) == 3
    assert all("cell figure 2" in reason for reason in bad.rejections)
    assert len(result.faults) == 3
