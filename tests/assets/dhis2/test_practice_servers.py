"""The client against the practice servers: nothing lost, nothing doubled, whatever version, endpoint and quirk.

The suite plays every quirk on one version and every version once, in whole pulls and at each endpoint; `proof.py` plays all of
them and writes docs/dhis2-proof.md, which is checked here to be whole.
"""

import importlib.util
import logging
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from assets.dhis2.client import Credential, Dhis2Client
from assets.dhis2.extract import pull_instance
from assets.dhis2.payload import stage_frames
from methods.linkage import link_quality, pair_referrals
from practice.clock import PracticeClock
from practice.dhis2 import serve
from practice.dhis2.quirks import QUIRKS, VERSIONS
from practice.world.region import World
from warehouse.landing import Landing

# A program beside the tests; the folder is no package.
_spec = importlib.util.spec_from_file_location("dhis2_proof", Path(__file__).with_name("proof.py"))
assert _spec is not None
assert _spec.loader is not None
proof = importlib.util.module_from_spec(_spec)
sys.modules["dhis2_proof"] = proof
_spec.loader.exec_module(proof)

KEY, SWITCHED = proof.KEY, proof.SWITCHED


@pytest.fixture(scope="session")
def small_world() -> World:
    made: World = proof.proof_world()
    return made


BY_TURNS = [(VERSIONS[number % len(VERSIONS)], quirk.name, quirk.stops) for number, quirk in enumerate(SWITCHED)]


@pytest.mark.parametrize(
    ("version", "quirk", "stops"), [*((version, "none", False) for version in VERSIONS), *BY_TURNS]
)
def test_nothing_is_lost_and_nothing_doubled(
    small_world: World, tmp_path: Path, version: str, quirk: str, stops: bool
) -> None:
    outcome = proof.play(small_world, version, quirk, tmp_path)
    if stops:
        assert outcome.error, "a server that must not be read was read"
        return
    assert (outcome.error, outcome.lost, outcome.doubled) == ("", 0, 0)
    assert outcome.records > 400
    assert outcome.values > 500


def test_values_come_as_json_where_csv_is_not_offered(small_world: World, tmp_path: Path) -> None:
    """406 for the CSV form: the pull goes on in JSON, and is the same pull."""
    csv = proof.play(small_world, "2.43", "none", tmp_path / "csv")
    json = proof.play(small_world, "2.43", "none", tmp_path / "json", offers_csv=False)
    assert (json.error, json.lost, json.doubled) == ("", 0, 0)
    assert (json.records, json.values) == (csv.records, csv.values)


CELLS = [(endpoint, quirk) for endpoint in proof.ENDPOINTS for quirk in proof.quirks_at(endpoint)]
# The wire does not know which address it cuts: here each endpoint meets two of its failures, in the long run all.
MET = {
    (endpoint.name, quirk)
    for number, endpoint in enumerate(proof.ENDPOINTS)
    for quirk in (sorted(proof.WIRE - {"slow"}) * 2)[number : number + 2]
}
PLAYED = [
    (VERSIONS[number % len(VERSIONS)], endpoint, quirk)
    for number, (endpoint, quirk) in enumerate(CELLS)
    if quirk not in proof.WIRE or (endpoint.name, quirk) in MET
]


@pytest.mark.parametrize(
    ("version", "endpoint", "quirk"), PLAYED, ids=[f"{endpoint.name}-{quirk}" for _, endpoint, quirk in PLAYED]
)
def test_nothing_is_lost_and_nothing_doubled_at_an_endpoint(
    small_world: World, tmp_path: Path, version: str, endpoint: object, quirk: str
) -> None:
    outcome = proof.read(small_world, version, endpoint, quirk, tmp_path)
    assert proof.misses(outcome) == []


def test_the_reading_of_an_endpoint_can_fail(small_world: World, tmp_path: Path) -> None:
    """A reader that drops its last row and repeats its first is found out."""
    endpoint = next(item for item in proof.ENDPOINTS if item.name == "tracker/enrollments")

    def careless(asked: object) -> list[object]:
        rows = list(endpoint.read(asked))
        return [rows[0], *rows[:-1]]

    outcome = proof.read(small_world, "2.42", replace(endpoint, read=careless), "none", tmp_path)
    assert (outcome.lost, outcome.doubled) == (1, 1)
    assert proof.misses(outcome) == ["lost 1", "doubled 1"]


def _tables_of_the_proof() -> dict[tuple[str, str, str], str]:
    """Section, quirk and version of the committed page -> its cell."""
    cells: dict[tuple[str, str, str], str] = {}
    section = ""
    for line in proof.PROOF.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| ") and not line.startswith("| quirk"):
            quirk, _, *told = (cell.strip() for cell in line.strip("|").split("|"))
            cells |= {(section, quirk, version): cell for version, cell in zip(VERSIONS, told, strict=True)}
    return cells


