{#- Settings that an operator changes without editing a file: the environment overrides dbt_project.yml. -#}

{% macro base_currency() -%}
    {%- set currency = env_var('PIPEBOARD_BASE_CURRENCY', var('base_currency')) -%}
    {%- if not modules.re.match('^[A-Z]{3}$', currency) -%}
        {{ exceptions.raise_compiler_error("base_currency must be a currency code such as BRL, not " ~ currency) }}
    {%- endif -%}
    '{{ currency }}'
{%- endmacro %}

{% macro reporting_timezone() -%}
    {%- set zone = env_var('PIPEBOARD_REPORTING_TIMEZONE', var('reporting_timezone')) -%}
    {%- if not modules.re.match('^[A-Za-z0-9_+/-]+$', zone) -%}
        {{ exceptions.raise_compiler_error("reporting_timezone must be a zone name such as America/Sao_Paulo, not " ~ zone) }}
    {%- endif -%}
    '{{ zone }}'
{%- endmacro %}

{% macro fx_policy() -%}
    {%- set policy = var('fx_policy') -%}
    {%- if policy not in ('close', 'add', 'latest') -%}
        {{ exceptions.raise_compiler_error("fx_policy must be close, add or latest, not " ~ policy) }}
    {%- endif -%}
    {{ return(policy) }}
{%- endmacro %}

{#- The calendar day of an instant in the team's time zone. -#}
{% macro local_date(instant) -%}
    ({{ instant }} at time zone {{ reporting_timezone() }})::date
{%- endmacro %}

{% macro days_between(earlier, later) -%}
    round((extract(epoch from {{ later }} - {{ earlier }}) / 86400)::numeric, 3)
{%- endmacro %}

{% macro outbound_activity_types() -%}
    '{{ var("outbound_activity_types") | join("', '") }}'
{%- endmacro %}

{#- A misspelled stream would build no model without any message. -#}
{% macro check_extra_streams() -%}
    {%- if execute -%}
        {%- for stream in var('extra_streams') if 'model.pipeboard.stg_pipedrive__' ~ stream not in graph.nodes -%}
            {{ exceptions.raise_compiler_error(
                "extra_streams contains " ~ stream ~ ", but there is no model stg_pipedrive__" ~ stream
                ~ "; correct its name"
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
