-- Every custom field has a name, the name is a safe identifier, and no column belongs to two fields.
with registry as (
    select * from {{ ref('int_custom_field_registry') }}
),

columns as (
    select
        registry.entity,
        registry.field_code,
        named.column_name
    from registry
    cross join lateral unnest(registry.column_names) as named (column_name)
)

select
    'field without a name' as problem,
    fields.entity,
    fields.field_code as subject
from {{ ref('int_fields') }} as fields
left join registry on fields.entity = registry.entity and fields.field_code = registry.field_code
where fields.is_custom_field and registry.field_code is null and fields.field_code ~ '^[0-9a-f]{40}$'
union all
select
    'unsafe identifier' as problem,
    entity,
    column_name as subject
from columns
where octet_length(column_name) > 63 or column_name !~ '^cf_[a-z0-9_]+$'
union all
select
    'column of two fields' as problem,
    entity,
    column_name as subject
from columns
group by entity, column_name
having count(*) > 1
