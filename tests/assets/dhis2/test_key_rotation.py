"""Rotating the pseudonym key: other tokens, the same persons, the same history; nothing changes unless every source answers.

The server is the stub of the conftest, the register a workbook in the inbox; landing, load and history are the real ones.
"""

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest

from assets.dhis2.assets import batches
from assets.dhis2.errors import Dhis2Error
from assets.dhis2.extract import pull_instance
from assets.dhis2.mapping import InstanceMapping, parse_instance
from assets.labour.fetch import pull_inbox
from assets.labour.stage import batches as labour_batches
from assets.loading import SourceReport, load_source
from methods.pseudonym import Pseudonymiser
from pipelines.erasure import pseudonymiser_of
from pipelines.failures import Refused, SettingsError
from pipelines.rotation import Notebook, require_one_key, rotate
from pipelines.settings import Settings, load_settings
from practice.labour.registers import HEADERS
from warehouse.erasure import Erasure, add_erasure
from warehouse.landing import Landing
from warehouse.store import Warehouse

OLD, NEW = "the old key of the tests, for nobody at all", "the new key of the tests, for nobody at all"
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
WORKER = {
    "Số hợp đồng": "HD-1", "Số giấy phép": "012/LĐTBXH-GP", "Họ và tên": "Nguyễn Thị Kiểm Thử", "Ngày sinh": "05/03/1999",
    "Giới tính": "Nữ", "Số CCCD": "079199000111", "Tỉnh": "Nghệ An", "Nước tiếp nhận": "Nhật Bản", "Ngành nghề": "Nông nghiệp",
    "Loại hợp đồng": "Doanh nghiệp dịch vụ", "Ngày ký": "01/02/2025", "Ngày xuất cảnh": "01/03/2025", "Ngày hết hạn": "01/03/2028",
}  # fmt: skip


class NoScales:
    """Scales without rules."""

    def weigh(self, *_: object) -> list[object]:
        return []

    def checks_for(self, _: object) -> list[object]:
        return []


