with

contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
),

duplicates as (
    select * from {{ ref('int_duplicates_grouped') }}
    where crm = 'hubspot' and entity = 'contacts'
),

final as (
    select
        contacts.contact_id,
        coalesce(
            duplicates.canonical_record_id, contacts.contact_id
        ) as canonical_contact_id,
        duplicates.match_rules,
        coalesce(duplicates.group_size, 1) as group_size,
        contacts.is_deleted
    from contacts
    left join duplicates on contacts.contact_id = duplicates.record_id
)

select * from final
