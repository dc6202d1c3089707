---
display: table
columns: [title, org_name, owner_name, pipeline_name, stage_name, deal_status, value_base, created_date, closed_date, deal_url]
link: {title: deal_url}
format: {value_base: money, created_date: date, closed_date: date}
period: all
grains: [week, month, quarter]
size: {w: 24, h: 10}
filters:
  won: marts.dim_date.date_day
  lost: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with deals as (
    select
        deal_id,
        title,
        org_id,
        pipeline_id,
        stage_id,
        coalesce(closing_owner_id, -1) as owner_id,
        status as deal_status,
        value_base,
        add_date_local as created_date,
        case when status <> 'open' then close_date_local end as closed_date
    from marts.fct_deal
    where
        not is_deleted
        and status in ('open', 'won', 'lost')
        [[and status = 'won' and close_date_local in (
            select dates.date_day
            from marts.dim_date as dates
            where period_start() in (select period_start() from marts.dim_date where {{won}})
        )]]
        [[and status = 'lost' and close_date_local in (
            select dates.date_day
            from marts.dim_date as dates
            where period_start() in (select period_start() from marts.dim_date where {{lost}})
        )]]
)

select
    deals.title,
    translated(organizations.name) as org_name,
    translated(users.display_name) as owner_name,
    pipelines.display_name as pipeline_name,
    stages.display_name as stage_name,
    translated(deals.deal_status) as deal_status,
    deals.value_base,
    deals.created_date,
    deals.closed_date,
    account.deal_url_prefix || deals.deal_id as deal_url
from deals
cross join ops.ops_account as account
left join marts.dim_organization as organizations on deals.org_id = organizations.org_id
left join marts.dim_user as users on deals.owner_id = users.user_id
left join marts.dim_pipeline as pipelines on coalesce(deals.pipeline_id, -1) = pipelines.pipeline_id
left join marts.dim_stage as stages on deals.stage_id = stages.stage_id
where
    true
    [[and pipelines.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and users.user_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and users.user_id in (select user_id from marts.dim_user where {{team}})]]
order by deals.value_base desc nulls last, deals.deal_id
limit 2000
