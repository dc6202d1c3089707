---
display: table
columns: [title, org_name, owner_name, stage_name, reason, lost_date_local, value_base, deal_url]
link: {title: deal_url}
format: {lost_date_local: date, value_base: money}
size: {w: 24, h: 8}
---
select
    lost.title,
    translated(organizations.name) as org_name,
    translated(users.display_name) as owner_name,
    stages.display_name as stage_name,
    translated(lost.reason) as reason,
    lost.lost_date_local,
    lost.value_base,
    account.deal_url_prefix || lost.deal_id as deal_url
from marts.rpt_lost_deals as lost
cross join ops.ops_account as account
left join marts.dim_organization as organizations on lost.org_id = organizations.org_id
left join marts.dim_user as users on lost.owner_id = users.user_id
left join marts.dim_stage as stages on lost.last_open_stage_id = stages.stage_id
where
    lost.lost_date_local <= account.today - 90
    [[and lost.month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(lost)
order by lost.value_base desc nulls last, lost.deal_id
limit 200
