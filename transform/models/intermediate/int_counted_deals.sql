{#-
    The deals that metrics count: not deleted and not merged into another deal (the API marks merged deals as
    deleted). Archived deals count. A closed deal counts for its owner at closing, not for a later owner.
-#}
{#-
    Stored, because about twenty reports read it. Built incrementally by deal, so no column may depend on the
    current time: fct_deal has the ages of open deals.
-#}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id'], 'unique': true}]
) }}
with known_deals as (
    select * from {{ ref('int_deal_values') }}
    where not is_deleted and status in ('open', 'won', 'lost') {{ where_deal_changed(first='and') }}
),

users as (
    select user_id from {{ ref('dim_user') }}
)

select
    deals.deal_id,
    deals.pipeline_id,
    deals.stage_id,
    case when deals.owner_id is not null then coalesce(owners.user_id, -1) end as owner_id,
    case when deals.closing_owner_id is not null then coalesce(closing_owners.user_id, -1) end as closing_owner_id,
    deals.status,
    deals.status = 'open' as is_open,
    deals.status = 'won' as is_won,
    deals.status = 'lost' as is_lost,
    coalesce(deals.origin = 'Import', false) as is_import,
    deals.value,
    deals.currency,
    deals.value_base,
    deals.fx_missing,
    deals.effective_prob,
    deals.weighted_value_base,
    deals.add_time,
    deals.close_time,
    deals.won_time,
    deals.update_time,
    deals.add_date_local,
    deals.close_date_local,
    deals.expected_close_date,
    {{ month_of('deals.add_date_local') }} as created_month,
    {{ month_of('deals.close_date_local') }} as closed_month,
    deals.cycle_days,
    case
        when deals.status <> 'open' and coalesce(deals.open_s, 0) > 0 then round((deals.open_s / 86400)::numeric, 3)
    end as open_days,
    {{ lost_reason_norm('deals.lost_reason') }} as lost_reason_norm,
    deals.origin,
    deals.channel,
    deals.source_lead_id,
    deals.history_quality
from known_deals as deals
left join users as owners on deals.owner_id = owners.user_id
left join users as closing_owners on deals.closing_owner_id = closing_owners.user_id
