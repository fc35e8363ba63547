{{ config(severity='warn') }}

with

deals as (
    select
        count(*) filter (where is_won) as won,
        count(*) filter (where is_lost) as lost,
        count(*) filter (where is_open and not is_archived) as open
    from {{ ref('fct_deals') }}
),

activities as (
    select
        count(*) filter (where is_done and done_date is not null) as done,
        count(due_date) as due
    from {{ ref('fct_activities') }}
    where not is_deleted
),

figures as (
    select
        'deals won' as figure,
        deals.won as facts,
        (
            select coalesce(sum(won_count), 0)
            from {{ ref('win_rate_by_owner') }}
        ) as mart
    from deals
    union all
    select
        'deals lost' as figure,
        deals.lost as facts,
        (
            select coalesce(sum(lost_count), 0)
            from {{ ref('win_rate_by_owner') }}
        ) as mart
    from deals
    union all
    select
        'lost reasons' as figure,
        deals.lost as facts,
        (
            select coalesce(sum(lost_count), 0)
            from {{ ref('lost_reasons') }}
        ) as mart
    from deals
    union all
    select
        'sales cycles by ' || breakdowns.breakdown as figure,
        deals.won + deals.lost as facts,
        (
            select coalesce(sum(cycles.closed_count), 0)
            from {{ ref('sales_cycle') }} as cycles
            where cycles.breakdown = breakdowns.breakdown
        ) as mart
    from deals
    cross join (
        values ('all'), ('channel'), ('value_band'), ('owner')
    ) as breakdowns (breakdown)
    union all
    select
        'deals in the outlook' as figure,
        deals.won + deals.open as facts,
        (
            select coalesce(
                sum(won_count + expected_count + overdue_count), 0
            )
            from {{ ref('revenue_outlook') }}
        ) as mart
    from deals
    union all
    select
        'first responses' as figure,
        (select count(*) from {{ ref('fct_first_responses') }}) as facts,
        (
            select coalesce(sum(record_count), 0)
            from {{ ref('lead_response') }}
        ) as mart
    union all
    select
        'open deals' as figure,
        deals.open as facts,
        (
            select coalesce(sum(deal_count), 0)
            from {{ ref('forecast') }}
        ) as mart
    from deals
    union all
    select
        'activities done' as figure,
        activities.done as facts,
        (
            select coalesce(sum(done_count), 0)
            from {{ ref('activity_performance') }}
        ) as mart
    from activities
    union all
    select
        'activities due' as figure,
        activities.due as facts,
        (
            select coalesce(sum(due_count), 0)
            from {{ ref('activity_performance') }}
        ) as mart
    from activities
    union all
    select
        'line items' as figure,
        (
            select count(*) from {{ ref('stg_pipedrive__deal_products') }}
        ) as facts,
        (select count(*) from {{ ref('fct_deal_products') }}) as mart
    union all
    select
        'notes' as figure,
        (select count(*) from {{ ref('stg_pipedrive__notes') }}) as facts,
        (select count(*) from {{ ref('fct_notes') }}) as mart
)

select * from figures
where facts != mart
