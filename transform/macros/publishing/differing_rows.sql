{#-
    Replaces the rows of a table that differ from those built aside; the rest is not touched. Counts what was added,
    changed and deleted. Columns of the table that are not built keep their values, and are null in new rows.
-#}
{% macro replace_differing_rows(relation, built, columns) -%}
    -- Of two builds at once, each compares with what the other one left.
    select pg_advisory_xact_lock(hashtext('pipeboard replaces rows'), '{{ relation }}'::regclass::oid::int);
    {%- set key = _key_that_holds(relation, built, columns) %}
    {%- if key %}
    {{ _replace_by_key(relation, built, columns, key) }}
    {%- else %}
    {{ _replace_by_value(relation, built, columns) }}
    {%- endif -%}
{%- endmacro %}

{#- By key a row is updated; in one statement, so the three parts look at the same rows. -#}
{% macro _replace_by_key(relation, built, columns, key) -%}
    {%- set values = [] -%}
    {%- for column in columns if column.name not in key -%}
        {%- do values.append(column) -%}
    {%- endfor -%}
    with deleted as (
        delete from {{ relation }} as old
        where not exists (select from {{ built }} as new where {{ _equal_keys(columns, key) }})
        returning 1
    ),

    {%- if values %}
    changed as (
        update {{ relation }} as old
        set
            {%- for column in values %}
            {{ column.quoted }} = {{ column.value }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ built }} as new
        where
            {{ _equal_keys(columns, key) }}
            and (
                {%- for column in values %}
                {{ 'or ' if not loop.first }}old.{{ column.quoted }} is distinct from {{ column.value }}
                {%- endfor %}
            )
        returning 1
    ),
    {%- endif %}

    added as (
        insert into {{ relation }} ({{ columns | join(', ', attribute='quoted') }})
        select {{ columns | join(', ', attribute='value') }}
        from {{ built }} as new
        where not exists (select from {{ relation }} as old where {{ _equal_keys(columns, key) }})
        returning 1
    )

    select
        (select count(*) from added) as n_added,
        {{ '(select count(*) from changed)' if values else '0' }} as n_changed,
        (select count(*) from deleted) as n_deleted
{%- endmacro %}

{% macro _equal_keys(columns, key) -%}
    {%- for column in columns if column.name in key -%}
        {{ ' and ' if not loop.first }}old.{{ column.quoted }} = {{ column.value }}
    {%- endfor -%}
{%- endmacro %}

{#-
    Without a key a row is all of its values, and equal rows are numbered. First what goes, then what comes: in one
    statement a unique index could meet both.
-#}
{% macro _replace_by_value(relation, built, columns) -%}
    {%- set old_rows = _numbered_rows(relation, 'old', columns, 'quoted') -%}
    {%- set new_rows = _numbered_rows(built, 'new', columns, 'value') -%}
    with deleted as (
        delete from {{ relation }}
        where ctid in (
            select old.id
            from {{ old_rows }} as old
            where not exists (
                select from {{ new_rows }} as new
                where new.text_of_row = old.text_of_row and new.nr = old.nr
            )
        )
        returning 1
    )

    select set_config('pipeboard.n_deleted', count(*)::text, true) from deleted;

    with added as (
        insert into {{ relation }} ({{ columns | join(', ', attribute='quoted') }})
        select {{ columns | join(', ', attribute='value') }}
        from {{ built }} as new
        where new.ctid in (
            select new.id
            from {{ new_rows }} as new
            where not exists (
                select from {{ old_rows }} as old
                where old.text_of_row = new.text_of_row and old.nr = new.nr
            )
        )
        returning 1
    )

    select
        count(*) as n_added,
        0 as n_changed,
        current_setting('pipeboard.n_deleted')::bigint as n_deleted
    from added
{%- endmacro %}

{% macro _numbered_rows(relation, alias, columns, attribute) -%}
    (
        select
            id,
            text_of_row,
            row_number() over (partition by text_of_row) as nr
        from (
            select
                {{ alias }}.ctid as id,
                (row({{ columns | join(', ', attribute=attribute) }}))::text as text_of_row
            from {{ relation }} as {{ alias }}
        ) as rows_as_text
    )
{%- endmacro %}

{#-
    The columns that name one row each: those of the table's primary key, or unique index, or of the model's
    unique_key; if what was built keeps to it.
-#}
{% macro _key_that_holds(relation, built, columns) -%}
    {%- set keys = [] -%}
    {%- for index in (relation_state(relation).indexes) if index.is_unique -%}
        {%- do keys.append(index.columns) -%}
    {%- endfor -%}
    {%- if config.get('unique_key') -%}
        {%- set named = config.get('unique_key') -%}
        {%- do keys.append([named] if named is string else named) -%}
    {%- endif -%}
    {%- set names = columns | map(attribute='name') | list -%}
    {%- for key in keys -%}
        {%- if key | reject('in', names) | list | length == 0 -%}
            {%- set listed = key | map('tojson') | join(', ') -%}
            {%- set query -%}
                select 1
                from {{ built }}
                group by {{ listed }}
                having count(*) > 1
                limit 1
            {%- endset -%}
            {%- if run_query(query).rows | length == 0 -%}
                {{ return(key) }}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
