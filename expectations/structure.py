"""Catalogue entry -> rules of structure: columns and types, presence, unique keys, known codes, references.

Belongs here: what follows from the catalogue alone, so that no table can be without a suite. Does not belong here: anything that takes
knowledge of the subject (`beliefs/*.toml`).
"""

from expectations.rules import Dimension, Expect, Form, Never, Query, Rule
from warehouse.catalogue.table_catalogue import Column, Table, load_codelist, tables
from warehouse.quality import Level, Severity
from warehouse.schema import quote_literal

WEIGHED_SCHEMAS = ("staging", "core", "estimate", "indicator", "release", "restricted")
"""Layers whose every table has a suite. `ops` and `quarantine` are the store's own books."""


def structural_rules(table: Table) -> tuple[Rule, ...]:
    """Every rule that the entry of `table` implies; none for the store's own books."""
    if table.schema_name not in WEIGHED_SCHEMAS:
        return ()
    rules = [_columns_and_types(table), _key_is_unique(table)]
    for column in table.columns:
        if table.schema_name == "staging" and (not column.nullable or column.name in table.key):
            # Beyond staging the table itself declares NOT NULL, so a check could never fail.
            rules.append(_is_present(table, column))
        if column.codelist:
            rules.append(_is_known_code(table, column, column.codelist))
        if column.references:
            rules.append(_refers_to_a_row(table, column, column.references))
    return tuple(rules)


def _rule(
    table: Table,
    code: str,
    description: str,
    description_vi: str,
    why: str,
    why_vi: str,
    form: Form,
    *,
    dimension: Dimension = "structure",
    severity: Severity = "critical",
    level: Level = "table",
) -> Rule:
    return Rule(
        code=code,
        table=table.name,
        description=description,
        description_vi=description_vi,
        why=why,
        why_vi=why_vi,
        severity=severity,
        level=level,
        owner=table.owner,
        dimension=dimension,
        form=form,
        is_structural=True,
    )


def _row_level(table: Table) -> Level:
    """Staging rows can be set aside one by one; in later layers a structural fault means that a model is wrong."""
    return "row" if table.schema_name == "staging" else "table"


def _columns_and_types(table: Table) -> Rule:
    expected = ", ".join(
        f"({quote_literal(column.name)}, {quote_literal(column.type.upper())})" for column in table.columns
    )
    sql = (
        "select coalesce(wanted.column_name, found.column_name) as column_name, wanted.data_type as expected, found.data_type as got\n"
        f"from (values {expected}) as wanted(column_name, data_type)\n"
        "full join (\n"
        "  select column_name, data_type from duckdb_columns()\n"
        f"  where database_name = current_database() and schema_name = {quote_literal(table.schema_name)}"
        f" and table_name = {quote_literal(table.table_name)}\n"
        ") as found on found.column_name = wanted.column_name  /* one to one: names are unique on both sides */\n"
        "where wanted.data_type is distinct from found.data_type"
    )
    return _rule(
        table,
        "columns_and_types",
        "The table has exactly the catalogued columns and types.",
        "Bảng có đúng các cột và kiểu đã khai trong danh mục.",
        "A column that changed its type or name would be read as something else further down.",
        "Cột đổi kiểu hoặc đổi tên sẽ bị đọc thành thứ khác ở các bước sau.",
        Query(sql),
    )


