with

records as (
    select * from {{ ref('int_records_listed') }}
),

duplicates as (
    select * from {{ ref('int_duplicates_grouped') }}
),

websites as (
    select * from {{ ref('int_company_websites') }}
),

categories as (
    select * from {{ ref('int_categories_mapped') }}
),

rejected_values as (
    select * from {{ ref('stg_pipedrive__rejected_values') }}
),

websites_with_owners as (
    select
        websites.crm,
        websites.entity,
        websites.record_id,
        websites.website,
        coalesce(duplicates.canonical_record_id, websites.record_id)
            as owner_id
    from websites
    left join duplicates
        on websites.crm = duplicates.crm
        and websites.entity = duplicates.entity
        and websites.record_id = duplicates.record_id
),

shared_websites as (
    select
        crm,
        website
    from websites_with_owners
    group by crm, website
    having count(distinct owner_id) > 1
),

findings as (
    {%- for model in [
        'int_values_missing', 'int_dates_impossible', 'int_values_unfit',
        'int_options_deleted', 'int_fields_confusing',
    ] %}
    select
        rule,
        crm,
        entity,
        record_id,
        detail,
        null as related_record_id
    from {{ ref(model) }}
    union all
    {%- endfor %}
    select
        rule,
        crm,
        entity,
        record_id,
        detail,
        related_record_id
    from {{ ref('int_references_broken') }}
    union all
    select
        'duplicate' as rule,
        crm,
        entity,
        record_id,
        'same ' || match_rules as detail,
        canonical_record_id as related_record_id
    from duplicates
    union all
    select
        'shared_website' as rule,
        websites.crm,
        websites.entity,
        websites.record_id,
        websites.website as detail,
        null as related_record_id
    from websites
    inner join shared_websites
        on websites.crm = shared_websites.crm
        and websites.website = shared_websites.website
    union all
    select
        'inconsistent_category' as rule,
        crm,
        entity,
        record_id,
        column_name || ' ' || quote_literal(raw_value) || ' is '
        || category as detail,
        null as related_record_id
    from categories
    where raw_value != category
    union all
    select
        'rejected_value' as rule,
        'pipedrive' as crm,
        stream as entity,
        record_id,
        field || ': ' || error as detail,
        null as related_record_id
    from rejected_values
),

findings_by_record as (
    select
        rule,
        crm,
        entity,
        record_id,
        string_agg(detail, '; ' order by detail) as detail,
        min(related_record_id) as related_record_id
    from findings
    group by rule, crm, entity, record_id
),

final as (
    select
        -- ids
        concat_ws(
            '.', findings.rule, findings.crm, findings.entity,
            findings.record_id
        ) as data_quality_issue_id,
        concat_ws('.', findings.rule, findings.crm, findings.entity)
            as data_quality_id,
        findings.record_id,
        findings.related_record_id,

        -- strings
        findings.rule,
        findings.crm,
        findings.entity,
        left(records.name, 200) as record_name,
        findings.detail
    from findings_by_record as findings
    inner join records
        on findings.crm = records.crm
        and findings.entity = records.entity
        and findings.record_id = records.record_id
)

select * from final
