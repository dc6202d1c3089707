-- largest_pipeline(relation, month, measure)
largest as (
    select pipeline_id
    from $relation
    where
        true
        [[and $month in (select month_start from marts.dim_date where {{period}})]]
        of_pipelines_and_owners()
    group by pipeline_id
    order by sum($measure) desc, pipeline_id
    limit 1
)
