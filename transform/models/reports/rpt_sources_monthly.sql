{#- Origins of deals by month of creation, and the value they won. -#}
select
    created_month as month,
    coalesce(origin, '(unknown)') as origin,
    channel,
    coalesce(pipeline_id, -1) as pipeline_id,
    count(*)::integer as n_created,
    (count(*) filter (where source_lead_id is not null))::integer as n_from_lead,
    (count(*) filter (where is_won))::integer as n_won,
    (count(*) filter (where is_lost))::integer as n_lost,
    coalesce(sum(value_base) filter (where is_won), 0) as won_value_base,
    {{ ratio('count(*) filter (where is_won)', 'count(*)') }} as win_rate_by_cohort,
    {{ deals_without_rate('is_won') }} as deals_without_rate
from {{ ref('int_counted_deals') }}
where created_month is not null
group by created_month, coalesce(origin, '(unknown)'), channel, coalesce(pipeline_id, -1)
