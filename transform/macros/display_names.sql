{#-
    The body of a CTE with one `display_name` per `key`: the name, and where other records have the same name the
    qualifier behind it, or the key. No two records of a dimension have the same one, so a chart that groups by it
    never adds up two records.

    A name that ends with `#` and the key of another record gets its own key behind it. That is why no name can look
    like the display name of another record. White space and marks of the writing direction are the same to a reader,
    and to the comparison. Key -1, the unknown record, keeps its name.
-#}
{% macro display_names(relation, key, name='name', qualifier='null', within=none) -%}
    {%- set scope = within ~ ', ' if within else '' -%}
    select
        {{ scope }}{{ key }},
        case
            when {{ key }}::text = '-1' then plain_name
            when
                n_of_candidate > 1
                or candidate = ''
                or substring(candidate from '#([^ #]+)$') <> {{ key }}::text
                then ltrim(plain_name || ' #' || {{ key }})
            else candidate
        end as display_name
    from (
        select
            *,
            count(*) over (partition by {{ scope }}candidate) as n_of_candidate
        from (
            select
                *,
                case
                    when count(*) over (partition by {{ scope }}plain_name) = 1 then plain_name
                    else concat_ws(' · ', plain_name, qualifier)
                end as candidate
            from (
                select
                    {{ scope }}{{ key }},
                    {{ plain_text(name) }} as plain_name,
                    nullif({{ plain_text(qualifier) }}, '') as qualifier
                from {{ relation }}
            ) as names
        ) as candidates
    ) as counted_candidates
{%- endmacro %}

{#- A text on one line, without marks that turn the writing direction; '' for null. -#}
{% macro plain_text(text) -%}
    btrim(regexp_replace(regexp_replace(
        coalesce(({{ text }})::text, ''), '[\u200e\u200f\u202a-\u202e\u2066-\u2069]', '', 'g'
    ), '[\s\u00a0]+', ' ', 'g'))
{%- endmacro %}

{#- The account's name of each activity type; if a type was deleted and created again, of the active one. -#}
{% macro activity_type_names() -%}
    select distinct on (activity_type)
        activity_type,
        name
    from {{ ref('stg_pipedrive__activity_types') }}
    order by activity_type asc, is_deleted asc, activity_type_id desc
{%- endmacro %}
