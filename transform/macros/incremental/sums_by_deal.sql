{#-
    Sums over a table that is kept by changes: what the rows that go added is taken off, what the rows that come add
    is added, in the transaction that changes the rows. A sum is therefore what adding up all rows would give, and costs
    what changed. The model names the table of sums (`summed_into`), what there is a row for each combination of
    (`summed_by`, columns and their expressions, never null), and the sums (`sums`, columns and the aggregates that make
    them, never null either).
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
        {%- do added.append(name ~ ' = coalesce(kept.' ~ name ~ ', 0) + excluded.' ~ name) -%}
    {%- endfor -%}
    insert into {{ _sums_table() }} as kept ({{ by | join(', ') }}, {{ sums | join(', ') }})
    select {{ by.values() | join(', ') }}, {{ sign }}{{ sums.values() | join(', ' ~ sign) }}
    from {{ rows }} as summed
    group by {{ by.values() | join(', ') }}
    on conflict ({{ by | join(', ') }}) do update set {{ added | join(', ') }};
    {%- endif -%}
{%- endmacro %}

{#- Combinations that no row has any more: the first sum is the number of rows. -#}
{% macro drop_empty_sums() -%}
    {%- if config.get('summed_into') -%}
    delete from {{ _sums_table() }} where {{ config.get('sums') | first }} = 0;
    {%- endif -%}
{%- endmacro %}

{% macro _sums_table() -%}
    {{ return(model_relation(config.get('summed_into'))) }}
{%- endmacro %}
