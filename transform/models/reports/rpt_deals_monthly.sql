{#-
    Created and closed deals by month. Created deals count for their current owner, closed ones for the owner at
    closing.
-#}
with deals as (
    select * from {{ ref('int_counted_deals') }}
),

created as (
    select
        created_month as month,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(owner_id, -1) as owner_id,
        count(*) as n_created,
        count(*) filter (where is_import) as n_imported,
        sum(value_base) as created_value_base,
        {{ deals_without_rate() }} as created_deals_without_rate
    from deals
    where created_month is not null
    group by created_month, coalesce(pipeline_id, -1), coalesce(owner_id, -1)
),

closed as (
    select
        closed_month as month,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(closing_owner_id, -1) as owner_id,
        count(*) filter (where is_won) as n_won,
        count(*) filter (where is_lost) as n_lost,
        sum(value_base) filter (where is_won) as won_value_base,
        sum(value_base) filter (where is_lost) as lost_value_base,
        -- a creation date after the closing gives no valid length of a sale
        count(*) filter (where is_won and cycle_days >= 0) as n_won_with_cycle,
        sum(cycle_days) filter (where is_won and cycle_days >= 0) as won_cycle_days,
        sum(open_days) filter (where is_won and cycle_days >= 0) as won_active_cycle_days,
        array_agg(cycle_days) filter (where is_won and cycle_days >= 0) as all_cycle_days,
        {{ deals_without_rate('is_won') }} as won_deals_without_rate,
        {{ deals_without_rate() }} as deals_without_rate
    from deals
    where closed_month is not null
    group by closed_month, coalesce(pipeline_id, -1), coalesce(closing_owner_id, -1)
)

select
    coalesce(created.month, closed.month) as month,
    coalesce(created.pipeline_id, closed.pipeline_id) as pipeline_id,
    coalesce(created.owner_id, closed.owner_id) as owner_id,
    coalesce(created.n_created, 0)::integer as n_created,
    coalesce(created.n_imported, 0)::integer as n_imported,
    coalesce(created.created_value_base, 0) as created_value_base,
    coalesce(closed.n_won, 0)::integer as n_won,
    coalesce(closed.n_lost, 0)::integer as n_lost,
    coalesce(closed.n_won + closed.n_lost, 0)::integer as n_closed,
    coalesce(closed.won_value_base, 0) as won_value_base,
    coalesce(closed.lost_value_base, 0) as lost_value_base,
    {{ ratio('closed.n_won', 'closed.n_won + closed.n_lost') }} as win_rate_by_close_date,
    {{ ratio(
        'coalesce(closed.won_value_base, 0)',
        'coalesce(closed.won_value_base, 0) + coalesce(closed.lost_value_base, 0)'
    ) }} as win_rate_value_weighted,
    round(closed.won_value_base / nullif(closed.n_won, 0), 2) as avg_won_value_base,
    coalesce(closed.n_won_with_cycle, 0)::integer as n_won_with_cycle,
    coalesce(closed.won_cycle_days, 0) as won_cycle_days,
    round(closed.won_cycle_days / nullif(closed.n_won_with_cycle, 0), 2) as avg_cycle_days,
    round(closed.won_active_cycle_days / nullif(closed.n_won_with_cycle, 0), 2) as avg_active_cycle_days,
    round(cycle.percentiles[1]::numeric, 2) as median_cycle_days,
    coalesce(created.created_deals_without_rate, 0) as created_deals_without_rate,
    coalesce(closed.won_deals_without_rate, 0) as won_deals_without_rate,
    coalesce(closed.deals_without_rate, 0) as deals_without_rate
from created
full join closed
    on
        created.month = closed.month
        and created.pipeline_id = closed.pipeline_id
        and created.owner_id = closed.owner_id
cross join {{ percentiles_of('closed.all_cycle_days', [0.5]) }} as cycle
