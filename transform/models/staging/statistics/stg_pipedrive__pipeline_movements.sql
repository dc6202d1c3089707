with source as (
    {{ raw_columns('pipeline_movements', {
        'pipeline_id': 'bigint',
        'user_id': 'bigint',
        'new_deals': 'jsonb',
        'won_deals': 'jsonb',
        'lost_deals': 'jsonb',
        'deals_left_open': 'jsonb',
        'movements_between_stages': 'jsonb',
        'average_age_in_days': 'jsonb',
        'start_date': 'date',
        'end_date': 'date',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        pipeline_id,
        user_id,
        -- numerics
        {{ try_bigint("(new_deals ->> 'count')") }} as n_new_deals,
        {{ try_bigint("(won_deals ->> 'count')") }} as n_won_deals,
        {{ try_bigint("(lost_deals ->> 'count')") }} as n_lost_deals,
        {{ try_bigint("(deals_left_open ->> 'count')") }} as n_deals_left_open,
        {{ try_bigint("(movements_between_stages ->> 'count')") }} as n_stage_moves,
        {{ try_numeric("(average_age_in_days ->> 'across_all_stages')") }} as average_age_days,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        start_date,
        end_date,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(new_deals) = 'object' then new_deals end as new_deals,
        case when jsonb_typeof(won_deals) = 'object' then won_deals end as won_deals,
        case when jsonb_typeof(lost_deals) = 'object' then lost_deals end as lost_deals,
        case when jsonb_typeof(deals_left_open) = 'object' then deals_left_open end as deals_left_open,
        case
            when jsonb_typeof(average_age_in_days -> 'by_stages') = 'array' then average_age_in_days -> 'by_stages'
        end as average_age_by_stage,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
