"""Great Expectations on a DuckDB connection that somebody else owns.

Belongs here: the adapter, and nothing but running a suite and reading its result. Great Expectations 1.24 has no DuckDB engine, and its SQL
engine gets no rows from DuckDB: it closes the connection before it fetches, SQLAlchemy rolls back, DuckDB drops the result.
Here the caller keeps the handle and the transaction, so a suite sees uncommitted rows and disturbs nothing.
Does not belong here: rules, severities, quarantine.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

COUNTED_ROWS = "expect_no_counted_rows"
"""Type of the expectation that a query finds no row (`kwargs.unexpected_rows_query`)."""


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one expectation. `raised` is the type of the fault, without its text."""

    rule_code: str
    passed: bool
    raised: str | None
    unexpected_count: int | None
    index_query: str | None


@cache
def _datasource_class() -> Any:
    """The data source class, made once. Imports cost 2.6 s and 220 MB, so they wait for the first weighing."""
    from typing import Literal

    import sqlalchemy
    from duckdb_sqlalchemy import ConnectionWrapper
    from great_expectations.compatibility import pydantic
    from great_expectations.datasource.fluent import SQLDatasource  # type: ignore[attr-defined]
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine  # type: ignore[attr-defined]
    from sqlalchemy.dialects import postgresql

    class BorrowedConnection(ConnectionWrapper):
        """Leaves begin, commit, rollback and close to the owner."""

        def begin(self) -> None: ...

        def commit(self) -> None: ...

        def rollback(self) -> None: ...

        def close(self) -> None: ...

    class LiveEngine(SqlAlchemyExecutionEngine):
        """Keeps one connection open. `create_temp_table=True`, the default, would copy the whole table."""

        def __init__(self, connection: Any) -> None:
            super().__init__(
                create_temp_table=False,
                engine=sqlalchemy.create_engine(
                    "duckdb://",
                    creator=lambda: BorrowedConnection(connection),
                    poolclass=sqlalchemy.pool.StaticPool,
                ),
            )
            # Regular expressions and LIKE are refused for an unknown dialect; DuckDB 2's `~` matches in part, as PostgreSQL's.
            self.dialect_module: Any = SimpleNamespace(dialect=postgresql.dialect)
            self._borrowed: Any = None
            self.faults: list[str] = []
            sqlalchemy.event.listen(self.engine, "handle_error", self._note_fault)

        def _note_fault(self, context: Any) -> None:
            """Great Expectations tries a failed query three times and keeps the last fault, which says only that the
            transaction is gone; what ended it is the first."""
            self.faults.append(type(context.original_exception).__name__)

        @contextmanager
        def get_connection(self) -> Iterator[Any]:
            self._borrowed = self._borrowed or self.engine.connect()
            yield self._borrowed

    class LiveDuckDB(SQLDatasource):
        """A data source whose engine is bound after it is made, because its model cannot hold a connection."""

        type: Literal["live_duckdb"] = "live_duckdb"  # type: ignore[assignment]
        connection_string: str = "duckdb://"
        _live: Any = pydantic.PrivateAttr(None)

        def test_connection(self, test_assets: bool = True) -> None: ...

        def bind(self, connection: Any) -> "LiveDuckDB":
            self._live = LiveEngine(connection)
            return self

        def get_engine(self) -> Any:
            return self._live.engine

        def get_execution_engine(self) -> Any:
            return self._live

    return LiveDuckDB


@cache
def _register_counted_rows() -> None:
    """Great Expectations knows the type COUNTED_ROWS from now on.

    Its own expectation for queries runs each of them twice, once for the number of rows and once to fetch them. Only the number is
    needed here: half of the weighing of ten million rows (2026-11-27), and no row of a person is fetched.
    """
    from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation

    class ExpectNoCountedRows(UnexpectedRowsExpectation):
        metric_dependencies = ("unexpected_rows_query.row_count",)

        def _validate(self, metrics: Any, runtime_configuration: Any = None, execution_engine: Any = None) -> Any:
            return {"success": metrics["unexpected_rows_query.row_count"] == 0}

    assert ExpectNoCountedRows.expectation_type == COUNTED_ROWS


@contextmanager
def _silent() -> Iterator[None]:
    """Great Expectations logs failing SQL with the values in it, which may be personal; nothing of it reaches a handler here.

    Its modules set their own levels (`data_context.types.base` is at INFO), so the level of the package's logger does not do.
    """
    loggers = [
        logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if name.split(".")[0] in ("great_expectations", "sqlalchemy") and isinstance(logger, logging.Logger)
    ]
    before = [(logger, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, was_disabled in before:
            logger.disabled = was_disabled


class Suite:
    """One batch on a live connection, ready to be validated as often as wanted."""

    def __init__(self, connection: Any, relation: str) -> None:
        import great_expectations

        _datasource_class()
        _register_counted_rows()
        self._expectations = great_expectations
        with _silent():
            context = great_expectations.get_context(mode="ephemeral")
            context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
            source: Any = context.data_sources.add_live_duckdb(name="warehouse").bind(connection)
            self._engine = source.get_execution_engine()
            asset = source.add_table_asset(relation, table_name=relation)
            self._batch = asset.add_batch_definition_whole_table("all").get_batch()

    @property
    def faults(self) -> tuple[str, ...]:
        """Types of all faults that the engine met so far, in order."""
        return tuple(self._engine.faults)

    def validate(self, expectations: Sequence[Mapping[str, Any]], *, index_column: str | None = None) -> list[Verdict]:
        """One verdict per expectation (`type`, `kwargs`, `meta.rule`), in no particular order.

        Without `index_column` only pass or fail: everything bundles into one scan. With it, counts and the query of all
        offending rows; the lists that Great Expectations returns stop at 200 values and 20 indices.
        """
        if not expectations:
            return []
        result_format: dict[str, Any] = {"result_format": "BOOLEAN_ONLY"}
        if index_column is not None:
            result_format = {
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [index_column],
                "partial_unexpected_count": 0,
            }
        with _silent():
            suite = self._expectations.ExpectationSuite(name="suite", expectations=[dict(e) for e in expectations])
            outcome = self._batch.validate(suite, result_format=result_format)
        return [_verdict(result) for result in outcome.results]


def _verdict(result: Any) -> Verdict:
    found = result.result or {}
    count = found.get("unexpected_count")
    return Verdict(
        rule_code=result.expectation_config.meta["rule"],
        passed=bool(result.success),
        raised=_raised(result.exception_info or {}),
        unexpected_count=int(count) if count is not None else None,
        index_query=found.get("unexpected_index_query"),
    )


def _raised(exception_info: Mapping[str, Any]) -> str | None:
    """The kind of fault in an `exception_info`, which is either one entry or one entry per metric. Its message may quote a cell."""
    entries = [exception_info, *(entry for entry in exception_info.values() if isinstance(entry, Mapping))]
    for entry in entries:
        if entry.get("raised_exception"):
            words = (
                str(entry.get("exception_message") or "").replace('"', " ").replace("(", " ").replace(")", " ").split()
            )
            kinds = [word.rstrip(":") for word in words if word.rstrip(":").endswith(("Error", "Exception"))]
            return kinds[0] if kinds else "fault without a name"
    return None
