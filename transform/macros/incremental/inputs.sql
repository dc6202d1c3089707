{#-
    A digest of a table's inputs other than the rows it follows. Nothing is declared: from a view of the query,
    PostgreSQL itself lists the relations and columns that the query reads.

    - The text of the query: it contains settings, variables, macros and generated columns.
    - Views that read followed relations: their text, and their own inputs.
    - Other incremental tables: their digest. A full build of one causes full builds of the models that read it.
    - All other tables and views: the contents of the columns that are read. They should be small.

    `follows` in the model's configuration lists relations that the model compares itself.
-#}
{% macro input_fingerprint(sql, followed) -%}
    {%- set probe = 'pg_temp.' ~ adapter.quote(this.identifier ~ '__inputs') -%}
    {%- set not_hashed = [] -%}
    {%- for id in graph.nodes if id.startswith('model.') and id.split('.')[2] in config.get('follows', []) -%}
        {%- do not_hashed.append(graph.nodes[id].relation_name) -%}
    {%- endfor -%}
    {%- set query -%}
        create or replace temporary view {{ this.identifier }}__inputs as {{ sql }};
        with recursive reads (reader, relation, attnum) as (
            select pg_rewrite.ev_class, refobjid, refobjsubid
            from pg_catalog.pg_rewrite
            inner join pg_catalog.pg_depend
                on classid = 'pg_rewrite'::regclass and objid = pg_rewrite.oid
                and refclassid = 'pg_class'::regclass and refobjid <> pg_rewrite.ev_class
            where pg_rewrite.ev_class = '{{ probe }}'::regclass
            union
            select pg_rewrite.ev_class, refobjid, refobjsubid
            from reads
            inner join pg_catalog.pg_rewrite on pg_rewrite.ev_class = reads.relation
            inner join pg_catalog.pg_depend
                on classid = 'pg_rewrite'::regclass and objid = pg_rewrite.oid
                and refclassid = 'pg_class'::regclass and refobjid <> pg_rewrite.ev_class
        ),

        rows_followed (relation) as (
            select to_regclass(name)::oid from unnest(array[{{ _as_texts(followed) }}]) as names (name)
        ),

        followed (relation) as (
            select relation from rows_followed
            union
            select reads.reader from reads
            inner join followed on reads.relation = followed.relation
        )

        select
            reads.relation::regclass::text,
            min(relname),
            min(relkind)::text,
            bool_or(reads.relation in (select followed.relation from followed)) as is_followed,
            case when min(relkind) = 'v' then md5(pg_get_viewdef(reads.relation)) end as text,
            string_agg(distinct quote_ident(attname), ', ') as columns,
            min(watermarks.fingerprint) as fingerprint
        from reads
        inner join pg_catalog.pg_class on pg_class.oid = reads.relation
        left join pg_catalog.pg_attribute on attrelid = reads.relation and pg_attribute.attnum = reads.attnum and reads.attnum > 0
        left join {{ ref('int_build_watermarks') }} as watermarks on relname = watermarks.name
        where
            reads.reader in (select followed.relation from followed)
            -- if a raw table is a view, its own inputs are not followed
            and not exists (select from rows_followed where rows_followed.relation = reads.reader)
            and reads.relation not in (
                select to_regclass(name)::oid from unnest(array[{{ _as_texts(not_hashed) }}]) as names (name)
                where to_regclass(name) is not null
            )
        group by reads.relation
        order by min(relnamespace::regnamespace::text), min(relname)
    {%- endset -%}
    {%- set parts = [modules.re.sub('\\s+', ' ', sql)] -%}
    {%- if config.get('summed_into') -%}
        {%- do parts.append(tojson(config.get('summed_into'))) -%}
    {%- endif -%}
    {%- set inputs = run_query(query).rows -%}
    {%- set contents = [] -%}
    {%- for relation, name, kind, is_followed, text, columns, fingerprint in inputs -%}
        {%- do contents.append("''" if is_followed else _contents(relation, columns)) -%}
    {%- endfor -%}
    {%- set digests = run_query('drop view ' ~ probe ~ '; select ' ~ contents | join(', ')).rows[0].values() -%}
    {%- for relation, name, kind, is_followed, text, columns, fingerprint in inputs -%}
        {%- if is_followed -%}
            {%- do parts.append(name ~ (text if kind == 'v' else fingerprint or '')) -%}
        {%- else -%}
            {%- do parts.append(name ~ digests[loop.index0]) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(local_md5(parts | join('|'))) }}
{%- endmacro %}

{#- A digest of some columns of all rows; without columns, of the number of rows. -#}
{% macro _contents(relation, columns) -%}
    (
        select md5(concat(count(*), string_agg(held::text, '|' order by held::text)))
        from (select {{ columns or 'null' }} from {{ relation }}) as held
    )
{%- endmacro %}

{% macro _as_texts(names) -%}
    {%- for name in names -%}
        '{{ name }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
    {{- "" if names else "null::text" -}}
{%- endmacro %}
