"""The search for planted identifiers can fail: a planted one is found in every kind of file that the pipeline writes."""

import gzip
import io
import json
import sqlite3
import zipfile
import zlib

import duckdb
import polars as pl
import pytest

NEEDLES = {
    "name": {"Zyxqanhozbgoe", "Đỗ Đình Cường"},
    "national id": {"072 137 983 667"},
    "phone": {"+84901770196"},
    "birth date": {"1926-01-02"},
}


def zipped(name, data):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return target.getvalue()


def parquet(frame):
    target = io.BytesIO()
    frame.write_parquet(target, compression="zstd")
    return target.getvalue()


def database(folder, text):
    # Long and repeated values: DuckDB keeps them compressed, and the bytes of the file do not show them.
    with duckdb.connect(str(folder / "store.duckdb")) as connection:
        connection.execute("create schema core")
        connection.execute(
            "create table core.thing as select $1 || (range % 7) as held from range(100000)", [text + " "]
        )


def dagster_storage(folder, text):
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute("create table snapshots (snapshot_body blob)")
        connection.execute("insert into snapshots values (?)", [zlib.compress(json.dumps({"tag": text}).encode())])


def written(name, make):
    def write(folder, text):
        (folder / name).write_bytes(make(text))

    return write


PLACES = {
    "log": written("run.log", lambda text: f"10:00 pulled [{text}]".encode()),
    "JSON with escapes": written("receipt.json", lambda text: json.dumps({"held": text}).encode()),
    "gzip": written("page.json.gz", lambda text: gzip.compress(text.encode())),
    "workbook": written("tables.xlsx", lambda text: zipped("xl/sharedStrings.xml", f"<t>{text}</t>")),
    "zip in gzip": written("backup.gz", lambda text: gzip.compress(zipped("a.txt", text))),
    "parquet": written("page.parquet", lambda text: parquet(pl.DataFrame({"a": [1, 2], "b": [{"c": [text]}, None]}))),
    "DuckDB": database,
    "Dagster's SQLite": dagster_storage,
}
TEXTS = {
    "name": ["Zyxqanhozbgoe", "ZYXQANHOZBGOE", "Đỗ Đình Cường", "ĐỖ ĐÌNH CƯỜNG"],
    "national id": ["072137983667", "072 137 983 667"],
    "phone": ["+84901770196"],
    "birth date": ["1926-01-02"],
}


@pytest.mark.parametrize("place", PLACES)
def test_a_planted_identifier_is_found_wherever_it_was_written(leak_search, tmp_path, place):
    search = leak_search.LeakSearch(NEEDLES)
    for kind, texts in TEXTS.items():
        for number, text in enumerate(texts):
            folder = tmp_path / f"{kind}{number}"
            folder.mkdir()
            PLACES[place](folder, text)
            found = search.below(folder)
            assert found, (kind, text)
            assert all(line.endswith(f": {kind}") for line in found)
            assert text not in "".join(found)


def test_it_is_found_across_the_border_of_two_pieces(leak_search, tmp_path):
    before = leak_search.PIECE - 5
    (tmp_path / "long.log").write_bytes(b" " * before + b"Zyxqanhozbgoe" + b" " * 100)
    assert leak_search.LeakSearch(NEEDLES).below(tmp_path) == ["long.log: name"]


def test_a_number_within_a_digest_or_a_longer_number_is_nobody_s(leak_search, tmp_path):
    (tmp_path / "digest.txt").write_text("ab072137983667cd 5072137983667 072137983667a")
    assert leak_search.LeakSearch(NEEDLES).below(tmp_path) == []


def test_what_providers_sent_can_be_left_out(leak_search, tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "register.csv").write_text("Zyxqanhozbgoe")
    search = leak_search.LeakSearch(NEEDLES)
    assert search.below(tmp_path) == ["inbox/register.csv: name"]
    assert search.below(tmp_path, skipped=lambda path: path.is_relative_to(tmp_path / "inbox")) == []
