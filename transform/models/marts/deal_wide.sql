{#-
    Generated columns: see macros/custom_fields.sql and macros/stage_columns.sql. The two registries must be
    named here, so that dbt builds them before it compiles this model.
-#}
-- depends_on: {{ ref('int_custom_field_registry') }}
-- depends_on: {{ ref('int_stage_column_registry') }}
-- depends_on: {{ ref('int_fields') }}
{{ config(post_hook="{{ comment_custom_fields('deal') }}") }}
-- The linter sees this without its generated columns.
-- noqa: disable=ST03,ST11,LT02,LT09
{%- set fields = published_custom_fields('deal') %}
{%- set stage_columns = published_stage_columns() %}
with deals as (
    select * from {{ ref('fct_deal') }}
),

raw_deals as (
    select
        deal_id,
        label_ids,
        custom_fields
    from {{ ref('stg_pipedrive__deals') }}
),

history as (
    select * from {{ ref('fct_deal_stage_history') }}
),

labels as (
    select
        field_code,
        jsonb_object_agg(option_id, jsonb_build_array(position, label)) as by_id
    from {{ ref('int_field_options') }}
    where entity = 'deal'
    group by field_code
),

deal_labels as (
    select
        raw_deals.deal_id,
        string_agg(coalesce(options.label, '#' || label.id), '; ' order by options.position, label.id) as labels
    from raw_deals
    cross join lateral jsonb_array_elements_text(raw_deals.label_ids) as label (id)
    left join {{ ref('int_field_options') }} as options
        on options.entity = 'deal' and options.field_code in ('label_ids', 'label') and label.id = options.option_id
    group by raw_deals.deal_id
),

-- The first time a deal stood in a stage, the one it was created in included.
first_entries as (
    select
        deal_id
        {%- for stage_id, column in stage_columns %},
        min(valid_from) filter (where stage_id = {{ stage_id }}) as {{ column }}
        {%- endfor %}
    from history
    group by deal_id
),

custom_values as (
    select
        raw_deals.deal_id
        {%- for field in fields %},
        {{ custom_field_columns(field) }}
        {%- endfor %}
    from raw_deals
    {%- if fields %}
    cross join lateral {{ custom_fields_record('raw_deals.custom_fields', fields) }}
    {{ custom_field_joins(fields) }}
    {%- endif %}
)

select
    deals.deal_id,
    deals.title,
    deals.status,
    deals.value,
    deals.currency,
    deals.value_base,
    deals.pipeline_id,
    pipelines.name as pipeline_name,
    deals.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    deals.owner_id,
    owners.name as owner_name,
    deals.creator_user_id,
    creators.name as creator_name,
    deals.org_id,
    organizations.name as org_name,
    deals.person_id,
    persons.name as person_name,
    deal_labels.labels,
    deals.effective_probability,
    deals.weighted_value_base,
    deals.expected_close_date,
    deals.add_time,
    deals.update_time,
    deals.stage_change_time,
    deals.won_time,
    deals.lost_time,
    deals.close_time,
    deals.add_date_local,
    deals.won_date_local,
    deals.lost_date_local,
    deals.close_date_local,
    deals.lost_reason,
    deals.origin,
    deals.cycle_days,
    deals.age_days,
    deals.open_days,
    deals.days_in_current_stage,
    deals.n_stage_moves,
    deals.n_regressions,
    deals.n_reopens,
    deals.is_rotten,
    deals.is_archived,
    deals.is_deleted,
    deals.history_quality
    {%- for stage_id, column in stage_columns %},
    first_entries.{{ column }}
    {%- endfor %}
    {%- for field in fields %}
    {%- for suffix in [''] + custom_field_companions().get(field.type, []) %},
    custom_values.{{ field.column }}{{ suffix }}
    {%- endfor %}
    {%- endfor %},
    deals._loaded_at
from deals
left join custom_values on deals.deal_id = custom_values.deal_id
left join first_entries on deals.deal_id = first_entries.deal_id
left join deal_labels on deals.deal_id = deal_labels.deal_id
left join {{ ref('dim_pipeline') }} as pipelines on deals.pipeline_id = pipelines.pipeline_id
left join {{ ref('dim_stage') }} as stages on deals.stage_id = stages.stage_id
left join {{ ref('dim_user') }} as owners on deals.owner_id = owners.user_id
left join {{ ref('dim_user') }} as creators on deals.creator_user_id = creators.user_id
left join {{ ref('dim_organization') }} as organizations on deals.org_id = organizations.org_id
left join {{ ref('dim_person') }} as persons on deals.person_id = persons.person_id
