---
display: trend
columns: [month, commit_value_base, deals_without_rate]
x: month
y: commit_value_base
format: {month: month, commit_value_base: money}
period: now
size: {w: 6, h: 4}
static_dashboard: true
deals: {commit_value_base: committed}
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
  label: marts.fct_deal_label.label
---
-- At the end of each month before this one, and now. The labels of the past are not known.
with month_ends as (
    select
        dates.month_start as month,
        sum(days.commit_value_base) as commit_value_base,
        sum(days.deals_without_rate) as deals_without_rate
    from marts.rpt_pipeline_daily as days
    inner join marts.dim_date as dates on days.date_day = dates.date_day
    cross join ops.ops_account as account
    where
        dates.date_day = (dates.month_start + interval '1 month' - interval '1 day')::date
        and dates.month_start between account.this_month - interval '12 months' and account.this_month - 1
        [[and days.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and days.owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and days.owner_id in (select user_id from marts.dim_user where {{team}})]]
        [[and exists (select 1 from marts.fct_deal_label where {{label}} and false)]]
    group by dates.month_start
),

present as (
    select
        account.this_month as month,
        coalesce(sum(deals.value_base) filter (where deals.is_committed), 0) as commit_value_base,
        count(*) filter (where deals.fx_missing) as deals_without_rate
    from ops.ops_account as account
    left join marts.rpt_open_deals as deals
        on
            true
            [[and deals.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
            [[and deals.owner_id in (select user_id from marts.dim_user where {{owner}})]]
            [[and deals.owner_id in (select user_id from marts.dim_user where {{team}})]]
            [[and deals.deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
    group by account.this_month
),

months as (
    select * from month_ends
    union all
    select * from present
)

select
    month,
    commit_value_base,
    deals_without_rate
from months
order by month
