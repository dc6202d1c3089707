{#- The options of a set, one per row, for counting; deal_wide has them as text. -#}
{{ config(materialized='published_view') }}
with chosen as (
    select * from {{ ref('int_deal_chosen_options') }}
),

options as (
    select * from {{ ref('int_field_options') }}
    where entity = 'deal'
)

select
    chosen.deal_id,
    chosen.field_code as field_key,
    chosen.column_name,
    chosen.option_id,
    coalesce(options.label, '#' || chosen.option_id) as option_label,
    options.position as option_position
from chosen
left join options on chosen.field_code = options.field_code and chosen.option_id = options.option_id
