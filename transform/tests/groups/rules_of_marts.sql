{{ grouped_rules([
    'deal_wide', 'dim_custom_field', 'dim_date', 'dim_lost_reason', 'dim_organization', 'dim_person', 'dim_pipeline',
    'dim_product', 'dim_stage', 'dim_user', 'fct_activity', 'fct_deal', 'fct_deal_custom_field',
    'fct_deal_custom_option', 'fct_deal_daily_snapshot', 'fct_deal_field_change', 'fct_deal_label',
    'fct_deal_product', 'fct_deal_stage_history', 'fct_deal_stage_reached', 'fct_forecast_snapshot',
    'fct_goal_period', 'fct_lead'
]) }}
