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

-- Pipelines that are referenced by deals, their history or stages, but are missing in the source's list.
named as (
    select pipeline_id from {{ ref('int_deal_current') }}
    union
    select pipeline_id from {{ ref('int_deal_stage_intervals') }}
    union
    select pipeline_id from {{ ref('stg_pipedrive__stages') }}
),

vanished as (
    select named.pipeline_id
    from named
    left join pipelines on named.pipeline_id = pipelines.pipeline_id
    where named.pipeline_id is not null and pipelines.pipeline_id is null
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
