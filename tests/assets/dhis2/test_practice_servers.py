"""The client against the practice servers: nothing lost, nothing doubled, whatever version and quirk.

The two were written from the same notes by different hands, so that each checks the other. The suite plays every quirk on
one version and every version once; run as a program it plays all of them and writes docs/dhis2-proof.md:

    python tests/assets/dhis2/test_practice_servers.py
"""

import logging
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

import practice
from assets.dhis2.client import Credential, Dhis2Client, RetryPolicy
from assets.dhis2.errors import Dhis2Error
from assets.dhis2.extract import pull_instance
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.dhis2.payload import VALUE_KEY, stage_frames
from methods.linkage import link_quality, pair_referrals
from methods.pseudonym import Pseudonymiser
from practice.clock import DEFAULT_SEED, PracticeClock
from practice.dhis2 import serve
from practice.dhis2.instance import Limits
from practice.dhis2.quirks import QUIRKS, VERSIONS
from practice.world.region import World
from warehouse.landing import Landing

SERVER = "khm"
PROOF = Path(__file__).parents[3] / "docs" / "dhis2-proof.md"
KEY = Pseudonymiser("a key that is long enough for tests", "k")


def _mapping(code: str, *, data_set: str | None) -> InstanceMapping:
    raw = tomllib.loads((Path(practice.__file__).parent / "mhwg.toml").read_text(encoding="utf-8"))
    (entry,) = [item for item in raw["dhis2"] if item["code"] == code]
    mapping = parse_instance(entry, is_practice=True)
    return replace(mapping, data_sets=tuple(item for item in mapping.data_sets if item.code == data_set), page_size=64)


@dataclass(frozen=True)
class Outcome:
    """What one pull brought against what the server held: records and values lost and doubled, or the error it ended with."""

    version: str
    quirk: str
    records: int = 0
    values: int = 0
    lost: int = 0
    doubled: int = 0
    repeats: int = 0
    error: str = ""

    @property
    def summary(self) -> str:
        """One cell of the table."""
        return f"refused: {self.error}" if self.error else f"lost {self.lost}, doubled {self.doubled}"


def play(world: World, version: str, quirk: str, folder: Path) -> Outcome:
    """One full pull of the practice server playing one quirk, counted against the world."""
    clock = PracticeClock(folder)
    limits = Limits(export_budget_rows=50, slow_seconds=3.0, drip_seconds=0.0)
    quirks = () if quirk == "none" else (quirk,)
    with serve(world, clock, (SERVER,), version=version, quirks=quirks, limits=limits) as running:
        mapping = replace(_mapping(SERVER, data_set="HIV_TESTING"), url=running.urls[SERVER])
        instance = running.instances[SERVER]
        landing = Landing(folder / "landing")
        client = Dhis2Client(
            mapping.url,
            Credential.from_text("practice-token"),
            server=SERVER,
            read_timeout=1.0 if quirk == "slow" else 60.0,
            retry=RetryPolicy(attempts=6, first_wait=0.0, longest_wait=0.0),
        )
        before = held(world, mapping, instance.instant())
        try:
            result = pull_instance(
                client,
                mapping,
                lambda part: landing.pull(mapping.source_code, part, clock.instant(), is_practice=True),
                None,
                KEY,
            )
        except Dhis2Error as fault:
            return Outcome(version, quirk, error=type(fault).__name__, repeats=client.repeat_count)
        after = held(world, mapping, instance.instant())
        staged = stage_frames(result.receipts, landing, mapping)
    records = staged.frame("staging.referral_record")["enrollment_uid"].to_list()
    values = [tuple(row) for row in staged.frame("staging.data_value").select(VALUE_KEY[1:]).iter_rows()]
    # What came or went while a moving server was read is not yet ours; the next pull brings it.
    lost = len((before[0] & after[0]) - set(records)) + len((before[1] & after[1]) - set(values))
    doubled = len(records) - len(set(records)) + len(values) - len(set(values))
    return Outcome(version, quirk, len(records), len(values), lost, doubled, client.repeat_count)


