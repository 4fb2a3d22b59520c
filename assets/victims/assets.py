"""Victim support in Dagster: one landing asset for its inbox, one load step for its store.

Belongs here: declaring. Does not belong here: how registers are landed and loaded (`assets.programme.assets`, `assets.declare`), the
order in which the two stores are opened (`warehouse.victims`).
"""

from collections.abc import Sequence
from functools import partial

import dagster as dg

from assets.declare import load_step, loaded_tables
from assets.programme.assets import landing_asset
from assets.programme.read import VICTIMS, batches
from warehouse.quality import Scales
from warehouse.victims import loading_apart


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `landing/victims` and the tables of group victims, which stand in the victims' store."""
    return [
        landing_asset(VICTIMS, "Registers of victim support, as received, in a landing of their own."),
        load_step(VICTIMS.code, loaded_tables(VICTIMS.code), scales, partial(batches, source=VICTIMS), loading_apart),
    ]
