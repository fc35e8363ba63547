{# Walks from record to record over the keys they share, starting only from
   records that are not linked to a smaller one; these include the smallest
   record of each group. #}
{% set limit = var(
    'max_records_per_match_key', env_var('MAX_RECORDS_PER_MATCH_KEY', '20')
) %}

with recursive

match_keys as (
    select * from {{ ref('int_company_match_keys') }}
    union all
    select * from {{ ref('int_contact_match_keys') }}
),

match_keys_counted as (
    select
        *,
        count(*) over (
            partition by crm, entity, match_rule, match_key
        ) as record_count
    from match_keys
),

records_numbered as (
    select
        *,
        dense_rank() over (
            order by crm, entity, length(record_id), record_id
        ) as record_number
    from match_keys_counted
    where record_count between 2 and {{ limit }}
),

records_linked as (
    select
        *,
        min(record_number) over (
            partition by crm, entity, match_rule, match_key
        ) as first_number
    from records_numbered
),

steps as (
    select record_number as from_number, first_number as to_number
    from records_linked
    where record_number > first_number
    union
    select first_number as from_number, record_number as to_number
    from records_linked
    where record_number > first_number
),

starts as (
    select record_number
    from records_linked
    group by record_number
    having min(first_number) = record_number
),

walks as (
    select
        record_number as start_number,
        record_number
    from starts
    union
    select
        walks.start_number,
        steps.to_number as record_number
    from walks
    inner join steps on walks.record_number = steps.from_number
),

groups as (
    select
        record_number,
        min(start_number) as canonical_number
    from walks
    group by record_number
),

records as (
    select
        crm,
        entity,
        record_id,
        record_number,
        string_agg(distinct match_rule, ', ' order by match_rule) as match_rules
    from records_linked
    group by crm, entity, record_id, record_number
),

final as (
    select
        concat_ws('.', records.crm, records.entity, records.record_id)
            as duplicate_id,
        records.crm,
        records.entity,
        records.record_id,
        canonical_records.record_id as canonical_record_id,
        records.match_rules,
        count(*) over (partition by groups.canonical_number) as group_size
    from records
    inner join groups on records.record_number = groups.record_number
    inner join records as canonical_records
        on groups.canonical_number = canonical_records.record_number
)

select * from final
