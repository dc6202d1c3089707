{#-
    Custom fields as columns. Three rules hold here: a column's name comes from the registry, never from a current
    label; a field's key is checked to be 40 hex digits before it becomes part of a statement; labels are only data.
-#}

{#- The companion columns of each field type, reserved in the registry together with the field's own. -#}
{% macro custom_field_companions() -%}
    {{ return({
        'monetary': ['_currency'],
        'daterange': ['_until'],
        'timerange': ['_until', '_timezone'],
        'time': ['_timezone'],
        'enum': ['_id'],
        'set': ['_ids'],
        'user': ['_id'],
        'org': ['_id'],
        'people': ['_id'],
        'address': [
            '_street', '_number', '_unit', '_district', '_city', '_county', '_state', '_country', '_postcode', '_formatted'
        ],
    }) }}
{%- endmacro %}

{#- The same as an SQL expression: the suffixes of all columns of a field, its own ('') first. -#}
{% macro custom_field_suffixes(field_type) -%}
    case {{ field_type }}
        {%- for type, suffixes in custom_field_companions().items() %}
        when '{{ type }}' then array['', '{{ suffixes | join("', '") }}']
        {%- endfor %}
        else array['']
    end
{%- endmacro %}

{#-
    The published fields of an entity: [{'key', 'type', 'column'}], read when the calling model is compiled. dbt
    compiles a model right before it runs it, after all its dependencies, so fields that are new in this run are
    included. The caller must name the registry: -- depends_on: ref(...).
-#}
{% macro published_custom_fields(entity) -%}
    {%- set fields = [] -%}
    {%- if execute -%}
        {%- set registry = load_relation(ref('int_custom_field_registry')) -%}
        {%- if registry -%}
            {%- set query -%}
                select field_code, field_type, column_name, sum(cardinality(column_names)) over (order by first_seen_at, column_name)
                from {{ registry }}
                where entity = '{{ entity }}'
                order by first_seen_at, column_name
            {%- endset -%}
            {%- for key, type, column, width in run_query(query).rows -%}
                {%- if not modules.re.match('^[0-9a-f]{40}$', key) or not modules.re.match('^cf_[a-z0-9_]+$', column) -%}
                    {{ exceptions.raise_compiler_error("Refusing to build SQL from an unexpected custom field key or column name") }}
                {%- endif -%}
                {%- if width <= var('custom_field_columns_limit') -%}
                    {%- do fields.append({'key': key, 'type': type, 'column': column}) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(fields) }}
{%- endmacro %}

{#- All custom fields of a row, parsed from its json in one step: one step per field would parse it each time. -#}
{% macro custom_fields_record(json, fields) -%}
    jsonb_to_record(
        case when jsonb_typeof({{ json }}) = 'object' then {{ json }} else '{}' end
    ) as field (
        {%- for field in fields %}
        "{{ field.key }}" jsonb{{ ',' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- The columns of one field as stored, typed: ids, not names. Needs custom_fields_record() as `field`. -#}
{% macro custom_field_stored_columns(field) -%}
    {%- set json = 'field."' ~ field.key ~ '"' -%}
    {%- set value = _cf_part(json, 'value') -%}
    {%- set name = field.column -%}
    {%- if field.type == 'monetary' -%}
        {{ try_numeric(value) }} as {{ name }},
        {{ json }} ->> 'currency' as {{ name }}_currency
    {%- elif field.type in ('double', 'int') -%}
        {{ try_numeric(value) }} as {{ name }}
    {%- elif field.type == 'bool' -%}
        case {{ value }} when 'true' then true when 'false' then false end as {{ name }}
    {%- elif field.type == 'date' -%}
        {{ try_date(value) }} as {{ name }}
    {%- elif field.type == 'daterange' -%}
        {{ try_date(value) }} as {{ name }},
        {{ try_date('(' ~ json ~ " ->> 'until')") }} as {{ name }}_until
    {%- elif field.type == 'time' -%}
        {{ try_time(value) }} as {{ name }},
        {{ json }} ->> 'timezone_name' as {{ name }}_timezone
    {%- elif field.type == 'timerange' -%}
        {{ try_time(value) }} as {{ name }},
        {{ try_time('(' ~ json ~ " ->> 'until')") }} as {{ name }}_until,
        {{ json }} ->> 'timezone_name' as {{ name }}_timezone
    {%- elif field.type in ('enum', 'user', 'org', 'people') -%}
        {{ try_bigint(_cf_reference(json)) }} as {{ name }}_id
    {%- elif field.type == 'set' -%}
        {{ _cf_ids(json) }} as {{ name }}_ids
    {%- elif field.type == 'address' -%}
        {{ value }} as {{ name }},
        {{ json }} ->> 'route' as {{ name }}_street,
        {{ json }} ->> 'street_number' as {{ name }}_number,
        {{ json }} ->> 'subpremise' as {{ name }}_unit,
        {{ json }} ->> 'sublocality' as {{ name }}_district,
        {{ json }} ->> 'locality' as {{ name }}_city,
        {{ json }} ->> 'admin_area_level_2' as {{ name }}_county,
        {{ json }} ->> 'admin_area_level_1' as {{ name }}_state,
        {{ json }} ->> 'country' as {{ name }}_country,
        {{ json }} ->> 'postal_code' as {{ name }}_postcode,
        {{ json }} ->> 'formatted_address' as {{ name }}_formatted
    {%- else -%}
        {{ value }} as {{ name }}
    {%- endif -%}
{%- endmacro %}

{#-
    The same columns for display, from `stored`: the id of an option, user, person or organization beside its
    current name; an unknown option is shown as '#id'.
-#}
{% macro custom_field_columns(field) -%}
    {%- set name = field.column -%}
    {%- if field.type == 'enum' -%}
        coalesce("named_{{ field.key }}".label, '#' || stored.{{ name }}_id) as {{ name }}
    {%- elif field.type in ('user', 'org', 'people') -%}
        "named_{{ field.key }}".name as {{ name }}
    {%- elif field.type == 'set' -%}
        {{ option_labels("string_to_array(stored." ~ name ~ "_ids, '; ')", "listed.field_code = '" ~ field.key ~ "'") }} as {{ name }}
    {%- else -%}
        stored.{{ name }}
    {%- endif -%}
    {%- for suffix in custom_field_companions().get(field.type, []) %},
        stored.{{ name }}{{ suffix }}
    {%- endfor -%}
{%- endmacro %}

{#-
    The joins for these columns. Each is by a key, so PostgreSQL omits the joins of columns that a query does not
    need.
-#}
{% macro custom_field_joins(fields) -%}
    {%- set dims = {'user': ('dim_user', 'user_id'), 'org': ('dim_organization', 'org_id'), 'people': ('dim_person', 'person_id')} -%}
    {%- for field in fields %}
    {%- set named = '"named_' ~ field.key ~ '"' %}
    {%- if field.type in dims %}
    {%- set model, id = dims[field.type] %}
    left join {{ ref(model) }} as {{ named }} on stored.{{ field.column }}_id = {{ named }}.{{ id }}
    {%- elif field.type == 'enum' %}
    left join {{ ref('int_field_options') }} as {{ named }}
        on {{ named }}.entity = 'deal' and {{ named }}.field_code = '{{ field.key }}'
        and stored.{{ field.column }}_id::text = {{ named }}.option_id
    {%- endif %}
    {%- endfor %}
{%- endmacro %}

{#- The labels of a deal's options, in the order of the field's list. -#}
{% macro option_labels(ids, of_field) -%}
    (
        select string_agg(coalesce(known.label, '#' || element.id), '; ' order by known.position, element.id)
        from (select distinct named.id from unnest({{ ids }}) as named (id)) as element
        left join lateral (
            select
                listed.label,
                listed.position
            from {{ ref('int_field_options') }} as listed
            where listed.entity = 'deal' and {{ of_field }} and listed.option_id = element.id
            order by listed.is_deleted asc, listed.field_code desc
            limit 1
        ) as known on true
    )
{%- endmacro %}

{#- The labels of an entity. Accounts have them as options of the field `label_ids`, of `label`, or of both. -#}
{% macro label_options(entity) -%}
    select distinct on (option_id)
        option_id,
        label,
        position
    from {{ ref('int_field_options') }}
    where entity = '{{ entity }}' and field_code in ('label_ids', 'label')
    order by option_id asc, is_deleted asc, field_code desc
{%- endmacro %}

{#- A part of a compound value as text; a plain value is its only part. -#}
{% macro _cf_part(json, part) -%}
    (case when jsonb_typeof({{ json }}) = 'object' then {{ json }} ->> '{{ part }}' else {{ json }} #>> '{}' end)
{%- endmacro %}

{#- The id in a value, which is a plain id or an object. -#}
{% macro _cf_reference(json) -%}
    (case when jsonb_typeof({{ json }}) = 'object' then coalesce({{ json }} ->> 'id', {{ json }} ->> 'value') else {{ json }} #>> '{}' end)
{%- endmacro %}

{#- The ids of one option or several. -#}
{% macro _cf_ids(json) -%}
    case
        when {{ json }} is null then null
        when jsonb_typeof({{ json }}) = 'array' then (
            select string_agg({{ _cf_reference('element') }}, '; ')
            from jsonb_array_elements({{ json }}) as elements (element)
        )
        else {{ _cf_reference(json) }}
    end
{%- endmacro %}

{#- Describes the generated columns in the database, with the current labels of fields and names of stages. -#}
{% macro comment_custom_fields(entity) -%}
    {%- if execute %}
    do $comment$
    declare
        item record;
    begin
        for item in
            with described as (
                select
                    named.column_name,
                    coalesce(fields.field_name, registry.label_when_published)
                    || ' (' || registry.field_type
                    -- a companion column names its part
                    || coalesce(', ' || nullif(ltrim(substr(named.column_name, length(registry.column_name) + 1), '_'), ''), '')
                    || ')' as description
                from {{ ref('int_custom_field_registry') }} as registry
                left join {{ ref('int_fields') }} as fields
                    on registry.entity = fields.entity and registry.field_code = fields.field_code
                cross join lateral unnest(registry.column_names) as named (column_name)
                where registry.entity = '{{ entity }}'
                union all
                select
                    registry.column_name,
                    'When the deal first stood in the stage ' || coalesce(stages.name, registry.label_when_published)
                from {{ ref('int_stage_column_registry') }} as registry
                left join {{ ref('dim_stage') }} as stages on registry.stage_id = stages.stage_id
                where '{{ entity }}' = 'deal'
            )
            select described.column_name, described.description
            from described
            inner join pg_catalog.pg_attribute as attribute
                on attribute.attrelid = '{{ this }}'::regclass and attribute.attname = described.column_name
            where described.description is distinct from col_description(attribute.attrelid, attribute.attnum)
        loop
            execute format('comment on column {{ this }}.%I is %L', item.column_name, item.description);
        end loop;
    end
    $comment$
    {%- endif %}
{%- endmacro %}
