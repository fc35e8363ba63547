with

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

final as (
    select
        stage_id,
        name as stage_name,
        trim(
            regexp_replace({{ folded('name') }}, '[^a-z0-9]+', '_', 'g'), '_'
        ) as normalized_name,
        pipeline_id,
        position as order_nr,
        not is_deleted as is_active,
        _sdc_extracted_at as last_synced_at
    from stages
)

select * from final
