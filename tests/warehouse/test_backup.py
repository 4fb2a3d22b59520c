"""Backups: whole, verified, restorable into a bare folder; a damaged or newer one touches nothing."""

import hashlib
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from warehouse.backup import BackupError, restore_backup, take_backup, verify_backup
from warehouse.landing import Landing
from warehouse.store import StoreError, Warehouse

AT = datetime(2026, 7, 6, 22, tzinfo=UTC)


def contents(state: Path) -> dict[str, str]:
    """Every file of the state by hash, and where every link leads."""
    return {
        path.relative_to(state).as_posix(): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(state.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A small installation: a store with a row, a landed file, a release with the link that shows it."""
    folder = tmp_path / "var"
    store = Warehouse(folder / "warehouse.duckdb")
    with store.connect() as connection:
        connection.execute("insert into ops.watermark values ('test', 'part', 'mark', timestamp '2026-07-06')")
    pull = Landing(folder / "landing").pull("test", "part", AT, is_practice=True)
    pull.write("page.json", b'{"n": 1}')
    pull.finish("json", "http://server", {}, 1)
    (folder / "release" / "20260706T220000Z").mkdir(parents=True)
    (folder / "release" / "20260706T220000Z" / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "release" / "current").symlink_to("20260706T220000Z")
    (folder / "inbox" / "labour").mkdir(parents=True)
    (folder / "inbox" / "labour" / "half.xlsx.part").write_bytes(b"being written")
    (tmp_path / "mhwg.toml").write_text("practice = true\n", encoding="utf-8")
    return folder


def taken(state: Path, at: datetime = AT) -> Path:
    store = Warehouse(state / "warehouse.duckdb")
    return take_backup(store, state, state.parent / "kept", at, state.parent / "mhwg.toml").path


def test_what_is_restored_is_what_was_backed_up(state: Path, tmp_path: Path) -> None:
    before = contents(state)
    file = taken(state)
    assert file.stat().st_mode & 0o777 == 0o600
    bare = tmp_path / "elsewhere"
    restore_backup(file, bare)
    after = contents(bare)
    settings = after.pop("settings/mhwg.toml")
    assert settings == hashlib.sha256(b"practice = true\n").hexdigest()
    assert after == {name: found for name, found in before.items() if not name.endswith(".part")}
    assert (bare / "release" / "current" / "manifest.json").read_text() == "{}"
    assert Warehouse(bare / "warehouse.duckdb").read("select watermark from ops.watermark").rows() == [("mark",)]
    assert len(Landing(bare / "landing").receipts("test")) == 1


def test_a_standing_state_is_set_aside_and_only_when_asked(state: Path) -> None:
    file = taken(state)
    (state / "warehouse.duckdb").write_bytes(b"wrecked")
    with pytest.raises(BackupError, match="--replace"):
        restore_backup(file, state)
    assert (state / "warehouse.duckdb").read_bytes() == b"wrecked"
    restore_backup(file, state, replace=True)
    assert Warehouse(state / "warehouse.duckdb").read("select count(*) from ops.watermark").rows() == [(1,)]
    assert (state / "replaced-1" / "warehouse.duckdb").read_bytes() == b"wrecked"


def test_one_changed_byte_is_found_and_nothing_is_touched(state: Path, tmp_path: Path) -> None:
    file = taken(state)
    data = bytearray(file.read_bytes())
    place = data.index(b'{"n": 1}')
    data[place + 6] ^= 1
    file.write_bytes(data)
    with pytest.raises(BackupError, match=r"page\.json is not what was backed up"):
        restore_backup(file, tmp_path / "bare")
    assert not (tmp_path / "bare").exists()


def test_a_backup_cut_short_is_refused(state: Path) -> None:
    file = taken(state)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(BackupError, match=r"cut short|hash differs|not a readable backup"):
        verify_backup(file)


def test_a_member_that_climbs_out_is_refused(state: Path, tmp_path: Path) -> None:
    file = taken(state)
    with tarfile.open(file, "a") as archive:
        info = tarfile.TarInfo("../escaped")
        archive.addfile(info)
    with pytest.raises(BackupError, match="not in its manifest"):
        restore_backup(file, tmp_path / "bare")
    assert not (tmp_path / "escaped").exists()


def test_something_else_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "file.tar").write_bytes(b"no archive at all")
    with pytest.raises(BackupError, match="not a readable backup"):
        verify_backup(tmp_path / "file.tar")
    with pytest.raises(BackupError, match="not a readable backup"):
        verify_backup(tmp_path / "missing.tar")


def test_a_backup_is_never_overwritten_and_needs_a_store(state: Path, tmp_path: Path) -> None:
    # Both are of the same second, as when a script erases somebody right after a backup.
    first = taken(state)
    content = first.read_bytes()
    second = taken(state)
    assert second.name == f"{first.stem}-2.tar"
    assert first.read_bytes() == content
    assert verify_backup(second).members == verify_backup(first).members
    with pytest.raises(StoreError, match="mhwg refresh"):
        take_backup(Warehouse(tmp_path / "none.duckdb"), tmp_path, tmp_path / "other", AT, tmp_path / "mhwg.toml")


def test_taking_a_backup_writes_nothing_to_the_store(state: Path) -> None:
    store = Warehouse(state / "warehouse.duckdb")
    with store.connect_as_is() as connection:
        connection.execute("checkpoint")
    before = contents(state)
    taken(state)
    assert contents(state) == before


def log_of(state: Path) -> list[str]:
    return (state / "audit" / "commands.jsonl").read_text(encoding="utf-8").splitlines()


def noted(state: Path, *lines: str) -> None:
    (state / "audit").mkdir(exist_ok=True)
    with (state / "audit" / "commands.jsonl").open("a", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in lines)


def test_the_audit_log_is_kept_and_a_restore_never_shortens_it(state: Path, tmp_path: Path) -> None:
    """The folder `audit/` was left out of backups: a restored installation did not know who had done what."""
    noted(state, "release withdraw", "backup")
    file = taken(state)
    noted(state, "erase ***")
    restore_backup(file, state, replace=True)
    assert log_of(state) == ["release withdraw", "backup", "erase ***"]
    assert log_of(state / "replaced-1") == ["release withdraw", "backup", "erase ***"]
    assert (state / "audit" / "commands.jsonl").stat().st_mode & 0o777 == 0o600

    bare = tmp_path / "elsewhere"
    bare.mkdir()
    noted(bare, "doctor")
    restore_backup(file, bare)  # commands that were only noted are no state to destroy
    assert log_of(bare) == ["release withdraw", "backup", "doctor"]
