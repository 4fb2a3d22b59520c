"""The inbox sensors on a real Dagster instance and real folders: when a file counts as whole, and what it starts.

Files are written in the steps in which a slow copy writes them. The run that a sensor asks for is executed as far as the landing.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.inbox import PAUSE_SECONDS, look, standing_files
from assets.labour.citations import cited_documents
from assets.survey.inbox import complete_files
from pipelines.definitions import defs
from practice.labour.bulletins import document_bytes
from warehouse.landing import Landing

SETTINGS = """
organisation = "Test office"
state = "state"
"""


class Watched:
    """One sensor of real definitions, evaluated tick after tick on an instance of its own."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, name: str, folder: Path) -> None:
        self.definitions = definitions
        self.instance = instance
        self.sensor = definitions.resolve_sensor_def(name)
        self.folder = folder
        self.cursor: str | None = None

    def tick(self) -> list[dg.RunRequest]:
        """What the sensor asks for at its next tick."""
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, definitions=self.definitions)
        told = self.sensor.evaluate_tick(context)
        self.cursor = told.cursor
        return list(told.run_requests or [])

    def write(self, name: str, data: bytes) -> None:
        """`name` has these bytes and a time that no earlier writing had."""
        path = self.folder / name
        earlier = path.stat().st_mtime_ns if path.exists() else 0
        path.write_bytes(data)
        os.utime(path, ns=(0, max(path.stat().st_mtime_ns, earlier + 1_000_000)))


def bulletin(code: str) -> bytes:
    return document_bytes(next(found for found in cited_documents() if found.document_code == code))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dg.Definitions, dg.DagsterInstance, Path]]:
    """An installation on real sources: its definitions, read from its settings file, an instance, its folder."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "mhwg.toml").write_text(SETTINGS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MHWG_SETTINGS", str(folder / "mhwg.toml"))
        patch.setenv("MHWG_PSEUDONYM_KEY", "a key of the tests, long enough for it")
        patch.delenv("MHWG_STATE", raising=False)
        with dg.DagsterInstance.local_temp(str(folder)) as instance:
            yield defs(), instance, folder


@pytest.fixture
def office(installation: tuple[dg.Definitions, dg.DagsterInstance, Path]) -> Callable[[str], Watched]:
    """Makes the sensor of one source, its inbox empty and its landing folder as new."""
    definitions, instance, folder = installation

    def watched(source_code: str) -> Watched:
        shutil.rmtree(folder / "state", ignore_errors=True)
        inbox = folder / "state" / "inbox" / source_code
        inbox.mkdir(parents=True)
        return Watched(definitions, instance, f"{source_code}_inbox", inbox)

    return watched


def test_every_inbox_is_watched_from_the_start(office: Callable[[str], Watched]) -> None:
    watched = office("labour")
    for name in ("labour_inbox", "survey_inbox", "programme_inbox", "reference_inbox"):
        sensor = watched.definitions.resolve_sensor_def(name)
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert sensor.job_name == f"arrived_{name.removesuffix('_inbox')}"


def test_an_inbox_that_does_not_exist_yet_asks_for_nothing(office: Callable[[str], Watched]) -> None:
    watched = office("labour")
    watched.folder.rmdir()
    assert watched.tick() == []


def test_a_file_is_landed_when_it_has_stopped_growing(office: Callable[[str], Watched]) -> None:
    watched = office("labour")
    data = bulletin("year-2023")
    for share in (1, 2, 3):
        watched.write("thang 12.xlsx", data[: len(data) * share // 3])
        assert watched.tick() == [], "it grew since the last look"
    (request,) = watched.tick()
    assert request.tags["mhwg/source"] == "labour"
    assert watched.tick() == [], "asked for once"

    job = watched.definitions.resolve_job_def("arrived_labour")
    landing = dg.AssetKey(["landing", "labour"])
    assert {landing, dg.AssetKey(["core", "labour_figure"]), dg.AssetKey(["release", "observation"])} <= set(
        job.asset_layer.executable_asset_keys
    )
    done = job.execute_in_process(instance=watched.instance, tags=dict(request.tags), asset_selection=[landing])
    assert done.success
    (receipt,) = Landing(watched.folder.parents[1] / "landing").receipts("labour")
    assert receipt.parameters["sha256"] == hashlib.sha256(data).hexdigest()

    watched.cursor = None
    assert [watched.tick(), watched.tick()] == [[], []], "landed content starts nothing, even without a cursor"


def test_a_reference_file_is_landed_and_starts_nothing_more(office: Callable[[str], Watched]) -> None:
    """What is shipped with the code lies in the same landing folder and is no arrival."""
    watched = office("reference")
    data = b"series_code,edition_code,area_code,year,value\nmigrant_stock,test2026,VNM,2024,77\n"
    watched.write("figures.csv", data)
    assert watched.tick() == []
    (request,) = watched.tick()
    assert request.tags["mhwg/source"] == "reference"
    job = watched.definitions.resolve_job_def("arrived_reference")
    assert dg.AssetKey(["release", "observation"]) in job.asset_layer.executable_asset_keys
    landing = dg.AssetKey(["landing", "reference"])
    done = job.execute_in_process(instance=watched.instance, tags=dict(request.tags), asset_selection=[landing])
    assert done.success
    landed = Landing(watched.folder.parents[1] / "landing").receipts("reference")
    assert [r.parameters["sha256"] for r in landed if r.locator == "inbox:figures.csv"] == [
        hashlib.sha256(data).hexdigest()
    ]
    watched.cursor = None
    assert [watched.tick(), watched.tick()] == [[], []]


def test_content_decides_what_is_new(office: Callable[[str], Watched]) -> None:
    watched = office("labour")
    watched.write("thang 10.xlsx", bulletin("year-2023"))
    watched.tick()
    (first,) = watched.tick()
    watched.write("thang 10.xlsx", bulletin("year-2023"))
    watched.write("copy of it.xlsx", bulletin("year-2023"))
    assert [watched.tick(), watched.tick()] == [[], []], "touched and copied: the same bytes"
    watched.write("thang 10.xlsx", bulletin("year-2022"))
    watched.tick()
    (second,) = watched.tick()
    assert second.run_key != first.run_key, "other bytes under the old name"


def test_several_files_of_one_moment_start_one_run(office: Callable[[str], Watched]) -> None:
    watched = office("programme")
    for number in (1, 2, 3):
        watched.write(f"register {number}.csv", f"register,area,period,number\n{number}".encode())
    watched.tick()
    assert len(watched.tick()) == 1


def test_what_no_reader_takes_is_left_alone(office: Callable[[str], Watched]) -> None:
    watched = office("survey")
    for name in ("notes.docx", ".hidden.sav", "~$open.csv", "still.sav.part"):
        watched.write(name, b"x")
    assert [watched.tick(), watched.tick()] == [[], []]
    watched.write("wave.csv", b"a\n1")
    watched.write("wave.xml", b"<codeBook/>")
    watched.tick()
    assert len(watched.tick()) == 1


def test_a_file_put_back_after_a_failed_run_is_tried_again(office: Callable[[str], Watched]) -> None:
    watched = office("labour")
    watched.write("a.csv", b"x")
    watched.tick()
    (first,) = watched.tick()
    (watched.folder / "a.csv").unlink()
    assert watched.tick() == []
    watched.write("a.csv", b"x")
    watched.tick()
    (again,) = watched.tick()
    assert again.run_key != first.run_key


def test_a_run_that_fails_is_asked_for_again_twice(
    office: Callable[[str], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is not set: the fault is not the file's, and the file must not wait for Monday."""
    watched = office("labour")
    watched.write("thang 12.xlsx", bulletin("year-2023"))
    watched.tick()
    (request,) = watched.tick()
    monkeypatch.delenv("MHWG_PSEUDONYM_KEY")
    job = watched.definitions.resolve_job_def(watched.sensor.job_name)
    keys = [request.run_key]
    for _ in range(2):
        fail(watched, job, request)
        (request,) = watched.tick()
        keys.append(request.run_key)
    assert keys == [keys[0], f"{keys[0]}-2", f"{keys[0]}-3"]
    fail(watched, job, request)
    assert watched.tick() == [], "then it waits for the weekly refresh"
    watched.write("thang 11.xlsx", bulletin("year-2022"))
    watched.tick()
    assert len(watched.tick()) == 1, "another file is asked for all the same"


