---
display: scalar
columns: [no_reason_share]
y: no_reason_share
format: {no_reason_share: percent}
size: {w: 12, h: 4}
static_dashboard: true
deals: {no_reason_share: lost_without_reason}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select round(coalesce(sum(n_lost) filter (where not is_given), 0)::numeric / nullif(sum(n_lost), 0), 4) as no_reason_share
from marts.rpt_lost_reasons
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
