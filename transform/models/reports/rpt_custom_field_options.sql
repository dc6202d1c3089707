{#-
    Outcomes of deals by option of each custom field, for the fields of any account. A deal with two options of a
    field counts for both.
-#}
{#- A view: its inputs are small, so that reading it takes about as long as reading a table. -#}
{{ config(materialized='published_view') }}
-- int_deal_options writes the sums: {{ ref('int_deal_options') }}
with outcomes as (
    select
        field_code,
        option_id,
        pipeline_id,
        owner_id,
        sum(n_deals) as n_deals,
        coalesce(sum(n_deals) filter (where status = 'open'), 0) as n_open,
        coalesce(sum(n_deals) filter (where status = 'won'), 0) as n_won,
        coalesce(sum(n_deals) filter (where status = 'lost'), 0) as n_lost,
        coalesce(sum(value_base) filter (where status = 'open'), 0) as open_value_base,
        coalesce(sum(value_base) filter (where status = 'won'), 0) as won_value_base,
        coalesce(sum(value_base) filter (where status = 'lost'), 0) as lost_value_base,
        coalesce(sum(n_without_rate) filter (where status = 'open'), 0) as open_deals_without_rate,
        coalesce(sum(n_without_rate) filter (where status = 'won'), 0) as won_deals_without_rate,
        coalesce(sum(n_without_rate) filter (where status = 'lost'), 0) as lost_deals_without_rate,
        coalesce(sum(n_without_rate), 0) as deals_without_rate
    from {{ ref('int_deal_option_sums') }}
    where n_deals > 0
    group by field_code, option_id, pipeline_id, owner_id
),

options as (
    select
        field_code,
        option_id,
        label,
        position
    from {{ ref('int_field_options') }}
    where entity = 'deal'
),

labelled as (
    select distinct
        outcomes.field_code,
        outcomes.option_id,
        coalesce(options.label, '#' || outcomes.option_id) as label
    from outcomes
    left join options on outcomes.field_code = options.field_code and outcomes.option_id = options.option_id
),

display_names as (
    {{ display_names('labelled', 'option_id', name='label', within='field_code') }}
)

select
    outcomes.field_code as field_key,
    fields.label as field_label,
    fields.display_name as field_display_name,
    outcomes.option_id,
    coalesce(options.label, '#' || outcomes.option_id) as option_label,
    display_names.display_name as option_display_name,
    options.position as option_position,
    outcomes.pipeline_id,
    outcomes.owner_id,
    outcomes.n_deals::integer as n_deals,
    outcomes.n_open::integer as n_open,
    outcomes.n_won::integer as n_won,
    outcomes.n_lost::integer as n_lost,
    outcomes.open_value_base,
    outcomes.won_value_base,
    outcomes.lost_value_base,
    {{ ratio('outcomes.n_won', 'outcomes.n_won + outcomes.n_lost') }} as win_rate,
    outcomes.open_deals_without_rate::integer as open_deals_without_rate,
    outcomes.won_deals_without_rate::integer as won_deals_without_rate,
    outcomes.lost_deals_without_rate::integer as lost_deals_without_rate,
    outcomes.deals_without_rate::integer as deals_without_rate
from outcomes
inner join {{ ref('dim_custom_field') }} as fields
    on fields.entity = 'deal' and outcomes.field_code = fields.field_key
left join options on outcomes.field_code = options.field_code and outcomes.option_id = options.option_id
inner join display_names
    on outcomes.field_code = display_names.field_code and outcomes.option_id = display_names.option_id
