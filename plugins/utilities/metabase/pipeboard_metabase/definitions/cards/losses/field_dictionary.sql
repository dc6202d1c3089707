---
display: table
columns: [entity, field_label, field_type, column_name, fill_rate, n_filled, option_labels]
format: {fill_rate: percent}
period: all
unfiltered: [pipeline, owner, team]
size: {w: 24, h: 8}
static_dashboard: true
may_be_empty: An account need not have custom fields.
filters: {field: marts.dim_custom_field.display_name}
---
select
    translated(fields.entity) as entity,
    fields.display_name as field_label,
    translated(fields.field_type) as field_type,
    fields.column_name,
    fields.fill_rate,
    fields.n_filled,
    fields.option_labels
from marts.dim_custom_field as fields
where
    not fields.is_deleted
    [[and fields.display_name in (select display_name from marts.dim_custom_field where {{field}})]]
order by fields.entity, fields.fill_rate desc nulls last, fields.display_name
