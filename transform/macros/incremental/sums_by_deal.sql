{#-
    Sums over a table that is kept deal by deal (incremental_strategy='by_deal_summed'): what the rows that go
    added is taken off, what the rows that come add is added, in the transaction that changes the rows. A sum is
    therefore what adding up all rows would give, and costs what changed. The model names the table of sums
    (`summed_into`), what there is a row for each combination of (`summed_by`, columns and their expressions, never
    null), and the sums (`sums`, columns and the aggregates that make them, never null either).
-#}
{% macro get_incremental_by_deal_summed_sql(arg_dict) -%}
    {%- if run_query('select 1 from ' ~ _sums_table() ~ ' limit 1').rows -%}
    {{ _add_to_sums('(select * from ' ~ arg_dict['target_relation'] ~ ' where ' ~ is_changed_deal() ~ ')', '-') }};
    {{ get_incremental_by_deal_sql(arg_dict) }};
    {{ _add_to_sums(arg_dict['temp_relation'], '+') }}
    {%- else -%}
    {{ get_incremental_by_deal_sql(arg_dict) }};
    {{ _add_to_sums(arg_dict['target_relation'], '+') }}
    {%- endif -%}
{%- endmacro %}

{#- Of a table that was built whole. -#}
{% macro sum_anew() -%}
    {%- if execute and not is_incremental() -%}
    delete from {{ _sums_table() }};
    {{ _add_to_sums(this, '+') }}
    {%- endif -%}
{%- endmacro %}

{% macro _add_to_sums(rows, sign) -%}
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
    on conflict ({{ by | join(', ') }}) do update set {{ added | join(', ') }}
{%- endmacro %}

{% macro _sums_table() -%}
    {{ return(_intermediate(config.get('summed_into'))) }}
{%- endmacro %}
