{#- Schemas are named exactly as configured, whatever the target: staging, intermediate, marts, … -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
