{#- A view, because the length of a running interval changes; int_deal_stage_intervals stores the intervals. -#}
{{ config(materialized='published_view') }}
with intervals as (
    select * from {{ ref('int_deal_stage_intervals') }}
),

running as (
    select
        *,
        coalesce(valid_to, greatest({{ as_of() }}, valid_from)) as until
    from intervals
)

select
    deal_id,
    seq,
    stage_id,
    pipeline_id,
    status,
    valid_from,
    valid_to,
    valid_to is null as is_current,
    extract(epoch from until - valid_from)::numeric as dur_s,
    {{ days_between('valid_from', 'until') }} as duration_days,
    entered_by,
    move_type,
    from_stage_id,
    to_stage_id,
    actor_user_id,
    source,
    is_inferred,
    history_quality,
    counted_as,
    _loaded_at
from running
