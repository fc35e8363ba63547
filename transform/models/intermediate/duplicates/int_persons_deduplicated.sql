with

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

duplicates as (
    select * from {{ ref('int_duplicates_grouped') }}
    where crm = 'pipedrive' and entity = 'persons'
),

final as (
    select
        persons.person_id,
        coalesce(
            duplicates.canonical_record_id::bigint,
            persons.person_id
        ) as canonical_person_id,
        duplicates.match_rules,
        coalesce(duplicates.group_size, 1) as group_size,
        persons.is_deleted
    from persons
    left join duplicates
        on persons.person_id::text = duplicates.record_id
)

select * from final
