"""Official exchange rates on file: the reference series of rates, by currency and year.

Belongs here: reading them from the store. Does not belong here: converting (`methods.money`), how they arrive (`assets.reference`:
the feed of the World Bank, or a file in the inbox).
"""

from typing import Any

from methods.money import Rate
from warehouse.store import fetch_frame

SERIES = "exchange_rate_official"


def official_rates(connection: Any) -> tuple[Rate, ...]:
    """The rates of the current edition, by currency and year. A country's rate is that of its currency; the dollar has none."""
    frame = fetch_frame(
        connection,
        """select country.currency_code, figure.year, min(figure.value) as per_usd,
            min(figure.producer || ', edition ' || figure.edition_code) as source
        from core.reference_value_current as figure
        -- cardinality: one country per code
        join core.country_current as country on country.country_code = figure.area_code
        where figure.series_code = $series and figure.is_current_edition and figure.value > 0
          and country.currency_code is not null and country.currency_code <> 'USD'
        group by country.currency_code, figure.year
        -- Two countries of one currency must agree, or it is not known which is right.
        having max(figure.value) - min(figure.value) <= 1e-9 * max(figure.value)
        order by all""",
        {"series": SERIES},
    )
    return tuple(Rate(**row) for row in frame.iter_rows(named=True))
