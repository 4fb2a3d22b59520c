"""Landing: content-addressed, whole or not at all, resumable, and safe against names that try to leave the folder."""

from datetime import UTC, datetime

import pytest

from warehouse.landing import Landing, LandingError

AT = datetime(2026, 7, 5, 22, tzinfo=UTC)


def landed(tmp_path, files=None, part="part"):
    landing = Landing(tmp_path / "landing")
    pull = landing.pull("labour", part, AT, is_practice=True)
    for name, data in (files or {"a.csv": b"one", "b.csv": b"two"}).items():
        pull.write(name, data)
    return landing, pull.finish("file", "inbox:a.csv", {"sha256": "x"}, 2, published_on="2026-07-01")


def test_the_same_bytes_have_the_same_receipt_and_land_once(tmp_path):
    landing, first = landed(tmp_path)
    _, second = landed(tmp_path)
    assert first.receipt_id == second.receipt_id
    assert landing.receipts("labour") == [first]


def test_other_bytes_or_another_part_have_another_receipt(tmp_path):
    _, first = landed(tmp_path)
    _, other = landed(tmp_path, {"a.csv": b"one", "b.csv": b"twO"})
    _, part = landed(tmp_path, part="other")
    assert len({first.receipt_id, other.receipt_id, part.receipt_id}) == 3


def test_the_receipt_describes_what_is_there(tmp_path):
    landing, receipt = landed(tmp_path)
    assert (receipt.file_count, receipt.byte_count, receipt.record_count) == (2, 6, 2)
    assert [path.read_bytes() for path in landing.files(receipt)] == [b"one", b"two"]
    landing.verify(receipt)


def test_changed_and_missing_bytes_are_named(tmp_path):
    landing, receipt = landed(tmp_path)
    path = landing.files(receipt)[0]
    path.write_bytes(b"ONE")
    with pytest.raises(LandingError, match="not those received"):
        landing.verify(receipt)
    path.unlink()
    with pytest.raises(LandingError, match="describes 2 files, 1 are"):
        landing.files(receipt)


@pytest.mark.parametrize(
    ("source", "locator", "told"),
    [
        ("dhis2_vnm", "https://dhis2.example/api", "`mhwg refresh --source dhis2_vnm --full`"),
        ("labour", "inbox:thang 12.xlsx", "`mhwg refresh --source labour` with thang 12.xlsx in the inbox"),
        ("labour", "https://office.example/a.html", "`mhwg refresh --source labour`, which takes https://office.example/a.html"),
        ("reference", "assets/reference/frames", "`mhwg refresh --source reference`, which takes assets/reference/frames"),
    ],
)  # fmt: skip
def test_what_is_damaged_says_the_command_that_mends_it(tmp_path, source, locator, told):
    """It said "pull again with --full", which reads a damaged file of an inbox again and fails again."""
    landing = Landing(tmp_path)
    pull = landing.pull(source, "part", AT, is_practice=True)
    pull.write("a", b"one")
    receipt = pull.finish("file", locator, {}, 1)
    for damage in (lambda path: path.write_bytes(b"two"), lambda path: path.unlink()):
        damage(tmp_path / receipt.path / "files" / "a")
        with pytest.raises(LandingError) as raised:
            landing.verify(receipt)
        assert told in str(raised.value)
        assert f"put {tmp_path / receipt.path} back" in str(raised.value)
        assert told not in raised.value.found


def test_an_interrupted_write_leaves_no_file(tmp_path):
    pull = Landing(tmp_path).pull("dhis2_vnm", "tracker", AT, is_practice=True)

    def cut_while_writing():
        with pull.open("page1.json") as stream:
            stream.write(b"half")
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        cut_while_writing()
    assert not pull.written("page1.json")
    assert pull.names() == []


def test_a_broken_pull_is_found_again_with_its_pages(tmp_path):
    landing = Landing(tmp_path)
    landing.pull("dhis2_vnm", "tracker", AT, is_practice=True).write("page1.json", b"{}")
    again = landing.pull("dhis2_vnm", "tracker", AT, is_practice=True)
    assert again.written("page1.json")
    assert landing.receipts("dhis2_vnm") == []


@pytest.mark.parametrize("name", ["../../escape.csv", "/etc/passwd", "..", "a/b.csv", "\x00nul", "." * 300])
def test_no_name_leaves_the_folder(tmp_path, name):
    pull = Landing(tmp_path / "landing").pull("labour", "part", AT, is_practice=True)
    path = pull.write(name, b"x")
    assert path.resolve().is_relative_to((tmp_path / "landing").resolve())


def test_waiting_pulls_come_oldest_first_and_only_once(tmp_path):
    landing, receipt = landed(tmp_path)
    _, other = landed(tmp_path, {"c.csv": b"three"})
    landing.note_pull([receipt], AT)
    landing.note_pull([other], AT)
    assert landing.waiting_pulls("labour") == [[receipt], [other]]
    landing.settle_pulls("labour")
    assert landing.waiting_pulls("labour") == []


def test_folders_are_for_the_owner_only(tmp_path):
    landing, _ = landed(tmp_path)
    assert landing.root.stat().st_mode & 0o077 == 0


def test_a_file_begun_by_a_killed_pull_is_not_landed(tmp_path):
    landing = Landing(tmp_path / "landing")
    pull = landing.pull("labour", "part", AT, is_practice=True)
    pull.write("a.csv", b"one")
    # What `open` leaves when the process is killed inside its block.
    (pull.folder / ".b.csv.part").write_bytes(b"half")
    receipt = pull.finish("file", "inbox:a.csv", {}, 1)
    assert [path.name for path in (landing.root / receipt.path / "files").iterdir()] == ["a.csv"]
