"""Erasing a person by pseudonym: what marks them in the store and the landing, taking it away, and looking for it afterwards.

Belongs here: the list of erasures, the marks of a person, removing rows and landed lines, searching tables and files. Does not
belong here: the order of the work and its proof (`pipelines.erasure`), keeping erased persons out of later pulls
(`methods.pseudonym` knows them, the sources ask it), backups.

    erasures/erased.jsonl      one line per erasure: id, instant, account, key id, keyed digests of the person and their records
    erasures/<id>.json         the proof

The list names nobody: without the pseudonym key its digests can be compared with nothing.
"""

import json
import os
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from methods.pseudonym import Pseudonymiser
from warehouse.catalogue.table_catalogue import Table
from warehouse.landing import Landing, Receipt
from warehouse.removal import LANDED, note_removal, restate_receipts
from warehouse.store import CONFIGURATION

FOLDER = "erasures"
LIST = "erased.jsonl"
ABOUT_ONE_RECORD = ("quarantine.record", "core.correction_row")
"""Tables whose rows are about one record of another table, whatever the class of their columns."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Erasure:
    """One erasure of the list. `digests`: of the person and of their records, under the key `key_id`."""

    erasure_id: str
    at: str
    by: str
    key_id: str
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Marks:
    """Everything by which one person can be found here: tokens, and the UIDs of their records by server."""

    tokens: frozenset[str] = frozenset()
    contracts: frozenset[str] = frozenset()
    referrals: frozenset[str] = frozenset()
    records: frozenset[tuple[str, str]] = frozenset()
    """(server, UID) of tracked entities."""
    enrollments: frozenset[tuple[str, str]] = frozenset()

    @property
    def anywhere(self) -> frozenset[str]:
        """Texts that mean this person wherever they stand."""
        return self.tokens | self.contracts | self.referrals

    def of_server(self, server: str) -> frozenset[str]:
        """UIDs that mean this person in what one server sent; another server may have given the same UID to somebody else."""
        return frozenset(uid for code, uid in self.records | self.enrollments if code == server)

    @property
    def servers(self) -> list[str]:
        """Servers that have records of the person."""
        return sorted({code for code, _ in self.records | self.enrollments})

    @property
    def texts(self) -> frozenset[str]:
        """All of them."""
        return self.anywhere.union(*(self.of_server(server) for server in self.servers))

    def digests(self, pseudonymiser: Pseudonymiser) -> tuple[str, ...]:
        """What the list keeps: the digest of the person and of each of their records and contracts."""
        found = {pseudonymiser.erasure_digest("person", token) for token in self.tokens}
        found |= {pseudonymiser.erasure_digest("record", f"{server}:{uid}") for server, uid in self.records}
        found |= {pseudonymiser.erasure_digest("contract", token) for token in self.contracts}
        return tuple(sorted(found))


@dataclass
class Removed:
    """What an erasure took away: rows by table and landed lines by source."""

    tables: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


# The list --------------------------------------------------------------------------------------------------------------


def erasures(state: Path) -> list[Erasure]:
    """Every erasure on file, oldest first."""
    path = state / FOLDER / LIST
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Erasure(**{**line, "digests": tuple(line["digests"])}) for line in lines]


def erased_digests(state: Path) -> frozenset[str]:
    """The digests of everybody who was erased."""
    return frozenset(digest for erasure in erasures(state) for digest in erasure.digests)


def add_erasure(state: Path, erasure: Erasure) -> None:
    """The erasure stands on the list, and on the disk. The list is the owner's alone."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / LIST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(erasure), sort_keys=True) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def merged_list(*texts: str) -> str:
    """One list of several: every line once, oldest first."""
    lines = {line for text in texts for line in text.splitlines() if line.strip()}
    return "".join(f"{line}\n" for line in sorted(lines, key=lambda line: (json.loads(line)["at"], line)))


# Who is it -------------------------------------------------------------------------------------------------------------


