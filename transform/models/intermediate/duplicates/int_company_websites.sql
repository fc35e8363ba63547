{# Hosts of many companies identify none, but their pages do. #}
{% set shared_hosts = [
    'facebook', 'instagram', 'linkedin', 'twitter', 'youtube', 'linktr',
    'google', 'gmail', 'hotmail', 'outlook', 'live', 'yahoo', 'icloud', 'uol',
    'bol', 'terra',
] %}

with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
    where not is_deleted
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
    where not is_deleted
),

websites_as_written as (
    select
        'pipedrive' as crm,
        'organizations' as entity,
        organization_id::text as record_id,
        website as address
    from organizations
    union all
    select
        'hubspot' as crm,
        'companies' as entity,
        company_id as record_id,
        domain as address
    from companies
),

websites_in_parts as (
    select
        crm,
        entity,
        record_id,
        substring(
            lower(address),
            '^\s*(?:\w+://)?(?:[^/?#@]*@)?(?:www\.)?([^/?#:\s]+\.[^/?#:\s]+)'
        ) as host,
        substring(
            lower(address), '^\s*(?:\w+://)?[^/?#]+/([^?#]*[^/?#\s])'
        ) as page
    from websites_as_written
),

websites as (
    select
        crm,
        entity,
        record_id,
        case
            when host !~ '(^|\.)({{ shared_hosts | join('|') }})\.[a-z.]+$'
                then host
            else host || '/' || page
        end as website
    from websites_in_parts
),

final as (
    select
        crm || '.' || entity || '.' || record_id as record_website_id,
        crm,
        entity,
        record_id,
        website
    from websites
    where website is not null
)

select * from final
