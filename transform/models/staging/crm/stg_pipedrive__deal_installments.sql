{{ config(enabled='deal_installments' in var('extra_streams')) }}
with source as (
    {{ raw_columns('deal_installments', {
        'id': 'bigint',
        'deal_id': 'bigint',
        'description': 'text',
        'amount': 'numeric',
        'billing_date': 'text',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as deal_installment_id,
        deal_id,
        -- text
        description,
        -- numerics
        amount,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        {{ try_date("billing_date") }} as billing_date,
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
