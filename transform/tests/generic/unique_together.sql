{#- No two rows agree in all of these columns; null is a value like any other. -#}
{% test unique_together(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as n
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
