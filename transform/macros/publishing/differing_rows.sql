{#-
    Replaces the rows of a table that differ from the new ones; other rows stay. Counts added, changed and deleted
    rows. Columns of the table that are not in the build keep their values, and are null in new rows.
-#}
{% macro replace_differing_rows(relation, built, columns, indexes) -%}
    -- Of two simultaneous builds, each compares with the result of the other one.
    select pg_advisory_xact_lock(hashtext('pipeboard replaces rows'), '{{ relation }}'::regclass::oid::int);
    {%- set key = _key_that_holds(built, columns, indexes) %}
    {%- if key %}
    {{ _replace_by_key(relation, built, columns, key) }}
    {%- else %}
    {{ _replace_by_value(relation, built, columns) }}
    {%- endif -%}
{%- endmacro %}

{#- By key: one join, whose result is deleted, updated and inserted. -#}
{% macro _replace_by_key(relation, built, columns, key) -%}
    {%- set values = columns | rejectattr('name', 'in', key) | list -%}
    with differing as materialized (
        select
            old.ctid as old_id,
            new.ctid as new_id
        from {{ relation }} as old
        full join {{ built }} as new on {{ _equal_keys(columns, key) }}
        where
            old.ctid is null
            or new.ctid is null
            {%- for column in values %}
            or old.{{ column.quoted }} is distinct from {{ column.value }}
            {%- endfor %}
    ),

    deleted as (
        delete from {{ relation }}
        where ctid in (select differing.old_id from differing where differing.new_id is null)
        returning 1
    ),

    {%- if values %}
    changed as (
        update {{ relation }} as old
        set
            {%- for column in values %}
            {{ column.quoted }} = {{ column.value }}{{ ',' if not loop.last }}
            {%- endfor %}
        from differing
        inner join {{ built }} as new on differing.new_id = new.ctid
        where old.ctid = differing.old_id
        returning 1
    ),
    {%- endif %}

    added as (
        insert into {{ relation }} ({{ columns | join(', ', attribute='quoted') }})
        select {{ columns | join(', ', attribute='value') }}
        from {{ built }} as new
        where new.ctid in (select differing.new_id from differing where differing.old_id is null)
        returning 1
    )

    select
        (select count(*) from added) as n_added,
        {{ '(select count(*) from changed)' if values else '0' }} as n_changed,
        (select count(*) from deleted) as n_deleted
{%- endmacro %}

{#- Null equals null, in a form that PostgreSQL can use in a hash join. -#}
{% macro _equal_keys(columns, key) -%}
    {%- for column in columns if column.name in key -%}
        {{ ' and ' if not loop.first }}
        {%- if key[column.name] == 'has nulls' -%}
        (old.{{ column.quoted }} is null) = ({{ column.value }} is null)
        and coalesce(old.{{ column.quoted }}::text, '') = coalesce({{ column.value }}::text, '')
        {%- else -%}
        old.{{ column.quoted }} = {{ column.value }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}

{#- Without a key a row is compared by a digest of all its values as text; equal rows are numbered. -#}
{% macro _replace_by_value(relation, built, columns) -%}
    with old_rows as materialized (
        {{ _numbered_rows(relation, 'old', columns, 'quoted') }}
    ),

    new_rows as materialized (
        {{ _numbered_rows(built, 'new', columns, 'value') }}
    ),

    deleted as (
        delete from {{ relation }}
        where ctid in (
            select old_rows.id
            from old_rows
            left join new_rows on old_rows.digest = new_rows.digest and old_rows.nr = new_rows.nr
            where new_rows.id is null
        )
        returning 1
    ),

    added as (
        insert into {{ relation }} ({{ columns | join(', ', attribute='quoted') }})
        select {{ columns | join(', ', attribute='value') }}
        from {{ built }} as new
        where new.ctid in (
            select new_rows.id
            from new_rows
            left join old_rows on new_rows.digest = old_rows.digest and new_rows.nr = old_rows.nr
            where old_rows.id is null
        )
        returning 1
    )

    select
        (select count(*) from added) as n_added,
        0 as n_changed,
        (select count(*) from deleted) as n_deleted
{%- endmacro %}

{% macro _numbered_rows(relation, alias, columns, attribute) -%}
    select
        id,
        digest,
        row_number() over (partition by digest) as nr
    from (
        select
            {{ alias }}.ctid as id,
            md5((row({{ columns | join(', ', attribute=attribute) }}))::text)::uuid as digest
        from {{ relation }} as {{ alias }}
    ) as digests
{%- endmacro %}

{#-
    The key columns: those of the table's primary key, or unique index, or of the model's unique_key, if the build's
    rows are unique by it. For each, whether it has nulls.
-#}
{% macro _key_that_holds(built, columns, indexes) -%}
    {%- set keys = [] -%}
    {%- for index in indexes if index.is_unique -%}
        {%- do keys.append(index.columns) -%}
    {%- endfor -%}
    {%- if config.get('unique_key') -%}
        {%- set named = config.get('unique_key') -%}
        {%- do keys.append([named] if named is string else named) -%}
    {%- endif -%}
    {%- set names = columns | map(attribute='name') | list -%}
    {%- for key in keys if key | reject('in', names) | list | length == 0 -%}
        {%- set query -%}
            select
                coalesce(max(n), 0) <= 1
                {%- for name in key %},
                coalesce(bool_or({{ adapter.quote(name) }} is null), false)
                {%- endfor %}
            from (
                select
                    count(*) as n,
                    {{ key | map('tojson') | join(', ') }}
                from {{ built }}
                group by {{ key | map('tojson') | join(', ') }}
            ) as keys
        {%- endset -%}
        {%- set found = run_query(query).rows[0].values() -%}
        {%- if found[0] -%}
            {%- set holding = {} -%}
            {%- for name in key -%}
                {%- do holding.update({name: 'has nulls' if found[loop.index] else 'has none'}) -%}
            {%- endfor -%}
            {{ return(holding) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
