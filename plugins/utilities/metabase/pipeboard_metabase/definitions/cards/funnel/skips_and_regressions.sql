---
display: combo
columns: [month, n_regressions, n_skips, skip_rate]
x: month
y: [n_regressions, n_skips, skip_rate]
lines: [skip_rate]
right_axis: [skip_rate]
format: {month: month, skip_rate: percent}
size: {w: 12, h: 6}
static_dashboard: true
---
select
    month,
    sum(n_regressions) as n_regressions,
    sum(n_skips) as n_skips,
    round(sum(n_skips)::numeric / nullif(sum(n_forward), 0), 4) as skip_rate
from marts.rpt_stage_moves
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by month
order by month
