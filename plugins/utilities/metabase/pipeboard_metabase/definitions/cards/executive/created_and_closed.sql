---
display: bar
columns: [period_start, n_created, n_won, n_lost]
x: period_start
y: [n_created, n_won, n_lost]
format: {period_start: period}
size: {w: 24, h: 6}
static_dashboard: true
deals: {n_created: created, n_won: won, n_lost: lost}
grains: [week, month, quarter]
---
with weeks_and_months as (
    select
        week as date_day,
        pipeline_id,
        owner_id,
        n_created,
        n_won,
        n_lost
    from marts.rpt_deals_weekly
    where {{grain}} = 'week'
    union all
    select
        month as date_day,
        pipeline_id,
        owner_id,
        n_created,
        n_won,
        n_lost
    from marts.rpt_deals_monthly
    where {{grain}} <> 'week'
)

select
    period_start() as period_start,
    sum(deals.n_created) as n_created,
    sum(deals.n_won) as n_won,
    sum(deals.n_lost) as n_lost
from weeks_and_months as deals
inner join marts.dim_date as dates on deals.date_day = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(deals)
group by period_start
order by period_start
