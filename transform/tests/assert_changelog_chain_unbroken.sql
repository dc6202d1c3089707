-- I8: the old value of each change equals the new value of the previous one, and the last change leads to the deal's
-- current state. The source is responsible for this, so the test only warns; such deals have history_quality =
-- 'broken_chain'.
{{ config(severity='warn') }}
select
    deal_id,
    history_quality
from {{ ref('int_deal_history') }}
where history_quality = 'broken_chain'
