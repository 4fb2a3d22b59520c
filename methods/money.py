"""Amounts in another currency: converted at a rate of their own year, or refused with the reason.

Belongs here: the arithmetic and the statuses. Does not belong here: where rates come from (`warehouse.currency`, survey designs),
constant prices and purchasing power, which are other quantities. Source: docs/reference.md, "Exchange rates".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

DOLLAR = "USD"
Status = Literal["same_currency", "converted", "no_rate"]


@dataclass(frozen=True)
class Rate:
    """How many units of a currency one US dollar cost on average in a year, and who says so."""

    currency_code: str
    year: int
    per_usd: float
    source: str


@dataclass(frozen=True)
class Converted:
    """An amount in the wanted currency with the rates used; or none, with the sentence that says which rate is missing."""

    amount: float | None
    status: Status
    rates: tuple[Rate, ...] = ()
    sentence: str = ""


def convert(amount: float, currency: str, year: int, rates: Iterable[Rate], to: str = DOLLAR) -> Converted:
    """The amount of a year in another currency, through the dollar where neither is one.

    A rate of another year is never taken: an amount without a rate of its own year has no value in the other currency, and the
    answer says which rate to put on file.
    """
    if currency == to:
        return Converted(amount, "same_currency")
    known = {rate.currency_code: rate for rate in rates if rate.year == year and rate.per_usd > 0}
    used: list[Rate] = []
    value = amount
    for code, is_into_dollars in ((currency, True), (to, False)):
        if code == DOLLAR:
            continue
        rate = known.get(code)
        if rate is None:
            return Converted(
                None, "no_rate", (), f"No rate of {code} for {year} is on file; an amount of {year} is not converted at another year's."
            )  # fmt: skip
        used.append(rate)
        value = value / rate.per_usd if is_into_dollars else value * rate.per_usd
    return Converted(value, "converted", tuple(used))
