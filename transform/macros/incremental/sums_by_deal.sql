{#-
    Sums over a table that is updated incrementally: the sums of deleted rows are subtracted, those of new rows are
    added, in the transaction that changes the rows. So a sum equals the sum over all rows, at the cost of the
    changes; a group whose sums stay is not written. The model declares the table of sums (`summed_into`), the
    group by columns with their expressions, never null (`summed_by`), and the sums with their aggregates, never
    null (`sums`).
-#}
{% macro sum_up_anew(rows) -%}
    {%- if config.get('summed_into') -%}
        {%- do run_query('delete from ' ~ _sums_table() ~ '; ' ~ add_to_sums({rows: '+'})) -%}
    {%- endif -%}
{%- endmacro %}

{#- `changed`: relations, or common table expressions, each with the sign of its rows. -#}
{% macro add_to_sums(changed) -%}
    {%- set by = config.get('summed_by') -%}
    {%- set sums = config.get('sums') -%}
    {%- set added, totals, is_changed = [], [], [] -%}
    {%- for name in sums -%}
        {%- do added.append(name ~ ' = coalesce(stored.' ~ name ~ ', 0) + excluded.' ~ name) -%}
        {%- do totals.append('sum(changes.' ~ name ~ ')') -%}
        {%- do is_changed.append('sum(changes.' ~ name ~ ') <> 0') -%}
    {%- endfor -%}
    insert into {{ _sums_table() }} as stored ({{ by | join(', ') }}, {{ sums | join(', ') }})
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
        group by {{ by.values() | join(', ') }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as changes
    group by {{ by | join(', ') }}
    having {{ is_changed | join(' or ') }}
    on conflict ({{ by | join(', ') }}) do update set {{ added | join(', ') }};
{%- endmacro %}

{#- Groups without rows: the first sum is the number of rows. -#}
{% macro drop_empty_sums() -%}
    delete from {{ _sums_table() }} where {{ config.get('sums') | first }} = 0;
{%- endmacro %}

{% macro _sums_table() -%}
    {{ return(model_relation(config.get('summed_into'))) }}
{%- endmacro %}
