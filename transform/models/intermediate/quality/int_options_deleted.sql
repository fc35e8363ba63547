{# Without the offset, Postgres would convert each record to JSON once per
   field. #}
with

fields as (
    select
        *,
        entity || 's' as table_name
    from {{ ref('stg_pipedrive__fields') }}
    where
        is_custom
        and not is_deleted
        and field_type in ('enum', 'set')
),

raw_records as (
    select * from {{ ref('int_raw_records') }}
    where crm = 'pipedrive'
    offset 0
),

choices as (
    select
        raw_records.crm,
        raw_records.entity,
        raw_records.record_id,
        fields.column_name,
        raw_records.raw_values -> fields.column_name as labels,
        raw_records.raw_values -> (
            fields.column_name
            || case fields.field_type when 'set' then '_ids' else '_id' end
        ) as option_ids
    from raw_records
    inner join fields
        on fields.table_name = raw_records.entity
        or (fields.table_name = 'deals' and raw_records.entity = 'leads')
),

findings as (
    select
        'deleted_option' as rule,
        crm,
        entity,
        record_id,
        column_name || ' ' || option_ids as detail
    from choices
    where
        (labels = 'null' and option_ids != 'null')
        or labels @> '[null]'
),

final as (
    select
        concat_ws('.', rule, crm, entity, record_id, detail) as finding_id,
        rule,
        crm,
        entity,
        record_id,
        detail
    from findings
)

select * from final