class Office:
    """An installation with one stub server and a register in the inbox."""

    def __init__(self, folder: Path, world: Any, mapping: InstanceMapping, patch: pytest.MonkeyPatch) -> None:
        self.world, self.mapping, self.patch = world, mapping, patch
        self.folder = folder
        self.at = FIRST
        self.watermark: str | None = None
        patch.setenv("MHWG_SETTINGS", str(folder / "mhwg.toml"))
        patch.delenv("MHWG_STATE", raising=False)
        self.use_key("k1", OLD)
        self.state = self.settings.state_folder
        self.warehouse = Warehouse(self.state / "warehouse.duckdb")
        self.landing = Landing(self.state / "landing")
        self.asked = 0

    def use_key(self, key_id: str, key: str, old: str | None = None) -> None:
        """The settings and the environment name this key."""
        (self.folder / "mhwg.toml").write_text(f'[pseudonym]\nkey_id = "{key_id}"\n', encoding="utf-8")
        self.patch.setenv("MHWG_PSEUDONYM_KEY", key)
        self.patch.delenv("MHWG_PSEUDONYM_KEY_OLD", raising=False)
        if old:
            self.patch.setenv("MHWG_PSEUDONYM_KEY_OLD", old)

    @property
    def settings(self) -> Settings:
        return load_settings()

    def send_register(self) -> None:
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.append(["DANH SÁCH LAO ĐỘNG THEO HỢP ĐỒNG"])
        sheet.append(["Hà Nội, ngày 10 tháng 03 năm 2025"])
        sheet.append(list(HEADERS))
        sheet.append([1, *[WORKER.get(header) for header in HEADERS[1:]]])
        stream = io.BytesIO()
        book.save(stream)
        inbox = self.state / "inbox" / "labour"
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / "register.xlsx").write_bytes(stream.getvalue())

    def refresh(self, *, full: bool = False) -> list[SourceReport]:
        """One refresh of both sources, as the weekly one does it."""
        self.at += timedelta(days=7)
        require_one_key(self.settings, self.warehouse)
        key = pseudonymiser_of(self.settings)
        pulled = pull_instance(
            self.world.client(max_parallel=1), self.mapping,
            lambda part: self.landing.pull("dhis2_stub", part, self.at, is_practice=False),
            None if full else self.watermark, key,
        )  # fmt: skip
        self.watermark = pulled.watermark
        self.landing.note_pull(pulled.receipts, self.at)
        files = pull_inbox(
            self.state / "inbox" / "labour",
            lambda part: self.landing.pull("labour", part, self.at, is_practice=False),
            set(),
            key,
        )
        self.landing.note_pull(files.receipts, self.at)
        return [
            load_source(self.warehouse, self.landing, NoScales(), source, self.at, made)  # type: ignore[arg-type]
            for source, made in (
                ("dhis2_stub", batches(self.mapping, self.landing)),
                ("labour", labour_batches(self.landing)),
            )
        ]

    def rotate(self, *others: Any, **options: Any) -> Any:
        def client() -> Any:
            self.asked += 1
            return self.world.client(max_parallel=1)

        own = SimpleNamespace(source_code="dhis2_stub", mapping=self.mapping, client=client)
        servers = {server.source_code: server for server in (own, *others)}
        return rotate(self.settings, self.warehouse, servers, now=datetime.now(UTC), **options)  # type: ignore[arg-type]

    def history(self) -> list[tuple[Any, ...]]:
        """Every version without its token: what must not change."""
        return self.warehouse.read(
            """select 'r', enrollment_uid, sex_code, outcome_code, recorded_from, recorded_to from core.referral_record
            union all select 'c', '', sex_code, null, recorded_from, recorded_to from core.labour_contract order by all"""
        ).rows()

    def groups(self) -> list[tuple[Any, ...]]:
        """Which records share a person: the linkage, whatever the tokens are."""
        return self.warehouse.read(
            "select list(distinct enrollment_uid order by enrollment_uid) from core.referral_record group by person_token order by all"
        ).rows()

    def tokens(self) -> set[str]:
        rows = self.warehouse.read(
            """select person_token from core.referral_record union select person_token from core.labour_contract
            union select contract_token from core.labour_contract"""
        ).rows()
        return {row[0] for row in rows if row[0]}

    def bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.state.rglob("*")) if path.is_file())


class Down(Dhis2Error):
    """A server that does not answer."""


def unreachable(mapping: InstanceMapping) -> Any:
    def client() -> Any:
        raise Down("it does not answer", server="other", endpoint="/", advice="try again")

    return SimpleNamespace(source_code="dhis2_other", mapping=mapping, client=client)


@pytest.fixture
def office(
    stub_world: Any, raw_settings: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Office]:
    """Two weeks of an installation: five persons, one with two enrollments, one who was deleted; a worker."""
    world = stub_world(42)
    people = [world.create() for _ in range(5)]
    world.enroll(people[0])
    mapping = parse_instance(raw_settings(page_size=2, data_from=datetime(2026, 1, 1).date()), is_practice=False)
    made = Office(tmp_path, world, mapping, monkeypatch)
    made.send_register()
    world.tick(hours=1)
    made.refresh()
    world.edit(people[1], "ElemOutcom1", "CURED")
    world.purge(people[4])
    world.tick(days=7)
    made.refresh(full=True)
    return made


def test_every_token_is_another_and_nothing_else_is(office: Office):
    before, groups, tokens = office.history(), office.groups(), office.tokens()
    assert len(tokens) == 7  # five persons, a worker, a contract
    office.use_key("k2", NEW, OLD)
    outcome = office.rotate()
    assert outcome.unseen == 0
    assert (outcome.rotated.made_anew, outcome.rotated.retired) == (6, 1)  # who was purged is sent by nobody
    assert office.history() == before
    assert office.groups() == groups
    assert not office.tokens() & tokens
    assert len(office.tokens()) == 7
    written = office.bytes()
    for token in tokens:
        assert token.encode() not in written
    ids = office.warehouse.read(
        "select key_id, count(distinct person_token) from core.referral_record group by all order by all"
    ).rows()
    assert ids == [("k2", 4), ("k2-retired", 1)]
    assert not Notebook.path(office.settings).exists()


