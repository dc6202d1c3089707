{#-
    The published `moved_to_stage_…` columns: [(stage_id, column)], read when the calling model is compiled.
    The caller must name the registry: -- depends_on: ref('int_stage_column_registry').
-#}
{% macro published_stage_columns() -%}
    {%- set columns = [] -%}
    {%- if execute -%}
        {%- set registry = load_relation(ref('int_stage_column_registry')) -%}
        {%- if registry -%}
            {%- for stage_id, column in run_query('select stage_id, column_name from ' ~ registry ~ ' order by stage_id').rows -%}
                {%- if not modules.re.match('^moved_to_stage_[a-z0-9_]+$', column) -%}
                    {{ exceptions.raise_compiler_error("Refusing to build SQL from an unexpected stage column name") }}
                {%- endif -%}
                {%- do columns.append((stage_id | int, column)) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}
