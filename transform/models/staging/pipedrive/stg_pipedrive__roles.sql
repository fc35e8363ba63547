with

source as (
    select * from {{ raw_table('roles') }}
),

renamed as (
    select
        -- ids
        id as role_id,
        parent_role_id,

        -- strings
        name,

        -- numerics
        level,
        assignment_count,
        sub_role_count,

        -- booleans
        (
            not coalesce(active_flag, true) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
