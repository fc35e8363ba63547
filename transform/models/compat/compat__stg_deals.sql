with

deals as (
    select * from {{ ref('stg_hubspot__deals') }}
),

final as (
    select
        deal_id,
        company_domain,
        contact_email,
        deal_name,
        stage_id as deal_stage,
        pipeline_id as pipeline,
        round(amount, 2) as amount,
        created_at,
        closed_at,
        updated_at as last_modified_at
    from deals
    where not is_deleted
)

select * from final
