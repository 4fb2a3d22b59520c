"""How long after an event's end its figures still move, learned from what was seen to arrive.

Belongs here: the arithmetic. Does not belong here: reading arrivals from a store, deciding what is provisional.
Source: J. F. Lawless (1994), Adjustments for reporting delays and the prediction of occurred but not reported events,
Canadian Journal of Statistics 22:15-31, reverse-time hazards for right-truncated delays (J. D. Kalbfleisch and J. F. Lawless
1991, Statistica Sinica 1:19-32).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

DAYS_A_WEEK = 7


@dataclass(frozen=True)
class LearnedDelay:
    """After `days` the wanted share of what will ever arrive has arrived; `arrivals` is on how many that rests."""

    days: int
    arrivals: int


def learn_delay(
    arrivals: Sequence[tuple[int, int]], horizon_days: int, *, share: float = 0.95, minimum_arrivals: int = 50
) -> LearnedDelay | None:
    """The delay in whole weeks after which `share` of all arrivals are in; None when fewer than `minimum_arrivals` were seen.

    `arrivals`: for each record or revision, the days from the end of what it tells of to its arrival, and the days for which
    we could have seen it arrive (from that end to now). Only ends from the first look onwards may be given: what the first
    look found had arrived at an unknown time.

    A young end has not shown its long delays yet. Taking plain percentiles would call the source punctual for that reason;
    the reverse-time hazard g(d) = arrivals at d / arrivals up to d, among ends old enough to show d, is free of it, and
    F(d) = prod over e > d of (1 - g(e)). Delays are conditional on the longest that could be seen (`horizon_days`).
    """
    seen = [(max(delay, 0) // DAYS_A_WEEK, window // DAYS_A_WEEK) for delay, window in arrivals if delay <= window]
    if len(seen) < minimum_arrivals:
        return None
    longest = min(max(delay for delay, _ in seen), horizon_days // DAYS_A_WEEK)
    reached = 1.0
    wanted = longest
    for week in range(longest, 0, -1):
        at_risk = sum(1 for delay, window in seen if window >= week and delay <= week)
        events = sum(1 for delay, window in seen if window >= week and delay == week)
        hazard = events / at_risk if at_risk else 0.0
        reached *= 1 - hazard  # F(week - 1)
        if reached < share - 1e-12:
            break
        wanted = week - 1
    return LearnedDelay(math.ceil((wanted + 1) * DAYS_A_WEEK), len(seen))
