"""The jobs: which assets run together. `refresh` is what the weekly schedule, `mhwg refresh` and `make refresh` start."""

import dagster as dg

from assets.declare import landing_key

FILE_SOURCES = ("labour", "survey", "programme")
"""Sources that send files into an inbox."""

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all(),
    description="Pull every source, weigh and load it, compute the indicators and publish a release if a figure moved.",
    # 40 assets and 60 checks took 3.5 s in one process and 152 s in several; DuckDB takes one writer anyway.
    executor_def=dg.in_process_executor,
    tags={"mhwg/job": "refresh"},
)

release = dg.define_asset_job(
    "release",
    selection=dg.AssetSelection.keys(["release", "observation"], ["release", "regional_cell"]),
    description="Protect and publish what the warehouse holds, without pulling: after a change of policy, catalogue or pages.",
    executor_def=dg.in_process_executor,
    tags={"mhwg/job": "release"},
)
file_refreshes = [
    dg.define_asset_job(
        f"refresh_{code}",
        selection=dg.AssetSelection.assets(landing_key(code)).downstream(),
        description=f"Take in what arrived for {code}, and compute and publish what follows from it; no server is asked.",
        executor_def=dg.in_process_executor,
        tags={"mhwg/job": "refresh", "mhwg/source": code},
    )
    for code in FILE_SOURCES
]
