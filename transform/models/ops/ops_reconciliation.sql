{#-
    The warehouse's figures and Pipedrive's own figures at the same time (job `reconcile`, right after a sync). New
    readings add rows; old rows stay, as a record of earlier differences. Only deals that Pipedrive counts are
    compared: neither deleted nor archived, by current owner; sums per currency, so that exchange rates have no
    effect.
-#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='append_new_columns',
    tags=['reconciliation']
) }}
with
-- Statistics of a past month do not change and are not loaded twice; the summary has its own time, which shows a new
-- reading.
latest_reading as (
    select coalesce(
        (select max(summary.as_of) from {{ ref('stg_pipedrive__deal_summary') }} as summary),
        (select max(movements._extracted_at) from {{ ref('stg_pipedrive__pipeline_movements') }} as movements),
        (select max(conversions._extracted_at) from {{ ref('stg_pipedrive__pipeline_conversions') }} as conversions)
    ) as asked_at
),

pending as (
    select latest_reading.asked_at
    from latest_reading
    where
        latest_reading.asked_at is not null
        {%- if is_incremental() %}
        and latest_reading.asked_at > (select coalesce(max(done.asked_at), '-infinity') from {{ this }} as done)
        {%- endif %}
),

deals as (
    select
        deals.deal_id,
        deals.pipeline_id,
        deals.owner_id,
        deals.status,
        deals.currency,
        deals.value,
        deals.value * coalesce(deals.deal_prob, deals.stage_prob, 100) / 100 as weighted_value
    from {{ ref('fct_deal') }} as deals
    where not deals.is_deleted and not deals.is_archived
),

-- deals/summary ------------------------------------------------------------------------------------------------
summary as (
    select
        summary.*,
        pending.asked_at
    from {{ ref('stg_pipedrive__deal_summary') }} as summary
    cross join pending
),

pipedrive_summary as (
    select
        pipeline_id,
        status,
        'deals' as measure,
        n_deals::numeric as theirs
    from summary
    union all
    select
        summary.pipeline_id,
        summary.status,
        'value ' || entry.currency as measure,
        {{ try_numeric("(entry.content ->> 'value')") }} as theirs
    from summary
    cross join lateral jsonb_each(summary.values_total) as entry (currency, content)
    union all
    select
        summary.pipeline_id,
        summary.status,
        'weighted value ' || entry.currency as measure,
        {{ try_numeric("(entry.content ->> 'value')") }} as theirs
    from summary
    cross join lateral jsonb_each(summary.weighted_values_total) as entry (currency, content)
    where summary.status = 'open'
),

warehouse_summary as (
    select
        pipeline_id,
        status,
        'deals' as measure,
        count(*)::numeric as ours
    from deals
    group by pipeline_id, status
    union all
    select
        pipeline_id,
        status,
        'value ' || currency as measure,
        sum(value) as ours
    from deals
    group by pipeline_id, status, currency
    union all
    select
        pipeline_id,
        status,
        'weighted value ' || currency as measure,
        sum(weighted_value) as ours
    from deals
    where status = 'open'
    group by pipeline_id, status, currency
),

-- Pipelines without a reading are not compared.
comparable_warehouse_summary as (
    select warehouse_summary.*
    from warehouse_summary
    inner join summary
        on warehouse_summary.pipeline_id = summary.pipeline_id and warehouse_summary.status = summary.status
),

summaries as (
    select
        'deals/summary' as subject,
        coalesce(pipedrive.pipeline_id, warehouse.pipeline_id) as pipeline_id,
        null::bigint as user_id,
        coalesce(pipedrive.status, warehouse.status) as detail,
        coalesce(pipedrive.measure, warehouse.measure) as measure,
        null::date as period_start,
        null::date as period_end,
        coalesce(pipedrive.theirs, 0) as theirs,
        coalesce(warehouse.ours, 0) as ours,
        'relative' as tolerance_kind,
        pending.asked_at
    from pipedrive_summary as pipedrive
    full join comparable_warehouse_summary as warehouse
        on
            pipedrive.pipeline_id = warehouse.pipeline_id
            and pipedrive.status = warehouse.status
            and pipedrive.measure = warehouse.measure
    cross join pending
),

