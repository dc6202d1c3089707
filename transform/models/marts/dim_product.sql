with products as (
    select * from {{ ref('stg_pipedrive__products') }}
),

users as (
    select user_id from {{ ref('dim_user') }}
),

options as (
    select * from {{ ref('int_field_options') }}
    where entity = 'product' and field_code = 'category'
),

known as (
    select
        products.product_id,
        products.name,
        products.code,
        products.unit,
        coalesce(options.label, products.category) as category,
        products.description,
        products.prices -> 0 ->> 'currency' as currency,
        {{ try_numeric("(products.prices -> 0 ->> 'price')") }} as price,
        {{ try_numeric("(products.prices -> 0 ->> 'cost')") }} as cost,
        products.tax,
        products.billing_frequency,
        case when products.owner_id is not null then coalesce(users.user_id, -1) end as owner_id,
        products.is_deleted,
        products.add_time,
        products.update_time,
        products.deleted_at,
        products._loaded_at
    from products
    left join options on products.category = options.option_id
    left join users on products.owner_id = users.user_id
),

-- The target of facts whose record does not exist.
unknown as (
    select
        -1 as product_id,
        'Unknown' as name,
        null as code,
        null as unit,
        null as category,
        null as description,
        null as currency,
        null::numeric as price,
        null::numeric as cost,
        null::numeric as tax,
        null as billing_frequency,
        null::bigint as owner_id,
        false as is_deleted,
        null::timestamptz as add_time,
        null::timestamptz as update_time,
        null::timestamptz as deleted_at,
        null::timestamptz as _loaded_at
),

everything as (
    select * from known
    union all
    select * from unknown
),

display_names as (
    {{ display_names('everything', 'product_id', qualifier='code') }}
)

select
    everything.*,
    display_names.display_name
from everything
inner join display_names on everything.product_id = display_names.product_id
