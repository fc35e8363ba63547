with

source as (
    select * from {{ raw_table('permission_sets') }}
),

renamed as (
    select
        -- ids
        id as permission_set_id,

        -- strings
        name,
        description,
        app,
        type as permission_set_type,

        -- numerics
        assignment_count,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
