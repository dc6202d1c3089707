{#- The labels of deals, one per row, for filters; deal_wide has them as text. -#}
{{ config(materialized='published_view') }}
with stored as (
    select
        deal_id,
        label_ids
    from {{ ref('int_deal_wide') }}
    where label_ids is not null
),

options as (
    {{ label_options('deal') }}
)

select
    stored.deal_id,
    element.id as label_id,
    coalesce(options.label, '#' || element.id) as label
from stored
-- as a lateral join, so that a condition on deals reaches the table below
cross join
    lateral (
        select distinct listed.id
        from jsonb_array_elements_text(stored.label_ids) as listed (id)
    ) as element
left join options on element.id = options.option_id
