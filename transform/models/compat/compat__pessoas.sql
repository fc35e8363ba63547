with

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

final as (
    select
        persons.person_id as id,
        persons.owner_id,
        persons.organization_id as org_id,
        persons.name,
        persons.first_name,
        persons.last_name,
        persons.created_at as add_time,
        persons.updated_at as update_time,
        persons.visibility as visible_to,
        persons.birth_date as birthday,
        persons.job_title,
        persons.label_ids,
        persons.picture_id,
        persons.emails as email_contatos_list,
        {{ primary_entry('persons.emails') }} ->> 'value'
            as email_contatos_primary_value,
        {{ primary_entry('persons.emails') }} ->> 'label'
            as email_contatos_primary_label,
        persons.phones as telefone_contatos_list,
        {{ primary_entry('persons.phones') }} ->> 'value'
            as telefone_contatos_primary_value,
        {{ primary_entry('persons.phones') }} ->> 'label'
            as telefone_contatos_primary_label,
        {{ address_columns('persons.postal_address', 'endereco_contato') }},
        users.name as owner_name,
        organizations.name as org_name
    from persons
    left join organizations
        on persons.organization_id = organizations.organization_id
    left join users on persons.owner_id = users.user_id
    where not persons.is_deleted
)

select * from final
