---
display: row
columns: [option_label, n_lost, lost_value_base, field_label, deals_without_rate]
x: option_label
y: n_lost
format: {lost_value_base: money}
unfiltered: [period]
size: {w: 12, h: 6}
static_dashboard: true
rows_overlap: true
may_be_empty: An account need not have a custom field with options.
filters:
  field: marts.dim_custom_field.label
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
-- without a choice, the field that sounds like a competitor, else the best filled one
with chosen as (
    select field_key
    from marts.dim_custom_field
    where
        entity = 'deal'
        and field_type in ('enum', 'set')
        and n_filled > 0
        [[and {{field}}]]
    order by label ~* 'compet|concorr|rival' desc, n_filled desc, field_key
    limit 1
)

select
    options.option_label,
    sum(options.n_lost) as n_lost,
    sum(options.lost_value_base) as lost_value_base,
    options.field_label,
    sum(options.lost_deals_without_rate) as deals_without_rate
from marts.rpt_custom_field_options as options
inner join chosen on options.field_key = chosen.field_key
where
    options.n_lost > 0
    [[and options.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and options.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and options.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by options.option_id, options.option_label, options.field_label
order by n_lost desc, options.option_label
limit 30
