---
display: table
columns: [origin, n_created, n_from_lead, n_won, n_lost, win_rate_by_cohort, won_value_base, deals_without_rate]
format: {win_rate_by_cohort: percent, won_value_base: money}
size: {w: 24, h: 6}
static_dashboard: true
deals:
  n_created: created_of_closing_owner
  n_from_lead: from_lead
  n_won: won_by_creation
  n_lost: lost_by_creation
  win_rate_by_cohort: created_of_closing_owner
  won_value_base: won_by_creation
---
select
    translated(sources.origin) as origin,
    sum(sources.n_created) as n_created,
    sum(sources.n_from_lead) as n_from_lead,
    sum(sources.n_won) as n_won,
    sum(sources.n_lost) as n_lost,
    round(sum(sources.n_won)::numeric / nullif(sum(sources.n_created), 0), 4) as win_rate_by_cohort,
    sum(sources.won_value_base) as won_value_base,
    sum(sources.deals_without_rate) as deals_without_rate
from marts.rpt_sources_monthly as sources
where
    true
    [[and sources.month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(sources)
group by sources.origin
order by n_created desc, origin
