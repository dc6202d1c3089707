{#- The open deals one by one, with what asks for attention. -#}
with deals as (
    select * from {{ ref('int_counted_deals') }}
    where is_open
),

clock as (
    select
        as_of,
        {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
),

facts as (
    select
        deal_id,
        title,
        org_id,
        person_id,
        stage_entered_at
    from {{ ref('fct_deal') }}
),

activities as (
    select
        deal_id,
        max(done_at) as last_done_at,
        min(due_at) filter (where not is_done) as next_due_at
    from {{ ref('fct_activity') }}
    where not is_deleted and deal_id is not null
    group by deal_id
),

notes as (
    select
        deal_id,
        max(add_time) as last_note_at
    from {{ ref('stg_pipedrive__notes') }}
    where not is_deleted and deal_id is not null
    group by deal_id
),

mails as (
    select
        deal_id,
        greatest(last_incoming_mail_time, last_outgoing_mail_time) as last_mail_at
    from {{ ref('stg_pipedrive__deals') }}
),

benchmarks as (
    select
        stage_id,
        p75_days
    from {{ ref('rpt_stage_duration') }}
),

touched as (
    select
        deals.*,
        facts.title,
        facts.org_id,
        facts.person_id,
        activities.next_due_at,
        benchmarks.p75_days,
        clock.as_of,
        clock.today,
        greatest(
            deals.add_time, facts.stage_entered_at, activities.last_done_at, notes.last_note_at, mails.last_mail_at
        ) as last_sign_of_life_at
    from deals
    cross join clock
    inner join facts on deals.deal_id = facts.deal_id
    left join activities on deals.deal_id = activities.deal_id
    left join notes on deals.deal_id = notes.deal_id
    left join mails on deals.deal_id = mails.deal_id
    left join benchmarks on deals.stage_id = benchmarks.stage_id
)

select
    deal_id,
    title,
    pipeline_id,
    stage_id,
    owner_id,
    org_id,
    person_id,
    value_base,
    weighted_value_base,
    add_time,
    expected_close_date,
    days_in_current_stage,
    p75_days as usual_days_in_stage,
    coalesce(days_in_current_stage > p75_days, false) as is_stuck,
    is_rotten,
    last_sign_of_life_at,
    {{ days_between('last_sign_of_life_at', 'as_of') }} as days_without_sign_of_life,
    coalesce(
        last_sign_of_life_at < as_of - interval '{{ var("stalled_after_days") }} days', false
    ) as is_stalled,
    next_due_at as next_activity_due_at,
    next_due_at is null as is_without_next_activity,
    coalesce(expected_close_date < today, false) as is_overdue,
    expected_close_date is null as is_without_close_date
from touched
