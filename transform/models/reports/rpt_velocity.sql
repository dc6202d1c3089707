{#-
    Sales velocity: opportunities x win rate x average won value / average cycle, in base currency per day. All four
    terms are of the same trailing window; null if one of them is null. One row in total, one per pipeline, one per
    owner.
-#}
with clock as (
    select
        {{ local_date('as_of') }} as today,
        {{ local_date('as_of') }} - {{ var('velocity_window_days') }} as first_day
    from {{ ref('int_warehouse_clock') }}
),

created as (
    select
        deals.pipeline_id,
        deals.owner_id,
        true as is_created,
        false as is_won,
        false as is_lost,
        null::numeric as value_base,
        false as fx_missing,
        null::numeric as cycle_days
    from {{ ref('int_counted_deals') }} as deals
    inner join clock on deals.add_date_local > clock.first_day and deals.add_date_local <= clock.today
),

closed as (
    select
        deals.pipeline_id,
        deals.closing_owner_id as owner_id,
        false as is_created,
        deals.is_won,
        deals.is_lost,
        deals.value_base,
        deals.fx_missing,
        case when deals.cycle_days >= 0 then deals.cycle_days end as cycle_days
    from {{ ref('int_counted_deals') }} as deals
    inner join clock on deals.close_date_local > clock.first_day and deals.close_date_local <= clock.today
),

events as (
    select * from created
    union all
    select * from closed
),

terms as (
    select
        case
            when grouping(pipeline_id) = 0 then 'pipeline' when grouping(owner_id) = 0 then 'owner' else 'all'
        end as scope,
        pipeline_id,
        owner_id,
        count(*) filter (where is_created) as n_opportunities,
        count(*) filter (where is_won) as n_won,
        count(*) filter (where is_lost) as n_lost,
        avg(value_base) filter (where is_won) as avg_won_value_base,
        avg(cycle_days) filter (where is_won) as avg_cycle_days,
        {{ deals_without_rate('is_won') }} as deals_without_rate
    from events
    group by grouping sets ((), (pipeline_id), (owner_id))
)

select
    terms.scope,
    terms.pipeline_id,
    terms.owner_id,
    clock.first_day + 1 as window_first_day,
    clock.today as window_last_day,
    terms.n_opportunities::integer as n_opportunities,
    terms.n_won::integer as n_won,
    terms.n_lost::integer as n_lost,
    {{ ratio('terms.n_won', 'terms.n_won + terms.n_lost') }} as win_rate,
    round(terms.avg_won_value_base, 2) as avg_won_value_base,
    round(terms.avg_cycle_days, 3) as avg_cycle_days,
    round(
        nullif(terms.n_opportunities, 0)
        * terms.n_won::numeric / nullif(terms.n_won + terms.n_lost, 0)
        * terms.avg_won_value_base / nullif(terms.avg_cycle_days, 0), 2
    ) as velocity_base_per_day,
    terms.deals_without_rate
from terms
cross join clock
