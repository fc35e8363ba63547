with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

duplicates as (
    select * from {{ ref('int_duplicates_grouped') }}
    where crm = 'pipedrive' and entity = 'organizations'
),

final as (
    select
        organizations.organization_id,
        coalesce(
            duplicates.canonical_record_id::bigint,
            organizations.organization_id
        ) as canonical_organization_id,
        duplicates.match_rules,
        coalesce(duplicates.group_size, 1) as group_size,
        organizations.is_deleted
    from organizations
    left join duplicates
        on organizations.organization_id::text = duplicates.record_id
)

select * from final
