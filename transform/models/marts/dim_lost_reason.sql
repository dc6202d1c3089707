{#- Lost reasons: different spellings of a reason share a key, and the seed may assign keys to groups. -#}
{%- set grouped = not execute or load_relation(ref('lost_reason_groups')) %}
-- The distinct texts as typed, before normalisation: few texts of many deals.
with typed as (
    select
        lost_reason,
        count(*) as n_deals,
        count(*) filter (where status = 'lost' and not is_deleted) as n_lost_deals
    from {{ ref('int_deal_current') }}
    where status = 'lost' or lost_reason is not null
    group by lost_reason
),

spellings as (
    select
        {{ lost_reason_norm('lost_reason') }} as lost_reason_norm,
        nullif(trim(regexp_replace(lost_reason, '\s+', ' ', 'g')), '') as spelling,
        sum(n_deals) as n_deals,
        sum(n_lost_deals) as n_lost_deals
    from typed
    group by lost_reason_norm, spelling
    union all
    select
        '(not given)' as lost_reason_norm,
        null as spelling,
        0 as n_deals,
        0 as n_lost_deals
),

reasons as (
    select
        lost_reason_norm,
        (array_agg(spelling order by n_deals desc, spelling asc) filter (where spelling is not null))[1] as label,
        count(distinct spelling) as n_spellings,
        sum(n_lost_deals) as n_lost_deals
    from spellings
    group by lost_reason_norm
),

groups as (
    {% if grouped -%}
    select distinct on ({{ lost_reason_norm('lost_reason_key') }})
        {{ lost_reason_norm('lost_reason_key') }} as lost_reason_norm,
        reason_group
    from {{ ref('lost_reason_groups') }}
    order by {{ lost_reason_norm('lost_reason_key') }} asc, reason_group asc
    {%- else -%}
    select
        null::text as lost_reason_norm,
        null::text as reason_group
    where false
    {%- endif %}
)

select
    reasons.lost_reason_norm,
    coalesce(reasons.label, '(not given)') as label,
    coalesce(groups.reason_group, reasons.label, '(not given)') as reason_group,
    reasons.lost_reason_norm <> '(not given)' as is_given,
    reasons.n_spellings::integer as n_spellings,
    reasons.n_lost_deals::integer as n_lost_deals
from reasons
left join groups on reasons.lost_reason_norm = groups.lost_reason_norm
