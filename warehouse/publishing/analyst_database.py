"""The analyst's file `mhwg.duckdb`: every released figure with its history, documented inside the file.

Belongs here: its tables, views, macros and comments. Does not belong here: what the figures are (`content`), when a
release is made (`release`). The file is written aside by one thread from sorted frames, in a storage version that DuckDB 1.2
and later can open, and is never opened for writing again.
"""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from warehouse.catalogue.table_catalogue import tables as catalogue_tables
from warehouse.publishing import cards
from warehouse.publishing.alternates import alternate_frame
from warehouse.publishing.content import OBSERVATION_SCHEMA, ReleaseContent
from warehouse.publishing.frame_macros import create_frame_macros
from warehouse.publishing.history import OPEN_END
from warehouse.publishing.registers import no_registers

STORAGE_VERSION = "v1.2.0"
"""Oldest DuckDB that can open the file."""

_RELEASED = {
    "observation_version": "release.observation",
    "observation": "release.observation",
    "regional_cell_version": "release.regional_cell",
    "regional_cell": "release.regional_cell",
    "regional_column": "release.regional_column",
    "footnote": "release.footnote",
    "change": "release.observation",
    "claim": "release.claim",
    "evidence": "indicator.evidence",
}
"""Tables of the file whose columns are described by an entry of the catalogue."""


def write_analyst_database(
    content: ReleaseContent,
    observation_versions: pl.DataFrame,
    cell_versions: pl.DataFrame,
    releases: pl.DataFrame,
    changes: pl.DataFrame,
    path: Path,
) -> str:
    """The file is written at `path`; returns the fingerprint of its rows, which does not depend on the version of DuckDB.

    The same content gives the same bytes: one thread, sorted frames, no FSST compression, whose symbol table DuckDB trains on
    a random sample, and neither ALP nor Roaring, which leave a few bytes as they lay in memory at the end of a segment (all
    seen on 2.0.0).
    """
    catalogue = content.catalogue
    frames = {
        "release": releases,
        "observation_version": observation_versions,
        "regional_cell_version": cell_versions,
        "regional_column": content.regional.columns,
        "footnote": content.regional.footnotes,
        "regional_table_entry": cards.table_frame(catalogue),
        "indicator": cards.indicator_frame(catalogue),
        "area": cards.area_frame(catalogue),
        "source": cards.source_frame(catalogue),
        "receipt": cards.receipt_frame(content),
        "sampling_error": content.context.sampling_errors,
        "claim": content.context.claims,
        "evidence": content.context.evidence,
        "symbol": cards.symbol_frame(catalogue),
        "protection": content.audit,
        "alternate": alternate_frame(content),
        "change_log": changes,
        "change_cause": cards.cause_frame(),
        **no_registers(),
        **content.context.registers,
    }
    described = tomllib.loads((Path(__file__).parent / "analyst_tables.toml").read_text(encoding="utf-8"))
    target = str(path).replace("'", "''")
    with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": "false"}) as con:
        con.execute(f"attach '{target}' as mhwg (storage_version '{STORAGE_VERSION}')")
        con.execute("set disabled_compression_methods = 'fsst,dict_fsst,alp,alprd,chimp,patas,roaring'")
        con.execute("use mhwg")
        for name, frame in frames.items():
            con.register("incoming", frame.to_arrow())
            con.execute(f"create table {name} as select * from incoming")
            con.unregister("incoming")
        _create_views(con, content)
        _create_macros(con)
        create_frame_macros(con)
        _describe(con, described)
        con.execute("use memory")
        con.execute("detach mhwg")
    digest = hashlib.sha256()
    for name, frame in frames.items():
        digest.update(name.encode() + frame.write_ndjson().encode())
    return digest.hexdigest()