def _key_is_unique(table: Table) -> Rule:
    key = ", ".join(table.key)
    joined = " and ".join(f"batch.{name} is not distinct from twice.{name}" for name in table.key)
    # Equal keys have equal hashes: only rows whose hash repeats are grouped by the key itself. Grouping three million rows by six
    # texts took 0.67 s.
    alike = f"select hash({key}) from {{rows}} group by all having count(*) > 1"
    repeated = f"select {key} from {{rows}} where hash({key}) in ({alike}) group by all having count(*) > 1"
    return _rule(
        table,
        "key_is_unique",
        f"No two rows share the key ({key})" + (" among open rows." if table.history else "."),
        f"Không có hai dòng trùng khóa ({key})" + (" trong các dòng đang mở." if table.history else "."),
        "A doubled key doubles every sum above it; the store keeps no primary key, so this check is the guard.",
        "Khóa trùng làm mọi tổng phía trên tăng gấp đôi; kho không có khóa chính nên kiểm tra này canh giữ.",
        Query(
            repeated,
            f"select batch._rowid from {{rows}} as batch join ({repeated}) as twice on {joined}"
            "  /* many to one: repeated keys are grouped */",
        ),
        level=_row_level(table),
    )


def _is_present(table: Table, column: Column) -> Rule:
    return _rule(
        table,
        f"{column.name}_is_present",
        f"{column.name} is never empty.",
        f"{column.name} không bao giờ để trống.",
        "The catalogue declares it needed: " + column.description,
        "Danh mục khai cột này là cần thiết.",
        Expect("expect_column_values_to_not_be_null", {"column": column.name}),
        level="row",
        dimension="completeness",
    )


def _is_known_code(table: Table, column: Column, codelist: str) -> Rule:
    codes = [code.code for code in load_codelist(codelist)]
    form: Form = Expect("expect_column_values_to_be_in_set", {"column": column.name, "value_set": codes})
    if column.type == "varchar[]":
        known = ", ".join(quote_literal(code) for code in codes)
        # `name_*` in a list stands for a family of codes, such as a footnote with the day that it speaks of.
        families = "".join(f" and not starts_with(code, {quote_literal(c[:-1])})" for c in codes if c.endswith("_*"))
        form = Never(f"len(list_filter({column.name}, lambda code: code not in ({known}){families})) > 0")
    return _rule(
        table,
        f"{column.name}_is_a_known_code",
        f"{column.name} is a code of the list {codelist!r}.",
        f"{column.name} là một mã trong danh sách {codelist!r}.",
        "An unknown code is a finding for its provider, never a row to drop or to guess about.",
        "Mã không rõ là việc báo cho đơn vị cung cấp, không phải dòng để bỏ hay để đoán.",
        form,
        level=_row_level(table),
    )


def _refers_to_a_row(table: Table, column: Column, reference: str) -> Rule:
    target_name, target_column = reference.rsplit(".", 1)
    target = tables().get(target_name)
    # A UID is unique on one server only; the same UID on the other is another thing.
    by_instance = target is not None and "instance_code" in target.key and "instance_code" in table.column_names
    shared = ", instance_code" if by_instance else ""
    relation = f"{target_name}_current" if target is not None and target.history else target_name
    known = f"select {target_column}{shared} from {relation}"
    staged = tables().get(f"staging.{target_name.split('.')[1]}")
    if table.schema_name == "staging" and staged is not None and target_column in staged.column_names:
        # A new document or org unit comes in the same load, and is not yet in the core when its rows are weighed.
        known += f" union all select {target_column}{shared} from {staged.name}"
    on = f"target.{target_column} = batch.{column.name}"
    if by_instance:
        on += " and target.instance_code = batch.instance_code"
    sql = (
        f"select batch._rowid from {{rows}} as batch anti join ({known}) as target on {on}\n"
        f"where batch.{column.name} is not null"
    )
    return _rule(
        table,
        f"{column.name}_is_in_{target_name.replace('.', '_')}",
        f"{column.name} names a row of {target_name}.",
        f"{column.name} chỉ đến một dòng của {target_name}.",
        "A figure whose unit, area or document is unknown falls out of every sum that joins to it.",
        "Số liệu có đơn vị, địa bàn hoặc văn bản không rõ sẽ rơi khỏi mọi tổng nối với nó.",
        Query(sql, sql),
        # Beyond staging a lost target (an org unit deleted upstream while its data stay) must not cost the source its refresh.
        severity="critical" if table.schema_name == "staging" else "warning",
        level="row",
    )
