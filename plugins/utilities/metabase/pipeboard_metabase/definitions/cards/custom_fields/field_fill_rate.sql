---
display: row
columns: [field_label, fill_rate]
x: field_label
y: fill_rate
format: {fill_rate: percent}
unfiltered: [pipeline, owner, team]
size: {w: 12, h: 8}
static_dashboard: true
may_be_empty: An account need not have custom fields.
filters: {field: marts.dim_custom_field.label}
---
select
    label as field_label,
    fill_rate
from marts.dim_custom_field
where
    entity = 'deal'
    and not is_deleted
    [[and {{field}}]]
order by fill_rate desc nulls last, label
limit 40
