"""A small world for the labour source: inbox, landing folder and store in one temporary folder."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from assets.inbox import Intake, landed_sha256
from assets.labour.fetch import pull_inbox
from assets.labour.stage import batches
from assets.loading import SourceReport, known_receipts, load_source
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Landing
from warehouse.load import MODELS
from warehouse.store import Warehouse


class NoScales:
    """Scales without rules: what is weighed is tested in tests/expectations."""

    def weigh(self, connection: object, table: object, context: object) -> list[object]:
        """No outcome."""
        return []

    def checks_for(self, table: object) -> list[object]:
        """No rule."""
        return []


class LabourWorld:
    """An inbox, a landing folder and a store, refreshed by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.landing = Landing(folder / "landing")
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.pseudonymiser = Pseudonymiser("a key of the tests, long enough", "test")

    def refresh(self, at: datetime) -> tuple[Intake, SourceReport]:
        """One pull of the inbox and one load, as the weekly refresh does them."""
        known = landed_sha256(known_receipts(self.warehouse, self.landing, "labour"))
        pulled = pull_inbox(
            self.inbox,
            lambda part: self.landing.pull("labour", part, at, is_practice=False),
            known,
            self.pseudonymiser,
        )
        self.landing.note_pull(pulled.receipts, at)
        report = load_source(self.warehouse, self.landing, NoScales(), "labour", at, batches(self.landing))  # type: ignore[arg-type]
        return pulled, report

    def read(self, query: str) -> pl.DataFrame:
        """The result of a query on the store."""
        return self.warehouse.read(query)

    def measure(self, name: str) -> pl.DataFrame:
        """All rows of a measure model."""
        return self.read((MODELS / "indicator" / f"{name}.sql").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def labour_world() -> Callable[[Path], LabourWorld]:
    """Makes a world in a folder."""
    return LabourWorld
