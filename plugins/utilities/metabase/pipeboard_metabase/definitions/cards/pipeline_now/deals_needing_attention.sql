---
display: table
columns:
  - title
  - owner_name
  - stage_name
  - value_base
  - n_warnings
  - days_without_sign_of_life
  - days_in_current_stage
  - days_overdue
  - is_without_close_date
  - is_without_next_activity
  - deal_url
link: {title: deal_url}
format:
  value_base: money
  days_without_sign_of_life: days
  days_in_current_stage: days
  days_overdue: days
period: now
size: {w: 24, h: 9}
static_dashboard: true
may_be_empty: No deal may need attention.
---
select
    deals.title,
    translated(users.display_name) as owner_name,
    stages.display_name as stage_name,
    deals.value_base,
    deals.is_stalled::integer + deals.is_rotten::integer + deals.is_stuck::integer + deals.is_overdue::integer
    + deals.is_without_close_date::integer + deals.is_without_next_activity::integer as n_warnings,
    deals.days_without_sign_of_life,
    deals.days_in_current_stage,
    case when deals.is_overdue then account.today - deals.expected_close_date end as days_overdue,
    deals.is_without_close_date,
    deals.is_without_next_activity,
    account.deal_url_prefix || deals.deal_id as deal_url
from marts.rpt_open_deals as deals
cross join ops.ops_account as account
left join marts.dim_user as users on coalesce(deals.owner_id, -1) = users.user_id
left join marts.dim_stage as stages on deals.stage_id = stages.stage_id
where
    (
        deals.is_stalled or deals.is_rotten or deals.is_stuck or deals.is_overdue
        or deals.is_without_close_date or deals.is_without_next_activity
    )
    of_pipelines_and_owners(deals)
    [[and deals.deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
order by n_warnings desc, deals.value_base desc nulls last, deals.deal_id
limit 200
