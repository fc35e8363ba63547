with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

final as (
    select
        organizations.organization_id as id,
        organizations.owner_id,
        organizations.name,
        organizations.visibility as visible_to,
        organizations.label_ids,
        organizations.created_at as add_time,
        organizations.updated_at as update_time,
        {{ address_columns(
            'organizations.address', 'endereco_principal'
        ) }},
        users.name as owner_name
    from organizations
    left join users on organizations.owner_id = users.user_id
    where not organizations.is_deleted
)

select * from final
