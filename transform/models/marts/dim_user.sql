with users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

roles as (
    select
        role_id,
        name
    from {{ ref('stg_pipedrive__roles') }}
),

-- A user in several teams is shown with all of them; team_id is the oldest one.
teams as (
    select
        {{ try_bigint('member.id') }} as user_id,
        min(teams.team_id) as team_id,
        (array_agg(teams.name order by teams.team_id))[1] as team_name,
        string_agg(teams.name, '; ' order by teams.team_id) as team_names
    from {{ ref('stg_pipedrive__teams') }} as teams
    cross join lateral jsonb_array_elements_text(teams.user_ids) as member (id)
    where not teams.is_deleted and teams.is_active
    group by {{ try_bigint('member.id') }}
),

known as (
    select
        users.user_id,
        users.name,
        users.email,
        users.is_active,
        users.is_admin,
        users.is_deleted,
        users.role_id,
        roles.name as role,
        teams.team_id,
        teams.team_name,
        teams.team_names,
        users.default_currency,
        users.locale,
        users.timezone_name as timezone,
        users.add_time,
        users.update_time,
        users.last_login_time,
        users.deleted_at,
        users._loaded_at
    from users
    left join roles on users.role_id = roles.role_id
    left join teams on users.user_id = teams.user_id
),

-- The target of facts whose record does not exist.
unknown as (
    select
        -1 as user_id,
        'Unknown' as name,
        null as email,
        false as is_active,
        false as is_admin,
        false as is_deleted,
        null::bigint as role_id,
        null as role,
        null::bigint as team_id,
        null as team_name,
        null as team_names,
        null as default_currency,
        null as locale,
        null as timezone,
        null::timestamptz as add_time,
        null::timestamptz as update_time,
        null::timestamptz as last_login_time,
        null::timestamptz as deleted_at,
        null::timestamptz as _loaded_at
),

everyone as (
    select * from known
    union all
    select * from unknown
),

display_names as (
    {{ display_names('everyone', 'user_id', qualifier='email') }}
)

select
    everyone.*,
    display_names.display_name
from everyone
inner join display_names on everyone.user_id = display_names.user_id
