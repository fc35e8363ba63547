with

deals as (
    select
        *,
        date_trunc('month', created_date)::date as cohort_month
    from {{ ref('fct_deals') }}
    where not is_deleted and created_date is not null
),

visits as (
    select * from {{ ref('fct_deal_stage_history') }}
),

stages as (
    select
        *,
        row_number() over (
            partition by pipeline_id order by position, stage_id
        ) as place
    from {{ ref('dim_stages') }}
),

last_places as (
    select
        pipeline_id,
        max(place) as last_place
    from stages
    where not is_deleted
    group by pipeline_id
),

time_of_deals_in_stages as (
    select
        deal_id,
        stage_id,
        sum(seconds) / 86400.0 as days
    from visits
    where stage_id is not null
    group by deal_id, stage_id
),

furthest_places_of_deals as (
    select
        visits.deal_id,
        stages.pipeline_id,
        max(stages.place) as furthest_place
    from visits
    inner join stages on visits.stage_id = stages.stage_id
    group by visits.deal_id, stages.pipeline_id
),

deals_by_stage as (
    select
        stages.stage_id,
        deals.cohort_month,
        (
            furthest.furthest_place >= stages.place or won.deal_id is not null
        ) as has_reached,
        (
            furthest.furthest_place > stages.place or won.deal_id is not null
        ) as has_moved_on,
        entered.deal_id is not null as has_entered,
        won.deal_id is not null as is_won,
        deals.is_lost and deals.stage_id = stages.stage_id as is_lost_here,
        deals.is_open and deals.stage_id = stages.stage_id as is_still_here,
        deals.is_archived,
        entered.days
    from furthest_places_of_deals as furthest
    inner join deals on furthest.deal_id = deals.deal_id
    inner join stages on furthest.pipeline_id = stages.pipeline_id
    left join deals as won
        on furthest.deal_id = won.deal_id
        and furthest.pipeline_id = won.pipeline_id
        and won.is_won
    left join time_of_deals_in_stages as entered
        on furthest.deal_id = entered.deal_id
        and stages.stage_id = entered.stage_id
),

stages_by_cohort as (
    select
        stage_id,
        cohort_month,
        count(*) filter (where has_reached) as reached_count,
        count(*) filter (where has_entered) as entered_count,
        count(*) filter (where has_moved_on) as moved_on_count,
        count(*) filter (where is_won) as won_count,
        count(*) filter (where is_lost_here) as lost_here_count,
        count(*) filter (
            where is_still_here and not is_archived
        ) as open_here_count,
        percentile_cont(0.5) within group (
            order by days
        ) filter (where not is_still_here) as median_days
    from deals_by_stage
    group by stage_id, cohort_month
),

final as (
    select
        -- ids
        jsonb_build_array(
            stages.stage_id, cohorts.cohort_month
        )::text as pipeline_funnel_id,
        stages.pipeline_id,
        stages.stage_id,

        -- strings
        stages.pipeline_name,
        stages.name as stage_name,

        -- numerics
        stages.position as stage_position,
        cohorts.reached_count,
        cohorts.entered_count,
        cohorts.moved_on_count,
        cohorts.won_count,
        cohorts.lost_here_count,
        cohorts.open_here_count,
        case
            when stages.place < last_places.last_place
                then round(
                    cohorts.moved_on_count * 1.0
                    / nullif(cohorts.reached_count, 0),
                    4
                )
        end as conversion_to_next,
        round(
            cohorts.won_count * 1.0 / nullif(cohorts.reached_count, 0), 4
        ) as conversion_to_won,
        round(cohorts.median_days::numeric, 2) as median_days,

        -- dates
        cohorts.cohort_month
    from stages_by_cohort as cohorts
    inner join stages on cohorts.stage_id = stages.stage_id
    left join last_places on stages.pipeline_id = last_places.pipeline_id
    where not stages.is_deleted or cohorts.entered_count > 0
)

select * from final
