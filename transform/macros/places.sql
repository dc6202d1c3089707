{#-
    Schemas of models and raw tables. All code that names a schema uses these macros, so that the project can be
    imported by another one, and built by several developers in one database.
-#}

{#-
    In a target with schema `marts`, as in profiles.yml, schemas have the names in dbt_project.yml. The schema of
    any other target is a prefix: `ana` makes ana_staging, ana_marts, ... The variable `schema_prefix` overrides
    this.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set prefix = var('schema_prefix') -%}
    {%- if prefix is none -%}
        {%- set prefix = '' if target.schema == 'marts' else target.schema ~ '_' -%}
    {%- endif -%}
    {{ prefix ~ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}

{#-
    The relation of a model of this project. Unlike ref(), it adds no dependency on that model. Only when executing.
-#}
{% macro model_relation(name) -%}
    {{ return(_relation_of(graph.nodes['model.pipeboard.' ~ name], 'alias')) }}
{%- endmacro %}

{#- The relation of a raw table. Unlike source(), it may be used above staging. Only when executing. -#}
{% macro raw_relation(table, source_name='pipedrive') -%}
    {{ return(_relation_of(graph.sources['source.pipeboard.' ~ source_name ~ '.' ~ table], 'identifier')) }}
{%- endmacro %}

{% macro _relation_of(node, name) -%}
    {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node[name])) }}
{%- endmacro %}

{#- The schemas that people and BI tools may read. -#}
{% macro schemas_for_readers() -%}
    {%- set schemas = [] -%}
    {%- for id in graph.nodes if id.startswith('model.pipeboard.') -%}
        {#- dbt copies a node at each access. -#}
        {%- set node = graph.nodes[id] -%}
        {%- if node.fqn[1] in ('marts', 'reports', 'ops') and node.schema not in schemas -%}
            {%- do schemas.append(node.schema) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(schemas) }}
{%- endmacro %}
