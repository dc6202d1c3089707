{#- New rows only: a change once made stays as it is. -#}
-- depends_on: {{ ref('int_build_marks') }}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='change_id',
    on_schema_change='fail',
    post_hook="{{ mark_looked_at() }}",
    indexes=[
        {'columns': ['deal_id']},
        {'columns': ['field_key', 'changed_at']},
        {'columns': ['_loaded_at']},
    ]
) }}
with changes as (
    select * from {{ ref('stg_pipedrive__deal_changelog') }}
    {% if is_incremental() -%}
    where _loaded_at > {{ looked_at_until() }}
    {%- endif %}
),

deals as (
    select deal_id from {{ ref('stg_pipedrive__deals') }}
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
