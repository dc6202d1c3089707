---
display: bar
columns: [option_label, n_open, n_won, n_lost, win_rate, won_value_base, deals_without_rate, field_label]
x: option_label
y: [n_open, n_won, n_lost]
stacked: true
format: {win_rate: percent, won_value_base: money}
rows_overlap: true
period: all
size: {w: 24, h: 8}
static_dashboard: true
may_be_empty: An account need not have a custom field with options.
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
    options.option_display_name as option_label,
    sum(options.n_open) as n_open,
    sum(options.n_won) as n_won,
    sum(options.n_lost) as n_lost,
    round(sum(options.n_won)::numeric / nullif(sum(options.n_won) + sum(options.n_lost), 0), 4) as win_rate,
    sum(options.won_value_base) as won_value_base,
    sum(options.won_deals_without_rate) as deals_without_rate,
    options.field_display_name as field_label
from marts.rpt_custom_field_options as options
inner join chosen on options.field_key = chosen.field_key
where
    true
    of_pipelines_and_owners(options)
group by options.option_id, options.option_display_name, options.option_position, options.field_display_name
order by options.option_position nulls last, options.option_display_name
limit 40
