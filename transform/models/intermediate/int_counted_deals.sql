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

owners as (
    select * from {{ ref('int_deal_attribute_states') }}
    {{ where_deal_changed() }}
),

users as (
    select user_id from {{ ref('dim_user') }}
),

deals as (
    select
        known_deals.*,
        case when known_deals.owner_id is not null then coalesce(users.user_id, -1) end as present_owner_id
    from known_deals
    left join users on known_deals.owner_id = users.user_id
)

select
    deals.deal_id,
    deals.pipeline_id,
    deals.stage_id,
    deals.present_owner_id as owner_id,
    case
        when deals.close_time is null or owners.owner_id is null then deals.present_owner_id
        else coalesce(users.user_id, -1)
    end as closing_owner_id,
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
from deals
left join owners
    on
        deals.deal_id = owners.deal_id
        and deals.close_time >= owners.valid_from
        and deals.close_time < coalesce(owners.valid_to, 'infinity')
left join users on owners.owner_id = users.user_id
