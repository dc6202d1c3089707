-- The deals that figures count, for the lists behind them: one row per deal.
select
    deals.deal_id,
    deals.title,
    organizations.name as org_name,
    coalesce(deals.pipeline_id, -1) as pipeline_id,
    deals.stage_id,
    coalesce(deals.owner_id, -1) as owner_id,
    coalesce(deals.closing_owner_id, -1) as closing_owner_id,
    deals.status,
    deals.value_base,
    deals.add_date_local as created_date,
    case when deals.status <> 'open' then deals.close_date_local end as closed_date,
    created.month_start as created_month,
    closed.month_start as closed_month,
    coalesce(deals.origin, '(unknown)') as origin,
    case when deals.source_lead_id is not null then 1 end as source_lead_id,
    reasons.reason_group,
    reasons.is_given,
    nullif(warnings.is_rotten, false) as is_rotten,
    nullif(warnings.is_stalled, false) as is_stalled,
    nullif(warnings.is_stuck, false) as is_stuck,
    nullif(warnings.is_overdue, false) as is_overdue,
    nullif(warnings.is_without_close_date, false) as is_without_close_date,
    nullif(warnings.is_without_next_activity, false) as is_without_next_activity
from marts.fct_deal as deals
left join marts.dim_organization as organizations on deals.org_id = organizations.org_id
left join marts.dim_date as created on deals.add_date_local = created.date_day
left join marts.dim_date as closed on deals.status <> 'open' and deals.close_date_local = closed.date_day
left join marts.dim_lost_reason as reasons on deals.status = 'lost' and deals.lost_reason_norm = reasons.lost_reason_norm
left join marts.rpt_open_deals as warnings on deals.deal_id = warnings.deal_id
where not deals.is_deleted and deals.status in ('open', 'won', 'lost')
order by deals.deal_id
