-- The stages that deals reached, for the lists behind funnels and conversions: one row per deal and stage.
select
    reached.deal_id,
    reached.stage_id,
    -- As rpt_funnel_monthly counts: in its strict mode only stages that the deal was in.
    case
        when reached.entered_directly or modes.is_implied then to_char(reached.pipeline_entered_month, 'YYYY-MM')
    end as reached_month,
    case when reached.entered_directly then to_char(reached.first_entered_month, 'YYYY-MM') end as entered_month,
    case when reached.entered_directly then to_char(reached.first_exited_month, 'YYYY-MM') end as exited_month,
    case when reached.entered_directly then reached.first_exit_outcome end as outcome,
    nullif(reached.is_measured, false) as is_timed
from marts.fct_deal_stage_reached as reached
cross join (
    select bool_and(funnel.n_reached = funnel.n_reached_implied) as is_implied
    from marts.rpt_funnel_monthly as funnel
) as modes
where reached.counted_as is not null
