{%- set records = {
    'person': 'stg_pipedrive__persons',
    'organization': 'stg_pipedrive__organizations',
    'product': 'stg_pipedrive__products',
} %}
with registry as (
    select * from {{ ref('int_custom_field_registry') }}
),

fields as (
    select * from {{ ref('int_fields') }}
),

option_lists as (
    select
        entity,
        field_code,
        string_agg(label, '; ' order by position) as option_labels
    from {{ ref('int_field_options') }}
    where not is_deleted
    group by entity, field_code
),

-- Deals are counted in the table of their values; the other entities have few records and are scanned.
records as (
    {% for entity, model in records.items() -%}
    select
        '{{ entity }}' as entity,
        custom_fields
    from {{ ref(model) }}
    where not is_deleted
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

counted as (
    select
        entity,
        count(*) as n_records
    from records
    group by entity
    union all
    select
        'deal' as entity,
        count(*) as n_records
    from {{ ref('int_deal_current') }}
    where not is_deleted
),

deleted_deals as (
    select array_agg(deal_id) as ids from {{ ref('int_deal_current') }}
    where is_deleted
),

-- Stored counts include deleted deals; these are few, and are subtracted.
filled_of_deals as (
    select
        field_code,
        n_values as n_filled
    from {{ ref('int_deal_custom_field_counts') }}
    union all
    select
        field_values.field_code,
        -count(*) as n_filled
    from {{ ref('int_deal_custom_field_values') }} as field_values
    where field_values.deal_id = any((select deleted_deals.ids from deleted_deals)::bigint[])
    group by field_values.field_code
),

filled as (
    select
        records.entity,
        entry.field_code,
        count(*) as n_filled
    from records
    cross join lateral jsonb_each(records.custom_fields) as entry (field_code, value)
    where jsonb_typeof(entry.value) <> 'null'
    group by records.entity, entry.field_code
    union all
    select
        'deal' as entity,
        field_code,
        sum(n_filled)::bigint as n_filled
    from filled_of_deals
    group by field_code
),

labelled as (
    select
        registry.*,
        coalesce(fields.field_name, registry.label_when_published) as label
    from registry
    left join fields on registry.entity = fields.entity and registry.field_code = fields.field_code
),

display_names as (
    {{ display_names('labelled', 'field_code', name='label', qualifier='column_name', within='entity') }}
)

select
    registry.entity,
    registry.field_code as field_key,
    registry.column_name,
    registry.label,
    display_names.display_name,
    registry.label_when_published,
    registry.field_type,
    fields.description,
    option_lists.option_labels,
    coalesce(filled.n_filled, 0) as n_filled,
    coalesce(counted.n_records, 0) as n_records,
    round(coalesce(filled.n_filled, 0)::numeric / nullif(counted.n_records, 0), 4) as fill_rate,
    coalesce(fields.is_deleted, true) as is_deleted,
    registry.first_seen_at,
    {{ last_seen_at('fields') }} as last_seen_at
from labelled as registry
inner join display_names
    on registry.entity = display_names.entity and registry.field_code = display_names.field_code
left join fields on registry.entity = fields.entity and registry.field_code = fields.field_code
left join option_lists on registry.entity = option_lists.entity and registry.field_code = option_lists.field_code
left join counted on registry.entity = counted.entity
left join filled on registry.entity = filled.entity and registry.field_code = filled.field_code
left join {{ ref('int_stream_last_load') }} as last_load on last_load.stream = fields.entity || '_fields'
