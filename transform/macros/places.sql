{#-
    Where models and raw tables are. Everything that names a schema asks here, so that the project can be imported by
    another one, and built by several developers in one database.
-#}

{#-
    Of a target whose schema is `marts`, as in profiles.yml, schemas have the names that dbt_project.yml gives them.
    The schema of any other target is a prefix: `ana` makes ana_staging, ana_marts, ... The variable `schema_prefix`
    overrides that.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set prefix = var('schema_prefix') -%}
    {%- if prefix is none -%}
        {%- set prefix = '' if target.schema == 'marts' else target.schema ~ '_' -%}
    {%- endif -%}
    {{ prefix ~ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}

{#- The relation of a model of this project. Unlike ref(), it makes nothing wait for that model. Only when executing. -#}
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

{#- The schemas that people and BI tools read. -#}
{% macro schemas_for_readers() -%}
    {%- set schemas = [] -%}
    {%- for id in graph.nodes if id.startswith('model.pipeboard.') -%}
        {#- Each look at a node copies it. -#}
        {%- set node = graph.nodes[id] -%}
        {%- if node.fqn[1] in ('marts', 'reports', 'ops') and node.schema not in schemas -%}
            {%- do schemas.append(node.schema) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(schemas) }}
{%- endmacro %}
