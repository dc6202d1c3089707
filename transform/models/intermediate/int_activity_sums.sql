{#- Written with int_activities. -#}
{{ table_of_sums(
    by={'month': 'date', 'owner_id': 'bigint', 'activity_type': 'text'},
    sums={
        'n_activities': 'bigint',
        'n_done': 'bigint',
        'n_done_with_due_date': 'bigint',
        'n_on_time': 'bigint',
        'minutes_done': 'numeric',
    },
    lists={'due_times': 'timestamptz[]'}
) }}