def held(world: World, mapping: InstanceMapping, instant: datetime) -> tuple[set[str], set[tuple[str, ...]]]:
    """Live enrollments, and keys of live values of mapped elements, that the server holds at an instant."""
    state = world.server(SERVER, instant)
    enrollments = {
        enrollment.uid
        for entity in state.tracked_entities
        if not entity.deleted
        for enrollment in entity.enrollments
        if not enrollment.deleted
    }
    elements = mapping.element_concepts()
    values = {
        (value.data_element, value.period, value.org_unit, value.category_option_combo, value.attribute_option_combo)
        for value in state.data_values
        if value.data_element in elements and not value.deleted
    }
    return enrollments, values


@pytest.fixture(scope="session")
def small_world() -> World:
    return World(DEFAULT_SEED, weekly_episodes=4)


ALWAYS_ON = {quirk.name for quirk in QUIRKS if quirk.versions}
SWITCHED = [quirk for quirk in QUIRKS if not quirk.versions]
BY_TURNS = [(VERSIONS[number % len(VERSIONS)], quirk.name, quirk.stops) for number, quirk in enumerate(SWITCHED)]


@pytest.mark.parametrize(
    ("version", "quirk", "stops"), [*((version, "none", False) for version in VERSIONS), *BY_TURNS]
)
def test_nothing_is_lost_and_nothing_doubled(
    small_world: World, tmp_path: Path, version: str, quirk: str, stops: bool
) -> None:
    outcome = play(small_world, version, quirk, tmp_path)
    if stops:
        assert outcome.error, "a server that must not be read was read"
        return
    assert (outcome.error, outcome.lost, outcome.doubled) == ("", 0, 0)
    assert outcome.records > 400
    assert outcome.values > 500


def test_the_proof_in_the_docs_has_no_loss() -> None:
    text = PROOF.read_text(encoding="utf-8")
    assert all(f"| {quirk.name} |" in text for quirk in SWITCHED)
    assert all(version in text for version in VERSIONS)
    cells = [cell.strip() for line in text.splitlines() if line.startswith("| ") for cell in line.split("|")[3:-1]]
    told = [cell for cell in cells if cell.startswith("lost")]
    assert len(told) > 100
    assert set(told) == {"lost 0, doubled 0"}


def test_pairing_finds_the_truth_of_the_practice_region(small_world: World, tmp_path: Path) -> None:
    """Precision and recall against what really happened; the thresholds are what the specification promises."""
    clock = PracticeClock(tmp_path)
    sides = []
    with serve(small_world, clock) as running:
        for code, url in running.urls.items():
            mapping = replace(_mapping(code, data_set=None), url=url)
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
            mapping = replace(_mapping(code, data_set="HIV_TESTING"), url=url)
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


def table(outcomes: Iterable[Outcome]) -> str:
    """The proof as a Markdown table: a line per quirk, a column per version."""
    by_place = {(outcome.quirk, outcome.version): outcome for outcome in outcomes}
    numbers = {quirk.name: str(quirk.number) for quirk in QUIRKS}
    lines = [
        "# Proof: DHIS2 versions and quirks",
        "",
        "One full pull of the practice server of Cambodia (referral program and HIV testing data set) per cell. *Lost*: records and values",
        "that the server held throughout and that did not arrive. *Doubled*: rows that arrived twice after de-duplication. *Refused*:",
        "the client must not read such a server, and the error names what to do. Quirks that belong to a version are always on.",
        "Endpoints: system/info, me, metadata lists, tracker/trackedEntities, dataValueSets.csv,",
        "completeDataSetRegistrations. Generated by `python tests/assets/dhis2/test_practice_servers.py`; do not edit.",
        "",
        f"| quirk | number | {' | '.join(VERSIONS)} |",
        f"|---|---|{'---|' * len(VERSIONS)}",
    ]
    for quirk in ["none", *(item.name for item in SWITCHED)]:
        cells = [by_place[quirk, version].summary for version in VERSIONS]
        lines.append(f"| {quirk} | {numbers.get(quirk, '')} | {' | '.join(cells)} |")
    always = sorted((item.number, item.name, item.versions) for item in QUIRKS if item.versions)
    lines += ["", "Always on, by version:", ""]
    lines += [f"- {number} {name} ({', '.join(versions)})" for number, name, versions in always]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    everything = []
    shared = World(DEFAULT_SEED, weekly_episodes=4)
    for name in ["none", *(item.name for item in SWITCHED)]:
        for spoken in VERSIONS:
            with tempfile.TemporaryDirectory() as place:
                everything.append(play(shared, spoken, name, Path(place)))
                print(everything[-1], flush=True)
    PROOF.write_text(table(everything), encoding="utf-8")
