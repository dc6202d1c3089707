{#-
    Sums over a table that is kept deal by deal (incremental_strategy='by_deal_summed'): what the rows that go
    added is taken off, what the rows that come add is added, in the transaction that changes the rows. A sum is
    therefore what adding up all rows would give, and costs what changed. The model names the table of sums
    (`summed_into`), the columns it has a row for each combination of (`summed_by`, never null), and its sums
    (`sums`, with the aggregate that makes each, never null either).
-#}
{% macro get_incremental_by_deal_summed_sql(arg_dict) -%}
    {{ _add_to_sums('(select * from ' ~ arg_dict['target_relation'] ~ ' where ' ~ is_changed_deal() ~ ')', '-') }};
    {{ get_incremental_by_deal_sql(arg_dict) }};
    {{ _add_to_sums(arg_dict['temp_relation'], '+') }}
{%- endmacro %}

{#- Of a table that was built whole. -#}
{% macro sum_anew() -%}
    {%- if execute and not is_incremental() -%}
    truncate {{ _intermediate(config.get('summed_into')) }};
    {{ _add_to_sums(this, '+') }}
    {%- endif -%}
{%- endmacro %}

{% macro _add_to_sums(rows, sign) -%}
    {%- set by = config.get('summed_by') | join(', ') -%}
    {%- set sums = config.get('sums') -%}
    insert into {{ _intermediate(config.get('summed_into')) }} as kept ({{ by }}, {{ sums | join(', ') }})
    select {{ by }}, {% for sum in sums.values() %}{{ sign }}{{ sum }}{{ ', ' if not loop.last }}{% endfor %}
    from {{ rows }} as summed
    group by {{ by }}
    on conflict ({{ by }}) do update set
        {% for name in sums %}{{ name }} = kept.{{ name }} + excluded.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
{%- endmacro %}
