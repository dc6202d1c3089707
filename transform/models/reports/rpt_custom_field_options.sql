{#-
    What became of the deals with each option of each custom field. Works for the fields of any account; a deal
    with two options of a field counts for both.
-#}
with chosen as (
    select * from {{ ref('fct_deal_custom_option') }}
),

deals as (
    select
        deal_id,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(case when is_open then owner_id else closing_owner_id end, -1) as owner_id,
        is_open,
        is_won,
        is_lost,
        value_base
    from {{ ref('int_counted_deals') }}
)

select
    chosen.field_code,
    fields.label as field_label,
    chosen.option_id,
    chosen.option_label,
    chosen.option_position,
    deals.pipeline_id,
    deals.owner_id,
    count(*)::integer as n_deals,
    (count(*) filter (where deals.is_open))::integer as n_open,
    (count(*) filter (where deals.is_won))::integer as n_won,
    (count(*) filter (where deals.is_lost))::integer as n_lost,
    coalesce(sum(deals.value_base) filter (where deals.is_open), 0) as open_value_base,
    coalesce(sum(deals.value_base) filter (where deals.is_won), 0) as won_value_base,
    coalesce(sum(deals.value_base) filter (where deals.is_lost), 0) as lost_value_base,
    {{ ratio('count(*) filter (where deals.is_won)', 'count(*) filter (where deals.is_won or deals.is_lost)') }}
        as win_rate
from chosen
inner join deals on chosen.deal_id = deals.deal_id
inner join {{ ref('dim_custom_field') }} as fields on fields.entity = 'deal' and chosen.field_code = fields.field_code
group by
    chosen.field_code,
    fields.label,
    chosen.option_id,
    chosen.option_label,
    chosen.option_position,
    deals.pipeline_id,
    deals.owner_id
