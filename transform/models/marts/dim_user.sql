with users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

known as (
    select
        user_id,
        name,
        email,
        is_active,
        is_admin,
        is_deleted,
        role_id,
        default_currency,
        locale,
        timezone_name,
        add_time,
        update_time,
        last_login_time,
        deleted_at,
        _loaded_at
    from users
),

-- Where facts point when the record they name is not there.
unknown as (
    select
        -1 as user_id,
        'Unknown' as name,
        null as email,
        false as is_active,
        false as is_admin,
        false as is_deleted,
        null::bigint as role_id,
        null as default_currency,
        null as locale,
        null as timezone_name,
        null::timestamptz as add_time,
        null::timestamptz as update_time,
        null::timestamptz as last_login_time,
        null::timestamptz as deleted_at,
        null::timestamptz as _loaded_at
)

select * from known
union all
select * from unknown
