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
        sum(reasons.lost_value_base) as lost_value_base,
        sum(reasons.deals_without_rate) as deals_without_rate
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
    coalesce(lost.lost_value_base, 0) as lost_value_base,
    coalesce(lost.deals_without_rate, 0) as deals_without_rate
from months
left join lost on months.month = lost.month
order by months.month
