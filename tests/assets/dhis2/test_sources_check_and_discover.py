"""What `mhwg sources` tells: a sound server passes, each thing missing is named with what to do, and a draft can be read.

The servers are practice servers and stubs on loopback; the command runs in this process with a settings file of its own.
"""

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

import practice
from assets.dhis2.client import Credential, Dhis2Client, RetryPolicy
from assets.dhis2.discover import CheckReport, check, discover
from assets.dhis2.draft import draft, guessed_category
from assets.dhis2.errors import NotFoundError
from assets.dhis2.mapping import InstanceMapping, parse_instance
from pipelines.cli import app, call
from practice.clock import DEFAULT_SEED, PracticeClock
from practice.dhis2 import serve
from practice.world.region import World

SERVER = "khm"


def entry(code: str = SERVER) -> dict[str, Any]:
    raw = tomllib.loads((Path(practice.__file__).parent / "mhwg.toml").read_text(encoding="utf-8"))
    (found,) = [item for item in raw["dhis2"] if item["code"] == code]
    return found


def asking(url: str, token: str = "practice-token") -> Dhis2Client:
    return Dhis2Client(url, Credential(token=token), server=SERVER, retry=RetryPolicy(attempts=1))


@pytest.fixture(scope="module")
def world() -> World:
    return World(DEFAULT_SEED, weekly_episodes=1)


