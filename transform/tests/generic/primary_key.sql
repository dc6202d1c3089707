{#- A key column: never null, never twice. One scan of the table for both. -#}
{% test primary_key(model, column_name) %}
select
    {{ column_name }},
    count(*) as n
from {{ model }}
group by {{ column_name }}
having count(*) > 1 or {{ column_name }} is null
{% endtest %}
