-- of_owners(table)
[[and $table.owner_id in (select user_id from marts.dim_user where {{owner}})]]
[[and $table.owner_id in (select user_id from marts.dim_user where {{team}})]]
