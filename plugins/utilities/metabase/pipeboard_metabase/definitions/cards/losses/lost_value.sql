---
display: trend
columns: [month, lost_value_base, deals_without_rate]
x: month
y: lost_value_base
format: {month: month, lost_value_base: money}
period: this_month
size: {w: 12, h: 4}
static_dashboard: true
deals: {lost_value_base: lost}
---
with months_of_tile(),

lost as (
    select
        reasons.month,
        sum(reasons.lost_value_base) as lost_value_base,
        sum(reasons.deals_without_rate) as deals_without_rate
    from marts.rpt_lost_reasons as reasons
    where
        true
        of_pipelines_and_owners(reasons)
    group by reasons.month
)

select
    months.month,
    coalesce(lost.lost_value_base, 0) as lost_value_base,
    coalesce(lost.deals_without_rate, 0) as deals_without_rate
from months
left join lost on months.month = lost.month
order by months.month
