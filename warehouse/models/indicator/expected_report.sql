-- One report that one facility owes for one period of one data set: every period since the data set was first reported whose
-- time limit has passed, while the facility was open. Received or not, and on time or not.
with data_set as (
    -- One row per data set and server, with the first period anybody reported.
    select
        assignment.instance_code, assignment.data_set_uid, assignment.data_set_code, assignment.period_type_code,
        assignment.timely_days, min(registration.period_start_on) as first_start_on
    from (
        select distinct instance_code, data_set_uid, data_set_code, period_type_code, timely_days
        from core.data_set_assignment_current
    ) as assignment
    join core.data_set_registration_current as registration using (instance_code, data_set_uid)
    group by all
),

period as (
    -- cardinality: one row per data set and period from the first reported to the last that is due
    select *, (period_start_on + width - interval '1 day')::date as period_end_on
    from (
        select
            data_set.*,
            case
                when lower(period_type_code) in ('monthly', 'm') then interval '1 month'
                when lower(period_type_code) in ('quarterly', 'q') then interval '3 months'
                when lower(period_type_code) in ('weekly', 'w') then interval '7 days'
                else interval '1 year'
            end as width,
            unnest(generate_series(first_start_on::timestamp, $as_at::timestamp, width))::date as period_start_on
        from data_set
    )
    where (period_start_on + width - interval '1 day')::date + timely_days < $as_at::date
),

received as (
    -- One row per facility, data set and period with a completed report; the first completion counts for timeliness.
    select instance_code, data_set_uid, org_unit_uid, period_start_on, min(registered_at) as registered_at,
        max(receipt_id) as receipt_id
    from core.data_set_registration_current
    where is_completed
    group by instance_code, data_set_uid, org_unit_uid, period_start_on
)

select
    concat_ws(':', assignment.instance_code, assignment.data_set_uid, assignment.org_unit_uid, period.period_start_on)
        as event_code,
    -- The province of the period's last day, as for the figures that the report holds.
    case
        when earlier.org_unit_uid is not null then coalesce(nullif(earlier.province_area_code, '_U'), earlier.country_code)
        else coalesce(nullif(unit.province_area_code, '_U'), unit.country_code)
    end as area_code,
    period.period_start_on,
    period.period_end_on,
    assignment.data_set_code as category_code,
    1.0::double as quantity,
    1::bigint as records,
    'dhis2' as source_code,
    coalesce(received.receipt_id, assignment.receipt_id) as receipt_id,
    assignment.is_practice,
    case when received.registered_at is not null then 'received' else 'missing' end as receipt_code,
    case
        when received.registered_at is null then 'missing'
        when received.registered_at::date <= period.period_end_on + assignment.timely_days then 'on_time'
        else 'late'
    end as timeliness_code
from core.data_set_assignment_current as assignment
join period using (instance_code, data_set_uid)
-- cardinality: one org unit per instance and UID
join core.org_unit_current as unit
  on unit.instance_code = assignment.instance_code and unit.org_unit_uid = assignment.org_unit_uid
-- cardinality: at most one stay holds a day
left join core.org_unit_earlier_place_current as earlier
  on earlier.instance_code = assignment.instance_code and earlier.org_unit_uid = assignment.org_unit_uid
 and period.period_end_on between earlier.valid_from_on and earlier.valid_to_on
-- cardinality: at most one after grouping
left join received
  on received.instance_code = assignment.instance_code and received.data_set_uid = assignment.data_set_uid
 and received.org_unit_uid = assignment.org_unit_uid and received.period_start_on = period.period_start_on
where (unit.opening_on is null or unit.opening_on <= period.period_start_on)
  and (unit.closed_on is null or unit.closed_on >= period.period_end_on)
