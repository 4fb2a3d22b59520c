"""Which two sources tell of one fact, and by how much they may differ: the pairs of the external review, read from the core.

Belongs here: the queries of each side and the tolerance with its reason. Does not belong here: the arithmetic of agreement
(`methods.quality_comparisons`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from methods.quality_comparisons import comparison_measures, disagreements, paired
from warehouse.store import fetch_frame


@dataclass(frozen=True)
class Comparison:
    """Two queries with subject_code, period_code, value, is_practice, and what counts as disagreement.

    `is_bound`: the first is a part of the second. Queries read the instant as $as_at.
    """

    code: str
    left: str
    right: str
    tolerance_share: float
    why: str
    least: float = 20
    is_bound: bool = False
    dimension_code: str = "external"


_QUARTER = "strftime({day}, '%Y') || 'Q' || quarter({day})"


def _referrals(direction: str) -> str:
    # In transit: a referral of the last quarter may not have arrived. Two closed quarters are long enough for all but a few.
    return f"""
        select disease_code || ':' || from_country_code || '>' || to_country_code as subject_code,
            {_QUARTER.format(day="referred_on")} as period_code, count(*)::double as value, bool_or(is_practice) as is_practice
        from core.referral_record_current
        where direction_code = '{direction}' and referred_on < $as_at::date - 90
            and from_country_code is not null and to_country_code is not null
        group by all"""


COMPARISONS: Sequence[Comparison] = (
    Comparison(
        "sender_receiver",
        _referrals("outgoing"),
        _referrals("incoming"),
        0.3,
        "Some never arrive and some arrive unannounced; beyond three in ten one side does not record.",
    ),
    Comparison(
        "tracker_aggregate",
        f"""
        select disease_code || ':' || to_area_code as subject_code, {_QUARTER.format(day="confirmed_on")} as period_code,
            count(distinct person_token)::double as value, bool_or(is_practice) as is_practice
        from core.referral_record_current
        where direction_code = 'incoming' and disease_code in ('TB', 'MAL') and confirmed_on is not null
            and to_area_code is not null
        group by all""",
        f"""
        select case value.concept_code when 'TB_NOTIFIED' then 'TB' else 'MAL' end || ':' || unit.province_area_code as subject_code,
            {_QUARTER.format(day="value.period_start_on")} as period_code, sum(value.value_number) as value,
            bool_or(value.is_practice) as is_practice
        from core.data_value_current as value
        -- cardinality: n to 1
        join core.org_unit_current as unit
          on unit.instance_code = value.instance_code and unit.org_unit_uid = value.org_unit_uid
        where value.concept_code in ('TB_NOTIFIED', 'MAL_CONFIRMED') and unit.province_area_code is not null
        group by all""",
        0.0,
        "Confirmed patients who came by referral are among the cases that the area reports.",
        is_bound=True,
    ),
    Comparison(
        "register_bulletin",
        """
        select 'deployments' as subject_code, strftime(departed_on, '%Y%m') as period_code, count(*)::double as value,
            bool_or(is_practice) as is_practice
        from core.labour_contract_current where departed_on < $as_at::date - 31 group by all""",
        """
        select 'deployments' as subject_code, period_code, arg_max(value, published_on) as value, bool_or(is_practice) as is_practice
        from core.labour_figure_current
        where series_code = 'deployments' and window_code = 'month' and destination_code = '_T' and sex_code = '_T'
        group by all""",
        0.1,
        "Bulletins count departures that enterprises report, the register the contracts they file.",
    ),
    Comparison(
        "survey_register",
        """
        select 'women:' || destination_code as subject_code, wave.period_code,
            100.0 * sum(weight) filter (where sex_code = 'F') / sum(weight) as value, bool_or(person.is_practice) as is_practice
        from core.survey_person_current as person
        join core.survey_wave_current as wave using (survey_code, wave_code)  -- cardinality: n to 1
        where origin_code = 'VNM' or survey_code = 'VNM_OWHS'
        group by all having count(*) >= 50 and destination_code is not null and length(wave.period_code) = 4""",
        """
        select 'women:' || destination_code as subject_code, year as period_code,
            100.0 * count(*) filter (where sex_code = 'F') / count(*) as value, bool_or(is_practice) as is_practice
        from core.labour_contract_current, (select unnest(generate_series(2020, year($as_at)))::varchar as year)
        where departed_on <= make_date(year::integer, 12, 31)
            and coalesce(returned_on, expected_end_on, date '9999-12-31') > make_date(year::integer, 1, 1)
        group by all having count(*) >= 50""",
        0.25,
        "A sample of some hundreds per market leaves a quarter of the share open.",
    ),
    Comparison(
        "reference_aggregate",
        """
        select 'TB_NOTIFIED:' || unit.country_code as subject_code, strftime(value.period_start_on, '%Y') as period_code,
            sum(value.value_number) as value, bool_or(value.is_practice) as is_practice
        from core.data_value_current as value
        -- cardinality: n to 1
        join core.org_unit_current as unit
          on unit.instance_code = value.instance_code and unit.org_unit_uid = value.org_unit_uid
        where value.concept_code = 'TB_NOTIFIED' and year(value.period_start_on) < year($as_at::date)
            and unit.country_code is not null
        group by all""",
        """
        select 'TB_NOTIFIED:' || area_code as subject_code, year::varchar as period_code, any_value(value) as value,
            bool_or(is_practice) as is_practice
        from core.reference_value_current
        where series_code = 'tb_notifications' and is_current_edition and sex_code = '_T' and age_code = '_T'
            and category_code = '_T'
        group by all""",
        0.1,
        "WHO publishes what the same programme reports; a tenth leaves room for late reports.",
    ),
    Comparison(
        "denominator",
        """
        select 'population:' || area_code as subject_code, year::varchar as period_code, value, is_practice
        from core.reference_value_current
        where series_code = 'population_wpp' and is_current_edition and sex_code = '_T' and age_code = '_T' and year >= 2015""",
        """
        select 'population:' || area_code as subject_code, year::varchar as period_code, value, is_practice
        from core.reference_value_current
        where series_code = 'population_world_bank' and is_current_edition and year >= 2015""",
        0.03,
        "Editions of the UN projections differ by a percent or two; beyond three the choice decides the rate.",
        dimension_code="denominator",
    ),
)


def compare(connection: Any, as_at: datetime) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Measures and findings of every comparison on the open rows."""
    parameters: Mapping[str, Any] = {"as_at": as_at.replace(tzinfo=None)}
    measures, findings = [], []
    for entry in COMPARISONS:
        sides = [
            fetch_frame(connection, sql, parameters if "$as_at" in sql else None) for sql in (entry.left, entry.right)
        ]
        pairs = paired(*sides)
        measures.append(comparison_measures(pairs, entry.code, entry.dimension_code))
        findings.append(
            disagreements(
                pairs,
                entry.code,
                tolerance_share=entry.tolerance_share,
                least=entry.least,
                dimension_code=entry.dimension_code,
                is_bound=entry.is_bound,
            )
        )
    return measures, findings
