{# The table of columns is written by the runs that read the records, which may
   differ from those that read the fields. #}
with

source as (
    select * from {{ raw_table('fields') }}
),

own_columns as (
    select distinct on (field_id)
        field_id,
        column_name
    from {{ ref('stg_pipedrive__field_columns') }}
    where
        is_current
        and stream = case entity when 'activity' then 'activities' else entity || 's' end
    order by field_id, _sdc_extracted_at desc
),

renamed as (
    select
        -- ids
        entity || '.' || field_code as field_id,
        entity,
        field_code,

        -- strings
        field_name as name,
        field_type,
        description,
        column_name,

        -- nested
        nullif(subfields, 'null'::jsonb) as subfields,

        -- booleans
        coalesce(is_custom_field, false) as is_custom,
        coalesce(is_optional_response_field, false) as is_optional,
        _sdc_deleted_at is not null as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
),

fields_with_columns as (
    select
        renamed.field_id,
        renamed.entity,
        renamed.field_code,
        renamed.name,
        renamed.field_type,
        renamed.description,
        coalesce(own_columns.column_name, renamed.column_name) as column_name,
        renamed.subfields,
        renamed.is_custom,
        renamed.is_optional,
        renamed.is_deleted,
        renamed._sdc_extracted_at
    from renamed
    left join own_columns on renamed.field_id = own_columns.field_id
),

{# If two fields have one column, the field that was read last has it. #}
final as (
    select
        field_id,
        entity,
        field_code,
        name,
        field_type,
        description,
        column_name,
        subfields,
        is_custom,
        is_optional,
        is_deleted or coalesce(
            is_custom
            and column_name is not null
            and _sdc_extracted_at < max(_sdc_extracted_at) over (
                partition by entity, is_custom, column_name
            ),
            false
        ) as is_deleted,
        _sdc_extracted_at
    from fields_with_columns
)

select * from final
