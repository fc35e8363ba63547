with

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

final as (
    select
        pipeline_id,
        name as pipeline_name,
        not is_deleted as is_active,
        _sdc_extracted_at as last_synced_at
    from pipelines
)

select * from final
