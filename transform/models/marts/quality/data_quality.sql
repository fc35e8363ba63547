with

rules as (
    select * from {{ ref('int_quality_rules_listed') }}
),

issues_counted as (
    select
        data_quality_id,
        count(*) as failing_count
    from {{ ref('data_quality_issues') }}
    group by data_quality_id
),

records_counted as (
    select
        crm,
        entity,
        count(*) as checked_count
    from {{ ref('int_records_listed') }}
    group by crm, entity
),

final as (
    select
        -- ids
        rules.data_quality_id,

        -- strings
        rules.rule,
        rules.crm,
        rules.entity,
        rules.meaning,

        -- numerics
        coalesce(records_counted.checked_count, 0) as checked_count,
        coalesce(issues_counted.failing_count, 0) as failing_count,
        round(
            coalesce(issues_counted.failing_count, 0)::numeric
            / records_counted.checked_count,
            6
        ) as failing_share
    from rules
    left join records_counted
        on rules.crm = records_counted.crm
        and rules.entity = records_counted.entity
    left join issues_counted
        on rules.data_quality_id = issues_counted.data_quality_id
)

select * from final
