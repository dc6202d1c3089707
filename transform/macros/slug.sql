{#-
    A label as an identifier: 'Previsão de Ganho' -> 'previsao_de_ganho'. Computed in the database, because only
    PostgreSQL's normalize() removes accents and keeps the letter. Labels in other scripts give ''.
-#}
{% macro slug(label) -%}
    trim(both '_' from regexp_replace(lower(regexp_replace(normalize(translate(
        replace(replace(replace(replace(replace(replace(
            coalesce({{ label }}, ''), 'ß', 'ss'), 'ẞ', 'SS'), 'æ', 'ae'), 'Æ', 'AE'), 'œ', 'oe'), 'Œ', 'OE'),
        'øØłŁđĐðÐıħĦ', 'oOlLdDdDihH'
    ), nfkd), '[\u0300-\u036f]', '', 'g')), '[^a-z0-9]+', '_', 'g'))
{%- endmacro %}
