with

source as (
    select * from {{ raw_table('project_boards') }}
),

renamed as (
    select
        -- ids
        id as project_board_id,

        -- strings
        name,

        -- numerics
        order_nr as position,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
