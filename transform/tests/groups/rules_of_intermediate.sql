{{ grouped_rules([
    'int_activities', 'int_activity_sums', 'int_build_watermarks', 'int_closed_day_sums',
    'int_closed_deal_sums', 'int_counted_deals', 'int_created_deal_sums', 'int_custom_field_registry',
    'int_customer_sums', 'int_deal_attribute_states', 'int_deal_close_date_moves', 'int_deal_current',
    'int_deal_custom_field_counts', 'int_deal_first_touch', 'int_deal_observed_changes', 'int_deal_option_sums',
    'int_deal_options', 'int_deal_product_lines', 'int_deal_value_changes', 'int_deal_wide',
    'int_field_options', 'int_fields', 'int_fx_rates', 'int_fx_rates_pipedrive', 'int_fx_rates_seeded',
    'int_origin_sums', 'int_pipeline_days', 'int_raw_loads', 'int_slippage_sums', 'int_stage_close_sums',
    'int_stage_column_registry', 'int_stage_entry_sums', 'int_stage_exit_sums', 'int_stage_funnel_sums',
    'int_stage_move_sums', 'int_stage_order', 'int_stage_stay_sums', 'int_stream_last_load',
    'int_value_change_sums', 'int_warehouse_clock', 'int_won_by_customer'
]) }}
