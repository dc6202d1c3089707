{#-
    Limited to open days: every day of the recent past, and month ends before it. A changed deal is built again. For
    an unchanged open deal only new days are added: rebuilding all days of all open deals each morning would be most
    of a full build. When a rate is added, changed or removed, only the days of that rate get a new value:
    int_fx_rates_applied has the rates used for the rows. int_pipeline_days has the sums of the rows.
-#}
{{ config(
    materialized='incremental_by_deal',
    unique_key=['deal_id', 'date_day'],
    follows=['int_warehouse_clock', 'int_fx_rates'],
    summed_into={'int_pipeline_days': {
        'by': {
            'date_day': 'date_day',
            'pipeline_id': 'coalesce(pipeline_id, 0)',
            'stage_id': 'coalesce(stage_id, 0)',
            'owner_id': 'coalesce(owner_id, 0)',
        },
        'sums': {
            'open_count': 'count(*)',
            'open_value_base': 'coalesce(sum(value_base), 0)',
            'weighted_value_base': 'coalesce(sum(weighted_value_base), 0)',
            'commit_value_base':
                'coalesce(sum(value_base) filter (where effective_prob >= ' ~ var('commit_probability') ~ '), 0)',
            'n_without_rate': 'count(*) filter (where fx_missing)',
        },
    }},
    on_schema_change='append_new_columns',
    indexes=[{'columns': ['date_day']}],
    post_hook=["{{ drop_old_snapshot_days() }}", "{{ note_applied_rates() }}"]
) }}
-- depends_on: {{ ref('int_pipeline_days') }}
-- depends_on: {{ ref('int_fx_rates') }}
-- depends_on: {{ ref('int_fx_rates_in_force') }}
-- depends_on: {{ ref('int_fx_rates_applied') }}
with clock as (
    select
        {{ local_date('as_of') }} as today,
        {{ local_date('as_of') }} - {{ var('daily_snapshot_days') }} as first_daily_day
    from {{ ref('int_warehouse_clock') }}
),

rates as (
    {% if fx_policy() == 'latest' -%}
    -- With fx_policy latest, today's rates apply here, too.
    select distinct on (currency)
        currency,
        rate,
        '-infinity'::date as valid_from,
        'infinity'::date as valid_to
    from {{ ref('int_fx_rates_in_force') }}
    order by currency asc, valid_from desc
    {%- else -%}
    select
        currency,
        rate,
        valid_from,
        valid_to
    from {{ ref('int_fx_rates') }}
    {%- endif %}
),

{% if is_incremental() -%}
/* only changes: */
built as (
    select max(date_day) as last_day from {{ this }}
),

is_new_day as (
    select clock.today > built.last_day as is_one from clock
    cross join built
),
/* :only changes */

{% endif -%}
stays as (
    select
        deal_id,
        stage_id,
        pipeline_id,
        valid_from,
        coalesce(valid_to, 'infinity') as valid_to,
        history_quality,
        _loaded_at,
        '-infinity'::date as wanted_from
    from {{ ref('int_deal_stage_intervals') }}
    where status = 'open' {{ where_deal_changed(first='and') }}
    {% if is_incremental() -%}
    /* only changes: */
    {{ rebuild_marker() if snapshot_day_moved_back() }}
    union all
    select
        stay.deal_id,
        stay.stage_id,
        stay.pipeline_id,
        stay.valid_from,
        coalesce(stay.valid_to, 'infinity') as valid_to,
        stay.history_quality,
        stay._loaded_at,
        built.last_day + 1 as wanted_from
    from {{ ref('int_deal_stage_intervals') }} as stay
    cross join built
    where
        stay.status = 'open'
        and (stay.valid_to is null or {{ local_date('stay.valid_to') }} > built.last_day + 1)
        and not {{ is_changed_deal('stay.deal_id') }}
        -- known before any row is read: without a new day, no row is read
        and (select is_new_day.is_one from is_new_day)
    /* :only changes */
    {%- endif %}
),

attributes as (
    select
        deal_id,
        valid_from,
        coalesce(valid_to, 'infinity') as valid_to,
        value,
        currency,
        owner_id,
        expected_close_date,
        probability
    from {{ ref('int_deal_attribute_states') }}
),

stages as (
    select
        stage_id,
        probability
    from {{ ref('dim_stage') }}
),

-- Both intervals are known; a day shows the values at its end.
spans as (
    select
        stays.deal_id,
        stays.stage_id,
        stays.pipeline_id,
        stays._loaded_at,
        stays.history_quality,
        stays.wanted_from,
        attributes.value,
        attributes.currency,
        attributes.owner_id,
        attributes.expected_close_date,
        attributes.probability,
        clock.today,
        clock.first_daily_day,
        {{ local_date('greatest(stays.valid_from, attributes.valid_from)') }} as first_day,
        case
            when least(stays.valid_to, attributes.valid_to) = 'infinity' then clock.today
            else least({{ local_date('least(stays.valid_to, attributes.valid_to)') }} - 1, clock.today)
        end as last_day
    from stays
    inner join attributes
        on
            stays.deal_id = attributes.deal_id
            and stays.valid_from < attributes.valid_to
            and stays.valid_to > attributes.valid_from
    cross join clock
),

days as (
    select
        spans.*,
        day.at::date as date_day
    from spans
    cross join
        lateral generate_series(
            greatest(spans.first_day, spans.first_daily_day, spans.wanted_from)::timestamp,
            spans.last_day::timestamp,
            interval '1 day'
        ) as day (at)
    union all
    select
        spans.*,
        (month.at + interval '1 month' - interval '1 day')::date as date_day
    from spans
    cross join
        lateral generate_series(
            date_trunc('month', spans.first_day)::timestamp,
            least(spans.last_day, spans.first_daily_day - 1)::timestamp,
            interval '1 month'
        ) as month (at)
    where
        (month.at + interval '1 month' - interval '1 day')::date
        between greatest(spans.first_day, spans.wanted_from) and least(spans.last_day, spans.first_daily_day - 1)
),

deal_days as (
    select
        days.date_day,
        days.deal_id,
        days.pipeline_id,
        days.stage_id,
        days.owner_id,
        days.value,
        days.currency,
        coalesce(days.probability, stages.probability, 100) as effective_prob,
        days.expected_close_date,
        days.history_quality,
        days._loaded_at
    from days
    left join stages on days.stage_id = stages.stage_id
    {% if is_incremental() and fx_policy() != 'latest' -%}
    /* only changes: */
    union all
    select
        stored.date_day,
        stored.deal_id,
        stored.pipeline_id,
        stored.stage_id,
        stored.owner_id,
        stored.value,
        stored.currency,
        stored.effective_prob,
        stored.expected_close_date,
        stored.history_quality,
        stored._loaded_at
    from {{ this }} as stored
    {{ where_rate_changed('stored') }}
    /* :only changes */
    {%- endif %}
)

select
    deal_days.date_day,
    deal_days.deal_id,
    deal_days.pipeline_id,
    deal_days.stage_id,
    deal_days.owner_id,
    deal_days.value,
    deal_days.currency,
    round(deal_days.value * rates.rate, 2) as value_base,
    deal_days.value is not null and rates.rate is null as fx_missing,
    deal_days.effective_prob,
    round(deal_days.value * rates.rate * deal_days.effective_prob / 100, 2) as weighted_value_base,
    deal_days.expected_close_date,
    deal_days.history_quality,
    deal_days._loaded_at
from deal_days
left join rates
    on
        deal_days.currency = rates.currency
        and deal_days.date_day >= rates.valid_from
        and deal_days.date_day < rates.valid_to
