{#- Apart from the others: what stands on all of these is not built if one of their rules is broken. -#}
{{ grouped_rules([
    'int_deal_history', 'int_deal_stage_intervals', 'int_deal_state_changes', 'int_deal_state_events',
    'int_deal_states', 'int_deal_versions'
]) }}