def _create_views(con: duckdb.DuckDBPyConnection, content: ReleaseContent) -> None:
    open_end = OPEN_END.isoformat(sep=" ")
    observation_columns = ", ".join(OBSERVATION_SCHEMA)
    cell_columns = ", ".join(content.regional.cells.columns)
    con.execute(
        f"create view observation as select {observation_columns} from observation_version"
        f" where released_to = timestamp '{open_end}'"
    )
    con.execute(
        f"create view regional_cell as select {cell_columns} from regional_cell_version"
        f" where released_to = timestamp '{open_end}' order by table_code, row_order, column_order"
    )
    keys = list(OBSERVATION_SCHEMA)[:11]
    newest = "(select max(recorded_at) from release)"
    con.execute(
        f"""
        create view change as
        with before as (select * from observation_version where released_to = {newest}),
             now as (select * from observation_version where released_from = {newest})
        select (select max(release_id) from release) as release_id,
               {", ".join(f"coalesce(now.{key}, before.{key}) as {key}" for key in keys)},
               case when before.indicator_code is null then 'new'
                    when now.indicator_code is null then 'withdrawn'
                    when now.obs_status = 'Q' and before.obs_status != 'Q' then 'hidden'
                    when before.obs_status = 'Q' and now.obs_status != 'Q' then 'shown'
                    when now.value is distinct from before.value then 'revised'
                    else 'status' end as change_code,
               before.value as value_before, now.value as value_after,
               before.obs_status as status_before, now.obs_status as status_after
        from now full join before on {" and ".join(f"now.{key} = before.{key}" for key in keys)}
        """
    )
    for table in content.catalogue.regional.tables:
        columns = content.regional.columns.filter(pl.col("table_code") == table.code)
        for language in ("en", "vi"):
            shown = [
                f"max(trim(display_{language} || ' ' || footnote_marks)) filter (column_code = '{code}') as \"{code}\""
                for code in columns["column_code"]
            ]
            if not shown:
                continue
            con.execute(
                f"create view {table.code.lower()}_{language} as"
                f" select row_code, row_label_{language} as row_label, {', '.join(shown)} from regional_cell"
                f" where table_code = '{table.code}' group by row_order, row_code, row_label_{language} order by row_order"
            )
            text = f"{table.title.in_language(language)}. {table.scope.in_language(language)}."
            con.execute(f"comment on view {table.code.lower()}_{language} is {_quoted(text)}")


