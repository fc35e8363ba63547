with

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

duplicates as (
    select * from {{ ref('int_duplicates_grouped') }}
    where crm = 'hubspot' and entity = 'companies'
),

final as (
    select
        companies.company_id,
        coalesce(
            duplicates.canonical_record_id, companies.company_id
        ) as canonical_company_id,
        duplicates.match_rules,
        coalesce(duplicates.group_size, 1) as group_size,
        companies.is_deleted
    from companies
    left join duplicates on companies.company_id = duplicates.record_id
)

select * from final
