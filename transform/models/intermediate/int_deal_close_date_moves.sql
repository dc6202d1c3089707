{#-
    Changes of expected close dates, with the deal as metrics count it. The table of sums has what rpt_slippage shows.
-#}
-- depends_on: {{ ref('int_slippage_sums') }}
{%- set pushed, pulled = 'days > 0', 'days < 0' %}
{%- set first_push = pushed ~ ' and is_first_of_month' %}
{{ config(
    materialized='incremental_by_deal',
    summed_into={'int_slippage_sums': {
        'where': 'is_counted',
        'by': {
            'month': 'month', 'pipeline_id': 'coalesce(pipeline_id, -1)', 'owner_id': 'coalesce(owner_id, -1)'
        },
        'sums': {
            'n_moves': 'count(*)',
            'n_deals_pushed': 'count(*) filter (where ' ~ first_push ~ ')',
            'n_pushes': 'count(*) filter (where ' ~ pushed ~ ')',
            'days_pushed': 'coalesce(sum(days) filter (where ' ~ pushed ~ '), 0)',
            'pushed_value_base': 'coalesce(sum(value_base) filter (where ' ~ first_push ~ '), 0)',
            'n_deals_pulled': 'count(*) filter (where ' ~ pulled ~ ' and is_first_of_month)',
            'n_pulls': 'count(*) filter (where ' ~ pulled ~ ')',
            'days_pulled': 'coalesce(-sum(days) filter (where ' ~ pulled ~ '), 0)',
            'n_without_rate': 'count(*) filter (where ' ~ first_push ~ ' and fx_missing)',
        },
    }},
    on_schema_change='append_new_columns',
    indexes=[{'columns': ['change_id'], 'unique': true}, {'columns': ['deal_id']}]
) }}
with changes as (
    select
        change_id,
        deal_id,
        {{ month_of('changed_date_local') }} as month,
        {{ try_date('new_value') }} - {{ try_date('old_value') }} as days,
        _loaded_at
    from {{ ref('fct_deal_field_change') }}
    where field_key = 'expected_close_date' {{ where_deal_changed(first='and') }}
),

deals as (
    select
        deal_id,
        pipeline_id,
        owner_id,
        value_base,
        fx_missing
    from {{ ref('int_counted_deals') }}
    {{ where_deal_changed() }}
)

select
    changes.change_id,
    changes.deal_id,
    changes.month,
    changes.days,
    changes._loaded_at,
    row_number() over (
        partition by changes.deal_id, changes.month, sign(changes.days) order by changes.change_id
    ) = 1 as is_first_of_month,
    deals.deal_id is not null as is_counted,
    deals.pipeline_id,
    deals.owner_id,
    deals.value_base,
    deals.fx_missing
from changes
left join deals on changes.deal_id = deals.deal_id
where changes.days <> 0
