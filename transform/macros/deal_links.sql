{#-
    URL of a deal in Pipedrive without the deal's id at its end. Null without a company domain, and for a simulated
    account, which has plain http and no pages.
-#}
{% macro deal_url_prefix() -%}
    {%- set domain = env_var('PIPEDRIVE_COMPANY_DOMAIN', var('company_domain', '')) -%}
    {%- set is_simulated = env_var('PIPEDRIVE_API_URL', '').startswith('http://') -%}
    {%- if modules.re.match('^[A-Za-z0-9][A-Za-z0-9-]*$', domain) and not is_simulated -%}
    'https://{{ domain | lower }}.pipedrive.com/deal/'
    {%- else -%}
    null
    {%- endif -%}
{%- endmacro %}
