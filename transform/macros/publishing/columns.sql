{#-
    A relation as it is in the database: its kind (r table, v view, …), its columns in order, and its indexes on
    plain columns, the primary key first. None if it does not exist.
-#}
{% macro relation_state(relation) -%}
    {%- set rows = run_query('select ' ~ _state_of(relation)).rows -%}
    {{ return(fromjson(rows[0][0]) if rows[0][0] else none) }}
{%- endmacro %}

{% macro _state_of(relation) -%}
    (
        select json_build_object(
            'kind', class.relkind,
            'columns', (
                select coalesce(json_agg(json_build_object(
                    'name', attname, 'quoted', quote_ident(attname), 'type', format_type(atttypid, atttypmod)
                ) order by attnum), '[]')
                from pg_catalog.pg_attribute
                where attrelid = class.oid and attnum > 0 and not attisdropped
            ),
            'indexes', (
                select coalesce(json_agg(json_build_object(
                    'is_unique', indisunique,
                    'columns', (
                        select json_agg(attname order by indexed.nr)
                        from unnest(indkey::int2[]) with ordinality as indexed (attnum, nr)
                        inner join pg_catalog.pg_attribute
                            on attrelid = class.oid and pg_attribute.attnum = indexed.attnum
                    )
                ) order by indisprimary desc, indexrelid), '[]')
                from pg_catalog.pg_index
                where indrelid = class.oid and indisvalid and indpred is null and indexprs is null
            )
        )::text
        from pg_catalog.pg_class as class
        where class.oid = to_regclass('{{ relation }}')
    )
{%- endmacro %}

{#- The difference of two lists of columns: new columns, removed columns, columns with another type. -#}
{% macro compare_columns(old, new) -%}
    {%- set types = {} -%}
    {%- set found = {'added': [], 'gone': [], 'changed': []} -%}
    {%- for column in old -%}
        {%- do types.update({column.name: column.type}) -%}
    {%- endfor -%}
    {%- for column in new -%}
        {%- if column.name not in types -%}
            {%- do found.added.append(column) -%}
        {%- elif types[column.name] != column.type -%}
            {%- do found.changed.append({
                'name': column.name, 'quoted': column.quoted, 'type': types[column.name], 'new_type': column.type
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set names = new | map(attribute='name') | list -%}
    {%- for column in old if column.name not in names -%}
        {%- do found.gone.append(column) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#-
    Changes the columns of a table to the wanted ones, those of the build, and returns the columns to write. A new
    column is added in place, a column that no view uses is dropped. If a column has another type, or a view becomes
    a table, a new table replaces the old one, unless a view of another project depends on it: then the old column,
    or view (none), stays. A build of only some rows can only add columns.
-#}
{% macro fit_columns(relation, existing, wanted, built, is_partial=false) -%}
    {%- set found = compare_columns(existing.columns, wanted) -%}
    {%- set converted = {} -%}
    {%- if is_partial -%}
        {%- do found.update({'gone': [], 'changed': []}) -%}
    {%- elif existing.kind != 'r' or found.changed -%}
        {%- if take_the_place_of(relation, existing.kind, 'table', 'select * from ' ~ built, found) -%}
            {%- do found.update({'added': [], 'gone': [], 'changed': []}) -%}
        {%- elif existing.kind != 'r' -%}
            {{ return(none) }}
        {%- endif -%}
    {%- endif -%}
    {%- for column in found.changed -%}
        {%- do converted.update({column.name: _value_in_present_type('new.' ~ column.quoted, column)}) -%}
    {%- endfor -%}
    {%- set changes = [] -%}
    {%- for column in found.added -%}
        {%- do changes.append('add column ' ~ column.quoted ~ ' ' ~ column.type) -%}
    {%- endfor -%}
    {%- if found.gone -%}
        {%- set users = dependents_of(relation) -%}
        {%- for column in found.gone -%}
            {%- set using = [] -%}
            {%- for user in users if column.name in user.columns -%}
                {%- do using.append(user.name) -%}
            {%- endfor -%}
            {%- if using -%}
                {%- do exceptions.warn(
                    relation.schema ~ '.' ~ relation.identifier ~ ': the old column ' ~ column.name ~ ' stays, because '
                    ~ using | join(', ') ~ ' uses it. A later build drops the column when no view uses it.'
                ) -%}
            {%- else -%}
                {%- do changes.append('drop column ' ~ column.quoted) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if changes -%}
        {%- do in_short_transaction(relation, 'alter table ' ~ relation ~ ' ' ~ changes | join(', ')) -%}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for column in wanted -%}
        {%- do columns.append({
            'name': column.name, 'quoted': column.quoted, 'value': converted.get(column.name, 'new.' ~ column.quoted)
        }) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{#- A value in the column's present type; null if not every value can be converted. -#}
{% macro _value_in_present_type(value, column) -%}
    {%- set query -%}
        select
            format('{{ column.type }}')::text in ('text', 'character varying')
            or exists (
                select from pg_catalog.pg_cast
                where
                    castsource = '{{ column.new_type }}'::regtype
                    and casttarget = '{{ column.type }}'::regtype
                    and castcontext in ('i', 'a')
            )
    {%- endset -%}
    {{- return((value if run_query(query).rows[0][0] else 'null') ~ '::' ~ column.type) -}}
{%- endmacro %}
