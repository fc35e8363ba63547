{{ config(severity='warn') }}

with

visits as (
    select
        *,
        lag(left_at) over one_by_one as previous_left_at,
        lag(deal_stage_span_id) over one_by_one is null as is_first
    from {{ ref('fct_deal_stage_history') }}
    window one_by_one as (partition by deal_id order by span_number)
),

visits_with_a_hole_before as (
    select
        visits.deal_id,
        'visit ' || visits.span_number || ' begins at '
        || visits.entered_at as problem
    from visits
    inner join {{ ref('fct_deals') }} as deals
        on visits.deal_id = deals.deal_id
    where
        (
            visits.is_first
            and (
                visits.entered_at > {{ plausible('deals.created_at') }}
                or (
                    visits.entered_at is null
                    and {{ plausible('deals.created_at') }} is not null
                )
            )
        )
        or (
            not visits.is_first
            and visits.entered_at is distinct from visits.previous_left_at
        )
        or visits.left_at < visits.entered_at
),

deals_not_in_one_stage as (
    select
        deals.deal_id,
        count(visits.deal_id) || ' present visits, of stage '
        || coalesce(max(visits.stage_id)::text, 'unknown') as problem
    from {{ ref('fct_deals') }} as deals
    left join visits on deals.deal_id = visits.deal_id and visits.is_current
    group by deals.deal_id, deals.stage_id
    having
        count(visits.deal_id) != 1
        or max(visits.stage_id) is distinct from deals.stage_id
)

select * from visits_with_a_hole_before
union all
select * from deals_not_in_one_stage
