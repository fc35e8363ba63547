with

source as (
    select * from {{ raw_table('fields') }}
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
        (
            _sdc_deleted_at is not null
            or coalesce(
                _sdc_extracted_at < max(_sdc_extracted_at) over (
                    partition by
                        entity,
                        case when is_custom_field then column_name end
                )
                and is_custom_field
                and column_name is not null,
                false
            )
        ) as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