def test_pulls_under_the_new_key_find_nothing_changed(office: Office):
    office.use_key("k2", NEW, OLD)
    office.rotate()
    office.use_key("k2", NEW)
    before = office.history()
    office.world.tick(days=7)
    for report in office.refresh(full=True):
        assert report.fault is None
        assert not report.is_change, report.source_code
    assert office.history() == before
    assert office.rotate().is_done
    for receipt in office.landing.receipts("dhis2_stub"):
        office.landing.verify(receipt)


def test_two_keys_side_by_side_are_refused(office: Office):
    office.use_key("k2", NEW)
    with pytest.raises(SettingsError, match="has tokens of 'k1'; run `mhwg keys rotate`"):
        office.refresh()
    with pytest.raises(SettingsError, match="MHWG_PSEUDONYM_KEY_OLD must hold the key 'k1'"):
        office.rotate()
    office.use_key("k2", NEW, NEW)
    with pytest.raises(SettingsError, match="the same key"):
        office.rotate()


def test_nothing_changes_when_a_server_does_not_answer_and_the_others_are_not_asked_twice(office: Office):
    office.use_key("k2", NEW, OLD)
    store = office.warehouse.path.read_bytes()
    with pytest.raises(Refused, match=r"dhis2_other: .*it does not answer") as refused:
        office.rotate(unreachable(office.mapping))
    assert refused.value.code == 3
    assert office.warehouse.path.read_bytes() == store
    assert Notebook.path(office.settings).stat().st_mode & 0o777 == 0o600
    assert office.asked == 1
    office.rotate()
    assert office.asked == 1
    assert office.warehouse.read("select distinct key_id from core.labour_contract").rows() == [("k2",)]


def test_persons_whom_no_source_sends_stop_it_unless_told_otherwise(office: Office):
    (office.state / "inbox" / "labour" / "register.xlsx").unlink()
    office.use_key("k2", NEW, OLD)
    before, tokens = office.history(), office.tokens()
    assert office.rotate(dry_run=True).unseen == 2
    with pytest.raises(Refused, match="2 tokens of current rows cannot be made anew"):
        office.rotate()
    assert office.tokens() == tokens
    office.rotate(leave_unseen=True)
    assert office.history() == before
    assert not office.tokens() & tokens
    require_one_key(office.settings, office.warehouse)  # retired names do not stop the next refresh


def test_cut_off_between_landing_and_store_the_next_attempt_ends_it(office: Office, monkeypatch: pytest.MonkeyPatch):
    office.use_key("k2", NEW, OLD)
    tokens, before = office.tokens(), office.history()
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.rotation.replace_stored", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            office.rotate()
    assert office.tokens() == tokens
    office.rotate()
    assert office.history() == before
    assert not office.tokens() & tokens
    written = office.bytes()
    assert not any(token.encode() in written for token in tokens)


def test_an_erased_person_stays_erased_under_the_new_key(office: Office):
    old = Pseudonymiser(OLD, "k1")
    ((token, record),) = office.warehouse.read(
        "select person_token, tracked_entity_uid from core.referral_record_current order by 2 limit 1"
    ).rows()
    digests = (old.erasure_digest("person", token), old.erasure_digest("record", f"stub:{record}"))
    add_erasure(office.state, Erasure("erasure-1", "2026-02-01T00:00:00+00:00", "x", "k1", digests))
    office.use_key("k2", NEW, OLD)
    outcome = office.rotate()
    assert (outcome.erasures_carried, outcome.erasures_left) == (2, 0)
    known = pseudonymiser_of(office.settings)
    assert known.is_erased("record", f"stub:{record}")
    lines = [json.loads(line) for line in (office.state / "erasures" / "erased.jsonl").read_text().splitlines()]
    assert [line["key_id"] for line in lines] == ["k1", "k2"]
