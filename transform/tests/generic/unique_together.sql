{#- No two rows have the same values in all of these columns; two nulls are equal. -#}
{% test unique_together(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as n
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
