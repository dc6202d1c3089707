{{ config(enabled='organization_relationships' in var('extra_streams')) }}
with source as (
    {{ raw_columns('organization_relationships', {
        'id': 'bigint',
        'rel_owner_org_id': 'bigint',
        'rel_linked_org_id': 'bigint',
        'type': 'text',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'active_flag': 'text',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as organization_relationship_id,
        rel_owner_org_id as owner_org_id,
        rel_linked_org_id as linked_org_id,
        -- text
        type as relationship_type,
        -- booleans
        coalesce(active_flag in ('false', '0'), false) or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        add_time,
        update_time,
        case
            when coalesce(active_flag in ('false', '0'), false) then coalesce(update_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
