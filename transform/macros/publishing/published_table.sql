{#-
    A table whose readers never notice a build: the result is written to a temporary table, and the rows that differ
    are replaced in one transaction. Nothing is dropped, and a build without changes writes nothing. See README.md.
-#}
{% materialization published_table, adapter='postgres' %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set published = publish_rows(this, sql) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do finish_relation(published) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [published]}) }}
{% endmaterialization %}

{#- Replaces a relation's rows by those of a query. -#}
{% macro publish_rows(relation, sql) -%}
    {%- if load_cached_relation(relation) is none -%}
        {{ return(create_published_table(relation, sql)) }}
    {%- endif -%}
    {%- set aside = build_aside(sql, beside=relation) -%}
    {%- if aside.existing is none -%}
        {#- It was dropped after dbt read the catalogue. -#}
        {{ return(create_published_table(relation, sql)) }}
    {%- endif -%}
    {%- set built = aside.relation -%}
    {%- set columns = fit_columns(relation, aside.existing, aside.columns, built) -%}
    {%- if columns is none -%}
        {#- A view that another project's view depends on cannot become a table. -#}
        {{ return(publish_view(relation, sql)) }}
    {%- endif -%}
    {%- call statement('main', fetch_result=True) -%}
        {{ replace_differing_rows(relation, built, columns, aside.existing.indexes) }}
    {%- endcall -%}
    {%- do report_rows() -%}
    {{ return(relation.incorporate(type='table')) }}
{%- endmacro %}

{% macro create_published_table(relation, sql) -%}
    {%- call statement('main') -%}
        {{ for_short_queries() }}
        {{ get_create_table_as_sql(False, relation, sql) }}
    {%- endcall -%}
    {%- do create_indexes(relation) -%}
    {{ return(relation.incorporate(type='table')) }}
{%- endmacro %}

{#-
    The result of a query as a temporary table, or view: `relation`, its `columns`, and the state of the relation to
    publish (`existing`). One round trip, because each costs more in dbt than in PostgreSQL. A temporary table is
    dropped with the connection, which dbt closes after each node.
-#}
{% macro build_aside(sql, beside, kind='table') -%}
    {%- set aside = make_temp_relation(this) -%}
    {%- call statement('build_aside', fetch_result=True) -%}
        {{ for_short_queries() }}
        {{ config.get('sql_header') or '' }}
        create temporary {{ kind }} {{ aside }} as (
            {{ sql }}
        );
        select
            {{ _state_of(beside) }}::text as existing,
            {{ _state_of(aside) }}::text as built,
            {{ _breaks_contract(aside) if kind == 'table' or sql == model.compiled_code else 'false' }} as breaks_contract
            {%- if kind == 'view' %},
            pg_get_viewdef(to_regclass('{{ beside }}')) = pg_get_viewdef(to_regclass('{{ aside }}')) as is_same
            {%- endif %}
    {%- endcall -%}
    {%- set found = load_result('build_aside').table.rows[0] -%}
    {%- if found.breaks_contract -%}
        {#- dbt's own comparison decides, and its message names the difference. -#}
        {%- do get_assert_columns_equivalent(sql) -%}
    {%- endif -%}
    {{ return({
        'relation': aside,
        'columns': fromjson(found.built).columns,
        'existing': fromjson(found.existing) if found.existing else none,
        'is_same': found.is_same if kind == 'view' else none,
    }) }}
{%- endmacro %}

{#-
    JIT-compiling the many expressions of one statement takes longer than running them once. Starting parallel workers
    for a scan of a tenth of a second costs more than they save: models run side by side.
-#}
{% macro for_short_queries() -%}
    set jit = off;
    set min_parallel_table_scan_size = '256MB';
{%- endmacro %}

{#- Whether a column is missing, is not declared, or has another type, in a model with a contract. -#}
{% macro _breaks_contract(aside) -%}
    {%- if config.get('contract').enforced -%}
    exists (
        select
        from (
            values
            {%- for column in model.columns.values() %}
            ('{{ column.name }}', '{{ column.data_type | replace("'", "''") }}'){{ ',' if not loop.last }}
            {%- endfor %}
        ) as declared (name, type)
        full join (
            select
                attname,
                atttypid
            from pg_catalog.pg_attribute
            where attrelid = to_regclass('{{ aside }}') and attnum > 0
        ) as found on declared.name = found.attname
        where found.atttypid is distinct from to_regtype(declared.type)::oid
    )
    {%- else -%}
    false
    {%- endif -%}
{%- endmacro %}

{#- The counts of replace_differing_rows(), in the form that dbt shows and records. -#}
{% macro report_rows() -%}
    {%- set counts = load_result('main').table.rows[0].values() | map('int') | list -%}
    {%- do store_raw_result(
        'main',
        message='ROWS +' ~ counts[0] ~ ' ~' ~ counts[1] ~ ' -' ~ counts[2],
        code='ROWS',
        rows_affected=counts | sum
    ) -%}
{%- endmacro %}
