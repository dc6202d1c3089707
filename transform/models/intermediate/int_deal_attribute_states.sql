{#-
    Value, currency, owner, expected close date and probability of a deal at any time: computed backwards from the
    current value, change by change. The changes come from the changelog; if the deal's row differs from the
    changelog's last value, the row's value is appended.
-#}
{%- set fields = {
    'value': 'numeric', 'currency': 'text', 'owner_id': 'bigint', 'expected_close_date': 'date', 'probability': 'numeric'
} %}
{%- set tolerance = "interval '" ~ var('clock_tolerance_seconds') ~ " seconds'" %}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id']}]
) }}
-- noqa: disable=LT02
with deals as (
    select
        deal_id,
        coalesce(add_time, stage_change_time, won_time, lost_time, update_time, _extracted_at) as started_at,
        coalesce(update_time, _extracted_at) as row_read_at,
        greatest(add_time, update_time, stage_change_time, won_time, lost_time, close_time) as row_known_until,
        {%- for field, type in fields.items() %}
        {{ 'trim_scale(' ~ field ~ ')' if type == 'numeric' else field }}::text as {{ field }},
        {%- endfor %}
        _loaded_at
    from {{ ref('stg_pipedrive__deals') }}
    {{ where_deal_changed() }}
),

syncs as (
    select
        deal_id,
        _loaded_at
    from {{ ref('stg_pipedrive__deal_changelog_sync') }}
    {{ where_deal_changed() }}
),

changes as (
    select
        changes.deal_id,
        deals.started_at,
        greatest(changes.changed_at, deals.started_at) as occurred_at,
        case changes.field_key when 'user_id' then 'owner_id' else changes.field_key end as field_key,
        case
            when changes.field_key in ('value', 'probability')
                then trim_scale({{ try_numeric('changes.old_value') }})::text
            else changes.old_value
        end as old_value,
        case
            when changes.field_key in ('value', 'probability')
                then trim_scale({{ try_numeric('changes.new_value') }})::text
            else changes.new_value
        end as new_value,
        row_number() over (
            partition by
                changes.deal_id, case changes.field_key when 'user_id' then 'owner_id' else changes.field_key end
            order by changes.changed_at, changes.second_seq, changes.change_id
        ) as change_nr
    from {{ ref('stg_pipedrive__deal_changelog') }} as changes
    inner join deals on changes.deal_id = deals.deal_id
    where
        changes.field_key in (
            '{{ fields | join("', '") }}', 'user_id'
        )
        and changes.changed_at <= coalesce(deals.row_known_until, 'infinity') + {{ tolerance }}
        {{ where_deal_changed('changes.deal_id', first='and') }}
),

stays as (
    select
        deal_id,
        status,
        valid_from,
        valid_to
    from {{ ref('int_deal_stage_intervals') }}
    {{ where_deal_changed() }}
),

-- The value of each field before its first change, and after its last change.
ends as (
    select
        deal_id,
        max(occurred_at) as last_change_at
        {%- for field in fields %},
        bool_or(field_key = '{{ field }}') as has_{{ field }},
        max(old_value) filter (where field_key = '{{ field }}' and change_nr = 1) as first_{{ field }},
        (array_agg(new_value order by change_nr desc) filter (where field_key = '{{ field }}'))[1] as last_{{ field }}
    {%- endfor %}
    from changes
    group by deal_id
),

moments as (
    select
        deals.deal_id,
        deals.started_at as occurred_at,
        0 as precedence
        {%- for field in fields %},
        true as tells_{{ field }},
        case
            when coalesce(ends.has_{{ field }}, false) then ends.first_{{ field }} else deals.{{ field }}
        end
            as {{ field }}
    {%- endfor %}
    from deals
    left join ends on deals.deal_id = ends.deal_id
    union all
    select
        deal_id,
        occurred_at,
        1 as precedence
        {%- for field in fields %},
        bool_or(field_key = '{{ field }}') as tells_{{ field }},
        (array_agg(new_value order by change_nr desc) filter (where field_key = '{{ field }}'))[1] as {{ field }}
    {%- endfor %}
    from changes
    group by deal_id, occurred_at
    union all
    select
        deals.deal_id,
        greatest(deals.row_read_at, ends.last_change_at) as occurred_at,
        2 as precedence
        {%- for field in fields %},
        true as tells_{{ field }},
        deals.{{ field }}
    {%- endfor %}
    from deals
    inner join ends on deals.deal_id = ends.deal_id
    where
    {%- for field in fields %}
        {{ 'or ' if not loop.first }}(ends.has_{{ field }} and ends.last_{{ field }} is distinct from deals.{{ field }})
    {%- endfor %}
),

-- PostgreSQL has no "ignore nulls": a running count numbers the rows for which a value holds.
stretches as (
    select
        *
        {%- for field in fields %},
        count(*) filter (where tells_{{ field }}) over in_time as {{ field }}_nr
    {%- endfor %}
    from moments
    window in_time as (partition by deal_id order by occurred_at, precedence)
),

carried as (
    select
        deal_id,
        occurred_at,
        precedence
        {%- for field in fields %},
        max({{ field }}) over (partition by deal_id, {{ field }}_nr) as {{ field }}
    {%- endfor %}
    from stretches
),

-- Of several changes at the same instant the last one counts.
settled as (
    select distinct on (deal_id, occurred_at) *
    from carried
    order by deal_id asc, occurred_at asc, precedence desc
)

select
    settled.deal_id,
    settled.occurred_at as valid_from,
    lead(settled.occurred_at) over in_time as valid_to,
    {{ try_numeric('settled.value') }} as value,
    settled.currency,
    {{ try_bigint('settled.owner_id') }} as owner_id,
    {{ try_date('settled.expected_close_date') }} as expected_close_date,
    {{ try_numeric('settled.probability') }} as probability,
    {{ try_numeric('lag(settled.value) over in_time') }} as previous_value,
    lag(settled.currency) over in_time as previous_currency,
    coalesce(stays.status = 'open', false) as is_open_then,
    greatest(deals._loaded_at, syncs._loaded_at) as _loaded_at
from settled
inner join deals on settled.deal_id = deals.deal_id
left join syncs on settled.deal_id = syncs.deal_id
left join stays
    on
        settled.deal_id = stays.deal_id
        and settled.occurred_at >= stays.valid_from
        and settled.occurred_at < coalesce(stays.valid_to, 'infinity')
window in_time as (partition by settled.deal_id order by settled.occurred_at)
