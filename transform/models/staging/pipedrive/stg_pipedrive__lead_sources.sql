with

source as (
    select * from {{ raw_table('lead_sources') }}
),

renamed as (
    select
        -- ids
        name as lead_source_name,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
