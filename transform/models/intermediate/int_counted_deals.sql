{#-
    The deals that metrics count: not deleted and not merged into another deal (the API marks merged deals as
    deleted). Archived deals count. A closed deal counts for its owner at closing, not for a later owner.
-#}
{#-
    Stored, because about twenty reports read it. Built incrementally by deal, so no column may depend on the
    current time: fct_deal has the ages of open deals. The tables of sums have what reports of all deals count.
-#}
-- depends_on: {{ ref('int_created_deal_sums') }}
-- depends_on: {{ ref('int_closed_deal_sums') }}
-- depends_on: {{ ref('int_closed_day_sums') }}
-- depends_on: {{ ref('int_customer_sums') }}
-- depends_on: {{ ref('int_origin_sums') }}
{%- set pipeline, closing_owner = 'coalesce(pipeline_id, -1)', 'coalesce(closing_owner_id, -1)' %}
{#- A creation date after the closing gives no valid length of a sale. #}
{%- set with_cycle = 'is_won and cycle_days >= 0' %}
{{ config(
    materialized='incremental_by_deal',
    summed_into={
        'int_created_deal_sums': {
            'where': 'add_date_local is not null',
            'by': {
                'week': week_of('add_date_local'), 'month': 'created_month', 'pipeline_id': pipeline,
                'owner_id': 'coalesce(owner_id, -1)'
            },
            'sums': {
                'n_created': 'count(*)',
                'n_imported': 'count(*) filter (where is_import)',
                'n_won': 'count(*) filter (where is_won)',
                'n_lost': 'count(*) filter (where is_lost)',
                'value_base': 'coalesce(sum(value_base), 0)',
                'n_without_rate': 'count(*) filter (where fx_missing)',
            },
        },
        'int_closed_deal_sums': {
            'where': 'not is_open and close_date_local is not null',
            'by': {
                'week': week_of('close_date_local'), 'month': 'closed_month', 'pipeline_id': pipeline,
                'owner_id': closing_owner
            },
            'sums': {
                'n_closed': 'count(*)',
                'n_won': 'count(*) filter (where is_won)',
                'n_lost': 'count(*) filter (where is_lost)',
                'n_won_valued': 'count(value_base) filter (where is_won)',
                'won_value_base': 'coalesce(sum(value_base) filter (where is_won), 0)',
                'lost_value_base': 'coalesce(sum(value_base) filter (where is_lost), 0)',
                'n_won_without_rate': 'count(*) filter (where is_won and fx_missing)',
                'n_without_rate': 'count(*) filter (where fx_missing)',
                'n_won_with_cycle': 'count(*) filter (where ' ~ with_cycle ~ ')',
                'won_cycle_days': 'coalesce(sum(cycle_days) filter (where ' ~ with_cycle ~ '), 0)',
                'n_won_with_open_days': 'count(open_days) filter (where ' ~ with_cycle ~ ')',
                'won_open_days': 'coalesce(sum(open_days) filter (where ' ~ with_cycle ~ '), 0)',
            },
            'lists': {'cycles': {'value': 'cycle_days::double precision', 'where': with_cycle}},
        },
        'int_closed_day_sums': {
            'where': 'not is_open and close_date_local is not null',
            'by': {'closed_on': 'close_date_local'},
            'sums': {'n_closed': 'count(*)', 'n_won': 'count(*) filter (where is_won)'},
        },
        'int_origin_sums': {
            'where': 'created_month is not null',
            'by': {
                'month': 'created_month', 'origin': "coalesce(origin, '(unknown)')", 'channel': 'coalesce(channel, -1)',
                'pipeline_id': pipeline, 'owner_id': closing_owner
            },
            'sums': {
                'n_created': 'count(*)',
                'n_from_lead': 'count(source_lead_id)',
                'n_won': 'count(*) filter (where is_won)',
                'n_lost': 'count(*) filter (where is_lost)',
                'won_value_base': 'coalesce(sum(value_base) filter (where is_won), 0)',
                'n_won_without_rate': 'count(*) filter (where is_won and fx_missing)',
            },
        },
        'int_customer_sums': {
            'where': 'is_won and customer_id is not null',
            'by': {
                'customer_id': 'customer_id', 'customer_type': 'customer_type', 'pipeline_id': pipeline,
                'owner_id': closing_owner
            },
            'sums': {
                'n_won': 'count(*)',
                'value_base': 'coalesce(sum(value_base), 0)',
                'n_without_rate': 'count(*) filter (where fx_missing)',
            },
            'lists': {'won_dates': {'value': 'close_date_local', 'where': 'close_date_local is not null'}},
        },
    },
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
    deals.history_quality,
    case when deals.org_id is not null then 'organization' when deals.person_id is not null then 'person' end
        as customer_type,
    coalesce(deals.org_id, deals.person_id) as customer_id,
    deals.fx_rate
from known_deals as deals
left join users as owners on deals.owner_id = owners.user_id
left join users as closing_owners on deals.closing_owner_id = closing_owners.user_id