def _create_macros(con: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(OBSERVATION_SCHEMA)
    # A day means its end, as in `mhwg release as-of`; without an instant it is the newest release.
    instant = (
        "coalesce(case when length(as_of::varchar) = 10 then as_of::timestamp + interval '1 day' - interval '1 microsecond'"
        " else as_of::timestamp end, timestamp '9999-12-30')"
    )
    con.execute(
        "create macro regional_table(code, as_of := null) as table"
        " select row_code, row_label_en, row_label_vi, column_code, column_label_en, column_label_vi, period_code, value, lower,"
        " upper, obs_status, conf_status, is_practice, display_en, display_vi, footnote_marks"
        f" from regional_cell_version where table_code = upper(code) and released_from <= {instant} and {instant} < released_to"
        " order by row_order, column_order"
    )
    con.execute(
        "create macro regional_table_as_of(code, instant) as table"
        " select row_code, row_label_en, row_label_vi, column_code, column_label_en, column_label_vi, period_code, value, lower,"
        " upper, obs_status, conf_status, is_practice, display_en, display_vi, footnote_marks"
        " from regional_cell_version where table_code = upper(code) and released_from <= instant and instant < released_to"
        " order by row_order, column_order"
    )
    con.execute(
        f"create macro as_of(instant) as table select {columns} from observation_version"
        " where released_from <= instant and instant < released_to"
    )
    con.execute(
        "create macro changes_since(release, code := null) as table"
        " select l.*, (select string_agg(c.name_en, '; ' order by list_position(l.cause_codes, c.cause_code))"
        " from change_cause c where list_contains(l.cause_codes, c.cause_code)) as causes_en"
        " from change_log l where l.release_id > release and (code is null or l.indicator_code = upper(code))"
        " order by l.release_id, l.indicator_code, l.area_code, l.period_code"
    )
    con.execute(
        "create macro indicator(code) as table"
        " select o.period_code, o.area_code, a.name_en as area_en, a.name_vi as area_vi, o.* exclude (period_code, area_code),"
        " i.unit_en from observation o left join area a on a.area_code = o.area_code"
        " left join indicator i on i.indicator_code = o.indicator_code"
        " where o.indicator_code = upper(code)"
        " order by o.definition_version, o.area_code, o.period_start_on, o.sex_code, o.destination_code"
    )
    cell = "indicator_code = upper(code) and area_code = area and period_code = period"
    broken = "array_to_string(list_filter([sex_code, age_code, migrant_status_code, origin_code, destination_code,"
    broken += " category_code], lambda c: c <> '_T'), ' ')"
    con.execute(
        "create macro explain_figure(code, area, period) as table"
        " select part_order, part, breakdown, detail from ("
        " select 1 as part_order, 'definition' as part, '' as breakdown,"
        " 'version ' || definition_version || ': ' || definition_en as detail from indicator where indicator_code = upper(code)"
        " union all select 2, 'formula', '', numerator || coalesce(' / ' || nullif(denominator, ''), '')"
        " from indicator where indicator_code = upper(code)"
        f" union all select 3, 'figure', {broken}, coalesce(value::varchar, 'no value') || ' ' || unit_code || ', status '"
        " || array_to_string(obs_flags, ' ') || case when conf_status in ('C', 'D') then ', hidden by disclosure control' else '' end"
        f" from observation where {cell}"
        f" union all select 4, 'counts', {broken}, concat_ws(', ', 'numerator ' || numerator::varchar, 'denominator '"
        " || denominator::varchar, 'records ' || n::varchar) from observation"
        f" where {cell} and coalesce(numerator, denominator, n) is not null"
        " union all select distinct 5, 'receipt', '', concat_ws(' ', r.receipt_id, r.source_code, r.locator, 'sha256', r.sha256,"
        " 'received', r.received_at, 'published', nullif(r.published_on, '')) from receipt r"
        f" where r.receipt_id in (select unnest(receipt_ids) from observation where {cell})"
        f" union all select 6, 'vintage', {broken}, released_from::varchar || ' to ' || released_to::varchar || ': '"
        f" || coalesce(value::varchar, obs_status) || ' (definition ' || definition_version || ')' from observation_version where {cell}"
        f" union all select 7, 'change', {broken}, release_id || ': ' || change_code || ' because of '"
        f" || array_to_string(cause_codes, ', ') from change_log where {cell}"
        " union all select 8, case part_code when 'held_back' then 'held back' when 'correction' then 'correction' else 'check' end, '',"
        " concat_ws(' ', case part_code when 'check_passed' then 'passed' when 'check_failed' then 'failed' end,"
        " coalesce(item_count::varchar, 'few'), table_name, nullif(item_code, '_T'), nullif(year_code, '_T'), 'from', source_code,"
        " detail, 'since ' || since_on::varchar) from evidence"
        " where indicator_code = upper(code) and year_code in ('_T', '_U', left(period, 4))"
        ") order by all"
    )
    con.execute(
        "create macro explain(table_of, row_of, column_of) as table"
        " select c.indicator_code, c.period_code, c.display_en, c.value, c.numerator, c.denominator, c.n, c.lower, c.upper,"
        " c.interval_code, c.obs_status, c.conf_status, c.is_practice, i.name_en, i.definition_en, r.receipt_id,"
        " r.source_code, r.locator, r.received_at, r.sha256"
        " from regional_cell c left join indicator i on i.indicator_code = c.indicator_code"
        " left join receipt r on list_contains(c.receipt_ids, r.receipt_id)"
        " where c.table_code = upper(table_of) and c.row_code = row_of and c.column_code = column_of order by r.receipt_id"
    )


def _describe(con: duckdb.DuckDBPyConnection, described: dict[str, Any]) -> None:
    """Every table, view, column and macro carries a comment, and the table `dictionary` lists the columns."""
    entries = {entry["name"]: entry for entry in described["table"]}
    catalogue = catalogue_tables()
    views = {
        name for (name,) in con.sql("select view_name from duckdb_views() where database_name = 'mhwg'").fetchall()
    }
    found = con.sql(
        "select table_name, column_name, data_type from duckdb_columns() where database_name = 'mhwg' and not internal"
        " order by table_name, column_index"
    ).fetchall()
    rows = []
    for table, column, kind in found:
        meaning = _meaning(table, column, entries, catalogue)
        rows.append({"table_name": table, "column_name": column, "column_type": kind, "description": meaning})
        con.execute(f'comment on column {table}."{column}" is {_quoted(meaning)}')
    dictionary = pl.DataFrame(rows, schema=dict.fromkeys(_DICTIONARY, pl.String()))
    con.register("incoming", dictionary.to_arrow())
    con.execute("create table dictionary as select * from incoming")
    con.unregister("incoming")
    for column in _DICTIONARY:
        con.execute(f"comment on column dictionary.{column} is {_quoted(entries['dictionary']['columns'][column])}")
    for table in sorted({table for table, _, _ in found} | {"dictionary"}):
        text = _table_text(table, entries, catalogue)
        if text:
            con.execute(f"comment on {'view' if table in views else 'table'} {table} is {_quoted(text)}")
    for macro in described["macro"]:
        con.execute(
            f"comment on macro table {macro['name']} is {_quoted(macro['description'] + ' Example: from ' + macro['call'])}"
        )


_DICTIONARY = ("table_name", "column_name", "column_type", "description")


def _table_text(table: str, entries: dict[str, Any], catalogue: dict[str, Any]) -> str:
    if table in entries:
        return str(entries[table]["description"])
    described = catalogue.get(_RELEASED.get(table, f"core.{table}"))
    return str(described.description) if described is not None else ""


def _meaning(table: str, column: str, entries: dict[str, Any], catalogue: dict[str, Any]) -> str:
    own = entries.get(table, {}).get("columns", {})
    if column in own:
        return str(own[column])
    released = catalogue.get(_RELEASED.get(table, f"core.{table}"))
    if released is not None and column in released.column_names:
        return str(released.column(column).description)
    if table[:2] == "rt" and column in ("row_code", "row_label"):
        return "Code of the row." if column == "row_code" else "Row heading."
    if table[:2] == "rt":
        return "Text of the cell with its marks; the numbers are in regional_cell under this column_code."
    observation = catalogue["release.observation"]
    if column in observation.column_names:
        return str(observation.column(column).description)
    return f"{column.replace('_', ' ').capitalize()} as the disclosure audit reports it."


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
