{#-
    Sums over a table that is updated incrementally: the sums of deleted rows are subtracted, those of new rows are
    added, in the transaction that changes the rows. So a sum equals the sum over all rows, at the cost of the
    changes; a group whose sums stay is not written. The model declares `summed_into`: for each table of sums the
    group by columns with their expressions, never null (`by`), the sums with their aggregates, never null (`sums`;
    the first is the number of rows), and which rows are summed (`where`, if not all). `lists` are columns with all
    values of a group, sorted: `value` is an expression, `where` limits the rows.
-#}

{#-
    The text of a table of sums: names of columns with their types. A full refresh does not empty it: views stand on
    it, and its model knows none of its rows.
-#}
{% macro table_of_sums(by, sums, lists={}) -%}
    {{- config(
        materialized='published_incremental',
        incremental_strategy='append',
        full_refresh=false,
        indexes=[{'columns': by.keys() | list, 'unique': true}]
    ) -}}
    {%- set columns = [] -%}
    {%- for name, type in (by.items() | list) + (sums.items() | list) + (lists.items() | list) -%}
        {%- do columns.append('null::' ~ type ~ ' as ' ~ name) -%}
    {%- endfor -%}
    select {{ columns | join(', ') }}
    where false
{%- endmacro %}

{% macro sum_up_anew(rows) -%}
    {%- for table, summed in config.get('summed_into', {}).items() -%}
        {%- do run_query(
            'delete from ' ~ model_relation(table) ~ '; ' ~ add_to_sums(model_relation(table), summed, {rows: '+'})
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{#-
    `changed`: relations, or common table expressions, each with the sign of its rows. The values of a group are
    compared, too: other values can have the same sum.
-#}
{% macro add_to_sums(table, summed, changed) -%}
    {%- set by, sums, lists = summed.by, summed.sums, summed.get('lists', {}) -%}
    {%- set updates, totals, is_changed, names = [], [], [], by.keys() | list + sums.keys() | list + lists.keys() | list -%}
    {%- for name in sums -%}
        {%- do updates.append(name ~ ' = coalesce(stored.' ~ name ~ ', 0) + excluded.' ~ name) -%}
        {%- do totals.append('sum(changes.' ~ name ~ ') as ' ~ name) -%}
        {%- do is_changed.append('sum(changes.' ~ name ~ ') <> 0') -%}
    {%- endfor -%}
    {%- for name in lists -%}
        {%- do updates.append(name ~ ' = excluded.' ~ name) -%}
        {%- do is_changed.append('max(changes.' ~ name ~ '_added) is distinct from max(changes.' ~ name ~ '_removed)') -%}
    {%- endfor -%}
    {%- if lists -%}
        {#- Of two lists that go, the larger one is not all of them. -#}
        {%- do is_changed.append('count(*) > 2') -%}
    {%- endif -%}
    with changes as (
        {%- for rows, sign in changed.items() %}
        select
            {%- for name, expression in by.items() %}
            {{ expression }} as {{ name }},
            {%- endfor %}
            {%- for name, listed in lists.items() %}
            {{ _list_of(listed, sign == '+') }} as {{ name }}_added,
            {{ _list_of(listed, sign == '-') }} as {{ name }}_removed,
            {%- endfor %}
            {%- for name, aggregate in sums.items() %}
            {{ sign }}{{ aggregate }} as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ rows }} as summed
        {{ 'where ' ~ summed.where if summed.where }}
        group by {{ by.values() | join(', ') }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    totals as (
        select {{ by | join(', ') }}, {{ totals | join(', ') }}
        from changes
        group by {{ by | join(', ') }}
        having {{ is_changed | join(' or ') }}
    )

    {%- for name in lists %},
    {{ name }}_left as (
        select {{ by | join(', ') }}, array_agg(value order by value) as {{ name }}
        from (
            (
                select {{ by | join(', ') }}, unnest(stored.{{ name }}) as value
                from {{ table }} as stored
                inner join totals using ({{ by | join(', ') }})
                union all
                select {{ by | join(', ') }}, unnest({{ name }}_added) from changes
                inner join totals using ({{ by | join(', ') }})
            )
            except all
            select {{ by | join(', ') }}, unnest({{ name }}_removed) from changes
            inner join totals using ({{ by | join(', ') }})
        ) as listed
        group by {{ by | join(', ') }}
    )
    {%- endfor %}

    insert into {{ table }} as stored ({{ names | join(', ') }})
    select
        totals.{{ (by.keys() | list + sums.keys() | list) | join(', totals.') }}
        {%- for name in lists %},
        coalesce({{ name }}_left.{{ name }}, '{}')
        {%- endfor %}
    from totals
    {%- for name in lists %}
    left join {{ name }}_left using ({{ by | join(', ') }})
    {%- endfor %}
    on conflict ({{ by | join(', ') }}) do update set {{ updates | join(', ') }}
{%- endmacro %}

{#- A sorted list of the values of rows, null if there is none. -#}
{% macro _list_of(listed, is_of_these) -%}
    array_agg({{ listed.value }} order by {{ listed.value }}) filter (where {{ listed.where if is_of_these else 'false' }})
{%- endmacro %}

{#- Of rows that are deleted by some conditions, and of new ones: one statement, then groups without rows go. -#}
{% macro update_sums(relation, conditions, built) -%}
    {%- set changed = {built: '+'} -%}
    with
    {%- for condition in conditions %}
    {%- do changed.update({'deleted_' ~ loop.index: '-'}) %}
    deleted_{{ loop.index }} as (delete from {{ relation }} where {{ condition }} returning *){{ ',' if not loop.last }}
    {%- endfor %}
    {%- for table, summed in config.get('summed_into').items() %},
    sums_{{ loop.index }} as (
        {{ add_to_sums(model_relation(table), summed, changed) }}
    )
    {%- endfor %}
    select 1;
    {%- for table, summed in config.get('summed_into').items() %}
    delete from {{ model_relation(table) }} where {{ summed.sums | first }} = 0;
    {%- endfor %}
{%- endmacro %}
