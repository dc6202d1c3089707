{#-
    Dropping what a model was drops the views upon it too. Two models under the same view, dropped at the same moment,
    would each wait for what the other holds: PostgreSQL ends one of them, and the build fails. So they take turns at
    taking hold; whoever has all it drops needs to wait for nobody, hence not until the transaction ends.
-#}
{% macro postgres__get_drop_sql(relation) -%}
    {%- set turn = "hashtext('pipeboard drops a relation')" -%}
    select pg_advisory_lock({{ turn }});
    {{ default__get_drop_sql(relation) }};
    select pg_advisory_unlock({{ turn }})
{%- endmacro %}
