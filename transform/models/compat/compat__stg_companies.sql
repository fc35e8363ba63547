with

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

final as (
    select
        company_id,
        company_name,
        domain,
        specialty as especialidade_medica,
        created_at,
        updated_at as last_modified_at
    from companies
    where not is_deleted
)

select * from final
