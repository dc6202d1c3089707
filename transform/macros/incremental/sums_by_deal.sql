{#-
    Sums over a table that is updated incrementally: the sums of deleted rows are subtracted, those of new rows are
    added, in the transaction that changes the rows. So a sum equals the sum over all rows, at the cost of the
    changes. The model declares the table of sums (`summed_into`), the group by columns with their expressions,
    never null (`summed_by`), and the sums with their aggregates, never null (`sums`).
-#}
{% macro sum_up_anew(rows) -%}
    {%- if config.get('summed_into') -%}
        {%- do run_query('delete from ' ~ _sums_table() ~ '; ' ~ add_to_sums(rows, '+')) -%}
    {%- endif -%}
{%- endmacro %}

{% macro add_to_sums(rows, sign) -%}
    {%- if config.get('summed_into') -%}
    {%- set by = config.get('summed_by') -%}
    {%- set sums = config.get('sums') -%}
    {%- set added = [] -%}
    {%- for name in sums -%}
        {%- do added.append(name ~ ' = coalesce(stored.' ~ name ~ ', 0) + excluded.' ~ name) -%}
    {%- endfor -%}
    insert into {{ _sums_table() }} as stored ({{ by | join(', ') }}, {{ sums | join(', ') }})
    select {{ by.values() | join(', ') }}, {{ sign }}{{ sums.values() | join(', ' ~ sign) }}
    from {{ rows }} as summed
    group by {{ by.values() | join(', ') }}
    on conflict ({{ by | join(', ') }}) do update set {{ added | join(', ') }};
    {%- endif -%}
{%- endmacro %}

{#- Groups without rows: the first sum is the number of rows. -#}
{% macro drop_empty_sums() -%}
    {%- if config.get('summed_into') -%}
    delete from {{ _sums_table() }} where {{ config.get('sums') | first }} = 0;
    {%- endif -%}
{%- endmacro %}

{% macro _sums_table() -%}
    {{ return(model_relation(config.get('summed_into'))) }}
{%- endmacro %}
