---
display: bar
columns: [option_label, n_open, n_won, n_lost, field_label]
x: option_label
y: [n_open, n_won, n_lost]
stacked: true
size: {w: 12, h: 8}
static_dashboard: true
may_be_empty: An account need not have a custom field with options.
filters:
  field: marts.dim_custom_field.label
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
-- without a choice, the best filled field
with chosen as (
    select field_key
    from marts.dim_custom_field
    where
        entity = 'deal'
        and field_type in ('enum', 'set')
        and n_filled > 0
        [[and {{field}}]]
    order by n_filled desc, field_key
    limit 1
)

select
    options.option_label,
    sum(options.n_open) as n_open,
    sum(options.n_won) as n_won,
    sum(options.n_lost) as n_lost,
    options.field_label
from marts.rpt_custom_field_options as options
inner join chosen on options.field_key = chosen.field_key
where
    true
    [[and options.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and options.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and options.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by options.option_id, options.option_label, options.option_position, options.field_label
order by options.option_position nulls last, options.option_label
limit 40
