-- The deals that figures count, for the lists behind them: one row per deal.
select
    deals.deal_id,
    -- Most titles begin with the organization, which is not stored twice.
    case
        when organizations.name <> '' and starts_with(deals.title, organizations.name)
            then chr(1) || substr(deals.title, length(organizations.name) + 1)
        else deals.title
    end as title,
    organizations.name as org_name,
    coalesce(deals.pipeline_id, -1) as pipeline_id,
    deals.stage_id,
    coalesce(deals.owner_id, -1) as owner_id,
    coalesce(deals.closing_owner_id, -1) as closing_owner_id,
    deals.status,
    deals.value_base,
    deals.add_date_local as created_date,
    case when deals.status <> 'open' then deals.close_date_local end as closed_date,
    coalesce(deals.origin, '(unknown)') as origin,
    case when deals.source_lead_id is not null then 1 end as source_lead_id,
    reasons.reason_group,
    reasons.is_given,
    -- As in the card open_by_age.
    case
        when warnings.days_in_current_stage < 7 then '0-7'
        when warnings.days_in_current_stage < 14 then '7-14'
        when warnings.days_in_current_stage < 30 then '14-30'
        when warnings.days_in_current_stage < 60 then '30-60'
        when warnings.days_in_current_stage < 90 then '60-90'
        when warnings.days_in_current_stage >= 90 then '90+'
    end as days_in_stage,
    -- As in rpt_forecast.
    case
        when warnings.is_without_close_date then 'no date'
        when warnings.is_overdue then 'overdue'
        else to_char(warnings.expected_close_date, 'YYYY-MM')
    end as expected_period,
    nullif(warnings.is_committed, false) as is_committed,
    nullif(warnings.is_rotten, false) as is_rotten,
    nullif(warnings.is_stalled, false) as is_stalled,
    nullif(warnings.is_stuck, false) as is_stuck,
    nullif(warnings.is_overdue, false) as is_overdue,
    nullif(warnings.is_without_close_date, false) as is_without_close_date,
    nullif(warnings.is_without_next_activity, false) as is_without_next_activity
from marts.fct_deal as deals
left join marts.dim_organization as organizations on deals.org_id = organizations.org_id
left join marts.dim_lost_reason as reasons on deals.status = 'lost' and deals.lost_reason_norm = reasons.lost_reason_norm
left join marts.rpt_open_deals as warnings on deals.deal_id = warnings.deal_id
where not deals.is_deleted and deals.status in ('open', 'won', 'lost')
