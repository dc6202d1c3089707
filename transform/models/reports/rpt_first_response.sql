{#-
    Time to the first contact with new deals, by month of creation. Deals without contact are counted, but have no
    time.
-#}
{#- Parallel workers would each hash all first contacts. -#}
{{ config(pre_hook="set local max_parallel_workers_per_gather = 0") }}
with responses as (
    select * from {{ ref('int_deal_first_touch') }}
)

select
    created_month as month,
    pipeline_id,
    owner_id,
    count(*)::integer as n_deals,
    (count(*) filter (where first_touch_at is not null))::integer as n_responded,
    {{ ratio('count(*) filter (where first_touch_at is null)', 'count(*)') }} as no_response_rate,
    (count(*) filter (where is_touched_before_creation))::integer as n_touched_before_creation,
    round((percentile_cont(0.5) within group (order by response_hours))::numeric, 2) as median_response_hours,
    round((percentile_cont(0.9) within group (order by response_hours))::numeric, 2) as p90_response_hours,
    round((percentile_cont(0.5) within group (order by response_office_hours))::numeric, 2)
        as median_response_office_hours
from responses
group by created_month, pipeline_id, owner_id
