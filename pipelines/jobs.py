"""The jobs: which assets run together. Each source instance has its own; `publish` makes what rests on several of them;
`refresh` is all of it in one process, for `mhwg refresh` and `make refresh`.

Belongs here: cutting the river into jobs. Does not belong here: when they start (`schedules`, `weekly`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.declare import BACKFILL_GROUP, landing_key
from pipelines.run_tags import JOB, SOURCE

FILE_SOURCES = ("labour", "survey", "programme", "victims", "reference")
"""Sources that send files into an inbox."""

REFRESH = "refresh"
PUBLISH = "publish"


@dataclass(frozen=True)
class Source:
    """One source instance: its name, and the assets that its own run makes (what it landed, and the tables loaded from it)."""

    code: str
    keys: frozenset[dg.AssetKey]

    @property
    def job_name(self) -> str:
        """Name of the job that refreshes this source alone."""
        return f"{REFRESH}_{self.code}"


def sources_of(assets: Iterable[dg.AssetsDefinition]) -> tuple[Source, ...]:
    """The source instances of the river: whatever is landed, with the steps that load it."""
    known = list(assets)
    landed = [key for made in known for key in made.keys if key.path[0] == "landing"]
    return tuple(
        Source(
            key.path[1],
            frozenset({key, *(loaded for made in known if key in made.dependency_keys for loaded in made.keys)}),
        )
        for key in sorted(landed)
    )


def weekly_keys(assets: Iterable[dg.AssetsDefinition]) -> frozenset[dg.AssetKey]:
    """Every asset of the weekly refresh: all but those of the backfill group."""
    return frozenset(key for made in assets for key in made.keys if made.group_names_by_key.get(key) != BACKFILL_GROUP)


def jobs(assets: Sequence[dg.AssetsDefinition]) -> list[Any]:
    """`refresh`, one `refresh_<source>` per source instance, and `publish`: together these are the same assets as `refresh`."""
    sources = sources_of(assets)
    everything = weekly_keys(assets)
    joint = everything - frozenset().union(*(source.keys for source in sources))
    return [
        _job(
            REFRESH,
            everything,
            "Pull every source, weigh and load it, compute the indicators and publish a release if a figure moved.",
        ),
        *(
            _job(
                source.job_name,
                source.keys,
                f"Pull {source.code}, weigh and load it. Other sources neither wait for it nor fail with it.",
                {SOURCE: source.code},
            )
            for source in sources
        ),
        _job(
            PUBLISH,
            joint,
            "Compute what rests on several sources and publish a release if a figure moved; a source that failed or is "
            "late stands with its last good data.",
        ),
    ]


release = dg.define_asset_job(
    "release",
    selection=dg.AssetSelection.keys(["release", "observation"], ["release", "regional_cell"]),
    description="Protect and publish what the warehouse holds, without pulling: after a change of policy, catalogue or pages.",
    executor_def=dg.in_process_executor,
    tags={JOB: "release"},
)
arrivals = [
    dg.define_asset_job(
        f"arrived_{code}",
        selection=dg.AssetSelection.assets(landing_key(code)).downstream(),
        description=f"Take in what arrived for {code}, and compute and publish what follows from it; no DHIS2 server is asked.",
        executor_def=dg.in_process_executor,
        tags={JOB: f"arrived_{code}", SOURCE: code},
    )
    for code in FILE_SOURCES
]


def _job(name: str, keys: Iterable[dg.AssetKey], description: str, tags: dict[str, str] | None = None) -> Any:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*sorted(keys)),
        description=description,
        # 40 assets and 60 checks took 3.5 s in one process and 152 s in several; DuckDB takes one writer anyway.
        executor_def=dg.in_process_executor,
        tags={JOB: name, **(tags or {})},
    )
