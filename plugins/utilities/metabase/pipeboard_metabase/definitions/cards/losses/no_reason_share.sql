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
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with months as (
    select distinct dates.month_start as month
    from marts.dim_date as dates
    cross join ops.ops_account as account
    where dates.date_day between account.this_month - interval '12 months' and account.this_month
),

lost as (
    select
        reasons.month,
        coalesce(sum(reasons.n_lost) filter (where not reasons.is_given), 0) as n_without_reason,
        sum(reasons.n_lost) as n_lost
    from marts.rpt_lost_reasons as reasons
    where
        true
        [[and reasons.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and reasons.owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and reasons.owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by reasons.month
)

select
    months.month,
    round(lost.n_without_reason::numeric / nullif(lost.n_lost, 0), 4) as no_reason_share
from months
left join lost on months.month = lost.month
order by months.month
