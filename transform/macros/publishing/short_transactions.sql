{#-
    DDL on a relation waits for its readers, and later readers wait behind the DDL. So it is tried for a fifth of a
    second at a time, without holding another lock, until it succeeds. If one session reads for five minutes, the
    error names it.
-#}
{% macro in_short_transaction(relation, statement) -%}
    {%- do _run_in_short_transaction(relation, 'execute $statement$' ~ statement ~ '$statement$;') -%}
{%- endmacro %}

{#- Steps in PL/pgSQL. With `is_optional`, an error in them is returned, and nothing is changed. -#}
{% macro _run_in_short_transaction(relation, steps, is_optional=false) -%}
    {%- do run_query('commit') -%}
    {%- set block -%}
        do $transaction$
        declare
            deadline timestamptz := clock_timestamp() + interval '5 minutes';
            began_at timestamptz;
            item record;
            holders text;
            statement text;
            recreated jsonb := '[]';
        begin
            -- Two simultaneous builds would wait for each other's lock.
            perform pg_advisory_xact_lock(hashtext('pipeboard changes a relation'));
            perform set_config('lock_timeout', '200ms', true);
            perform set_config('pipeboard.problem', '', false);
            loop
                began_at := clock_timestamp();
                begin
                    {{ steps }}
                    return;
                exception
                    when lock_not_available then
                        if clock_timestamp() > deadline then
                            select string_agg(distinct format(
                                'process %s (%s, %s) since %s', pid, usename, application_name, xact_start
                            ), '; ')
                            into holders
                            from pg_catalog.pg_locks
                            inner join pg_catalog.pg_stat_activity using (pid)
                            where relation = to_regclass('{{ relation }}') and granted and pid <> pg_backend_pid();
                            raise exception
                                'cannot change {{ relation.schema }}.{{ relation.identifier }}: it is in use: %. It is unchanged; the next build tries again.',
                                coalesce(holders, 'by a process that has ended');
                        end if;
                    {%- if is_optional %}
                    when others then
                        perform set_config('pipeboard.problem', sqlerrm, false);
                        return;
                    {%- endif %}
                end;
                perform pg_sleep(0.3 + random() / 2);
            end loop;
        end
        $transaction$
    {%- endset -%}
    {%- do run_query(block) -%}
    {%- do run_query('commit') -%}
    {{ return(run_query("select current_setting('pipeboard.problem')").rows[0][0] if is_optional else '') }}
{%- endmacro %}

{#-
    Replaces a relation by a new table or view, in one short transaction with the dependent views of this project,
    which are created again unchanged. Returns whether it succeeded; if not, a warning has the reason. Views of
    other projects are never dropped.
-#}
{% macro take_the_place_of(relation, old_kind, new_kind, sql, found) -%}
    {%- set name = relation.schema ~ '.' ~ relation.identifier -%}
    {%- set left = (found.gone + found.changed) | map(attribute='name') | list -%}
    {%- set users = dependents_of(relation) -%}
    {%- set own_names = names_of_this_project() -%}
    {%- set in_the_way = [] -%}
    {%- for user in users if user.name not in own_names -%}
        {%- do in_the_way.append(user.name) -%}
    {%- endfor -%}
    {%- set change = 'the old ' ~ ('columns ' ~ left | join(', ') ~ ' stay' if left else 'kind of relation stays') -%}
    {%- if in_the_way -%}
        {%- do exceptions.warn(
            name ~ ': ' ~ change ~ ', because ' ~ in_the_way | join(', ') ~ ', not of this project, depends on it.'
            ~ ' Drop that view, build again, and create it again.'
        ) -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set new = make_intermediate_relation(relation).incorporate(type=new_kind) -%}
    {%- do run_query('drop ' ~ new_kind ~ ' if exists ' ~ new) -%}
    {%- if new_kind == 'table' -%}
        {%- do run_query(get_create_table_as_sql(False, new, sql)) -%}
        {%- do create_indexes(new) -%}
    {%- else -%}
        {%- do run_query('create view ' ~ new ~ ' as ' ~ sql) -%}
    {%- endif -%}
    {%- set kinds = {'r': 'table', 'v': 'view', 'm': 'materialized view', 'p': 'table', 'f': 'foreign table'} -%}
    {%- set steps -%}
        recreated := '[]';
        for item in {{ _dependent_views(relation) }} order by depth desc
        loop
            if item.name <> all (array['{{ users | map(attribute="name") | join("', '") }}']) then
                raise exception 'view % now depends on it', item.name;
            end if;
            recreated := jsonb_build_array({{ _recreating_statements('item.oid') }}) || recreated;
            execute format('drop view %s', item.quoted);
            -- A longer wait could be taken for a deadlock of the sessions that wait for this one.
            if clock_timestamp() > began_at + interval '600 milliseconds' then
                raise lock_not_available;
            end if;
        end loop;
        recreated := jsonb_build_array({{ _recreating_statements("to_regclass('" ~ relation ~ "')") }}) || recreated;
        execute 'drop {{ kinds[old_kind] }} {{ relation }}';
        execute 'alter {{ new_kind }} {{ new }} rename to {{ adapter.quote(relation.identifier) }}';
        for item in select value as was, nr from jsonb_array_elements(recreated) with ordinality as listed (value, nr) order by nr
        loop
            if item.nr > 1 then
                execute format(
                    'create view %s %s as %s', item.was ->> 'name', item.was ->> 'options', item.was ->> 'definition'
                );
            end if;
            for statement in
                select jsonb_array_elements_text(item.was -> 'grants')
                union all
                select jsonb_array_elements_text(item.was -> 'comments') where item.nr > 1
            loop
                execute statement;
            end loop;
        end loop;
    {%- endset -%}
    {%- set problem = _run_in_short_transaction(relation, steps, is_optional=true) -%}
    {%- if problem -%}
        {%- do run_query('drop ' ~ new_kind ~ ' if exists ' ~ new) -%}
        {%- do exceptions.warn(name ~ ': ' ~ change ~ ' until the next build: ' ~ problem) -%}
    {%- endif -%}
    {{ return(not problem) }}
{%- endmacro %}

{#- All views that depend on a relation, directly or not, and the columns of it that they use. -#}
{% macro dependents_of(relation) -%}
    {%- set query -%}
        select coalesce(json_agg(json_build_object('name', name, 'columns', coalesce((
            select json_agg(distinct attname)
            from pg_catalog.pg_depend
            inner join pg_catalog.pg_rewrite on pg_rewrite.oid = objid
            inner join pg_catalog.pg_attribute on attrelid = refobjid and attnum = refobjsubid
            where
                classid = 'pg_rewrite'::regclass and refclassid = 'pg_class'::regclass
                and refobjid = to_regclass('{{ relation }}') and ev_class = found.oid
        ), '[]'))), '[]')::text
        from ({{ _dependent_views(relation) }}) as found
    {%- endset -%}
    {{ return(fromjson(run_query(query).rows[0][0])) }}
{%- endmacro %}

{% macro _dependent_views(relation) -%}
    with recursive standing (oid, depth) as (
        select to_regclass('{{ relation }}')::oid, 0
        union all
        select distinct pg_rewrite.ev_class, standing.depth + 1
        from standing
        inner join pg_catalog.pg_depend
            on refclassid = 'pg_class'::regclass and refobjid = standing.oid and classid = 'pg_rewrite'::regclass
        inner join pg_catalog.pg_rewrite on pg_rewrite.oid = objid and pg_rewrite.ev_class <> standing.oid
    )
    select
        pg_class.oid,
        nspname || '.' || relname as name,
        format('%I.%I', nspname, relname) as quoted,
        max(standing.depth) as depth
    from standing
    inner join pg_catalog.pg_class on pg_class.oid = standing.oid
    inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    where standing.depth > 0 and nspname !~ '^pg_temp'
    group by pg_class.oid, nspname, relname
{%- endmacro %}

{#- The statements that create a view again: its text, options, grants and comments. -#}
{% macro _recreating_statements(oid) -%}
    (
        select jsonb_build_object(
            'name', named.quoted,
            'definition', rtrim(pg_get_viewdef(class.oid), ';'),
            'options', coalesce('with (' || array_to_string(class.reloptions, ', ') || ')', ''),
            'grants', (
                select coalesce(jsonb_agg(format(
                    'grant %s on %s to %s%s', acl.privilege_type, named.quoted,
                    case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end,
                    case when acl.is_grantable then ' with grant option' else '' end
                )), '[]')
                from aclexplode(class.relacl) as acl
                where acl.grantee <> class.relowner
            ),
            'comments', (
                select coalesce(jsonb_agg(comments.text), '[]')
                from (
                    select format('comment on view %s is %L', named.quoted, obj_description(class.oid, 'pg_class'))
                    union all
                    select format(
                        'comment on column %s.%I is %L', named.quoted, attname, col_description(class.oid, attnum)
                    )
                    from pg_catalog.pg_attribute
                    where attrelid = class.oid and attnum > 0 and col_description(class.oid, attnum) is not null
                ) as comments (text)
            )
        )
        from pg_catalog.pg_class as class
        inner join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        cross join lateral (select format('%I.%I', namespace.nspname, class.relname)) as named (quoted)
        where class.oid = {{ oid }}
    )
{%- endmacro %}

{% macro names_of_this_project() -%}
    {%- set names = [] -%}
    {%- for id in graph.nodes if id.startswith(('model.', 'snapshot.', 'seed.')) -%}
        {#- dbt copies a node at each access. -#}
        {%- set node = graph.nodes[id] -%}
        {%- do names.append(node.schema ~ '.' ~ node.alias) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
