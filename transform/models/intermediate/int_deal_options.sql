{#-
    The options that deals chose, as metrics count them, with outcome and value of the deal. Built incrementally by
    deal. int_deal_option_sums has the sums, see macros/incremental/sums_by_deal.sql, so that a change of some
    thousand rows does not need a scan of millions.
-#}
-- depends_on: {{ ref('int_deal_option_sums') }}
{{ config(
    materialized='incremental_by_deal',
    summed_into={'int_deal_option_sums': {
        'by': {
            'field_code': 'field_code',
            'option_id': 'option_id',
            'pipeline_id': 'pipeline_id',
            'owner_id': 'owner_id',
            'status': 'status',
        },
        'sums': {
            'n_deals': 'count(*)',
            'value_base': 'coalesce(sum(value_base), 0)',
            'n_without_rate': 'count(*) filter (where fx_missing)',
        },
    }},
    indexes=[{'columns': ['deal_id']}]
) }}
with deals as (
    select
        deal_id,
        status,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(case when is_open then owner_id else closing_owner_id end, -1) as owner_id,
        value_base,
        fx_missing
    from {{ ref('int_counted_deals') }}
    {{ where_deal_changed() }}
),

chosen as (
    select
        deal_id,
        field_code,
        option_id
    from {{ ref('int_deal_chosen_options') }}
    {{ where_deal_changed() }}
)

select
    chosen.deal_id,
    chosen.field_code,
    chosen.option_id,
    deals.pipeline_id,
    deals.owner_id,
    deals.status,
    deals.value_base,
    deals.fx_missing
from chosen
inner join deals on chosen.deal_id = deals.deal_id