-- movement_statistics ------------------------------------------------------------------------------------------
movements as (
    select movements.*
    from {{ ref('stg_pipedrive__pipeline_movements') }} as movements
    cross join pending
),

-- Only the last requested period, and the users requested in it.
periods as (
    select
        max(pending.asked_at) as asked_at,
        max(users_of_reading.start_date) as start_date,
        max(users_of_reading.end_date) as end_date,
        max(users_of_reading.start_date)::timestamp at time zone {{ reporting_timezone() }} as begins_at,
        (max(users_of_reading.end_date) + 1)::timestamp at time zone {{ reporting_timezone() }} as ends_at
    from (
        select
            start_date,
            end_date
        from movements
        union all
        select
            start_date,
            end_date
        from {{ ref('stg_pipedrive__pipeline_conversions') }}
    ) as users_of_reading
    cross join pending
),

moved as (
    select movements.*
    from movements
    inner join periods on movements.start_date = periods.start_date
),

-- Every state up to the end of the period, for deals whose current owner was requested.
states as (
    select
        history.deal_id,
        deals.owner_id,
        history.seq,
        history.stage_id,
        history.pipeline_id,
        history.status,
        history.valid_from,
        coalesce(history.valid_to, 'infinity') as valid_to,
        periods.begins_at,
        periods.ends_at,
        stages.order_nr,
        coalesce(lag(history.status) over in_time <> history.status, true) as begins_status,
        lag(history.stage_id) over in_time as previous_stage_id,
        lag(history.status) over in_time as previous_status
    from {{ ref('fct_deal_stage_history') }} as history
    inner join deals on history.deal_id = deals.deal_id
    inner join periods on history.valid_from < periods.ends_at
    left join {{ ref('dim_stage') }} as stages on history.stage_id = stages.stage_id
    window in_time as (partition by history.deal_id order by history.seq)
),

lasts as (
    select
        deal_id,
        max(owner_id) as owner_id,
        (array_agg(pipeline_id order by seq desc))[1] as pipeline_id,
        (array_agg(status order by seq desc))[1] as status,
        max(valid_from) filter (where begins_status) as status_since,
        (array_agg(pipeline_id order by seq))[1] as first_pipeline_id,
        min(valid_from) as started_at,
        max(begins_at) as begins_at
    from states
    group by deal_id
),

stage_moves as (
    select
        old_stages.pipeline_id,
        deals.owner_id,
        count(*) as n
    from {{ ref('fct_deal_field_change') }} as changes
    inner join deals on changes.deal_id = deals.deal_id
    inner join periods on changes.changed_at >= periods.begins_at and changes.changed_at < periods.ends_at
    inner join {{ ref('dim_stage') }} as old_stages on changes.old_value = old_stages.stage_id::text
    inner join {{ ref('dim_stage') }} as new_stages
        on changes.new_value = new_stages.stage_id::text and old_stages.pipeline_id = new_stages.pipeline_id
    where changes.field_key = 'stage_id'
    group by old_stages.pipeline_id, deals.owner_id
),

warehouse_movement as (
    select
        first_pipeline_id as pipeline_id,
        owner_id,
        'new deals' as measure,
        count(*) as n
    from lasts
    where started_at >= begins_at
    group by first_pipeline_id, owner_id
    union all
    select
        pipeline_id,
        owner_id,
        status || ' deals' as measure,
        count(*) as n
    from lasts
    where status in ('won', 'lost') and status_since >= begins_at
    group by pipeline_id, owner_id, status
    union all
    select
        pipeline_id,
        owner_id,
        'deals left open' as measure,
        count(*) as n
    from lasts
    where status = 'open'
    group by pipeline_id, owner_id
    union all
    select
        pipeline_id,
        owner_id,
        'moves between stages' as measure,
        n
    from stage_moves
),

