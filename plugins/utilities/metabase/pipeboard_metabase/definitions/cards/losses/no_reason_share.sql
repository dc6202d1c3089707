---
display: trend
columns: [month, no_reason_share]
x: month
y: no_reason_share
format: {month: month, no_reason_share: percent}
period: this_month
size: {w: 12, h: 4}
static_dashboard: true
deals: {no_reason_share: lost_without_reason}
---
with months_of_tile(),

lost as (
    select
        reasons.month,
        coalesce(sum(reasons.n_lost) filter (where not reasons.is_given), 0) as n_without_reason,
        sum(reasons.n_lost) as n_lost
    from marts.rpt_lost_reasons as reasons
    where
        true
        of_pipelines_and_owners(reasons)
    group by reasons.month
)

select
    months.month,
    round(lost.n_without_reason::numeric / nullif(lost.n_lost, 0), 4) as no_reason_share
from months
left join lost on months.month = lost.month
order by months.month
