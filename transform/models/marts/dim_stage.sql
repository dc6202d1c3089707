with recursive stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

columns as (
    select * from {{ ref('int_stage_column_registry') }}
),

ranked as (
    select
        stage_id,
        stage_rank
    from {{ ref('int_stage_order') }}
),

last_load as (
    select started_at from {{ ref('int_stream_last_load') }}
    where stream = 'stages'
),

known as (
    select
        stages.stage_id,
        stages.pipeline_id,
        stages.name,
        stages.order_nr,
        ranked.stage_rank,
        stages.deal_probability as probability,
        coalesce(stages.is_deal_rot_enabled, false) as is_rotting_enabled,
        stages.days_to_rotten as rotten_days,
        not stages.is_deleted as is_active,
        stages.is_deleted,
        columns.column_name as moved_to_column,
        columns.first_seen_at,
        {{ last_seen_at('stages') }} as last_seen_at,
        stages.add_time,
        stages.update_time,
        stages.deleted_at,
        stages._loaded_at
    from stages
    left join ranked on stages.stage_id = ranked.stage_id
    left join columns on stages.stage_id = columns.stage_id
    left join last_load on true
),

-- The stages among millions of stays: found by index lookups from one value to the next, without a full scan.
visited as (
    (
        select
            stage_id,
            pipeline_id
        from {{ ref('int_deal_stage_intervals') }}
        where stage_id is not null
        order by stage_id asc
        limit 1
    )
    union all
    select
        following.stage_id,
        following.pipeline_id
    from visited
    cross join
        lateral (
            select
                stays.stage_id,
                stays.pipeline_id
            from {{ ref('int_deal_stage_intervals') }} as stays
            where stays.stage_id > visited.stage_id
            order by stays.stage_id asc
            limit 1
        ) as following
),

-- Stages that are referenced by deals or their history, but are missing in the source's list.
named as (
    select
        stage_id,
        max(pipeline_id) as pipeline_id
    from {{ ref('int_deal_current') }}
    where stage_id is not null
    group by stage_id
    union all
    select
        stage_id,
        pipeline_id
    from visited
),

vanished as (
    select
        named.stage_id,
        max(named.pipeline_id) as pipeline_id
    from named
    left join stages on named.stage_id = stages.stage_id
    where stages.stage_id is null
    group by named.stage_id
),

unknown as (
    select
        stage_id,
        pipeline_id,
        'Stage #' || stage_id as name
    from vanished
    union all
    select
        -1 as stage_id,
        -1 as pipeline_id,
        'Unknown' as name
),

completed as (
    select
        stage_id,
        pipeline_id,
        name,
        null::bigint as order_nr,
        null::bigint as stage_rank,
        null::numeric as probability,
        false as is_rotting_enabled,
        null::bigint as rotten_days,
        false as is_active,
        true as is_deleted,
        null as moved_to_column,
        null::timestamptz as first_seen_at,
        null::timestamptz as last_seen_at,
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

named_in_pipelines as (
    select
        everything.stage_id,
        everything.name,
        pipelines.display_name as pipeline_name
    from everything
    left join {{ ref('dim_pipeline') }} as pipelines on everything.pipeline_id = pipelines.pipeline_id
),

display_names as (
    {{ display_names('named_in_pipelines', 'stage_id', qualifier='pipeline_name') }}
)

select
    everything.*,
    display_names.display_name
from everything
inner join display_names on everything.stage_id = display_names.stage_id
