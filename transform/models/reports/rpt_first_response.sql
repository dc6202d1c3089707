{#-
    Time to the first contact with new deals, by month of creation. Deals without contact are counted, but have no
    time.
-#}
{#- Parallel workers would each hash all first contacts. -#}
{{ config(pre_hook="set local max_parallel_workers_per_gather = 0") }}
with responses as (
    select * from {{ ref('int_deal_first_touch') }}
),

measured as (
    select
        created_month as month,
        pipeline_id,
        owner_id,
        count(*) as n_deals,
        count(*) filter (where first_touch_at is not null) as n_responded,
        count(*) filter (where is_touched_before_creation) as n_touched_before_creation,
        array_agg(response_hours) as response_hours,
        array_agg(response_office_hours) as response_office_hours
    from responses
    group by created_month, pipeline_id, owner_id
)

select
    measured.month,
    measured.pipeline_id,
    measured.owner_id,
    measured.n_deals::integer as n_deals,
    measured.n_responded::integer as n_responded,
    {{ ratio('measured.n_deals - measured.n_responded', 'measured.n_deals') }} as no_response_rate,
    measured.n_touched_before_creation::integer as n_touched_before_creation,
    round(response.percentiles[1]::numeric, 2) as median_response_hours,
    round(response.percentiles[2]::numeric, 2) as p90_response_hours,
    round(office_response.percentiles[1]::numeric, 2) as median_response_office_hours
from measured
cross join {{ percentiles_of('measured.response_hours', [0.5, 0.9]) }} as response
cross join {{ percentiles_of('measured.response_office_hours', [0.5]) }} as office_response