pipedrive_movement as (
    select
        moved.pipeline_id,
        moved.user_id,
        entry.measure,
        entry.n
    from moved
    cross join
        lateral (
            values
            ('new deals', moved.n_new_deals),
            ('won deals', moved.n_won_deals),
            ('lost deals', moved.n_lost_deals),
            ('deals left open', moved.n_deals_left_open),
            ('moves between stages', moved.n_stage_moves)
        ) as entry (measure, n)
),

movement_pairs as (
    select
        'movement_statistics' as subject,
        pipedrive.pipeline_id,
        null::bigint as user_id,
        null as detail,
        pipedrive.measure,
        periods.start_date as period_start,
        periods.end_date as period_end,
        sum(pipedrive.n)::numeric as theirs,
        coalesce(sum(warehouse.n), 0)::numeric as ours,
        'relative' as tolerance_kind,
        periods.asked_at
    from pipedrive_movement as pipedrive
    cross join periods
    left join warehouse_movement as warehouse
        on
            pipedrive.pipeline_id = warehouse.pipeline_id
            and pipedrive.user_id = warehouse.owner_id
            and pipedrive.measure = warehouse.measure
    group by pipedrive.pipeline_id, pipedrive.measure, periods.start_date, periods.end_date, periods.asked_at
),

-- conversion_statistics: whole percents per user, so nothing can be added up ------------------------------------
conversions as (
    select conversions.* from {{ ref('stg_pipedrive__pipeline_conversions') }} as conversions
    inner join periods on conversions.start_date = periods.start_date
),

pipedrive_conversion as (
    select
        conversions.pipeline_id,
        conversions.user_id,
        {{ try_bigint("(entry.content ->> 'from_stage_id')") }} as stage_id,
        {{ try_numeric("(entry.content ->> 'conversion_rate')") }} as rate
    from conversions
    cross join lateral jsonb_array_elements(conversions.stage_conversions) as entry (content)
),

worked as (
    select distinct
        owner_id,
        stage_id,
        deal_id
    from states
    where status = 'open' and valid_to > begins_at
),

advanced as (
    select distinct
        states.owner_id,
        states.previous_stage_id as stage_id,
        states.deal_id
    from states
    inner join {{ ref('dim_stage') }} as previous on states.previous_stage_id = previous.stage_id
    where
        states.previous_status = 'open'
        and states.valid_from >= states.begins_at
        and states.pipeline_id = previous.pipeline_id
        and states.order_nr > previous.order_nr
),

warehouse_conversion as (
    select
        worked.owner_id,
        worked.stage_id,
        round(100.0 * count(advanced.deal_id) / count(*)) as rate
    from worked
    left join advanced
        on
            worked.owner_id = advanced.owner_id
            and worked.stage_id = advanced.stage_id
            and worked.deal_id = advanced.deal_id
    group by worked.owner_id, worked.stage_id
),

conversion_pairs as (
    select
        'conversion_statistics' as subject,
        pipedrive.pipeline_id,
        pipedrive.user_id,
        'from stage ' || pipedrive.stage_id as detail,
        'conversion in percent' as measure,
        periods.start_date as period_start,
        periods.end_date as period_end,
        pipedrive.rate as theirs,
        coalesce(warehouse.rate, 0) as ours,
        'percent points' as tolerance_kind,
        periods.asked_at
    from pipedrive_conversion as pipedrive
    cross join periods
    left join warehouse_conversion as warehouse
        on pipedrive.user_id = warehouse.owner_id and pipedrive.stage_id = warehouse.stage_id
),

compared as (
    select * from summaries
    union all
    select * from movement_pairs
    union all
    select * from conversion_pairs
)

select
    subject,
    pipeline_id,
    user_id,
    detail,
    measure,
    period_start,
    period_end,
    theirs,
    ours,
    ours - theirs as difference,
    case
        -- both figures are rounded to whole percents
        when tolerance_kind = 'percent points'
            then abs(ours - theirs) <= 1 + 100 * {{ var('reconciliation_tolerance') }}
        else abs(ours - theirs) <= greatest(abs(theirs) * {{ var('reconciliation_tolerance') }}, 0.01)
    end as is_within_tolerance,
    asked_at,
    now() as compared_at
from compared