def marks_of(connection: Any | None, landing: Landing, tokens: Collection[str]) -> Marks:
    """Everything that marks the persons with these tokens, in the store (None: there is none) and in the landing.

    A record belongs to them when the last thing known of it bears their token. One that bore it for a while, because somebody
    typed the wrong number, is another person's: only its versions with the token are theirs.
    """
    wanted = sorted(tokens)
    records, enrollments, contracts = _landed_records(landing, frozenset(wanted))
    referrals: set[str] = set()
    if connection is not None:
        for relation in ("core.referral_record", "staging.referral_record", _held("staging.referral_record")):
            for server, record in _rows(
                connection,
                f"select distinct instance_code, tracked_entity_uid from {relation} where list_contains($tokens, person_token)",
                wanted,
            ):
                records.add((server, record))
        for relation in ("core.labour_contract", "staging.labour_contract", _held("staging.labour_contract")):
            found = f"select distinct contract_token from {relation} where list_contains($tokens, person_token)"
            contracts |= {row[0] for row in _rows(connection, found, wanted) if row[0]}
        others = """select instance_code, tracked_entity_uid from core.referral_record group by all
            having not list_contains($tokens, arg_max(coalesce(person_token, $tokens[1]), recorded_from))"""
        records -= set(_rows(connection, others, wanted))
        others = """select contract_token from core.labour_contract group by all
            having not list_contains($tokens, arg_max(coalesce(person_token, $tokens[1]), recorded_from))"""
        contracts -= {row[0] for row in _rows(connection, others, wanted)}
        for relation in ("core.referral_record", "staging.referral_record", _held("staging.referral_record")):
            found = f"select distinct instance_code, tracked_entity_uid, enrollment_uid from {relation}"
            enrollments |= {
                (server, enrollment)
                for server, record, enrollment in connection.execute(found).fetchall()
                if (server, record) in records and enrollment
            }
    enrollments = {found[:2] for found in enrollments if len(found) == 2 or (found[0], found[2]) in records}
    if connection is not None:
        found = "select distinct referral_code from core.referral where list_contains($tokens, person_token)"
        referrals |= {row[0] for row in _rows(connection, found, wanted)}
        for server, enrollment in enrollments:
            referrals |= {
                row[0]
                for row in connection.execute(
                    """select distinct referral_code from core.referral
                    where (sending_instance_code = $server and sending_enrollment_uid = $uid)
                      or (receiving_instance_code = $server and receiving_enrollment_uid = $uid)""",
                    {"server": server, "uid": enrollment},
                ).fetchall()
            }
    return Marks(
        frozenset(wanted), frozenset(contracts), frozenset(referrals), frozenset(records), frozenset(enrollments)
    )


def known_tokens(connection: Any | None, landing: Landing) -> set[str]:
    """Every person token that stands in the store or in the landing: whom a restored backup may have brought back."""
    found = {token for _, line in _person_lines(landing) for token in _tokens_of(line)}
    if connection is not None:
        for relation in (
            "core.referral_record", "staging.referral_record", _held("staging.referral_record"),
            "core.labour_contract", "staging.labour_contract", _held("staging.labour_contract"),
        ):  # fmt: skip
            found |= {
                row[0]
                for row in connection.execute(
                    f"select distinct person_token from {relation} where person_token is not null"
                ).fetchall()
            }
    return found


def _rows(connection: Any, query: str, tokens: Sequence[str]) -> list[Any]:
    found: list[Any] = connection.execute(query, {"tokens": list(tokens)}).fetchall()
    return found


def _held(table: str) -> str:
    """Held records of a staging table as a relation with the columns that are asked for here."""
    names = ("instance_code", "tracked_entity_uid", "enrollment_uid", "person_token", "contract_token")
    columns = ", ".join(f"json_extract_string(record, '$.{name}') as {name}" for name in names)
    return f"(select {columns} from quarantine.record where table_name = '{table}')"


def _person_lines(landing: Landing) -> Iterator[tuple[str, bytes]]:
    """Every landed line that may be about one person, with its source."""
    for source in landing.sources():
        for receipt in landing.receipts(source):
            for path in landing.files(receipt):
                if path.suffix == ".jsonl":
                    for line in path.read_bytes().splitlines():
                        yield source, line


def _tokens_of(line: bytes) -> list[str]:
    try:
        record = json.loads(line)
    except ValueError:
        return []
    return [record[name] for name in ("token", "person_token") if isinstance(record, dict) and record.get(name)]


