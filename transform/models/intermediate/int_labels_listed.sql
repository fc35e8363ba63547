with

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

field_options as (
    select * from {{ ref('stg_pipedrive__field_options') }}
),

lead_labels as (
    select * from {{ ref('stg_pipedrive__lead_labels') }}
),

leads as (
    select * from {{ ref('stg_pipedrive__leads') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

records as (
    select
        'deal' as entity,
        deal_id::text as record_id,
        label_ids
    from deals
    union all
    select
        'person' as entity,
        person_id::text as record_id,
        label_ids
    from persons
    union all
    select
        'organization' as entity,
        organization_id::text as record_id,
        label_ids
    from organizations
    union all
    select
        'lead' as entity,
        lead_id as record_id,
        label_ids
    from leads
),

labels as (
    select
        entity,
        option_id as label_id,
        label as name
    from field_options
    where field_code = 'label_ids'
    union all
    select
        'lead' as entity,
        lead_label_id as label_id,
        name
    from lead_labels
),

records_by_label as (
    select
        records.entity,
        records.record_id,
        applied.label_id,
        applied.position
    from records
    cross join lateral jsonb_array_elements_text(
        case
            when jsonb_typeof(records.label_ids) = 'array'
                then records.label_ids
        end
    ) with ordinality as applied (label_id, position)
),

labels_listed as (
    select
        records_by_label.entity
        || '.' || records_by_label.record_id as labelled_record_id,
        records_by_label.entity,
        records_by_label.record_id,
        string_agg(
            coalesce(labels.name, records_by_label.label_id),
            ', ' order by records_by_label.position
        ) as labels
    from records_by_label
    left join labels
        on records_by_label.entity = labels.entity
        and records_by_label.label_id = labels.label_id
    group by records_by_label.entity, records_by_label.record_id
)

select * from labels_listed
