{#- A group of its own: if one of these rules is broken, the models that depend on all of them are not built. -#}
{{ grouped_rules([
    'int_deal_history', 'int_deal_stage_intervals', 'int_deal_state_changes', 'int_deal_state_events',
    'int_deal_states', 'int_deal_versions'
]) }}
