{#-
    A rule is a generic test of a model, declared beside it. As a node of dbt each costs a connection and some
    statements, more than most rules take. A sync therefore excludes the rules tagged `grouped`, and checks them by
    the tests in tests/groups: one node, and one statement, for all rules of a group of models. The rules, their
    ids, their results in ops_dbt_test_result, and the rows in schema test_failures are the same in both cases.
-#}

{#-
    For a test in tests/groups: the broken rules of these models, with the number of failing rows. `references` are
    other models that these rules read. `with_extra_streams`: also the staging models that a variable enables.
-#}
{% macro grouped_rules(models, references=[], with_extra_streams=false) -%}
    {%- for stream in var('extra_streams') if with_extra_streams -%}
        {%- do models.append('stg_pipedrive__' ~ stream) -%}
    {%- endfor -%}
    {%- do config(meta={'rules_of': models}) -%}
    {%- for name in models + references -%}
        {%- do ref(name) -%}
    {%- endfor -%}
    {%- set rules = rules_of_group(model) if execute else [] -%}
    {%- set queries, checked_rows = rule_queries(rules) if rules else ({}, {}) -%}
    {#- Rows of few changed deals are looked up once for all rules of a relation. -#}
    {%- set shared = {} -%}
    {%- for rows, n_rules in checked_rows.items() if n_rules > 1 and "= any('{" in rows -%}
        {%- do shared.update({rows: 'untested_' ~ loop.index}) -%}
    {%- endfor -%}
    {%- for rows, name in shared.items() %}
    {{ 'with ' if loop.first }}{{ name }} as (select * from {{ rows }}){{ ',' if not loop.last }}
    {%- endfor %}
    {%- for rule in rules %}
    {%- set query = namespace(text=queries[rule.unique_id]) -%}
    {%- for rows, name in shared.items() -%}
        {%- set query.text = query.text.replace(rows, name) -%}
    {%- endfor %}
    {{ 'union all' if not loop.first }}
    select '{{ rule.unique_id }}' as test_id, count(*) as n_failures
    from (
        {{ query.text }}
    ) as broken
    having count(*) > 0
    {%- else %}
    select null::text as test_id, null::bigint as n_failures
    where false
    {%- endfor -%}
{%- endmacro %}

{#-
    The rules of the group's severity for the selected models; for all models, if none was selected. None if one of
    the rules is selected as a test of its own: a selection that does not exclude the tag has all of them.
-#}
{% macro rules_of_group(group) -%}
    {%- set parents = group.depends_on.nodes -%}
    {%- set due = parents | select('in', selected_resources) | list or parents -%}
    {%- set models = group.config.meta.rules_of -%}
    {%- set names = [] -%}
    {%- for id in due -%}
        {%- do names.append(id.split('.') | last) -%}
    {%- endfor -%}
    {#- The id of a generic test contains the names of its models. dbt copies a node at each access. -#}
    {%- set names_one = modules.re.compile('test[.].*(' ~ names | join('|') ~ ')').match -%}
    {%- set rules = [] -%}
    {%- for id in graph.nodes if names_one(id) -%}
        {%- set test = graph.nodes[id] -%}
        {%- if 'grouped' in test.tags and test.attached_node.split('.') | last in models
            and test.config.severity | lower == group.config.severity | lower
            and test.depends_on.nodes | select('in', due) | list -%}
            {%- if id in selected_resources -%}
                {{ return([]) }}
            {%- endif -%}
            {%- do rules.append(test) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(rules) }}
{%- endmacro %}

{#- {rule's id: query for the rows that break it}; and the rows that are checked, with the number of rules. -#}
{% macro rule_queries(rules) -%}
    {%- set queries, changed_since, checked_rows = {}, {}, {} -%}
    {%- set seen_by = tested_through_by(rules) -%}
    {%- for rule in rules -%}
        {%- set relations = {} -%}
        {%- for id in rule.depends_on.nodes -%}
            {%- do relations.update({id.split('.') | last: _relation_of(graph.nodes[id], 'alias')}) -%}
        {%- endfor -%}
        {%- set arguments = {} -%}
        {%- for name, value in rule.test_metadata.kwargs.items() if name != 'model' -%}
            {%- set named = modules.re.match("^ref\\('(\\w+)'\\)$", value) if value is string else none -%}
            {%- do arguments.update({name: relations[named.group(1)] if named else value}) -%}
        {%- endfor -%}
        {%- set how = how_incremental(rule) -%}
        {%- set seen = seen_by.get(rule.unique_id) if how else none -%}
        {%- if seen and seen not in changed_since -%}
            {%- do changed_since.update({seen: is_newer_deal('deal_id', seen, model_relation('int_deal_versions'))}) -%}
        {%- endif -%}
        {%- set relation = relations[rule.attached_node.split('.') | last] -%}
        {%- set rows = untested_rows(relation, how, seen, rule.config.where, changed_since.get(seen)) -%}
        {%- do checked_rows.update({rows: checked_rows.get(rows, 0) + 1}) -%}
        {%- if rule.test_metadata.name == 'relationships' -%}
            {%- set query = missing_references(rows, is_partial=seen, **arguments) -%}
        {%- else -%}
            {%- set query = context['test_' ~ rule.test_metadata.name](rows, **arguments) -%}
        {%- endif -%}
        {%- do queries.update({rule.unique_id: query}) -%}
    {%- endfor -%}
    {{ return((queries, checked_rows)) }}
{%- endmacro %}

{#- The result of each test of a run, and of each rule of a group: test, status, number of failing rows, message. -#}
{% macro test_outcomes(results) -%}
    {%- set outcomes = [] -%}
    {%- for result in results if result.node.resource_type == 'test' and result.status | string != 'skipped' -%}
        {%- set status = result.status | string -%}
        {%- if 'group_of_rules' in result.node.tags -%}
            {%- set broken = {} -%}
            {%- if status in ('fail', 'warn') -%}
                {%- for row in run_query('select test_id, n_failures from ' ~ result.node.relation_name).rows -%}
                    {%- do broken.update({row[0]: row[1]}) -%}
                {%- endfor -%}
            {%- endif -%}
            {%- for rule in rules_of_group(result.node) -%}
                {%- do outcomes.append({
                    'test': rule,
                    'is_grouped': true,
                    'status': 'pass' if status in ('fail', 'warn') and rule.unique_id not in broken else status,
                    'n_failures': broken.get(rule.unique_id, 0),
                    'message': (result.message or '') if status == 'error' else ''
                }) -%}
            {%- endfor -%}
        {%- else -%}
            {%- do outcomes.append({
                'test': result.node,
                'is_grouped': false,
                'status': status,
                'n_failures': result.failures or 0,
                'message': result.message or ''
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(outcomes) }}
{%- endmacro %}

{#-
    Failing rows of a group's rule are stored where dbt stores those of a test; the table of a rule that passes
    again is dropped.
-#}
{% macro store_broken_rules(outcomes) -%}
    {%- set rules = {} -%}
    {%- set broken = [] -%}
    {%- for outcome in outcomes if outcome.is_grouped and outcome.test.relation_name -%}
        {%- do rules.update({outcome.test.relation_name: outcome.test}) -%}
        {%- if outcome.n_failures -%}
            {%- do broken.append(outcome.test) -%}
            {%- do log(
                'Broken: ' ~ outcome.test.name ~ ', ' ~ outcome.n_failures ~ ' rows (' ~ outcome.status ~ '). See them: select * from '
                ~ outcome.test.relation_name, info=true
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if rules -%}
        {%- set query -%}
            select named.relation
            from unnest(array['{{ rules | join("', '") }}']) as named (relation)
            where to_regclass(named.relation) is not null
        {%- endset -%}
        {%- for relation in run_query(query).columns[0].values() -%}
            {%- do run_query('drop table ' ~ relation) -%}
        {%- endfor -%}
        {%- set queries = rule_queries(broken)[0] -%}
        {%- for rule in broken -%}
            {%- do run_query('create table ' ~ rule.relation_name ~ ' as ' ~ queries[rule.unique_id]) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
