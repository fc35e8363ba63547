with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

industries as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'organization' and field_code = 'industry'
),

labels as (
    select
        record_id,
        labels
    from {{ ref('int_labels_listed') }}
    where entity = 'organization'
),

organizations_joined as (
    select
        -- ids
        organizations.organization_id,
        organizations.owner_id,

        -- strings
        organizations.name,
        users.name as owner_name,
        labels.labels,
        industries.label as industry,
        organizations.website,
        organizations.linkedin,
        organizations.address ->> 'value' as address,
        organizations.address ->> 'locality' as city,
        organizations.address ->> 'admin_area_level_1' as region,
        organizations.address ->> 'country' as country,
        organizations.address ->> 'postal_code' as postal_code,

        -- numerics
        {{ scaled('organizations.annual_revenue') }} as annual_revenue,
        organizations.employee_count,

        -- booleans
        organizations.is_deleted,

        -- timestamps
        organizations.created_at,
        organizations.updated_at
    from organizations
    left join users on organizations.owner_id = users.user_id
    left join industries
        on organizations.industry_id::text = industries.option_id
    left join labels on organizations.organization_id::text = labels.record_id
)

select * from organizations_joined
