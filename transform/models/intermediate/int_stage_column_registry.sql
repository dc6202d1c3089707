{#-
    The column of `deal_wide` of each stage. Written once per stage: renaming a stage later changes its name in
    dim_stage, but not the column, which saved questions may use.
-#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='append_new_columns'
) }}
with stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

new_stages as (
    select
        stages.stage_id,
        stages.name as label_when_published,
        {{ slug('stages.name') }} as slug
    from stages
    {% if is_incremental() -%}
    left join {{ this }} as published on stages.stage_id = published.stage_id
    where published.stage_id is null
    {%- endif %}
),

-- An identifier has at most 63 bytes; the id at the end makes it unique.
shortened as (
    select
        stage_id,
        label_when_published,
        coalesce(nullif(rtrim(left(slug, 47 - length(stage_id::text)), '_'), ''), 'stage') as slug
    from new_stages
)

select
    stage_id,
    slug,
    'moved_to_stage_' || slug || '_' || stage_id as column_name,
    label_when_published,
    now() as first_seen_at
from shortened
