{#-
    A goal repeats its target in every interval. Progress is computed from the same facts as all other metrics, by
    current owner, like Pipedrive's own progress.
-#}
with goals as (
    select
        goals.*,
        case when jsonb_typeof(goals.type_params -> 'pipeline_id') = 'array' then goals.type_params -> 'pipeline_id' end
            as pipeline_ids,
        case
            when jsonb_typeof(goals.type_params -> 'activity_type_id') = 'array'
                then goals.type_params -> 'activity_type_id'
        end as activity_type_ids,
        {{ try_bigint("(goals.type_params ->> 'stage_id')") }} as stage_id,
        case goals.goal_interval
            when 'weekly' then interval '1 week'
            when 'quarterly' then interval '3 months'
            when 'yearly' then interval '1 year'
            else interval '1 month'
        end as step,
        case goals.goal_interval
            when 'weekly' then 'week' when 'quarterly' then 'quarter' when 'yearly' then 'year' else 'month'
        end as unit
    from {{ ref('stg_pipedrive__goals') }} as goals
    where not goals.is_deleted and goals.start_date is not null
),

clock as (
    select {{ local_date('as_of') }} as today from {{ ref('int_warehouse_clock') }}
),

periods as (
    select
        goals.*,
        clock.today,
        greatest(period.at::date, goals.start_date) as period_start,
        least((period.at + goals.step - interval '1 day')::date, coalesce(goals.end_date, 'infinity')) as period_end
    from goals
    cross join clock
    cross join
        lateral generate_series(
            date_trunc(goals.unit, goals.start_date::timestamp),
            least(coalesce(goals.end_date, clock.today), clock.today)::timestamp,
            goals.step
        ) as period (at)
),

-- The users of a goal: one person, a team's members, or all users (no row).
teams as (
    select
        teams.team_id,
        {{ try_bigint('member.id') }} as user_id
    from {{ ref('stg_pipedrive__teams') }} as teams
    cross join lateral jsonb_array_elements_text(teams.user_ids) as member (id)
),

people as (
    select
        goal_id,
        assignee_id as user_id
    from goals
    where assignee_type = 'person'
    union
    select
        goals.goal_id,
        teams.user_id
    from goals
    inner join teams on goals.assignee_id = teams.team_id
    where goals.assignee_type = 'team'
),

activity_types as (
    select
        goals.goal_id,
        types.activity_type
    from goals
    cross join lateral jsonb_array_elements_text(goals.activity_type_ids) as wanted (id)
    inner join {{ ref('stg_pipedrive__activity_types') }} as types on wanted.id = types.activity_type_id::text
),

deals as (
    select * from {{ ref('int_counted_deals') }}
),

-- Counts per day: few rows even for many deals.
happened as (
    select
        'deals_won' as goal_type,
        close_date_local as happened_on,
        pipeline_id,
        owner_id,
        null::text as activity_type,
        count(*) as n,
        sum(value_base) as value_base,
        {{ deals_without_rate() }} as n_without_rate
    from deals
    where is_won
    group by close_date_local, pipeline_id, owner_id
    union all
    select
        'deals_started' as goal_type,
        add_date_local as happened_on,
        pipeline_id,
        owner_id,
        null as activity_type,
        count(*) as n,
        sum(value_base) as value_base,
        {{ deals_without_rate() }} as n_without_rate
    from deals
    group by add_date_local, pipeline_id, owner_id
    union all
    select
        'activities_completed' as goal_type,
        done_date_local as happened_on,
        null as pipeline_id,
        owner_id,
        type as activity_type,
        count(*) as n,
        null as value_base,
        0 as n_without_rate
    from {{ ref('fct_activity') }}
    where done and not is_deleted
    group by done_date_local, owner_id, type
    union all
    select
        'activities_added' as goal_type,
        {{ local_date('add_time') }} as happened_on,
        null as pipeline_id,
        owner_id,
        type as activity_type,
        count(*) as n,
        null as value_base,
        0 as n_without_rate
    from {{ ref('fct_activity') }}
    where not is_deleted
    group by {{ local_date('add_time') }}, owner_id, type
),

counted as (
    select
        periods.goal_id,
        periods.period_start,
        sum(happened.n) as n,
        sum(happened.value_base) as value_base,
        sum(happened.n_without_rate) as n_without_rate
    from periods
    inner join happened
        on
            periods.goal_type = happened.goal_type
            and happened.happened_on between periods.period_start and periods.period_end
            and (
                periods.pipeline_ids is null
                or happened.pipeline_id is null
                or periods.pipeline_ids @> to_jsonb(happened.pipeline_id)
            )
    where
        (
            periods.assignee_type = 'company'
            or exists (
                select 1 from people
                where people.goal_id = periods.goal_id and people.user_id = happened.owner_id
            )
        )
        and (
            periods.activity_type_ids is null
            or exists (
                select 1 from activity_types
                where
                    activity_types.goal_id = periods.goal_id and activity_types.activity_type = happened.activity_type
            )
        )
    group by periods.goal_id, periods.period_start
),

-- A deal that enters the stage twice in a period counts once.
progressed as (
    select
        goal_id,
        period_start,
        count(*) as n,
        sum(value_base) as value_base,
        {{ deals_without_rate() }} as n_without_rate
    from (
        select distinct
            periods.goal_id,
            periods.period_start,
            deals.deal_id,
            deals.value_base,
            deals.fx_missing
        from periods
        inner join {{ ref('fct_deal_stage_history') }} as history
            on
                periods.stage_id = history.stage_id
                and {{ local_date('history.valid_from') }} between periods.period_start and periods.period_end
        inner join deals on history.deal_id = deals.deal_id
        where
            periods.goal_type = 'deals_progressed'
            and history.move_type is not null
            and (
                periods.assignee_type = 'company'
                or exists (
                    select 1 from people
                    where people.goal_id = periods.goal_id and people.user_id = deals.owner_id
                )
            )
    ) as once
    group by goal_id, period_start
),

-- A target in another currency is converted at today's rate.
rated as (
    select
        currencies.currency_id,
        currencies.currency,
        fx_rates.rate
    from {{ ref('stg_pipedrive__currencies') }} as currencies
    cross join clock
    left join {{ ref('int_fx_rates') }} as fx_rates
        on
            currencies.currency = fx_rates.currency
            and clock.today >= fx_rates.valid_from
            and clock.today < fx_rates.valid_to
),

measured as (
    select
        periods.goal_id,
        periods.period_start,
        periods.period_end,
        periods.title,
        periods.goal_type,
        periods.assignee_type,
        periods.assignee_id,
        periods.goal_interval,
        periods.tracking_metric,
        rated.currency as target_currency,
        periods.target,
        case
            when
                periods.goal_type not in (
                    'deals_won', 'deals_started', 'deals_progressed', 'activities_completed', 'activities_added'
                )
                then null
            when
                periods.tracking_metric = 'sum'
                then round(coalesce(counted.value_base, progressed.value_base, 0) / rated.rate, 2)
            else coalesce(counted.n, progressed.n, 0)
        end as actual,
        case
            when periods.tracking_metric = 'sum'
                then coalesce(counted.n_without_rate, progressed.n_without_rate, 0)
            else 0
        end as deals_without_rate,
        periods.period_end >= periods.today as is_running,
        periods.is_active,
        periods._loaded_at
    from periods
    left join counted on periods.goal_id = counted.goal_id and periods.period_start = counted.period_start
    left join progressed on periods.goal_id = progressed.goal_id and periods.period_start = progressed.period_start
    left join rated on periods.currency_id = rated.currency_id
)

select
    goal_id,
    period_start,
    period_end,
    title,
    goal_type,
    assignee_type,
    assignee_id,
    goal_interval,
    tracking_metric,
    target_currency,
    target,
    actual,
    {{ ratio('actual', 'target') }} as attainment,
    is_running,
    is_active,
    _loaded_at,
    deals_without_rate::integer as deals_without_rate
from measured
