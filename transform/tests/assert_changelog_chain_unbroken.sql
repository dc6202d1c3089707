-- I8: each change starts from the value the one before left, and the last one leads to where the deal is.
-- The source owns this, so it warns; such deals say history_quality = 'broken_chain'.
{{ config(severity='warn') }}
select
    deal_id,
    history_quality
from {{ ref('int_deal_history') }}
where history_quality = 'broken_chain'
