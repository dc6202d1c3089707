{#-
    The inputs of each model's last build: written at the start and end of a build, read by ops_dbt_model_status,
    which lists the models that the next build must run. A row belongs to the run that began it: if a run is killed,
    fails, or leaves out a test of the model, `is_complete` stays false, and the model is built again.
-#}

{#- Not a model: it must exist before the first model is built. -#}
{% macro model_builds_table() -%}
    {%- set status = model_relation('ops_dbt_model_status') -%}
    {{ return(api.Relation.create(database=status.database, schema=status.schema, identifier='ops_dbt_model_build')) }}
{%- endmacro %}

{#-
    At the start of a run: the selected models are marked as incomplete; rows of nodes that the project no longer
    has are deleted.
-#}
{% macro record_build_start() -%}
    {%- if execute and flags.WHICH in ('run', 'build', 'seed', 'snapshot') -%}
        {%- set table = model_builds_table() -%}
        {%- if not load_relation(table) -%}
            {%- if not adapter.check_schema_exists(table.database, table.schema) -%}
                {%- do adapter.create_schema(table) -%}
            {%- endif %}
    create table if not exists {{ table }} (
        node_id text primary key,
        resource_type text not null,
        relation text not null,
        is_daily boolean not null,
        is_complete boolean not null default false,
        inputs jsonb not null default '{}',
        fingerprint text,
        invocation_id text,
        started_at timestamptz,
        finished_at timestamptz,
        valid_until timestamptz
    );
            {%- for column, description in {
                'node_id': 'The model, seed or snapshot, as dbt names it in full.',
                'resource_type': 'model, seed or snapshot.',
                'relation': 'Its table or view.',
                'is_daily': 'Whether it changes with the day alone.',
                'is_complete': 'Whether it was built, and all of its tests passed.',
                'inputs': 'The state of each source below it when its last build started.',
                'fingerprint': 'Of the project, its settings and dbt, when it was built.',
                'invocation_id': 'The run of dbt that began its last build.',
                'started_at': 'When that build started.',
                'finished_at': 'When it was complete.',
                'valid_until': 'When the day ends that it was built for; null if it does not change with the day.'
            }.items() %}
    comment on column {{ table }}.{{ column }} is '{{ description }}';
            {%- endfor %}
        {%- endif %}
        {%- set nodes = [] -%}
        {%- set known_sources = {} -%}
        {%- for id in graph.nodes if id.split('.')[0] in ('model', 'seed', 'snapshot') -%}
            {#- dbt copies a node at each access. -#}
            {%- set node = graph.nodes[id] -%}
            {%- if _is_built_on_schedule(node) -%}
                {%- set sources = _sources_of(node, known_sources) -%}
                {%- do nodes.append(
                    "('" ~ [
                        id, node.resource_type, _relation_of(node, 'alias').include(database=false),
                        '{' ~ sources.keys() | join(',') ~ '}'
                    ] | join("', '") ~ "'::text[], "
                    ~ ('the calendar' in sources) ~ ", " ~ (id in selected_resources) ~ ")"
                ) -%}
            {%- endif -%}
        {%- endfor %}
    with nodes (node_id, resource_type, relation, sources, is_daily, is_selected) as (
        values {{ nodes | join(',\n        ') }}
    ),

    states as materialized (
        {{ source_states() }}
    ),

    removed as (
        delete from {{ table }} where node_id not in (select node_id from nodes)
    )

    insert into {{ table }} as known (
        node_id, resource_type, relation, is_daily, inputs, fingerprint, invocation_id, started_at
    )
    select
        nodes.node_id,
        nodes.resource_type,
        nodes.relation,
        nodes.is_daily,
        (
            select coalesce(jsonb_object_agg(states.source_id, states.state), '{}')
            from states
            where states.source_id = any(nodes.sources)
        ),
        case when nodes.is_selected then '{{ _fingerprint() }}' end,
        case when nodes.is_selected then '{{ invocation_id }}' end,
        case when nodes.is_selected then now() end
    from nodes
    where nodes.is_selected or nodes.node_id not in (select known.node_id from {{ table }} as known)
    on conflict (node_id) do update set
        resource_type = excluded.resource_type, relation = excluded.relation, is_daily = excluded.is_daily,
        is_complete = false, inputs = excluded.inputs, fingerprint = excluded.fingerprint,
        invocation_id = excluded.invocation_id, started_at = excluded.started_at,
        finished_at = null, valid_until = null;
    {%- endif -%}
{%- endmacro %}

{#- At the end of a run: models that were built and whose tests all ran and passed are marked as complete. -#}
{% macro record_build_end(results, outcomes) -%}
    {%- set table = model_builds_table() -%}
    {#- dbt's cache does not contain the table if this run has created it. -#}
    {%- if run_query("select to_regclass('" ~ table ~ "') is not null").rows[0][0] -%}
        {%- set passed, failed, untested = {}, {}, {} -%}
        {%- for outcome in outcomes -%}
            {%- do (passed if outcome.status in ('pass', 'warn') else failed).update({outcome.test.unique_id: true}) -%}
        {%- endfor -%}
        {%- set built = [] -%}
        {%- for result in results if result.node.resource_type != 'test' and result.status | string == 'success' -%}
            {%- do built.append(result.node.unique_id) -%}
        {%- endfor -%}
        {%- set broken = {} -%}
        {#- dbt copies a node at each access. -#}
        {%- for id in graph.nodes if id.startswith('test.') and id not in passed -%}
            {%- set test = graph.nodes[id] -%}
            {%- if 'reconciliation' not in test.tags and 'group_of_rules' not in test.tags -%}
                {%- for parent in test.depends_on.nodes -%}
                    {%- do untested.update({parent: true}) -%}
                    {%- do broken.update({parent: true} if id in failed or id in selected_resources else {}) -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endfor %}
    update {{ table }} set is_complete = false
    where node_id = any(array['{{ broken | join("', '") }}']);
        {%- if flags.WHICH == 'build' %}
    update {{ table }} set
        is_complete = true,
        finished_at = now(),
        valid_until = case when is_daily then {{ _end_of_day() }} end
    where
        invocation_id = '{{ invocation_id }}'
        and node_id = any(array['{{ built | reject("in", untested) | join("', '") }}']);
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Reconciliation requests Pipedrive's own figures, and has a job of its own. -#}
{% macro _is_built_on_schedule(node) -%}
    {{ return(
        node.resource_type in ('model', 'seed', 'snapshot') and node.config.materialized != 'ephemeral'
        and 'reconciliation' not in node.tags
    ) }}
{%- endmacro %}

{#- The sources of a node, at any depth, as keys; and `the calendar`, if it depends on int_warehouse_clock. -#}
{% macro _sources_of(node, known) -%}
    {%- if node.unique_id not in known -%}
        {%- set found = {} -%}
        {%- if node.name == 'int_warehouse_clock' -%}
            {%- do found.update({'the calendar': true}) -%}
        {%- endif -%}
        {%- for parent in node.depends_on.get('nodes', []) -%}
            {%- if parent in graph.sources -%}
                {%- do found.update({parent: true}) -%}
            {%- elif parent in graph.nodes -%}
                {%- do found.update(known[parent] if parent in known else _sources_of(graph.nodes[parent], known)) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if node.config.meta.get('reads_all_streams') -%}
            {%- for source in graph.sources.values()
                if source.source_name == 'pipedrive' and source.package_name == node.package_name -%}
                {%- do found.update({source.unique_id: true}) -%}
            {%- endfor -%}
        {%- endif -%}
        {%- do known.update({node.unique_id: found}) -%}
    {%- endif -%}
    {{ return(known[node.unique_id]) }}
{%- endmacro %}

{#-
    For each source a text that changes with its columns and its rows. Rows: from the loader's bookkeeping, which is
    exact, and from PostgreSQL's own counters, for other writers. The counters restart after a crash or a restore;
    then everything is built once. The loader deletes old bookkeeping: for each table the sum since a week before
    its newest change is compared, so that a backfill beside a sync is detected.
-#}
{% macro source_states() -%}
    {%- set loads = source('ops', 'stream_load') -%}
    {%- set has_loads = not execute or load_relation(loads) -%}
    {%- set sources = [] -%}
    {%- for source in (graph.sources.values() if execute else []) -%}
        {%- do sources.append("('" ~ [
            source.unique_id, source.schema, source.identifier, source.config.meta.get('changes_count', 'rows')
        ] | join("', '") ~ "')") -%}
    {%- endfor %}
    select
        sources.source_id,
        concat_ws(
            ' ', md5(columns.definition),
            case
                when sources.changes_count = 'rows' and relations.relkind <> 'r' then clock_timestamp()::text
                when sources.changes_count = 'rows' then concat_ws(
                    ' ', pg_relation_filenode(relations.oid),
                    pg_stat_get_tuples_inserted(relations.oid)
                    + pg_stat_get_tuples_updated(relations.oid)
                    + pg_stat_get_tuples_deleted(relations.oid),
                    loads.state
                )
                when sources.changes_count = 'days' then days.state
            end
        ) as state
    from (
        values {{ sources | join(',\n        ') or "('', '', '', '')" }}
    ) as sources (source_id, schema_name, table_name, changes_count)
    -- not to_regclass(): a role that may read the view may lack the right to use these schemas
    left join pg_catalog.pg_namespace as schemas on sources.schema_name = schemas.nspname
    left join pg_catalog.pg_class as relations
        on schemas.oid = relations.relnamespace and sources.table_name = relations.relname
    left join lateral (
        select string_agg(
            attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attname
        ) as definition
        from pg_catalog.pg_attribute
        where attrelid = relations.oid and attnum > 0 and not attisdropped
    ) as columns on true
    {%- if has_loads %}
    left join (
        select
            target_schema,
            target_table,
            newest_at || ' ' || sum(n_changed) filter (where started_at >= newest_at - interval '7 days') as state
        from (
            select
                target_schema,
                target_table,
                started_at,
                rows_inserted + rows_updated + rows_deleted as n_changed,
                max(started_at) over (partition by target_schema, target_table) as newest_at
            from {{ loads }}
            where rows_inserted + rows_updated + rows_deleted > 0
        ) as changed
        group by target_schema, target_table, newest_at
    ) as loads on sources.schema_name = loads.target_schema and sources.table_name = loads.target_table
    left join (
        select md5(string_agg(stream || day, ',' order by stream)) as state
        from (
            select
                stream,
                {{ local_date('max(started_at)') }} as day
            from {{ loads }}
            group by stream
        ) as last_loads
    ) as days on true
    {%- else %}
    cross join (select clock_timestamp()::text as state) as loads
    cross join (select null::text as state) as days
    {%- endif %}
{%- endmacro %}

{#- A build with other variables, or without rows, has no fingerprint. -#}
{% macro _fingerprint() -%}
    {%- set is_special = invocation_args_dict.get('vars') or flags.EMPTY or flags.SAMPLE -%}
    {{ return('' if is_special else env_var('PIPEBOARD_PROJECT_FINGERPRINT', '') ~ ' ' ~ target.name) }}
{%- endmacro %}

{#- The start of the warehouse's next day. The source's clock may differ: int_warehouse_clock has the difference. -#}
{% macro _end_of_day() -%}
    {%- set clock = load_relation(model_relation('int_warehouse_clock')) -%}
    {%- if clock -%}
    (
        select min((({{ local_date('as_of') }} + 1)::timestamp at time zone {{ reporting_timezone() }}) - (as_of - set_at))
        from {{ clock }}
    )
    {%- else -%}
    now()
    {%- endif -%}
{%- endmacro %}
