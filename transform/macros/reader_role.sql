{#-
    BI tools read as this role, and only marts and ops. Default privileges give the same grants to every rebuilt
    table and view. If the current role may not create roles, a message has the statements that an administrator
    must run once. ops.quarantine is excluded: the loader revokes what default privileges grant on it. Schemas with
    a prefix belong to a developer or another project: there a role may read only if reader_role names one.
-#}
{% macro grant_to_reader() -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set reader = var('reader_role') -%}
        {%- set schemas = schemas_for_readers() -%}
        {%- if reader is none -%}
            {%- set reader = 'bi_read' if 'marts' in schemas else '' -%}
        {%- endif -%}
        {%- if not reader -%}
            {{ return('') }}
        {%- endif -%}
        {%- if not modules.re.match('^[a-z_][a-z0-9_]{0,62}$', reader) -%}
            {{ exceptions.raise_compiler_error("reader_role must be a plain role name such as bi_read, not " ~ reader) }}
        {%- endif -%}
        {%- set query -%}
            select
                exists (select 1 from pg_catalog.pg_roles where rolname = '{{ reader }}'),
                (select rolcreaterole or rolsuper from pg_catalog.pg_roles where rolname = current_user)
        {%- endset -%}
        {%- set found = run_query(query).rows[0] -%}
        {%- if found[0] or found[1] -%}
            {%- if not found[0] %}
            create role {{ reader }} nologin;
            {%- endif -%}
            {%- for schema in schemas %}
            {%- if not found[0] or not _may_read(schema, reader) %}
            {{ _make_schema_of_own(schema, reader) }}
            alter default privileges in schema {{ adapter.quote(schema) }} grant select on tables to {{ reader }};
            {%- endif %}
            {{ _grant_on_own_relations(schema, reader) }}
            {%- endfor -%}
        {%- else -%}
            {{ log("role " ~ reader ~ " is missing, so only the owner can read marts and ops. As an administrator"
                ~ " run: create role " ~ reader ~ " nologin; the next build grants it its rights.", info=true) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#-
    A schema that another role created (`pipeboard roles`) can be granted only by that role; this role may not
    create it again.
-#}
{% macro _make_schema_of_own(schema, reader) %}
            do $schema$
            begin
                if to_regnamespace('{{ adapter.quote(schema) }}') is null then
                    create schema {{ adapter.quote(schema) }};
                end if;
                if pg_has_role((select nspowner from pg_catalog.pg_namespace where nspname = '{{ schema }}'), 'usage') then
                    grant usage on schema {{ adapter.quote(schema) }} to {{ reader }};
                end if;
            end
            $schema$;
{%- endmacro %}

{#- Whether a role may use a schema, and read the tables that this role will create in it. -#}
{% macro _may_read(schema, reader) -%}
    {%- set query -%}
        select
            to_regnamespace('{{ adapter.quote(schema) }}') is not null
            and has_schema_privilege('{{ reader }}', to_regnamespace('{{ adapter.quote(schema) }}'), 'usage')
            and exists (
                select from pg_catalog.pg_default_acl
                cross join lateral aclexplode(defaclacl) as acl
                where
                    defaclnamespace = to_regnamespace('{{ adapter.quote(schema) }}')
                    and defaclrole = current_user::regrole
                    and defaclobjtype = 'r'
                    and acl.grantee = '{{ reader }}'::regrole
                    and acl.privilege_type = 'SELECT'
            )
    {%- endset -%}
    {{ return(run_query(query).rows[0][0]) }}
{%- endmacro %}

{#- Relations of other roles in these schemas can be granted only by their owners. -#}
{% macro _grant_on_own_relations(schema, reader) %}
            do $grant$
            declare
                item record;
            begin
                for item in
                    select pg_class.oid::regclass as relation
                    from pg_catalog.pg_class
                    where
                        relnamespace = '{{ adapter.quote(schema) }}'::regnamespace
                        and relkind in ('r', 'v', 'm', 'p')
                        and pg_has_role(relowner, 'usage')
                        and pg_class.oid is distinct from to_regclass('{{ raw_relation('quarantine', 'ops') }}')
                        and not has_table_privilege('{{ reader }}', oid, 'select')
                loop
                    execute format('grant select on %s to {{ reader }}', item.relation);
                end loop;
            end
            $grant$;
{%- endmacro %}
