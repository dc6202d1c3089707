with pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

known as (
    select
        pipeline_id,
        name,
        order_nr,
        coalesce(is_deal_probability_enabled, true) as deal_probability_enabled,
        not is_deleted as is_active,
        is_deleted,
        add_time,
        update_time,
        deleted_at,
        _loaded_at
    from pipelines
),

-- Pipelines that are referenced by deals, their history or stages, but are missing in the source's list. Each is
-- looked up before the distinct ones are sought, as nearly all rows have a known one.
vanished as (
    {% for referencing in ['int_deal_current', 'int_deal_stage_intervals', 'stg_pipedrive__stages'] -%}
    select pipeline_id from {{ ref(referencing) }}
    where pipeline_id is not null and pipeline_id not in (select known.pipeline_id from known)
    {{ 'union' if not loop.last }}
    {% endfor -%}
),

unknown as (
    select
        pipeline_id,
        'Pipeline #' || pipeline_id as name
    from vanished
    union all
    select
        -1 as pipeline_id,
        'Unknown' as name
),

completed as (
    select
        pipeline_id,
        name,
        null::bigint as order_nr,
        true as deal_probability_enabled,
        false as is_active,
        true as is_deleted,
        null::timestamptz as add_time,
        null::timestamptz as update_time,
        null::timestamptz as deleted_at,
        null::timestamptz as _loaded_at
    from unknown
),

everything as (
    select * from known
    union all
    select * from completed
),

display_names as (
    {{ display_names('everything', 'pipeline_id') }}
)

select
    everything.*,
    display_names.display_name
from everything
inner join display_names on everything.pipeline_id = display_names.pipeline_id