def _landed_records(landing: Landing, tokens: frozenset[str]) -> tuple[set[tuple[str, str]], set[Any], set[str]]:
    """(server, UID) of landed tracked entities, (server, enrollment, entity), and contract tokens, of lines with these tokens."""
    records: set[tuple[str, str]] = set()
    enrollments: set[Any] = set()
    contracts: set[str] = set()
    for source, line in _person_lines(landing):
        if not any(token.encode() in line for token in tokens) or not tokens & set(_tokens_of(line)):
            continue
        record = json.loads(line)
        server = source.removeprefix("dhis2_")
        if record.get("tracked_entity"):
            records.add((server, record["tracked_entity"]))
            enrollments |= {
                (server, item["enrollment"], record["tracked_entity"]) for item in record.get("enrollments") or []
            }
        if record.get("contract_token"):
            contracts.add(record["contract_token"])
    return records, enrollments, contracts


# Taking away -----------------------------------------------------------------------------------------------------------


def remove_landed(landing: Landing, marks: Marks) -> dict[str, int]:
    """No landed line and no page of a broken pull has a mark; lines removed by source. Other files are left for the search
    to find: nobody can cut a person out of them blindly."""
    removed: dict[str, int] = {}
    for source in landing.sources():
        patterns = _pattern(marks.anywhere | marks.of_server(source.removeprefix("dhis2_")))

        def keep(line: bytes, pattern: re.Pattern[bytes] = patterns) -> bytes | None:
            return None if pattern.search(line) else line

        lines = sum(landing.rewrite(receipt, keep)[1] for receipt in landing.receipts(source))
        if lines:
            removed[source] = lines
    landing.drop_incoming(_pattern(marks.texts))
    return removed


def landed_lines(landing: Landing, marks: Marks) -> dict[str, int]:
    """Landed lines with a mark by source: what `remove_landed` would remove."""
    found: dict[str, int] = {}
    for source, line in _person_lines(landing):
        if _pattern(marks.anywhere | marks.of_server(source.removeprefix("dhis2_"))).search(line):
            found[source] = found.get(source, 0) + 1
    return found


def remove_rows(
    connection: Any,
    entries: Mapping[str, Table],
    marks: Marks,
    removal_id: str,
    at: datetime,
    landed: Mapping[str, int],
    rewritten: Iterable[Receipt],
) -> dict[str, int]:
    """No table has a mark, in any version, in one transaction; rows removed or blanked by table.

    Rows about one person are deleted, also closed ones: this is the one place beside the retention job where history gets
    shorter. In other tables (texts of faults, findings) the mark is blanked. `ops.removal` and `ops.load` have what was done.
    """
    removed: dict[str, int] = {}
    connection.execute("begin")
    try:
        for name, columns in _text_columns(connection).items():
            test, parameters = _test(name, columns, marks)
            ((count,),) = connection.execute(f"select count(*) from {name} where {test}", parameters).fetchall()
            if not count:
                continue
            removed[name] = count
            if name == "quarantine.record":
                connection.execute(
                    f"delete from ops.quarantine_decision where quarantine_id in (select quarantine_id from {name} where {test})",
                    parameters,
                )
            entry = entries.get(name)
            is_personal = entry is not None and any(column.data_class == "personal" for column in entry.columns)
            if is_personal or name in ABOUT_ONE_RECORD:
                connection.execute(f"delete from {name} where {test}", parameters)
            else:
                _blank(connection, name, columns, marks)
        restate_receipts(connection, rewritten)
        note_removal(connection, removal_id, "erasure", at, {**removed, LANDED: sum(landed.values())})
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return removed


def _blank(connection: Any, name: str, columns: Mapping[str, str], marks: Marks) -> None:
    pattern = "|".join(sorted(map(re.escape, marks.texts)))
    for column, kind in columns.items():
        blanked = f"regexp_replace({{}}::varchar, $pattern, '(erased)', 'g')"  # noqa: F541
        value = (
            f"list_transform({column}, lambda item: {blanked.format('item')})"
            if kind == "VARCHAR[]"
            else blanked.format(column)
        )
        connection.execute(
            f"update {name} set {column} = {value} where regexp_matches({column}::varchar, $pattern)",
            {"pattern": pattern},
        )


def _text_columns(connection: Any) -> dict[str, dict[str, str]]:
    """Tables of the store with their columns that hold text."""
    found: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in connection.execute(
        """select c.schema_name, c.table_name, c.column_name, c.data_type
        from duckdb_columns() c join duckdb_tables() t using (database_name, schema_name, table_name) /* n to 1 */
        where c.database_name = current_database() and not t.temporary
          and c.data_type in ('VARCHAR', 'VARCHAR[]', 'JSON') order by all"""
    ).fetchall():
        found.setdefault(f"{schema}.{table}", {})[column] = kind
    return found


