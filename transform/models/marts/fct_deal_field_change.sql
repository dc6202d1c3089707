{#- Every change of a deal, from its changelog. Built incrementally by deal. -#}
{{ config(
    materialized='incremental_by_deal',
    on_schema_change='fail',
    indexes=[
        {'columns': ['deal_id']},
        {'columns': ['field_key', 'changed_at']},
    ]
) }}
with changes as (
    select * from {{ ref('stg_pipedrive__deal_changelog') }}
    {{ where_deal_changed() }}
),

deals as (
    select deal_id from {{ ref('stg_pipedrive__deals') }}
    {{ where_deal_changed() }}
)

select
    changes.change_id,
    changes.deal_id,
    case changes.field_key when 'user_id' then 'owner_id' else changes.field_key end as field_key,
    changes.old_value,
    changes.new_value,
    changes.changed_at,
    {{ local_date('changes.changed_at') }} as changed_date_local,
    changes.second_seq,
    changes.actor_user_id,
    changes.change_source,
    changes.is_bulk_update,
    changes._loaded_at
from changes
inner join deals on changes.deal_id = deals.deal_id
