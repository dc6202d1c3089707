{#- A view: its inputs are small, so that reading it takes about as long as reading a table. -#}
{{ config(materialized='published_view') }}
select
    pipeline_id,
    stage_id,
    owner_id,
    count(*)::integer as open_count,
    coalesce(sum(value_base), 0) as open_value_base,
    coalesce(sum(weighted_value_base), 0) as weighted_value_base,
    (count(*) filter (where is_rotten))::integer as n_rotten,
    coalesce(sum(value_base) filter (where is_rotten), 0) as rotten_value_base,
    (count(*) filter (where is_stalled))::integer as n_stalled,
    coalesce(sum(value_base) filter (where is_stalled), 0) as stalled_value_base,
    (count(*) filter (where is_stuck))::integer as n_stuck,
    (count(*) filter (where is_overdue))::integer as n_overdue,
    (count(*) filter (where is_without_close_date))::integer as n_without_close_date,
    (count(*) filter (where is_without_next_activity))::integer as n_without_next_activity,
    {{ deals_without_rate('is_rotten') }} as rotten_deals_without_rate,
    {{ deals_without_rate('is_stalled') }} as stalled_deals_without_rate,
    {{ deals_without_rate() }} as deals_without_rate
from {{ ref('rpt_open_deals') }}
group by pipeline_id, stage_id, owner_id
