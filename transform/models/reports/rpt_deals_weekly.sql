{#-
    Created and closed deals by ISO week, for trends of weeks: weeks cross the ends of months. Deals count as in
    rpt_deals_monthly.
-#}
with deals as (
    select * from {{ ref('int_counted_deals') }}
),

events as (
    select
        date_trunc('week', add_date_local::timestamp)::date as week,
        pipeline_id,
        owner_id,
        true as is_created,
        false as is_won,
        false as is_lost,
        value_base,
        fx_missing
    from deals
    union all
    select
        date_trunc('week', close_date_local::timestamp)::date as week,
        pipeline_id,
        closing_owner_id as owner_id,
        false as is_created,
        is_won,
        is_lost,
        value_base,
        fx_missing
    from deals
    where not is_open
)

select
    week,
    coalesce(pipeline_id, -1) as pipeline_id,
    coalesce(owner_id, -1) as owner_id,
    (count(*) filter (where is_created))::integer as n_created,
    (count(*) filter (where is_won))::integer as n_won,
    (count(*) filter (where is_lost))::integer as n_lost,
    coalesce(sum(value_base) filter (where is_won), 0) as won_value_base,
    {{ deals_without_rate('is_won') }} as deals_without_rate
from events
where week is not null
group by week, coalesce(pipeline_id, -1), coalesce(owner_id, -1)
