{% set columns = [] %}
{% for column in var(
    'tax_id_columns', env_var('TAX_ID_COLUMNS', 'cnpj,cpf,cpf_cnpj,vat_number,tax_id')
).split(',') %}
    {% do columns.append(column | trim) %}
{% endfor %}

with

raw_records as (
    select * from {{ ref('int_raw_records') }}
    where entity in ('organizations', 'persons', 'companies', 'contacts')
),

numbers_as_written as (
    select
        raw_records.crm,
        raw_records.entity,
        raw_records.record_id,
        columns.written
    from raw_records
    cross join lateral jsonb_each_text(raw_records.raw_values)
        as columns (name, written)
    where columns.name in ('{{ columns | join("', '") }}')
),

numbers_without_punctuation as (
    select distinct
        crm,
        entity,
        record_id,
        upper(regexp_replace(written, '[^0-9A-Za-z]', '', 'g')) as tax_id
    from numbers_as_written
),

{# Neither a number that consists of zeros nor "not known" is a tax id. #}
final as (
    select
        crm || '.' || entity || '.' || record_id || '.' || tax_id
            as record_tax_id,
        crm,
        entity,
        record_id,
        tax_id
    from numbers_without_punctuation
    where
        length(tax_id) >= 8
        and tax_id ~ '\d.*\d'
        and tax_id !~ '^(.)\1*$'
)

select * from final
