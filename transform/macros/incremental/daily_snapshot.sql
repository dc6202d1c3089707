{#- The parts of fct_deal_daily_snapshot that depend on the day and on rates. -#}

{#- Days that are no longer in the recent past, except month ends. -#}
{% macro drop_old_snapshot_days() -%}
    {% if is_incremental() -%}
        {%- for table in [this, model_relation('int_pipeline_days')] %}
    delete from {{ table }}
    where
        date_day < (
            select {{ local_date('as_of') }} - {{ var('daily_snapshot_days') }} from {{ ref('int_warehouse_clock') }}
        )
        and date_day <> (date_trunc('month', date_day::timestamp) + interval '1 month' - interval '1 day')::date;
        {%- endfor -%}
    {%- endif %}
{%- endmacro %}

{#- Whether the window has days that are not built yet; then days that were dropped as old ones are missing, too. -#}
{% macro snapshot_day_moved_back() -%}
    {%- set query -%}
        select max(date_day) > (select {{ local_date('as_of') }} from {{ ref('int_warehouse_clock') }}) from {{ this }}
    {%- endset -%}
    {{- return(execute and run_query(query).rows[0][0]) -}}
{%- endmacro %}

{#-
    Rows of unchanged deals with another rate than the current one. The changed currencies and first days are
    queried before: without any, no row is read.
-#}
{% macro where_rate_changed(rows) -%}
    {%- set query -%}
        select
            coalesce(rates.currency, applied.currency) as currency,
            min(coalesce(rates.valid_from, applied.valid_from))::text as first_day
        from {{ ref('int_fx_rates') }} as rates
        full join {{ ref('int_fx_rates_applied') }} as applied
            on rates.currency = applied.currency and rates.valid_from = applied.valid_from
        where rates.rate is distinct from applied.rate or rates.valid_to is distinct from applied.valid_to
        group by 1
    {%- endset -%}
    {%- set changed = run_query(query).rows if execute else [] -%}
    {%- set spans = [] -%}
    {%- for currency, first_day in changed -%}
        {%- do spans.append(
            '(' ~ rows ~ '.currency = ' ~ dbt.string_literal(dbt.escape_single_quotes(currency)) ~ ' and '
            ~ rows ~ ".date_day >= '" ~ first_day ~ "')"
        ) -%}
    {%- endfor -%}
    left join {{ ref('int_fx_rates') }} as rates_now
        on {{ rows }}.currency = rates_now.currency
        and {{ rows }}.date_day >= rates_now.valid_from and {{ rows }}.date_day < rates_now.valid_to
    left join {{ ref('int_fx_rates_applied') }} as rates_then
        on {{ rows }}.currency = rates_then.currency
        and {{ rows }}.date_day >= rates_then.valid_from and {{ rows }}.date_day < rates_then.valid_to
    where
        ({{ spans | join(' or ') if spans else 'false' }})
        and rates_now.rate is distinct from rates_then.rate
        and not {{ is_changed_deal(rows ~ '.deal_id') }}
{%- endmacro %}

{#- In the transaction that applies them. -#}
{% macro note_applied_rates() -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
    delete from {{ ref('int_fx_rates_applied') }} as applied
    where not exists (
        select from {{ ref('int_fx_rates') }} as rates
        where
            rates.currency = applied.currency and rates.valid_from = applied.valid_from
            and rates.valid_to = applied.valid_to and rates.rate = applied.rate
    );
    insert into {{ ref('int_fx_rates_applied') }} (currency, rate, valid_from, valid_to)
    select currency, rate, valid_from, valid_to from {{ ref('int_fx_rates') }}
    except
    select currency, rate, valid_from, valid_to from {{ ref('int_fx_rates_applied') }}
    {%- endif -%}
{%- endmacro %}
