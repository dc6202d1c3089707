{#-
    Sums over a table that is updated incrementally: the sums of deleted rows are subtracted, those of new rows are
    added, in the transaction that changes the rows. So a sum equals the sum over all rows, at the cost of the
    changes; a group whose sums stay is not written. The model declares `summed_into`: for each table of sums the
    group by columns with their expressions, never null (`by`), the sums with their aggregates, never null (`sums`;
    the first is the number of rows), and which rows are summed (`where`, if not all).
-#}
{% macro sum_up_anew(rows) -%}
    {%- for table, summed in config.get('summed_into', {}).items() -%}
        {%- do run_query(
            'delete from ' ~ model_relation(table) ~ '; ' ~ add_to_sums(model_relation(table), summed, {rows: '+'})
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{#- `changed`: relations, or common table expressions, each with the sign of its rows. -#}
{% macro add_to_sums(table, summed, changed) -%}
    {%- set by, sums = summed.by, summed.sums -%}
    {%- set added, totals, is_changed = [], [], [] -%}
    {%- for name in sums -%}
        {%- do added.append(name ~ ' = coalesce(stored.' ~ name ~ ', 0) + excluded.' ~ name) -%}
        {%- do totals.append('sum(changes.' ~ name ~ ')') -%}
        {%- do is_changed.append('sum(changes.' ~ name ~ ') <> 0') -%}
    {%- endfor -%}
    insert into {{ table }} as stored ({{ by | join(', ') }}, {{ sums | join(', ') }})
    select {{ by | join(', ') }}, {{ totals | join(', ') }}
    from (
        {%- for rows, sign in changed.items() %}
        select
            {%- for name, expression in by.items() %}
            {{ expression }} as {{ name }},
            {%- endfor %}
            {%- for name, aggregate in sums.items() %}
            {{ sign }}{{ aggregate }} as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ rows }} as summed
        {{ 'where ' ~ summed.where if summed.where }}
        group by {{ by.values() | join(', ') }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as changes
    group by {{ by | join(', ') }}
    having {{ is_changed | join(' or ') }}
    on conflict ({{ by | join(', ') }}) do update set {{ added | join(', ') }}
{%- endmacro %}

{#- Of rows that are deleted by some conditions, and of new ones: one statement, then groups without rows go. -#}
{% macro update_sums(relation, conditions, built) -%}
    {%- set changed = {built: '+'} -%}
    with
    {%- for condition in conditions %}
    {%- do changed.update({'deleted_' ~ loop.index: '-'}) %}
    deleted_{{ loop.index }} as (delete from {{ relation }} where {{ condition }} returning *){{ ',' if not loop.last }}
    {%- endfor %}
    {%- for table, summed in config.get('summed_into').items() %}
    {{ ', sums_' ~ loop.index ~ ' as (' if not loop.last }}
    {{ add_to_sums(model_relation(table), summed, changed) }}
    {{ ')' if not loop.last else ';' }}
    {%- endfor %}
    {%- for table, summed in config.get('summed_into').items() %}
    delete from {{ model_relation(table) }} where {{ summed.sums | first }} = 0;
    {%- endfor %}
{%- endmacro %}
