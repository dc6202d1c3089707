with pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

known as (
    select
        pipeline_id,
        name,
        order_nr,
        coalesce(is_deal_probability_enabled, true) as is_deal_probability_enabled,
        not is_deleted as is_active,
        is_deleted,
        add_time,
        update_time,
        deleted_at,
        _loaded_at
    from pipelines
),

-- Pipelines that deals still name, although the source lists them no longer.
vanished as (
    select distinct deals.pipeline_id
    from {{ ref('stg_pipedrive__deals') }} as deals
    left join pipelines on deals.pipeline_id = pipelines.pipeline_id
    where deals.pipeline_id is not null and pipelines.pipeline_id is null
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
        true as is_deal_probability_enabled,
        false as is_active,
        true as is_deleted,
        null::timestamptz as add_time,
        null::timestamptz as update_time,
        null::timestamptz as deleted_at,
        null::timestamptz as _loaded_at
    from unknown
)

select * from known
union all
select * from completed
