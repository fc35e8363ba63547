with

counts as (
    select
        'activities' as entity,
        (select count(*) from {{ ref('stg_pipedrive__activities') }}) as staged,
        (select count(*) from {{ ref('fct_activities') }}) as facts
    union all
    select
        'leads' as entity,
        (select count(*) from {{ ref('stg_pipedrive__leads') }}) as staged,
        (select count(*) from {{ ref('fct_leads') }}) as facts
)

select * from counts
where staged != facts
