---
display: bar
columns: [period_start, pipeline_name, won_value_base, deals_without_rate]
x: period_start
y: won_value_base
series: pipeline_name
stacked: true
format: {period_start: period, won_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
deals: {won_value_base: won}
grains: [week, month, quarter]
---
with weeks_and_months as (
    select
        week as date_day,
        pipeline_id,
        owner_id,
        won_value_base,
        deals_without_rate
    from marts.rpt_deals_weekly
    where {{grain}} = 'week'
    union all
    select
        month as date_day,
        pipeline_id,
        owner_id,
        won_value_base,
        won_deals_without_rate as deals_without_rate
    from marts.rpt_deals_monthly
    where {{grain}} <> 'week'
)

select
    period_start() as period_start,
    pipelines.display_name as pipeline_name,
    sum(deals.won_value_base) as won_value_base,
    sum(deals.deals_without_rate) as deals_without_rate
from weeks_and_months as deals
inner join marts.dim_date as dates on deals.date_day = dates.date_day
inner join marts.dim_pipeline as pipelines on deals.pipeline_id = pipelines.pipeline_id
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(deals)
group by period_start, pipelines.display_name
order by period_start, pipelines.display_name
