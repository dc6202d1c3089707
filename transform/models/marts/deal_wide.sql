{#-
    A view, like fct_deal, because names change independently of the deal. int_deal_wide stores the generated
    columns; see macros/custom_fields.sql and macros/stage_columns.sql.
-#}
-- depends_on: {{ ref('int_custom_field_registry') }}
-- depends_on: {{ ref('int_stage_column_registry') }}
-- depends_on: {{ ref('int_fields') }}
{{ config(materialized='published_view', post_hook="{{ comment_custom_fields('deal') }}") }}
-- The linter sees this file without its generated columns.
-- noqa: disable=ST03,ST11,LT02,LT09
{%- set fields = published_custom_fields('deal') %}
{%- set stage_columns = published_stage_columns() %}
with deals as (
    select * from {{ ref('fct_deal') }}
),

stored as (
    select * from {{ ref('int_deal_wide') }}
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
    case
        when stored.label_ids is not null
            then {{ option_labels(
                'array(select jsonb_array_elements_text(stored.label_ids))',
                "listed.field_code in ('label_ids', 'label')"
            ) }}
    end as labels,
    deals.effective_prob,
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
    stored.{{ column }}
    {%- endfor %}
    {%- for field in fields %},
    {{ custom_field_columns(field) }}
    {%- endfor %},
    deals._loaded_at
from deals
left join stored on deals.deal_id = stored.deal_id
left join {{ ref('dim_pipeline') }} as pipelines on deals.pipeline_id = pipelines.pipeline_id
left join {{ ref('dim_stage') }} as stages on deals.stage_id = stages.stage_id
left join {{ ref('dim_user') }} as owners on deals.owner_id = owners.user_id
left join {{ ref('dim_user') }} as creators on deals.creator_user_id = creators.user_id
left join {{ ref('dim_organization') }} as organizations on deals.org_id = organizations.org_id
left join {{ ref('dim_person') }} as persons on deals.person_id = persons.person_id
{{ custom_field_joins(fields) }}
