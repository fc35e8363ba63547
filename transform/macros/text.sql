{# Works without the extension `unaccent`, which a managed Postgres may not
   have. Composed again, because other marks than the accents of Latin make other
   letters: バ is not ハ. #}
{% macro folded(text) -%}
    normalize(
        regexp_replace(
            normalize(lower({{ text }}), NFKD), '[\u0300-\u036f]', '', 'g'
        ),
        NFC
    )
{%- endmacro %}


{# A pattern for what separates words. Thai, Hindi and others write vowels and
   tones as marks, which Postgres does not count as letters. #}
{% macro between_words() -%}
    [^[:alnum:]\u0300-\u1fff]+
{%- endmacro %}


{# The first eight characters of a CNPJ identify the company, the others its
   branch. #}
{% macro tax_id_of_company(tax_id) -%}
    case
        when {{ tax_id }} ~ '^[0-9A-Z]{12}\d{2}$' then left({{ tax_id }}, 8)
        else {{ tax_id }}
    end
{%- endmacro %}


{# For numbers in Brazil and North America, with or without their country code;
   null if a number is ambiguous. #}
{% macro area_code(digits) -%}
    substring(
        {{ digits }}
        from '^(?:0{0,2}55|0{0,2}1(?=\d{10}$)(?!\d9)|0?)(\d\d)9?\d{8}$'
    )
{%- endmacro %}


{% macro date_or_null(text) -%}
    case
        when {{ text }} ~ '^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$'
            then case
                when substr({{ text }}, 9, 2)::int <= extract(day from (
                    (substr({{ text }}, 1, 7) || '-01')::date
                    + interval '1 month - 1 day'
                ))
                    then {{ text }}::date
            end
    end
{%- endmacro %}


{# Makes different texts of one number equal: 5, 5.0, 5e0. #}
{% macro plain_number(text) -%}
    case
        when {{ text }} ~ '^-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?$'
            then trim_scale(({{ text }})::numeric)::text
        else {{ text }}
    end
{%- endmacro %}


{# These are the entities that Pipedrive's editor writes. The ampersand comes
   last, because the editor writes the text `&lt;` as `&amp;lt;`. #}
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
