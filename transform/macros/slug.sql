{#-
    A label as an identifier: 'Previsão de Ganho' -> 'previsao_de_ganho'. Done in the database, because only
    PostgreSQL's normalize() takes accents off without losing the letter. Labels of other scripts give ''.
-#}
{% macro slug(label) -%}
    trim(both '_' from regexp_replace(lower(regexp_replace(normalize(translate(
        replace(replace(replace(replace(replace(replace(
            coalesce({{ label }}, ''), 'ß', 'ss'), 'ẞ', 'SS'), 'æ', 'ae'), 'Æ', 'AE'), 'œ', 'oe'), 'Œ', 'OE'),
        'øØłŁđĐðÐıħĦ', 'oOlLdDdDihH'
    ), nfkd), '[\u0300-\u036f]', '', 'g')), '[^a-z0-9]+', '_', 'g'))
{%- endmacro %}
