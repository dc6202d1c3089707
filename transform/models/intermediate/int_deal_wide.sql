{#-
    The generated columns of deal_wide as stored: the time of a deal's first entry into each stage, and its custom
    fields, typed, with ids where deal_wide shows names. See macros/custom_fields.sql and stage_columns.sql. The
    registries must be named here, so that dbt builds them before it compiles this model. A new column causes a
    build of all deals.
-#}
-- depends_on: {{ ref('int_custom_field_registry') }}
-- depends_on: {{ ref('int_stage_column_registry') }}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id'], 'unique': true}]
) }}
-- The linter sees this file without its generated columns.
-- noqa: disable=ST03,ST11,LT02,LT09
{%- set fields = published_custom_fields('deal') %}
{%- set stage_columns = published_stage_columns() %}
with deals as (
    select
        deal_id,
        label_ids,
        custom_fields
    from {{ ref('stg_pipedrive__deals') }}
    {{ where_deal_changed() }}
),

-- The time of a deal's first entry into a stage, including the stage of its creation.
first_entries as (
    select
        deal_id
        {%- for stage_id, column in stage_columns %},
        min(valid_from) filter (where stage_id = {{ stage_id }}) as {{ column }}
        {%- endfor %}
    from {{ ref('int_deal_stage_intervals') }}
    {{ where_deal_changed() }}
    group by deal_id
)

select
    deals.deal_id,
    deals.label_ids
    {%- for stage_id, column in stage_columns %},
    first_entries.{{ column }}
    {%- endfor %}
    {%- for field in fields %},
    {{ custom_field_stored_columns(field) }}
    {%- endfor %}
from deals
left join first_entries on deals.deal_id = first_entries.deal_id
{%- if fields %}
cross join lateral {{ custom_fields_record('deals.custom_fields', fields) }}
{%- endif %}
