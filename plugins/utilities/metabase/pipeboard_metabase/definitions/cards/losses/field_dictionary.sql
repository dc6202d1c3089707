---
display: table
columns: [entity, field_label, field_type, column_name, fill_rate, n_filled, option_labels]
format: {fill_rate: percent}
unfiltered: [pipeline, owner, team]
size: {w: 24, h: 8}
static_dashboard: true
may_be_empty: An account need not have custom fields.
filters: {field: marts.dim_custom_field.label}
---
select
    translated(fields.entity) as entity,
    fields.label as field_label,
    translated(fields.field_type) as field_type,
    fields.column_name,
    fields.fill_rate,
    fields.n_filled,
    fields.option_labels
from marts.dim_custom_field as fields
where
    not fields.is_deleted
    [[and fields.label in (select label from marts.dim_custom_field where {{field}})]]
order by fields.entity, fields.fill_rate desc nulls last, fields.label