@pytest.fixture(scope="module")
def sound(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(world, PracticeClock(tmp_path_factory.mktemp("clock")), (SERVER,)) as running:
        yield running.urls[SERVER]


@pytest.fixture
def checked(world: World, tmp_path: Path) -> Callable[..., CheckReport]:
    def look(*quirks: str, version: str = "2.42", token: str = "practice-token") -> CheckReport:
        with serve(world, PracticeClock(tmp_path), (SERVER,), version=version, quirks=quirks) as running:
            return check(asking(running.urls[SERVER], token), parse_instance(entry(), is_practice=True))

    return look


def faults(report: CheckReport) -> dict[str, tuple[str, str]]:
    return {found.subject: (found.found, found.advice) for found in report.findings if found.verdict == "fault"}


@pytest.mark.parametrize("version", ["2.40", "2.41", "2.43"])
def test_a_sound_server_passes_on_every_version(checked: Callable[..., CheckReport], version: str) -> None:
    report = checked(version=version)
    assert report.is_usable
    assert {found.subject for found in report.findings if found.verdict != "ok"} == {"validation rules"}
    assert {"version", "clock", "analytics", "authorities", "org units", "data sets", "referral program"} <= {
        found.subject for found in report.findings
    }


def test_provinces_and_option_combos_left_out_of_the_settings_are_named(sound: str) -> None:
    """Found by following docs/dhis2.md with a fresh draft: both were silent, and values went to quarantine."""
    mapping = parse_instance(entry(), is_practice=True)
    left_out = dict(list(mapping.province_areas.items())[1:])
    hiv = next(item for item in mapping.data_sets if item.code == "HIV_TESTING")
    gone, *_ = hiv.category_option_combos
    others = tuple(
        replace(
            item, category_option_combos={uid: code for uid, code in item.category_option_combos.items() if uid != gone}
        )
        for item in mapping.data_sets
    )
    report = check(asking(sound), replace(mapping, province_areas=left_out, data_sets=others))
    told = {found.subject: found for found in report.findings if found.verdict == "warning"}
    assert report.is_usable
    assert gone in told["category option combos"].found
    assert "[dhis2.data_set.category_option_combos]" in told["category option combos"].advice
    assert "lie in none that is named" in told["provinces"].found
    bare = check(asking(sound), replace(mapping, province_areas={}))
    (none_named,) = [found for found in bare.findings if found.subject == "provinces"]
    assert none_named.found.startswith("63 of 65 org units")


def test_rule_45_expressions_outside_the_grammar_are_refused_by_name_and_counted(
    httpserver: HTTPServer,
    client: Dhis2Client,
    settings: Callable[..., InstanceMapping],
    serve_metadata: Callable[..., None],
) -> None:
    side = {"expression": "#{ElemNumber1}", "missingValueStrategy": "NEVER_SKIP"}
    rule = {"operator": "less_than", "importance": "LOW", "periodType": "Monthly", "leftSide": side, "rightSide": side}
    httpserver.expect_request("/api/validationRules").respond_with_json(
        {
            "validationRules": [
                {**rule, "id": "RuleGood001", "name": "kept"},
                {
                    **rule,
                    "id": "RuleRates01",
                    "name": "rates",
                    "rightSide": {"expression": "R{DataSetMon1.REPORTING_RATE}"},
                },
                {**rule, "id": "RulePeriod1", "name": "lunar", "periodType": "Lunar"},
                {
                    **rule,
                    "id": "RuleOthers1",
                    "name": "of others",
                    "leftSide": {"expression": "#{ElemOthers1}"},
                    "rightSide": {"expression": "1"},
                },
            ]
        }
    )
    httpserver.expect_request("/api/indicators").respond_with_json(
        {
            "indicators": [
                {"id": "IndiGood001", "name": "share", "numerator": "#{ElemNumber1}", "denominator": "1"},
                {"id": "IndiOffset1", "name": "shifted", "numerator": "#{ElemNumber1}.periodOffset(-1)", "denominator": "1"},
            ]
        }
    )  # fmt: skip
    serve_metadata()
    told = {found.subject: found for found in check(client, settings()).findings}
    assert told["validation rules"].verdict == told["indicators"].verdict == "warning"
    assert told["validation rules"].found.startswith("3 over mapped elements, 2 not evaluated: ")
    assert "rates (item R{DataSetMon1.REPORTING_RATE})" in told["validation rules"].found
    assert "lunar (period type Lunar)" in told["validation rules"].found
    assert told["indicators"].found.startswith("2 over mapped elements, 1 not evaluated: shifted (")


@pytest.mark.parametrize(
    ("quirk", "subject", "words", "advice"),
    [
        ("missing-root", "org units", "LNFyRJyZiMQ", "data capture and search"),
        ("other-calendar", "connection", "ethiopian", "iso8601"),
        ("expired-token", "credential", "401", "expire"),
    ],
)
def test_what_makes_a_pull_impossible_is_named(
    checked: Callable[..., CheckReport], quirk: str, subject: str, words: str, advice: str
) -> None:
    report = checked(quirk)
    assert not report.is_usable
    found, told = faults(report)[subject]
    assert words in found
    assert advice in told


@pytest.mark.parametrize("quirk", ["stale-analytics", "no-analytics"])
def test_old_analytics_are_a_warning_because_pulls_do_not_need_them(
    checked: Callable[..., CheckReport], quirk: str
) -> None:
    report = checked(quirk)
    (analytics,) = [found for found in report.findings if found.subject == "analytics"]
    assert (analytics.verdict, report.is_usable) == ("warning", True)
    assert analytics.advice


def test_identifiers_that_the_server_lacks_are_named_by_kind(sound: str) -> None:
    mapping = parse_instance(entry(), is_practice=True)
    assert mapping.referral is not None
    first, *others = mapping.data_sets
    wrong = replace(
        mapping,
        province_areas={**mapping.province_areas, "Provinc0404": "KH-01"},
        referral=replace(mapping.referral, attributes={**mapping.referral.attributes, "Attribu0404": "sex"}),
        data_sets=(
            replace(
                first,
                period_type="Quarterly",
                elements={**first.elements, "Element0404": "X"},
                category_option_combos={**first.category_option_combos, "Combina0404": "_T"},
            ),
            *others,
        ),
    )
    told = faults(check(asking(sound), wrong))
    for subject, uid in (
        ("provinces", "Provinc0404"),
        ("referral attributes", "Attribu0404"),
        ("data elements", "Element0404"),
        ("category option combos", "Combina0404"),
    ):
        assert uid in told[subject][0]
        assert "settings" in told[subject][1]
    subjects = [found.found for found in check(asking(sound), wrong).findings if found.subject == "data set TB_MONTHLY"]
    assert any("Monthly on the server and Quarterly in the settings" in text for text in subjects)
    assert any("does not hold Element0404" in text for text in subjects)


def test_an_option_that_the_settings_do_not_translate_is_a_warning(sound: str) -> None:
    mapping = parse_instance(entry(), is_practice=True)
    assert mapping.referral is not None
    options = {**mapping.referral.options, "disease": {"HIV": "HIV"}}
    report = check(asking(sound), replace(mapping, referral=replace(mapping.referral, options=options)))
    (warned,) = [found for found in report.findings if found.subject == "options of disease" and "TUB" in found.found][
        :1
    ]
    assert warned.verdict == "warning"
    assert "quarantine" in warned.advice


def test_too_many_rights_and_too_few_are_both_told(
    httpserver: HTTPServer,
    client: Dhis2Client,
    settings: Callable[..., InstanceMapping],
    serve_metadata: Callable[..., None],
) -> None:
    httpserver.expect_oneshot_request("/api/dataSets").respond_with_json(
        {"dataSets": [{"id": "DataSetMon1", "periodType": "Monthly", "access": {"data": {"read": False}}}]}
    )
    httpserver.expect_oneshot_request("/api/me").respond_with_json(
        {
            "authorities": ["ALL"],
            "organisationUnits": [{"id": "RootVnm0001"}, {"id": "RootKhm0001"}],
            "teiSearchOrganisationUnits": [{"id": "RootVnm0001"}],
        }
    )
    serve_metadata()
    report = check(client, settings())
    told = [(found.subject, found.verdict, found.found) for found in report.findings]
    assert ("authorities", "warning", "1 authorities: ALL") in told
    assert ("data sets", "fault", "no right to read the data of DataSetMon1") in told
    assert ("org units", "fault", "root RootKhm0001 is not in the user's search scope") in told


def test_candidates_are_found_by_word(sound: str) -> None:
    found = discover(asking(sound), words=("malaria",), org_unit_levels=2)
    assert [candidate.code for candidate in found.of("dataSets")] == ["MAL_BORDER"]
    everything = discover(asking(sound), org_unit_levels=2)
    mapping = parse_instance(entry(), is_practice=True)
    assert mapping.referral is not None
    assert {mapping.referral.program} == {candidate.uid for candidate in everything.of("programs")}
    assert set(mapping.province_areas) <= {candidate.uid for candidate in everything.of("organisationUnits")}
    assert set(mapping.category_codes()) <= {candidate.uid for candidate in everything.of("categoryOptionCombos")}


def test_a_draft_is_read_as_settings_and_names_what_the_practice_mapping_names(sound: str) -> None:
    made = draft(asking(sound), code=SERVER, country="KHM", credential_env="ANY")
    (raw,) = tomllib.loads(made.text)["dhis2"]
    drafted, known = parse_instance(raw), parse_instance(entry())
    assert drafted.referral is not None
    assert known.referral is not None
    assert drafted.root_org_units == known.root_org_units
    assert (drafted.referral.program, drafted.referral.stages) == (known.referral.program, known.referral.stages)
    assert drafted.referral.attributes == known.referral.attributes
    assert drafted.referral.elements == known.referral.elements
    assert set(drafted.element_concepts()) == set(known.element_concepts())
    # Sex and age are guessed from the names; place of birth stays open for a person to decide.
    guessed = drafted.category_codes()
    assert all(known.category_codes()[uid] == code for uid, code in guessed.items())
    assert set(known.category_codes()) - set(guessed) == {
        uid for uid, code in known.category_codes().items() if code.startswith("migrant_status")
    }
    assert made.open_lines > 3
    assert all(uid in made.text for uid in known.category_codes())


def test_a_draft_for_a_program_that_is_not_there_says_so(sound: str) -> None:
    with pytest.raises(NotFoundError, match="Program0404"):
        draft(asking(sound), code=SERVER, country="KHM", credential_env="ANY", program="Program0404")


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("default", {}),
        ("Female, 25-34 years", {"sex": "F", "age": "Y25T34"}),
        ("15–24, Male", {"sex": "M", "age": "Y15T24"}),
        ("65+ years", {"age": "Y_GE65"}),
        (">= 50", {"age": "Y_GE50"}),
        ("Unknown age", {"age": "_U"}),
        ("Rural", None),
        ("Female, relapse", None),
        ("12", None),
    ],
)
def test_what_a_combination_is_called_is_guessed_whole_or_not_at_all(name: str, meaning: dict[str, str] | None) -> None:
    assert guessed_category(name) == meaning


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(sound: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with real-source settings that name the practice server, and its token in the environment."""
    text = asked_draft = draft(asking(sound), code=SERVER, country="KHM", credential_env="TOKEN_OF_KHM").text
    assert asked_draft
    target = tmp_path / "mhwg.toml"
    target.write_text('state = "var"\n' + text, encoding="utf-8")
    monkeypatch.setenv("MHWG_SETTINGS", str(target))
    monkeypatch.setenv("TOKEN_OF_KHM", "practice-token")
    return target


def mhwg(*arguments: str) -> int:
    return call(lambda: app(list(arguments), standalone_mode=False))


def test_the_command_checks_and_says_by_its_exit_code(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mhwg("sources", "check", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(server["server"], server["is_usable"]) for server in told["servers"]] == [(SERVER, True)]
    monkeypatch.setenv("TOKEN_OF_KHM", "d2pat_of_somebody_else")
    assert mhwg("sources", "check") == 2
    shown = capsys.readouterr()
    assert "401" in shown.out
    assert "d2pat_of_somebody_else" not in shown.out + shown.err
    monkeypatch.delenv("TOKEN_OF_KHM")
    assert mhwg("sources", "check") == 2
    assert "TOKEN_OF_KHM" in capsys.readouterr().out
    assert mhwg("sources", "check", "lao") == 6
    assert not (installed.parent / "var").exists(), "a check wrote something"


@pytest.mark.parametrize(
    ("arguments", "words"), [(("--version", "2.39"), "2.40"), (("--quirk", "no-such-quirk"), "moving-pages")]
)
def test_serving_what_cannot_be_played_is_refused_with_what_can(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MHWG_STATE", str(tmp_path / "var"))
    monkeypatch.setenv("MHWG_SETTINGS", str(Path(practice.__file__).parent / "mhwg.toml"))
    assert mhwg("practice", "serve", *arguments) == 64
    assert words in capsys.readouterr().err
    assert not (tmp_path / "var").exists()


def test_the_command_discovers_a_server_that_no_settings_know(
    sound: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "mhwg.toml"
    empty.write_text("", encoding="utf-8")
    monkeypatch.setenv("MHWG_SETTINGS", str(empty))
    monkeypatch.setenv("NEW_TOKEN", "practice-token")
    assert mhwg("sources", "check") == 4
    assert mhwg("sources", "discover", "--url", sound) == 64
    capsys.readouterr()
    known = ("--url", sound, "--credential-env", "NEW_TOKEN")
    assert mhwg("sources", "discover", *known, "--word", "hiv", "--json") == 0
    kinds = {candidate["kind"] for candidate in json.loads(capsys.readouterr().out)["candidates"]}
    assert {"dataSets", "dataElements", "indicators"} <= kinds
    assert mhwg("sources", "discover", "lao", *known, "--draft", "--country", "LAO") == 0
    assert parse_instance(tomllib.loads(capsys.readouterr().out)["dhis2"][0]).code == "lao"