def fail(watched: Watched, job: dg.JobDefinition, request: dg.RunRequest) -> None:
    """The run that was asked for has failed at its start."""
    done = job.execute_in_process(
        instance=watched.instance,
        tags=dict(request.tags),
        asset_selection=[dg.AssetKey(["landing", "labour"])],
        raise_on_error=False,
    )
    assert not done.success


def test_the_cursor_names_files_and_hashes_only(office: Callable[[str], Watched]) -> None:
    watched = office("labour")
    watched.write("a.csv", "Họ và tên\nTrần Văn Mẫu".encode())
    watched.tick()
    watched.tick()
    ((name, (size, _, sha256, stands)),) = json.loads(watched.cursor or "").items()
    assert (name, size, len(sha256), stands) == ("a.csv", 31, 64, True)


def test_a_file_that_vanishes_between_listing_and_looking_is_no_fault(tmp_path: Path) -> None:
    assert look(tmp_path, [tmp_path / "gone.csv"], {}).files == {}
    assert standing_files([tmp_path / "gone.csv"]) == []


def test_a_pull_leaves_a_growing_file_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    growing, whole = tmp_path / "growing.csv", tmp_path / "whole.csv"
    growing.write_bytes(b"a,b")
    whole.write_bytes(b"a,b")

    def copying_goes_on(seconds: float) -> None:
        assert seconds == PAUSE_SECONDS
        with growing.open("ab") as stream:
            stream.write(b",c")

    monkeypatch.setattr("assets.inbox.time.sleep", copying_goes_on)
    assert standing_files(complete_files(tmp_path)) == [whole]