def _test(name: str, columns: Mapping[str, str], marks: Marks) -> tuple[str, dict[str, str]]:
    """The condition that a row has a mark, and its parameters. UIDs count only in rows of their own server, where rows have one."""
    text = f"concat_ws('|', {', '.join(f'{column}::varchar' for column in columns)})"
    parameters = {"anywhere": "|".join(sorted(map(re.escape, marks.anywhere)))}
    tests = [f"regexp_matches({text}, $anywhere)"] if marks.anywhere else []
    if not tests:
        parameters.pop("anywhere")
    for number, server in enumerate(marks.servers):
        uids = "|".join(sorted(map(re.escape, marks.of_server(server))))
        own = {
            "instance_code": f"instance_code = '{server}'",
            "source_code": f"source_code = 'dhis2_{server}'",
        }
        here = next((test for column, test in own.items() if column in columns), "true")
        parameters[f"server{number}"] = uids
        if name == "core.referral":
            tests += [
                f"({side}_instance_code = '{server}' and regexp_matches({side}_enrollment_uid, $server{number}))"
                for side in ("sending", "receiving")
            ]
        else:
            tests.append(f"({here} and regexp_matches({text}, $server{number}))")
    return " or ".join(tests) or "false", parameters


# Looking for it --------------------------------------------------------------------------------------------------------


def rows_with(connection: Any, marks: Marks) -> dict[str, int]:
    """Rows with a mark by table, every table and every text column of the store looked at."""
    found: dict[str, int] = {}
    for name, columns in _text_columns(connection).items():
        test, parameters = _test(name, columns, marks)
        ((count,),) = connection.execute(f"select count(*) from {name} where {test}", parameters).fetchall()
        if count:
            found[name] = count
    return found


def files_with(root: Path, marks: Marks, *, without: Collection[str] = ()) -> tuple[dict[Path, int], int]:
    """Files below `root` in whose bytes a mark stands, with the number of times, and the number of files looked at.

    Members of zip files (workbooks), the columns of Parquet files and the tables of DuckDB files are looked into: they are
    compressed. `without`: first parts of paths that are not looked at.
    """
    found: dict[Path, int] = {}
    looked = 0
    for folder, names, files in os.walk(root):
        if Path(folder) == root:
            names[:] = [name for name in names if name not in without]
        for name in sorted(files):
            path = Path(folder) / name
            if path.is_symlink() or not path.is_file():
                continue
            inside = path.relative_to(root).parts
            if inside[0] in without:
                continue
            looked += 1
            is_landed = len(inside) > 1 and inside[0] == "landing" and inside[1].startswith("dhis2_")
            texts = marks.anywhere | marks.of_server(inside[1].removeprefix("dhis2_")) if is_landed else marks.texts
            count = _marks_in(path, texts)
            if count:
                found[path] = count
    return found, looked


def _pattern(texts: Collection[str]) -> re.Pattern[bytes]:
    return re.compile("|".join(sorted(map(re.escape, texts))).encode() if texts else rb"(?!)")


def _marks_in(path: Path, texts: Collection[str]) -> int:
    pattern = _pattern(texts)
    overlap = max(map(len, texts), default=1) - 1
    count, kept = 0, b""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            count += len(pattern.findall(kept + chunk))
            kept = (kept + chunk)[-overlap:] if overlap else b""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as content:
                    count += len(pattern.findall(content.read(256 * _CHUNK)))
    elif path.suffix == ".parquet":
        frame = pl.scan_parquet(path)
        names = [name for name, kind in frame.collect_schema().items() if kind == pl.String]
        if names:
            hit = pl.any_horizontal(pl.col(names).str.contains(pattern.pattern.decode()).fill_null(False))
            count += frame.select(hit.sum()).collect().item()
    elif path.suffix == ".duckdb" and path.name != "warehouse.duckdb":
        with duckdb.connect(str(path), read_only=True, config=dict(CONFIGURATION)) as connection:
            count += sum(rows_with(connection, Marks(tokens=frozenset(texts))).values())
    return count
