---
display: table
columns: [field_label, option_label, n_deals, n_won, n_lost, win_rate, won_value_base, open_value_base, deals_without_rate]
format: {win_rate: percent, won_value_base: money, open_value_base: money}
size: {w: 24, h: 7}
static_dashboard: true
rows_overlap: true
may_be_empty: An account need not have a custom field with options.
filters:
  field: marts.dim_custom_field.label
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    options.field_label,
    options.option_label,
    sum(options.n_deals) as n_deals,
    sum(options.n_won) as n_won,
    sum(options.n_lost) as n_lost,
    round(sum(options.n_won)::numeric / nullif(sum(options.n_won) + sum(options.n_lost), 0), 4) as win_rate,
    sum(options.won_value_base) as won_value_base,
    sum(options.open_value_base) as open_value_base,
    sum(options.open_deals_without_rate) + sum(options.won_deals_without_rate) as deals_without_rate
from marts.rpt_custom_field_options as options
where
    true
    [[and options.field_label in (select label from marts.dim_custom_field where {{field}})]]
    [[and options.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and options.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and options.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by options.field_key, options.field_label, options.option_id, options.option_label, options.option_position
order by options.field_label, options.option_position nulls last, options.option_label
limit 500
