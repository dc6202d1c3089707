---
display: table
columns: [title, org_name, owner_name, pipeline_name, stage_name, deal_status, value_base, created_date, closed_date, deal_url]
link: {title: deal_url}
format: {value_base: money, created_date: date, closed_date: date}
period: all
grains: [week, month, quarter]
size: {w: 24, h: 10}
filters:
  created: marts.dim_date.date_day
  won: marts.dim_date.date_day
  lost: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  stage: marts.dim_stage.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
  label: marts.fct_deal_label.label
---
-- Without a date, the open deals: a click of Metabase passes values of columns and filters, and no constants.
-- A deal that one owner created and another one closed in the chosen periods is there for both.
with listed as (
    select
        deal_id,
        coalesce(owner_id, -1) as owner_id,
        status as deal_status
    from marts.fct_deal
    where
        false
        [[or add_date_local in (
            select dates.date_day
            from marts.dim_date as dates
            where period_start() in (select period_start() from marts.dim_date where {{created}})
        )]]
    union
    select
        deal_id,
        coalesce(closing_owner_id, -1) as owner_id,
        status as deal_status
    from marts.fct_deal
    where
        status = 'open'
        [[and (select count(*) from marts.dim_date where {{created}}) is null]]
        [[and (select count(*) from marts.dim_date where {{won}}) is null]]
        [[and (select count(*) from marts.dim_date where {{lost}}) is null]]
        [[or status = 'won' and close_date_local in (
            select dates.date_day
            from marts.dim_date as dates
            where period_start() in (select period_start() from marts.dim_date where {{won}})
        )]]
        [[or status = 'lost' and close_date_local in (
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
    translated(listed.deal_status) as deal_status,
    deals.value_base,
    deals.add_date_local as created_date,
    case when listed.deal_status <> 'open' then deals.close_date_local end as closed_date,
    account.deal_url_prefix || deals.deal_id as deal_url
from listed
inner join marts.fct_deal as deals on listed.deal_id = deals.deal_id
cross join ops.ops_account as account
left join marts.dim_organization as organizations on deals.org_id = organizations.org_id
left join marts.dim_user as users on listed.owner_id = users.user_id
left join marts.dim_pipeline as pipelines on coalesce(deals.pipeline_id, -1) = pipelines.pipeline_id
left join marts.dim_stage as stages on deals.stage_id = stages.stage_id
where
    not deals.is_deleted
    and listed.deal_status in ('open', 'won', 'lost')
    [[and pipelines.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and stages.stage_id in (select stage_id from marts.dim_stage where {{stage}})]]
    [[and users.user_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and users.user_id in (select user_id from marts.dim_user where {{team}})]]
    [[and deals.deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
order by deals.value_base desc nulls last, deals.deal_id
limit 2000
