"""Files made to harm: bombs, endless sheets, names that climb, text that a program may take for an order. None may stop the rest.

The bombs are small here: each is just beyond a limit that the test sets, or declares a size that it need not hold.
"""

import dataclasses
import io
import zipfile
from datetime import UTC, datetime

import pytest
from pytest_httpserver import HTTPServer

import assets.limits
from assets.dhis2.client import Credential, Dhis2Client
from assets.dhis2.errors import ServerFaultError
from assets.inbox import whole_bytes
from assets.labour.fetch import pull_inbox
from assets.labour.workbook import UnreadableFile, open_workbook
from assets.limits import TooLarge, declares_entities, hold_archive, limits
from assets.programme.workbook import WorkbookFault, sheet_rows
from methods.pseudonym import Pseudonymiser
from warehouse.catalogue.table_catalogue import tables
from warehouse.landing import Landing
from warehouse.quarantine import Rejected, hold
from warehouse.store import Warehouse

KEY = Pseudonymiser("a key of the tests, long enough", "test")
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData>{merged}</worksheet>'
BOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>'
)


def xlsx(rows: str, merged: str = "", prefix: str = "") -> bytes:
    """A workbook with one sheet of the given XML rows."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", BOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", RELATIONS)
        archive.writestr("xl/worksheets/sheet1.xml", prefix + SHEET.format(rows=rows, merged=merged))
    return stream.getvalue()


def ods(table: str) -> bytes:
    """An OpenDocument sheet with the given XML inside its table."""
    names = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{short}:1.0"'
        for short in ("table", "office", "text", "style")
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "content.xml", f'<office:d {names}><table:table table:name="s">{table}</table:table></office:d>'
        )
    return stream.getvalue()


@pytest.fixture
def tight(monkeypatch):
    """Limits small enough to be met by small files."""
    small = dataclasses.replace(
        limits(), file_bytes=200_000, unpacked_bytes=100_000, archive_parts=20, workbook_cells=500, merged_areas=50
    )
    monkeypatch.setattr(assets.limits, "limits", lambda: small)
    for module in ("assets.labour.workbook", "assets.inbox", "assets.fetch"):
        monkeypatch.setattr(f"{module}.limits", lambda: small)
    return small


CELL = '<row r="{0}"><c r="A{0}" t="inlineStr"><is><t>x</t></is></c></row>'
HOSTILE = {
    "a zip bomb": (lambda: xlsx(CELL.format(1) + "<!--" + "0" * 150_000 + "-->"), "unpacked_bytes"),
    "an archive of many parts": (lambda: _many_parts(), "archive_parts"),
    "a file too large": (lambda: b"a;b\n" * 60_000, "file_bytes"),
    "cells without end": (lambda: xlsx("".join(CELL.format(n) for n in range(1, 600))), "workbook_cells"),
    "a row beyond every sheet": (lambda: xlsx(CELL.format(9_000_000_000)), "sheet_rows"),
    "repeated rows without end": (
        lambda: ods(
            '<table:table-row table:number-rows-repeated="9000000000"><table:table-cell office:value-type="float" '
            'office:value="1"/></table:table-row>'
        ),
        "workbook_cells",
    ),
    "merged areas without end": (
        lambda: xlsx(
            CELL.format(1),
            "<mergeCells>" + "".join(f'<mergeCell ref="A{n}:B{n}"/>' for n in range(1, 99)) + "</mergeCells>",
        ),
        "merged_areas",
    ),
    "a cell of a novel": (
        lambda: xlsx(f'<row r="1"><c r="A1" t="inlineStr"><is><t>{"x" * 40_000}</t></is></c></row>'),
        "cell_characters",
    ),
    "spans without end": (lambda: b"<table><tr><td rowspan=900 colspan=900>x</td></tr></table>", "workbook_cells"),
    "a csv without end": (lambda: b"a;b\n" * 400, "workbook_cells"),
}


def _many_parts() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(50):
            archive.writestr(f"p{number}", "")
        archive.writestr("xl/workbook.xml", BOOK)
    return stream.getvalue()


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_a_bomb_is_refused_with_the_limit_it_met(tight, kind):
    make, key = HOSTILE[kind]
    with pytest.raises(UnreadableFile) as refused:
        open_workbook(make(), "hostile.xlsx")
    assert f"`{key}`" in refused.value.advice
    assert "hostile.xlsx" in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declaration", ["<!DOCTYPE lolz [", '<!entity a "b">'])
def test_entities_are_seen_in_every_encoding(encoding, declaration):
    padded = "<?xml version='1.0'?>" + " " * 5000 + declaration
    assert declares_entities(padded.encode(encoding))
    assert not declares_entities("<a>doctype entity</a>".encode(encoding))


def test_a_workbook_that_declares_entities_is_refused():
    billion = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    with pytest.raises(UnreadableFile, match="damaged") as refused:
        open_workbook(xlsx(CELL.format(1), prefix=billion), "laughs.xlsx")
    assert "entities" in refused.value.found


def test_hidden_columns_without_end_cost_no_more_than_a_sheet_has():
    (sheet,) = open_workbook(
        ods(
            '<table:table-column table:visibility="collapse" table:number-columns-repeated="9000000000"/>'
            '<table:table-row><table:table-cell office:value-type="float" office:value="1"/></table:table-row>'
        ),
        "hidden.ods",
    ).sheets
    assert len(sheet.hidden_columns) == limits().sheet_columns


def test_an_archive_is_believed_by_its_declared_size(tight):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"0" * 300_000)
    assert len(stream.getvalue()) < 2000, "small as received"
    with zipfile.ZipFile(stream) as archive, pytest.raises(TooLarge, match="300,000 bytes"):
        hold_archive(archive)


def test_a_register_template_that_is_a_bomb_is_refused():
    with pytest.raises(WorkbookFault, match="register_unpacked_bytes"):
        sheet_rows(xlsx("<!--" + "0" * (65 * 2**20) + "-->"), ["register"])


def test_one_oversized_file_in_the_inbox_is_named_and_the_others_go_on(tight, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "huge.csv").write_bytes(b"a;b\n" * 60_000)
    (inbox / "small.csv").write_bytes("TT;Thị trường\n1;Nhật Bản\n".encode())
    with pytest.raises(TooLarge, match=r"huge\.csv"):
        whole_bytes(inbox / "huge.csv")
    landing = Landing(tmp_path / "landing")
    at = datetime(2026, 7, 6, tzinfo=UTC)
    pulled = pull_inbox(inbox, lambda part: landing.pull("labour", part, at, is_practice=True), set(), KEY)
    assert [receipt.parameters["name"] for receipt in pulled.receipts] == ["small.csv"]
    assert len(pulled.faults) == 1
    assert "huge.csv" in pulled.faults[0]
    assert "file_bytes" in pulled.faults[0]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "a\0b", ".hidden", "x" * 5000, "‮gpj.exe"]
)
def test_a_received_name_never_leaves_the_landing_folder(tmp_path, name):
    pull = Landing(tmp_path / "landing").pull("labour", name, datetime(2026, 7, 6, tzinfo=UTC), is_practice=True)
    pull.write(name, b"data")
    receipt = pull.finish("file", name, {}, 1)
    landed = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.resolve().is_relative_to((tmp_path / "landing").resolve()) for path in landed)
    assert (tmp_path / "landing" / receipt.path).resolve().is_relative_to((tmp_path / "landing").resolve())


def test_json_nested_without_end_is_told_as_the_servers_fault(httpserver: HTTPServer):
    httpserver.expect_request("/api/system/info").respond_with_data("[" * 200_000, content_type="application/json")
    client = Dhis2Client(httpserver.url_for("/").rstrip("/"), Credential(token="t"), server="vnm")
    with pytest.raises(ServerFaultError, match="nests brackets"):
        client.get_json("system/info")


def test_a_record_with_no_number_in_it_can_be_held(tmp_path):
    """JSON has no NaN: one such cell would have stopped the load of its whole source."""
    store = Warehouse(tmp_path / "warehouse.duckdb")
    rejected = Rejected({"value": float("nan"), "other": float("-inf"), "name": "x"}, ("x: no number",), "r", "a.csv:2")
    with store.connect() as connection:
        hold(connection, tables()["staging.labour_figure"], "labour", [rejected], datetime(2026, 7, 6, tzinfo=UTC))
        found = connection.execute(
            "select json_extract_string(record, '$.value'), json_extract_string(record, '$.other') from quarantine.record"
        ).fetchall()
    assert found == [("nan", "-inf")]
