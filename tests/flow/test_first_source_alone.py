"""One source refreshed alone in a new store: what it says is missing, and that doing what it says brings the figures."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.cli.refresh import NO_AREAS, Outcome, _summary


def test_a_source_alone_in_a_new_store_says_what_is_missing(tmp_path: Path, small_rivers: Any) -> None:
    """It said that no figure had moved; the areas were not loaded, and none could be computed."""
    river = small_rivers.new_river(tmp_path, "http://127.0.0.1:9")
    first = river.refresh("--source", "labour")
    assert first["missing"] == NO_AREAS
    assert "`mhwg refresh --source reference`" in NO_AREAS
    second = river.refresh("--source", "reference")
    assert second["missing"] is None
    assert second["release_state"] == "published"
    released = pl.read_parquet(river.state / "release" / "current" / "data" / "observation.parquet")
    assert released.filter(
        pl.col("value").is_not_null(), indicator_code="LM01", area_code="VNM", period_code="2022"
    ).height


def test_the_summary_does_not_call_that_nothing_new(capsys: pytest.CaptureFixture[str]) -> None:
    _summary(Outcome(succeeded=True, release_id="20260705T220000Z", release_state="unchanged", missing=NO_AREAS))
    told = " ".join(capsys.readouterr().out.split())
    assert f"No figures: {NO_AREAS}" in told
    assert "no figure moved" not in told
