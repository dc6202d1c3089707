{#- Open deals, one per row, with flags for deals that need attention. -#}
{{ config(unique_key='deal_id') }}
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
        stage_entered_at,
        days_in_current_stage,
        is_rotten
    from {{ ref('fct_deal') }}
    where status = 'open'
),

mails as (
    select
        deal_id,
        last_mail_at
    from {{ ref('int_deal_current') }}
    where status = 'open'
),

activities as (
    select
        activities.deal_id,
        max(activities.done_at) as last_done_at,
        min(activities.due_at) filter (where not activities.is_done) as next_due_at
    from {{ ref('int_activities') }} as activities
    inner join deals on activities.deal_id = deals.deal_id
    where not activities.is_deleted
    group by activities.deal_id
),

notes as (
    select
        notes.deal_id,
        max(notes.add_time) as last_note_at
    from {{ ref('stg_pipedrive__notes') }} as notes
    inner join deals on notes.deal_id = deals.deal_id
    where not notes.is_deleted
    group by notes.deal_id
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
        facts.days_in_current_stage,
        facts.is_rotten,
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
    coalesce(effective_prob >= {{ var('commit_probability') }}, false) as is_committed,
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
    expected_close_date is null as is_without_close_date,
    fx_missing
from touched
