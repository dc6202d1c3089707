{#-
    The permanent column name of every custom field. Insert-only: a field gets its name when it is first seen and
    keeps it after changes of its label. The field's companion columns (currency, until, id, …) are reserved with
    it. Names are given in order of the fields' age; each field gets the first candidate whose columns are all free:
    cf_<slug>, cf_<slug>_<first 4 of the key>, cf_<slug>_<first 8 of the key>, cf_field_<whole key>
-#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='append_new_columns'
) }}
with recursive fields as (
    select * from {{ ref('int_fields') }}
    where is_custom_field and field_code ~ '^[0-9a-f]{40}$'
),

published as (
    {% if is_incremental() -%}
    select
        entity,
        field_code,
        column_names
    from {{ this }}
    {%- else -%}
    select
        null::text as entity,
        null::text as field_code,
        null::text[] as column_names
    where false
    {%- endif %}
),

new_fields as (
    select
        fields.entity,
        fields.field_code,
        fields.field_name,
        coalesce(fields.field_type, 'varchar') as field_type,
        {{ slug('fields.field_name') }} as slug,
        {{ custom_field_suffixes("fields.field_type") }} as suffixes,
        row_number() over (partition by fields.entity order by fields._extracted_at, fields.field_code) as nr
    from fields
    left join published on fields.entity = published.entity and fields.field_code = published.field_code
    where published.field_code is null
),

-- 44 bytes of slug leave room for prefix, key and the longest suffix within PostgreSQL's limit of 63 bytes.
slugs as (
    select
        entity,
        nr,
        field_code,
        suffixes,
        coalesce(nullif(rtrim(left(slug, 44), '_'), ''), 'field_' || left(field_code, 8)) as slug
    from new_fields
),

candidates as (
    select
        slugs.entity,
        slugs.nr,
        choice.priority,
        choice.column_name,
        array_agg(choice.column_name || suffix.name order by suffix.name) as column_names
    from slugs
    cross join
        lateral (
            values
            (1, 'cf_' || slugs.slug),
            (2, 'cf_' || slugs.slug || '_' || left(slugs.field_code, 4)),
            (3, 'cf_' || left(slugs.slug, 40) || '_' || left(slugs.field_code, 8)),
            (4, 'cf_field_' || slugs.field_code)
        ) as choice (priority, column_name)
    cross join lateral unnest(slugs.suffixes) as suffix (name)
    group by slugs.entity, slugs.nr, choice.priority, choice.column_name
),

taken_before as (
    select
        published.entity,
        array_agg(taken.name) as names
    from published
    cross join lateral unnest(published.column_names) as taken (name)
    group by published.entity
),

-- Before the first new field of an entity, only the published names are in use.
starts as (
    select distinct
        new_fields.entity,
        coalesce(taken_before.names, array[]::text[]) as taken
    from new_fields
    left join taken_before on new_fields.entity = taken_before.entity
),

named as (
    select
        starts.entity,
        0::bigint as nr,
        null::text as column_name,
        null::text[] as column_names,
        starts.taken
    from starts
    union all
    select
        named.entity,
        named.nr + 1 as nr,
        choice.column_name,
        choice.column_names,
        named.taken || choice.column_names as taken
    from named
    cross join
        lateral (
            select
                candidates.column_name,
                candidates.column_names
            from candidates
            where
                candidates.entity = named.entity
                and candidates.nr = named.nr + 1
                and not candidates.column_names && named.taken
            order by candidates.priority
            limit 1
        ) as choice
)

select
    new_fields.entity,
    new_fields.field_code,
    new_fields.field_type,
    named.column_name,
    named.column_names,
    new_fields.field_name as label_when_published,
    now() as first_seen_at
from new_fields
inner join named on new_fields.entity = named.entity and new_fields.nr = named.nr
