{#- What reports need to know about the account they show: one row, also of an account without a deal. -#}
{#- A simulated account is reached by plain http and has no pages that a link could open. -#}
{%- set domain = env_var('PIPEDRIVE_COMPANY_DOMAIN', var('company_domain', '')) -%}
{%- set has_pages = modules.re.match('^[A-Za-z0-9][A-Za-z0-9-]*$', domain)
    and not env_var('PIPEDRIVE_API_URL', '').startswith('http://') -%}
select
    {{ base_currency() }}::text as base_currency,
    {{ reporting_timezone() }}::text as reporting_timezone,
    {{ local_date('as_of') }} as today,
    {{ month_of(local_date('as_of')) }} as this_month,
    {{ "'https://" ~ (domain | lower) ~ ".pipedrive.com/deal/'" if has_pages else 'null' }}::text as deal_url_prefix
from {{ ref('int_warehouse_clock') }}
