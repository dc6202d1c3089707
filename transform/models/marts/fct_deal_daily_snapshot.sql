{#-
    Bounded on purpose: open days only, every day of the recent past and month ends before it. A deal is built
    again when it changed. Of an open one that did not, a new day is added to those that are there: rebuilding
    every open deal's days each morning would be most of a full build. int_pipeline_days holds what they add up to.
-#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='by_deal_summed',
    summed_into='int_pipeline_days',
    summed_by={
        'date_day': 'date_day',
        'pipeline_id': 'coalesce(pipeline_id, 0)',
        'stage_id': 'coalesce(stage_id, 0)',
        'owner_id': 'coalesce(owner_id, 0)',
    },
    sums={
        'open_count': 'count(*)',
        'open_value_base': 'coalesce(sum(value_base), 0)',
        'weighted_value_base': 'coalesce(sum(weighted_value_base), 0)',
        'n_without_rate': 'count(*) filter (where fx_missing)',
    },
    on_schema_change='append_new_columns',
    indexes=[{'columns': ['date_day']}],
    post_hook=["{{ sum_anew() }}", "{{ drop_old_snapshot_days() }}"]
) }}
-- depends_on: {{ ref('int_deal_versions') }}
-- depends_on: {{ ref('int_build_marks') }}
-- depends_on: {{ ref('int_pipeline_days') }}
with clock as (
    select
        {{ local_date('as_of') }} as today,
        {{ local_date('as_of') }} - {{ var('daily_snapshot_days') }} as first_daily_day
    from {{ ref('int_warehouse_clock') }}
),

{% if is_incremental() -%}
built as (
    select max(date_day) as last_day from {{ this }}
),

is_new_day as (
    select coalesce(clock.today > built.last_day, true) as is_one
    from clock
    cross join built
),

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
    from {{ ref('fct_deal_stage_history') }}
    where status = 'open' {{ where_deal_changed(first='and') }}
    {% if is_incremental() -%}
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
    from {{ ref('fct_deal_stage_history') }} as stay
    cross join built
    where
        stay.status = 'open'
        and stay.is_current
        and not {{ is_changed_deal('stay.deal_id') }}
        -- known before the first row is read: without a new day, none is
        and (select is_new_day.is_one from is_new_day)
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

-- Both known from one instant to another; a day shows what held at its end.
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
            else {{ local_date('least(stays.valid_to, attributes.valid_to)') }} - 1
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
)

select
    days.date_day,
    days.deal_id,
    days.pipeline_id,
    days.stage_id,
    days.owner_id,
    days.value,
    days.currency,
    round(days.value * fx_rates.rate, 2) as value_base,
    days.value is not null and fx_rates.rate is null as fx_missing,
    coalesce(days.probability, stages.probability, 100) as effective_prob,
    round(
        days.value * fx_rates.rate * coalesce(days.probability, stages.probability, 100) / 100, 2
    ) as weighted_value_base,
    days.expected_close_date,
    days.history_quality,
    days._loaded_at
from days
left join {{ ref('dim_stage') }} as stages on days.stage_id = stages.stage_id
left join {{ ref('int_fx_rates') }} as fx_rates
    on
        days.currency = fx_rates.currency
        -- Whoever wants today's rates everywhere gets them here too.
        and {{ 'days.today' if fx_policy() == 'latest' else 'days.date_day' }} >= fx_rates.valid_from
        and {{ 'days.today' if fx_policy() == 'latest' else 'days.date_day' }} < fx_rates.valid_to
