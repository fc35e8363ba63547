with

source as (
    select * from {{ raw_table('owners', 'hubspot') }}
),

renamed as (
    select
        -- ids
        id as owner_id,

        -- strings
        coalesce(
            nullif(btrim(concat_ws(' ', "firstName", "lastName")), ''), email
        ) as owner_name,
        email,

        -- booleans
        coalesce(archived, false) or _sdc_deleted_at is not null as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
