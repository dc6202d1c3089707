{#-
    A view whose readers never notice a build. An unchanged view is not touched; a changed one is replaced by
    `create or replace`, with its present columns first. See README.md.
-#}
{% materialization published_view, adapter='postgres' %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set published = publish_view(this, sql) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do finish_relation(published) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [published]}) }}
{% endmaterialization %}

{% macro publish_view(relation, sql) -%}
    {%- set aside = build_aside(sql, beside=relation, kind='view') if load_cached_relation(relation) -%}
    {%- if not aside or aside.existing is none -%}
        {%- call statement('main') -%}
            {{ get_create_view_as_sql(relation, sql) }}
        {%- endcall -%}
        {{ return(relation.incorporate(type='view')) }}
    {%- endif -%}
    {%- set existing, wanted, is_same = aside.existing, aside.columns, aside.is_same -%}
    {%- set found = compare_columns(existing.columns, wanted) -%}
    {%- set is_replaced = namespace(by=none) -%}
    {%- if existing.kind != 'v' or found.gone or found.changed -%}
        {%- if take_the_place_of(relation, existing.kind, 'view', sql, found) -%}
            {%- set is_replaced.by = 'NEW VIEW' -%}
        {%- elif existing.kind != 'v' -%}
            {#- A table that another project's view depends on cannot become a view. -#}
            {%- do run_query('drop view ' ~ aside.relation) -%}
            {{ return(publish_rows(relation, sql)) }}
        {%- endif -%}
    {%- endif -%}
    {%- if not is_replaced.by -%}
        {%- set definition = _in_the_order_of(existing.columns, wanted, found, sql) -%}
        {%- if definition != sql -%}
            {%- do run_query('drop view ' ~ aside.relation) -%}
            {%- set is_same = build_aside(definition, beside=relation, kind='view').is_same -%}
        {%- endif -%}
        {%- if not is_same -%}
            {%- do in_short_transaction(relation, 'create or replace view ' ~ relation ~ ' as ' ~ definition) -%}
            {%- set is_replaced.by = 'REPLACED' -%}
        {%- endif -%}
    {%- endif -%}
    {%- call noop_statement('main', is_replaced.by or 'UNCHANGED', is_replaced.by or 'UNCHANGED', 0) -%}
        {{ sql }}
    {%- endcall -%}
    {{ return(relation.incorporate(type='view')) }}
{%- endmacro %}

{#- A view keeps its columns in their order; new ones come after them, and old ones that must stay are null. -#}
{% macro _in_the_order_of(old, new, found, sql) -%}
    {%- if (old | map(attribute='name') | list) == (new | map(attribute='name') | list)[:old | length]
        and not found.changed -%}
        {{ return(sql) }}
    {%- endif -%}
    {%- set values = {} -%}
    {%- for column in found.gone -%}
        {%- do values.update({column.name: 'null::' ~ column.type ~ ' as ' ~ column.quoted}) -%}
    {%- endfor -%}
    {%- for column in found.changed -%}
        {%- do values.update({
            column.name: _value_in_present_type('published.' ~ column.quoted, column) ~ ' as ' ~ column.quoted
        }) -%}
    {%- endfor -%}
    {%- set selected = [] -%}
    {%- for column in old + found.added -%}
        {%- do selected.append(values.get(column.name, 'published.' ~ column.quoted)) -%}
    {%- endfor -%}
    {{ return('select ' ~ selected | join(', ') ~ ' from (\n' ~ sql ~ '\n) as published') }}
{%- endmacro %}
