"""Rules 28-45 of the client: data values, time, periods, analytics, semantics. Each test is named by its rule."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow.parquet
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from assets.dhis2 import aggregate, analytics
from assets.dhis2.aggregate import Chunk, ValueFormError, copy_csv, copy_json, halved, json_rows, plan_chunks
from assets.dhis2.client import CSV, JSON, CutOffError, Dhis2Client
from assets.dhis2.errors import QueryError, ResponseShapeError, TooLargeError
from assets.dhis2.extract import pull_instance
from assets.dhis2.instants import format_instant, instants, parse_day, parse_instant
from assets.dhis2.mapping import InstanceMapping
from assets.dhis2.metadata import ServerFacts
from assets.dhis2.payload import VALUE_KEY, Staged, stage_frames
from assets.dhis2.referral import landed_record
from assets.dhis2.referral_records import record_of
from methods.periods import expand_relative
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Landing, Pull

ROOT, PARTNER = "RootVnm0001", "RootKhm0001"
HEADER = "dataelement,period,orgunit,categoryoptioncombo,attributeoptioncombo,value,storedby,lastupdated,comment,followup,deleted"
ELEMENTS = frozenset({"ElemNumber1"})


def line(
    value: str, *, period: str = "202601", unit: str = "Facility001", combo: str = "CocFemale01", element: str = "ElemNumber1",
    updated: str = "2026-07-01T00:00:00.000+0000", deleted: str = "",
) -> str:  # fmt: skip
    return f'{element},{period},{unit},{combo},AocDefault1,{value},admin,{updated},"a ""note"", long",false,{deleted}\n'


def landed(text: str | bytes) -> list[dict[str, Any]]:
    target = io.BytesIO()
    body = text.encode() if isinstance(text, str) else text
    copy_csv(io.BufferedReader(io.BytesIO(body)), target, ELEMENTS)
    return pyarrow.parquet.read_table(io.BytesIO(target.getvalue())).to_pylist()


@pytest.fixture
def pull(
    client: Dhis2Client,
    httpserver: HTTPServer,
    serve_metadata: Callable[..., None],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
    landing: Landing,
) -> Callable[..., Staged]:
    """Pulls a stub whose dataValueSets says `body`, and stages it."""

    def run(body: str, *, watermark_at: str | None = None, **changes: Any) -> Staged:
        serve_metadata()
        mapping = settings(data_from=date(2026, 1, 1), **changes)
        httpserver.expect_request("/api/tracker/trackedEntities").respond_with_json(
            {"trackedEntities": [], "pager": {}}
        )

        def values(request: Request) -> Response:
            text = f"{HEADER}\n{body}" if request.args["orgUnit"] == ROOT else f"{HEADER}\n"
            return Response(text, content_type="application/csv")

        httpserver.expect_request("/api/dataValueSets.csv").respond_with_handler(values)
        watermark = f"{watermark_at}#{mapping.digest}" if watermark_at else None
        result = pull_instance(client, mapping, pull_factory, watermark, pseudonymiser)
        return stage_frames(result.receipts, landing, mapping)

    return run


# dataValueSets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("since", [None, datetime(2026, 7, 1, tzinfo=UTC)])
def test_rule_28_data_set_range_org_unit_and_children_always(since: datetime | None) -> None:
    chunk = Chunk("DataSetMon1", "Monthly", date(2026, 1, 1), date(2026, 12, 31), ROOT)
    found = dict(aggregate.value_parameters(chunk, since))
    assert {"dataSet", "startDate", "endDate", "orgUnit"} <= set(found)
    assert found["children"] == "true"
    assert ("lastUpdated" in found) == (since is not None)


def test_rule_28_chunks_cover_every_period_once_and_end_on_period_borders(
    settings: Callable[..., InstanceMapping],
) -> None:
    data_set = {"uid": "DataSetXxx1", "code": "X", "timely_days": 1, "elements": {}, "category_option_combos": {}}
    for period_type in (
        "Monthly",
        "Quarterly",
        "Weekly",
        "WeeklyWednesday",
        "BiWeekly",
        "FinancialApril",
        "QuarterlyNov",
    ):
        mapping = settings(data_set=[{**data_set, "period_type": period_type}], data_from=date(2024, 2, 10))
        chunks = [chunk for chunk in plan_chunks(mapping, date(2026, 7, 6), by_year=True) if chunk.org_unit == ROOT]
        covered = [period for chunk in chunks for period in chunk.periods()]
        assert len(covered) == len(set(covered)) > 1
        assert covered[0].start_on <= date(2024, 2, 10)
        assert covered[-1].end_on >= date(2026, 7, 6)
        for chunk in chunks:
            assert (chunk.first_on, chunk.last_on) == (chunk.periods()[0].start_on, chunk.periods()[-1].end_on)


def test_rule_07_a_large_chunk_is_halved_by_period_then_by_org_unit() -> None:
    children = {"RootVnm0001": ["ProvinceA01", "ProvinceB01"], "ProvinceA01": ["FacilityA01"]}
    chunk = Chunk("DataSetMon1", "Monthly", date(2026, 1, 1), date(2026, 5, 31), ROOT)
    first, second = halved(chunk, children)
    assert (first.first_on, first.last_on, second.first_on) == (date(2026, 1, 1), date(2026, 2, 28), date(2026, 3, 1))
    one = Chunk("DataSetMon1", "Monthly", date(2026, 1, 1), date(2026, 1, 31), ROOT)
    parts = halved(one, children)
    assert [(part.org_unit, part.with_descendants) for part in parts] == [
        (ROOT, False),
        ("ProvinceA01", True),
        ("ProvinceB01", True),
    ]
    assert halved(parts[0], children) == []
    assert halved(parts[2], children) == []


def test_rule_07_halving_brings_every_value_once_and_one_cell_raises(
    stub_world: Any,
    refused: type[Exception],
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
    landing: Landing,
) -> None:
    made = stub_world(42)
    for month in range(1, 8):
        for unit in ("Facility001", "Facility002"):
            made.set_value(f"2026{month:02d}", unit, "CocFemale01", str(month))
    limit_days = 32

    def budget(path: str, query: dict[str, str]) -> None:
        if path == "dataValueSets.csv":
            days = (date.fromisoformat(query["endDate"]) - date.fromisoformat(query["startDate"])).days
            if days > limit_days or (limit_days < 40 and query["orgUnit"] == ROOT and query["children"] == "true"):
                raise refused(409, {"status": "ERROR", "errorCode": "E7128", "message": "too many"})

    made.before_answer = budget
    mapping = settings(data_from=date(2026, 1, 1))
    result = pull_instance(made.client(), mapping, pull_factory, None, pseudonymiser)
    frame = stage_frames(result.receipts, landing, mapping).frame("staging.data_value")
    assert frame.height == 14
    assert frame.select(VALUE_KEY).is_unique().all()
    limit_days = -1
    with pytest.raises(TooLargeError) as caught:
        pull_instance(made.client(), mapping, pull_factory, None, pseudonymiser)
    assert caught.value.error_code == "E7128"


@pytest.mark.parametrize("key", ["period", "orgUnit", "attributeOptionCombo"])
def test_rule_29_hoisted_keys_are_filled_in_and_missing_ones_raise(key: str) -> None:
    row = {
        "dataElement": "ElemNumber1",
        "period": "202601",
        "orgUnit": "Facility001",
        "categoryOptionCombo": "CocFemale01",
        "attributeOptionCombo": "AocDefault1",
        "value": "5",
    }
    whole = list(json_rows({"dataValues": [row]}))
    without = {name: value for name, value in row.items() if name != key}
    assert list(json_rows({key: row[key], "dataValues": [without]})) == whole
    with pytest.raises(ValueFormError, match=f"has no {key}"):
        list(json_rows({"dataValues": [without]}))


@pytest.mark.parametrize("answer", [{}, {"dataValues": []}, {"dataSet": "x", "period": "202601", "orgUnit": "y"}])
def test_rule_30_no_values_is_no_error_in_json(answer: dict[str, Any]) -> None:
    assert list(json_rows(answer)) == []
    target = io.BytesIO()
    assert copy_json(answer, target, ELEMENTS).received == 0


@pytest.mark.parametrize("body", ["", HEADER + "\n", "\ufeff" + HEADER + "\n"])
def test_rule_30_no_values_is_no_error_in_csv(body: str) -> None:
    assert landed(body) == []


def test_csv_is_read_by_header_name_and_drops_users_and_comments() -> None:
    names = HEADER.split(",")
    row = dict(
        zip(
            names,
            ["ElemNumber1", "202601", "F", "C", "A", "5", "nurse", "2026-07-01", "Nguyen Van An", "", "true"],
            strict=True,
        )
    )
    shuffled = sorted(names)
    text = ",".join(shuffled) + "\n" + ",".join(row[name] for name in shuffled) + "\n"
    (found,) = landed(text)
    assert found["value"] == "5"
    assert found["deleted"] == "true"
    assert not {"nurse", "Nguyen Van An"} & set(found.values())


def test_values_of_elements_that_nobody_mapped_are_not_landed() -> None:
    target = io.BytesIO()
    text = HEADER + "\n" + line("1") + line("secret text", element="ElemOther01")
    counts = copy_csv(io.BufferedReader(io.BytesIO(text.encode())), target, ELEMENTS)
    assert (counts.received, counts.unmapped) == (2, 1)
    assert b"secret text" not in target.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        HEADER,
        HEADER + "\n" + line("1")[:-1],
        HEADER + "\n" + line("1") + "ElemNumber1,2026",
        HEADER + "\n" + line("1")[:-9] + "\n",
    ],
)
def test_rule_10_a_cut_off_csv_is_recognised(body: str) -> None:
    with pytest.raises(CutOffError):
        landed(body)


def test_rule_10_a_cut_off_csv_is_repeated_and_never_landed(
    httpserver: HTTPServer, client: Dhis2Client, waits: list[float], tmp_path: Path
) -> None:
    bodies = iter([HEADER + "\n" + line("1") + "ElemNumb", HEADER + "\n" + line("1") + line("2", period="202602")])
    httpserver.expect_request("/api/dataValueSets.csv").respond_with_handler(
        lambda request: Response(next(bodies), content_type="application/csv")
    )

    def copy(stream: Any) -> Any:
        with (tmp_path / "chunk.parquet").open("wb") as target:
            return copy_csv(stream, target, ELEMENTS)

    assert client.read("dataValueSets.csv", [], copy, accept=CSV).received == 2
    assert len(waits) == 1
    assert pl.read_parquet(tmp_path / "chunk.parquet").height == 2


def test_rule_31_memory_does_not_grow_with_the_answer(tmp_path: Path) -> None:
    """A body several times larger than the peak: Arrow reads some 1 MiB blocks ahead, and no more."""

    class Body(io.RawIOBase):
        def __init__(self, rows: int) -> None:
            self.parts: Iterator[bytes] = iter(
                [(HEADER + "\n").encode(), *([(line("1") * 1000).encode()] * (rows // 1000))]
            )
            self.left = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.left = self.left or next(self.parts, b"")
            count = min(len(buffer), len(self.left))
            buffer[:count], self.left = self.left[:count], self.left[count:]
            return count

    def peak(rows: int) -> int:
        tracemalloc.start()
        with (tmp_path / f"{rows}.parquet").open("wb") as target:
            counts = copy_csv(io.BufferedReader(Body(rows)), target, ELEMENTS)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert counts.received == rows
        return most

    size = len(line("1")) * 600_000
    assert peak(600_000) < size / 2


def test_rule_32_a_gzip_file_is_unpacked(httpserver: HTTPServer, client: Dhis2Client) -> None:
    text = HEADER + "\n" + line("7")
    httpserver.expect_request("/api/dataValueSets.csv").respond_with_data(
        gzip.compress(text.encode()),
        content_type="application/gzip",
        headers={"Content-Disposition": "attachment; filename=x.csv.gz"},
    )
    assert client.read("dataValueSets.csv", [], lambda stream: stream.read(), accept=CSV) == text.encode()


def test_rule_32_a_gzip_file_that_breaks_off_is_repeated(
    httpserver: HTTPServer, client: Dhis2Client, waits: list[float]
) -> None:
    packed = gzip.compress(b"x" * 10_000 + bytes(range(256)) * 40)
    bodies = iter([packed[: len(packed) // 2], packed])
    httpserver.expect_request("/api/x.csv").respond_with_handler(
        lambda request: Response(next(bodies), content_type="application/gzip")
    )
    assert len(client.read("x.csv", [], lambda stream: stream.read(), accept=CSV)) == 20_240
    assert len(waits) == 1


def test_rule_33_deletions_are_asked_for_and_absent_means_no(
    pull: Callable[..., Staged], httpserver: HTTPServer
) -> None:
    body = line("1") + line("2", period="202602", deleted="true") + line("3", period="202603", deleted="false")
    staged = pull(body, watermark_at="2026-07-01T00:00:00.000Z")
    asked = [request.args for request, _ in httpserver.log if "dataValueSets" in request.path]
    assert {args["includeDeleted"] for args in asked} == {"true"}
    found = dict(staged.frame("staging.data_value").select("period_code", "is_deleted").iter_rows())
    assert found == {"202601": False, "202602": True, "202603": False}


def test_rule_33_a_full_pull_counts_deletions_and_stages_none(pull: Callable[..., Staged]) -> None:
    staged = pull(line("1") + line("2", period="202602", deleted="true"))
    assert staged.frame("staging.data_value")["period_code"].to_list() == ["202601"]
    assert staged.counts["deleted"] == 1
    assert [load.mode for load in staged.loads if load.table == "core.data_value"] == ["snapshot"]


@pytest.mark.parametrize("text", ["10d", "12h", "30m", "60s"])
def test_rule_34_a_duration_is_validated_before_it_is_sent(text: str) -> None:
    assert aggregate.duration_parameter(text) == ("lastUpdatedDuration", text)


@pytest.mark.parametrize("text", ["", "d", "10", "-1d", "0d", "1.5h", "10 d", "P1D", "10w"])
def test_rule_34_a_wrong_duration_raises(text: str) -> None:
    with pytest.raises(QueryError, match="no duration"):
        aggregate.duration_parameter(text)


def test_values_that_cannot_be_typed_are_held_back_with_reasons(pull: Callable[..., Staged]) -> None:
    body = (
        line("12")
        + line("Nguyen Van An 0912345678", period="202602")
        + line("1" * 400, period="202603")
        + line("5", combo="CocUnknown1", period="202604")
        + line("6", period="2026Q9")
    )
    frame = pull(body).frame("staging.data_value")
    reasons = {row["period_code"]: row["rejections"] for row in frame.to_dicts()}
    assert reasons == {
        "202601": [],
        "202602": ["no number in a numeric data element"],
        "202603": ["a number of more than 307 digits"],
        "202604": ["category option combo CocUnknown1 is not in the settings"],
        "2026Q9": ["period '2026Q9' is not a DHIS2 period"],
    }
    assert "Nguyen" not in str(frame.to_dicts())


def test_a_rejected_change_withdraws_what_was_there(pull: Callable[..., Staged]) -> None:
    staged = pull(line("no number"), watermark_at="2026-07-01T00:00:00.000Z")
    rows = staged.frame("staging.data_value").to_dicts()
    assert [(row["is_deleted"], bool(row["rejections"])) for row in rows] == [(False, True), (True, False)]
    assert {tuple(row[name] for name in VALUE_KEY) for row in rows} == {
        ("stub", "ElemNumber1", "202601", "Facility001", "CocFemale01", "AocDefault1")
    }


# Time -----------------------------------------------------------------------------------------------------------------


def test_rule_35_the_watermark_is_the_server_s_clock_less_the_overlap(
    stub_world: Any,
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
) -> None:
    for year in (1999, 2050):  # a server whose clock is far from ours
        made = stub_world(42, now=datetime(year, 7, 6, 12, tzinfo=UTC))
        made.before_answer = lambda path, query, made=made: made.tick(minutes=10)
        start = made.now
        mapping = settings(overlap_hours=2, data_from=date(year, 1, 1))
        result = pull_instance(made.client(), mapping, pull_factory, None, pseudonymiser)
        expected = start + timedelta(minutes=10) - timedelta(hours=2)
        assert result.watermark == f"{format_instant(expected)}#{mapping.digest}"


def test_rule_35_a_clock_that_ran_back_or_a_new_mapping_means_a_full_pull(
    stub_world: Any,
    settings: Callable[..., InstanceMapping],
    pull_factory: Callable[[str], Pull],
    pseudonymiser: Pseudonymiser,
) -> None:
    made = stub_world(42)
    mapping = settings()
    later = f"{format_instant(made.now + timedelta(days=1))}#{mapping.digest}"
    other = f"{format_instant(made.now - timedelta(days=1))}#another"
    for watermark in (later, other):
        result = pull_instance(made.client(), mapping, pull_factory, watermark, pseudonymiser)
        assert result.mode == "full"
        assert "everything is read again" in result.warnings[0]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh", "Asia/Phnom_Penh", "Europe/Berlin"])
def test_rule_36_one_instant_written_three_ways_is_one_instant(zone: str) -> None:
    place = ZoneInfo(zone)
    for instant in (datetime(2026, 1, 15, 23, 30, 5, 22000, tzinfo=UTC), datetime(2026, 7, 6, 22, 0, 0, tzinfo=UTC)):
        milliseconds = f"{instant.microsecond // 1000:03d}"
        local = instant.astimezone(place).strftime("%Y-%m-%dT%H:%M:%S.") + milliseconds
        offset = instant.strftime("%Y-%m-%dT%H:%M:%S.") + milliseconds + "+0000"
        zulu = instant.strftime("%Y-%m-%dT%H:%M:%S.") + milliseconds + "Z"
        with_zone = instant.astimezone(place).isoformat(timespec="milliseconds")
        texts = [local, offset, zulu, with_zone]
        assert {parse_instant(text, place) for text in texts} == {instant}
        frame = pl.DataFrame({"t": texts}).select(instants("t", place))
        assert set(frame["t"]) == {instant.replace(tzinfo=None)}


def test_rule_36_an_hour_that_came_twice_is_the_earlier_one() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert parse_instant("2026-10-25T02:30:00.000", berlin) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    frame = pl.DataFrame({"t": ["2026-10-25T02:30:00.000", "not a time", None]}).select(instants("t", berlin))
    assert frame["t"].to_list() == [datetime(2026, 10, 25, 0, 30), None, None]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh", "Europe/Berlin"])
def test_rule_36_a_column_is_read_as_its_texts_one_by_one(zone: str) -> None:
    # Forms that DHIS2 writes, mixed, and texts that are no instant: the column's quick way and its slow one must agree.
    place = ZoneInfo(zone)
    texts = [
        "2026-01-15T02:00:00.000+0000", "2026-01-15T02:00:00.123456+07:00", "2026-01-15T02:00:00.000-0330", "2026-01-15T02:00:00Z",
        "2026-01-15T02:00:00.5", "2026-01-15 02:00:00", " 2026-01-15T02:00:00.500+0700 ", "2026-01-15", "x", "",
        "2026-13-15T02:00:00.000+0000", "2026-01-15T02:00:00.000 +0000", "2026-02-30T02:00:00.000+0000",
    ]  # fmt: skip

    def one(text: str) -> datetime | None:
        try:
            return parse_instant(text, place).replace(tzinfo=None)
        except ValueError:
            return None

    for chosen in (texts, texts[:3], texts[3:]):
        column = pl.DataFrame({"t": [*chosen, None]}).select(instants("t", place))["t"]
        assert column.to_list() == [*map(one, chosen), None]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh", "Europe/Berlin", "America/Los_Angeles"])
def test_rule_37_a_calendar_date_stays_under_any_zone(
    zone: str, stub_world: Any, settings: Callable[..., InstanceMapping], pseudonymiser: Pseudonymiser
) -> None:
    made = stub_world(42, zone=zone)
    uid = made.create()
    made.edit(uid, "ElemTreatm1", "2023-02-13")
    entity = made.entity(uid)
    entity["enrollments"][0]["events"][0]["occurredAt"] = "2023-02-13T00:00:00.000"
    entity["enrollments"][0]["enrolledAt"] = "2023-02-12T00:00:00.000"
    referral = settings().referral
    assert referral is not None
    shown = landed_record(entity, referral, pseudonymiser)
    record = record_of(shown, shown["enrollments"][0], referral)
    assert record["referred_on"] == record["treatment_started_on"] == date(2023, 2, 13)
    assert shown["enrollments"][0]["enrolled_on"] == "2023-02-12"


def test_rule_37_days_are_read_from_dates_and_times_only() -> None:
    assert parse_day("2026-07-06") == parse_day("2026-07-06T23:59:59.000") == date(2026, 7, 6)
    assert [parse_day(text) for text in (None, "", "2026-13-01", "06/07/2026", "2026-07-061")] == [None] * 5


def test_rule_38_unknown_periods_go_to_quarantine_by_name(pull: Callable[..., Staged]) -> None:
    frame = pull(line("1", period="2026Tri1")).frame("staging.data_value")
    assert frame["rejections"].to_list() == [["period '2026Tri1' is not a DHIS2 period"]]


def test_rule_39_relative_periods_are_expanded_here() -> None:
    request = analytics.Request(("x",), tuple(expand_relative("LAST_3_MONTHS", date(2026, 7, 6))), ("u",))
    assert dict(request.parameters()[1:2])["dimension"] == "pe:202604;202605;202606"


# Analytics and semantics ------------------------------------------------------------------------------------------------


def table(names: list[str], rows: list[list[str]], **more: Any) -> dict[str, Any]:
    return {"headers": [{"name": name} for name in names], "rows": rows, **more}


REQUEST = analytics.Request(("ind1", "ind2"), ("202601", "202602", "202603"), ("ou1", "ou2"))


def test_rule_40_raw_data_carries_a_suffix(
    httpserver: HTTPServer, client: Dhis2Client, facts: Callable[..., ServerFacts]
) -> None:
    known = facts()
    httpserver.expect_request("/api/analytics/rawData.json").respond_with_json(
        table(["dx", "ou", "value"], [["a", "b", "1"]])
    )
    (row,) = analytics.raw_rows(client, known, REQUEST)
    assert row["value"] == "1"


def test_rule_41_columns_are_found_by_name_old_or_new() -> None:
    for name in ("trackedentityinstanceuid", "trackedentity"):
        answer = table(["value", name, "extra"], [["1", "te1", "x"]])
        (row,) = analytics.table_rows(answer, ("trackedentity", "value"), server="s", endpoint="e")
        assert (row["trackedentity"], row["value"]) == ("te1", "1")
    with pytest.raises(ResponseShapeError, match="no column ou, pe"):
        analytics.table_rows(table(["value"], []), ("ou", "value", "pe"), server="s", endpoint="e")


@pytest.mark.parametrize("last_by", ["pageCount", "isLastPage"])
def test_rule_42_event_analytics_is_always_paged(
    httpserver: HTTPServer, client: Dhis2Client, facts: Callable[..., ServerFacts], last_by: str
) -> None:
    known = facts()

    def answer(request: Request) -> Response:
        assert request.args["paging"] == "true"
        page = int(request.args["page"])
        pager = {"pageCount": 3} if last_by == "pageCount" else {"isLastPage": page == 3}
        rows = [[f"event{page}"]] if page != 2 else []
        return Response(
            json.dumps(table(["psi"], rows, metaData={"pager": {"page": page, **pager}})), content_type=JSON
        )

    httpserver.expect_request("/api/analytics/events/query/Program0001").respond_with_handler(answer)
    rows = list(
        analytics.query_rows(client, known, "events", "Program0001", [("startDate", "2026-01-01")], required=("event",))
    )
    assert [row["event"] for row in rows] == ["event1", "event3"]


def test_rule_42_without_a_pager_nobody_knows_whether_more_follows(
    httpserver: HTTPServer, client: Dhis2Client, facts: Callable[..., ServerFacts]
) -> None:
    known = facts()
    httpserver.expect_request("/api/analytics/events/query/P").respond_with_json(table(["psi"], []))
    with pytest.raises(ResponseShapeError, match="no pager"):
        list(analytics.query_rows(client, known, "events", "P", []))


def test_rule_43_values_carry_the_age_of_their_tables_and_no_cache_is_asked(
    httpserver: HTTPServer, client: Dhis2Client, facts: Callable[..., ServerFacts]
) -> None:
    known = facts()
    httpserver.expect_request("/api/analytics").respond_with_json(
        table(["dx", "pe", "ou", "value"], [["a", "b", "c", "1"]])
    )
    (row,) = analytics.aggregate_rows(client, known, REQUEST)
    assert row["analytics_at"] == "2026-07-06T02:00:00.000"
    assert httpserver.log[-1][0].headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("code", ["E7128", "E7131"])
def test_rule_07_analytics_is_halved_until_it_fits_and_a_single_cell_raises(
    httpserver: HTTPServer, client: Dhis2Client, facts: Callable[..., ServerFacts], code: str
) -> None:
    known = facts()
    limit = 2

    def answer(request: Request) -> Response:
        dimensions = dict(text.split(":", 1) for text in request.args.getlist("dimension"))
        cells = [
            [item, period, unit, "1"]
            for item in dimensions["dx"].split(";")
            for period in dimensions["pe"].split(";")
            for unit in dimensions["ou"].split(";")
        ]
        if len(cells) > limit:
            return Response(json.dumps({"errorCode": code, "message": "too much"}), 409, content_type=JSON)
        return Response(json.dumps(table(["dx", "pe", "ou", "value"], cells)), content_type=JSON)

    httpserver.expect_request("/api/analytics").respond_with_handler(answer)
    rows = analytics.aggregate_rows(client, known, REQUEST)
    assert len({(row["dx"], row["pe"], row["ou"]) for row in rows}) == len(rows) == 12
    limit = 0
    with pytest.raises(TooLargeError):
        analytics.aggregate_rows(client, known, REQUEST)


def test_rule_44_option_codes_are_checked_and_values_stay_texts_until_staging(
    stub_world: Any, settings: Callable[..., InstanceMapping], pseudonymiser: Pseudonymiser
) -> None:
    made = stub_world(42)
    uid = made.create(disease="LEPROSY")
    entity = made.entity(uid)
    entity["attributes"] += [
        {"attribute": "AttrSex0001", "value": "X"},
        {"attribute": "AttrNation1", "value": "Nguyen Van An"},
    ]
    referral = settings().referral
    assert referral is not None
    shown = landed_record(entity, referral, pseudonymiser)
    assert shown["enrollments"][0]["events"][0]["values"] == {"direction": "OUT", "disease": "LEPROSY"}
    record = record_of(shown, shown["enrollments"][0], referral)
    assert sorted(record["rejections"]) == [
        "disease: option code LEPROSY is not in the settings",
        "nationality: option code (13 characters that are no code) is not in the settings",
        "sex: option code X is not in the settings",
    ]


def test_a_number_typed_into_a_coded_field_is_not_landed(
    stub_world: Any, settings: Callable[..., InstanceMapping], pseudonymiser: Pseudonymiser
) -> None:
    made = stub_world(42)
    entity = made.entity(made.create())
    for index, text in enumerate(("079203001234", "+84912345678", "VN079203001234")):
        entity["attributes"] = [{"attribute": "AttrMigran1", "value": text}]
        entity["enrollments"][0]["events"][0]["dataValues"] = [
            {"dataElement": "ElemDirect1", "value": text},
            {"dataElement": "ElemToOrgU1", "value": text},
            {"dataElement": "ElemTreatm1", "value": text},
        ]
        referral = settings().referral
        assert referral is not None
        assert text not in json.dumps(landed_record(entity, referral, pseudonymiser)), index
