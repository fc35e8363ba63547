{# Without the extension `unaccent`, which a managed Postgres may not have. #}
{% macro folded(text) -%}
    regexp_replace(
        normalize(lower({{ text }}), NFKD), '[\u0300-\u036f]', '', 'g'
    )
{%- endmacro %}


{# Texts of one number differ: 5, 5.0, 5e0. #}
{% macro plain_number(text) -%}
    case
        when {{ text }} ~ '^-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?$'
            then trim_scale(({{ text }})::numeric)::text
        else {{ text }}
    end
{%- endmacro %}


{# The entities are those that Pipedrive's editor writes; the ampersand comes
   last, as `&amp;lt;` is how it writes the text `&lt;`. #}
{% macro without_tags(html) -%}
    {%- set steps = [
        ('<(br|/p|/div|/li|/h[1-6]|/tr)[^>]*>', '\n'),
        ('</?[a-z][^>]*>', ''),
        ('&nbsp;|\u00a0', ' '),
        ('&lt;', '<'),
        ('&gt;', '>'),
        ('&quot;', '"'),
        ('&#0*39;|&apos;', "''"),
        ('&amp;', '&'),
    ] -%}
    {%- set text = namespace(sql=html) -%}
    {%- for pattern, plain in steps -%}
        {%- set text.sql = "regexp_replace(" ~ text.sql ~ ", '" ~ pattern ~ "', E'" ~ plain ~ "', 'gi')" -%}
    {%- endfor -%}
    nullif(btrim({{ text.sql }}, E' \t\r\n'), '')
{%- endmacro %}
