---
display: row
columns: [reason_group, n_lost, lost_value_base, cumulative_share, deals_without_rate]
x: reason_group
y: n_lost
format: {lost_value_base: money, cumulative_share: percent}
size: {w: 24, h: 7}
static_dashboard: true
deals: {n_lost: lost, lost_value_base: lost}
---
with reasons as (
    select
        lost.reason_group,
        sum(lost.n_lost) as n_lost,
        sum(lost.lost_value_base) as lost_value_base,
        sum(lost.deals_without_rate) as deals_without_rate
    from marts.rpt_lost_reasons as lost
    where
        true
        [[and lost.month in (select month_start from marts.dim_date where {{period}})]]
        of_pipelines_and_owners(lost)
    group by lost.reason_group
)

select
    translated(reasons.reason_group) as reason_group,
    reasons.n_lost,
    reasons.lost_value_base,
    round(
        sum(reasons.n_lost) over (order by reasons.n_lost desc, reasons.reason_group)
        / sum(reasons.n_lost) over (), 4
    ) as cumulative_share,
    reasons.deals_without_rate
from reasons
order by reasons.n_lost desc, reasons.reason_group
limit 20
