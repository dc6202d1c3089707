{#- The models that the next build must run, with the reason: see macros/model_builds.sql. -#}
with builds as (
    select * from {{ model_builds_table() if execute else 'builds' }}
),

states as materialized (
    {{ source_states() }}
),

present as (
    select '"' || schemas.nspname || '"."' || relations.relname || '"' as relation
    from pg_catalog.pg_class as relations
    inner join pg_catalog.pg_namespace as schemas on relations.relnamespace = schemas.oid
),

changed as (
    select
        builds.node_id,
        string_agg(split_part(inputs.source_id, '.', 4), ', ' order by inputs.source_id) as sources
    from builds
    cross join lateral jsonb_each_text(builds.inputs) as inputs (source_id, state)
    left join states on inputs.source_id = states.source_id
    where inputs.state is distinct from states.state
    group by builds.node_id
)

select
    builds.node_id,
    builds.resource_type,
    split_part(builds.node_id, '.', 3) as node_name,
    case
        when not builds.is_complete then 'its last build is not complete'
        when builds.relation not in (select present.relation from present) then 'its relation is missing'
        when builds.valid_until <= now() then 'a new day'
        when changed.sources is not null then 'changed: ' || changed.sources
    end as due_because,
    builds.fingerprint,
    builds.started_at,
    builds.finished_at
from builds
left join changed on builds.node_id = changed.node_id