def test_the_proof_in_the_docs_is_whole_and_has_no_loss() -> None:
    """Every version x endpoint x quirk that can show there has its cell; refused are those that must be, nothing else is."""
    cells = _tables_of_the_proof()
    wanted = {("A whole pull", quirk): quirk for quirk in ["none", *(item.name for item in SWITCHED)]}
    wanted |= {(endpoint.name, quirk): quirk for endpoint, quirk in CELLS}
    assert set(cells) == {(*place, version) for place in wanted for version in VERSIONS}
    for (section, quirk, version), cell in cells.items():
        refused = proof.is_refused(section, quirk)
        assert cell.startswith("refused: ") if refused else cell == "lost 0, doubled 0", (section, quirk, version, cell)


def test_every_quirk_of_the_list_shows_at_some_endpoint_or_says_why_not() -> None:
    shown = {quirk for endpoint in proof.ENDPOINTS for quirk in proof.quirks_at(endpoint)} - {"none"}
    shown |= {q for endpoint in proof.ENDPOINTS for version in VERSIONS for q in proof.always_at(endpoint, version)}
    assert shown | set(proof.NOT_READ) == {quirk.name for quirk in QUIRKS}
    text = proof.PROOF.read_text(encoding="utf-8")
    assert [quirk.name for quirk in QUIRKS if quirk.name not in text] == []


def test_pairing_finds_the_truth_of_the_practice_region(small_world: World, tmp_path: Path) -> None:
    """Precision and recall against what really happened; the thresholds are what the specification promises."""
    clock = PracticeClock(tmp_path)
    sides = []
    with serve(small_world, clock) as running:
        for code, url in running.urls.items():
            mapping = replace(proof.mapping_of(code, data_set=None), url=url)
            landing = Landing(tmp_path / code)
            result = pull_instance(
                Dhis2Client(url, Credential.from_text("practice-token")),
                mapping,
                lambda part, landing=landing, code=code: landing.pull(code, part, clock.instant(), is_practice=True),
                None,
                KEY,
            )
            staged = stage_frames(result.receipts, landing, mapping)
            units = staged.frame("staging.org_unit").select("org_unit_uid", "country_code", "province_area_code")
            side = staged.frame("staging.referral_record").filter(pl.col("rejections").list.len() == 0)
            side = side.with_columns(to_facility_code="to_org_unit_uid")
            for end in ("from", "to"):
                side = side.join(
                    units.rename({"country_code": f"{end}_country_code", "province_area_code": f"{end}_area_code"}),
                    left_on=f"{end}_org_unit_uid",
                    right_on="org_unit_uid",
                    how="left",
                )
            sides.append(side)
    records = pl.concat(sides)
    known = set(records["enrollment_uid"])
    truth = [
        (episode.sending_enrollment_uid, episode.receiving_enrollment_uids[0])
        for episode in small_world.true_referrals(clock.instant())
        if episode.kind in ("linked", "duplicate")
        and episode.sending_enrollment_uid in known
        and episode.receiving_enrollment_uids
        and episode.receiving_enrollment_uids[0] in known
    ]
    paired = pair_referrals(records)
    quality = link_quality(paired, truth)
    assert quality.true > 250
    assert (quality.precision or 0) >= 0.98
    assert (quality.recall or 0) >= 0.98
    told = (proof.PROOF.parent / "methods" / "referral-linkage.md").read_text(encoding="utf-8")
    assert quality.summary in told, f"the page tells other figures than measured: {quality.summary}"
    # Nobody is counted twice: as many initiated referrals as sending records that are no duplicates.
    sent = records.filter(pl.col("direction_code") == "outgoing").height
    initiated = paired.filter(pl.col("sending_enrollment_uid").is_not_null())
    assert initiated.height == sent


def test_no_planted_identifier_is_landed_staged_or_logged(
    small_world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Names, national numbers, telephones, birth dates and addresses of the planted patients stay in memory."""
    caplog.set_level(logging.DEBUG)
    clock = PracticeClock(tmp_path)
    written = bytearray()
    with serve(small_world, clock) as running:
        for code, url in running.urls.items():
            mapping = replace(proof.mapping_of(code, data_set="HIV_TESTING"), url=url)
            landing = Landing(tmp_path / "landing")
            result = pull_instance(
                Dhis2Client(url, Credential.from_text("practice-token")),
                mapping,
                lambda part, landing=landing, code=code: landing.pull(code, part, clock.instant(), is_practice=True),
                None,
                KEY,
            )
            staged = stage_frames(result.receipts, landing, mapping)
            for name in staged.frames:
                written += staged.frame(name).write_json().encode()
    for path in sorted((tmp_path / "landing").rglob("*")):
        if path.suffix == ".parquet":
            written += pl.read_parquet(path).write_json().encode()
        elif path.is_file():
            written += path.read_bytes()
    text = (written.decode("utf-8") + caplog.text).casefold()
    planted = small_world.canaries(clock.instant()).all()
    assert len(planted) > 50
    assert [canary for canary in planted if canary.casefold() in text] == []
    assert "practice-token" not in text
