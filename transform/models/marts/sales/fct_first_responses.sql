{% set business = business_time() %}

with

leads as (
    select * from {{ ref('fct_leads') }}
),

deals as (
    select * from {{ ref('fct_deals') }}
    where not is_deleted
),

activities as (
    select
        *,
        {{ plausible('done_at') }} as plausibly_done_at
    from {{ ref('fct_activities') }}
    where is_done and not is_deleted
),

days as (
    select * from {{ ref('dim_dates') }}
),

{# With the business seconds before each day, the business time between any two
   moments is a difference, even if daylight saving time changes in between. #}
business_days as (
    select
        date_day,
        opens_at,
        closes_at,
        sum(extract(epoch from closes_at - opens_at)) over (
            order by date_day
        ) - extract(epoch from closes_at - opens_at) as seconds_before
    from days
    cross join lateral (
        select
            {{ reporting_moment("date_day + time '" ~ business.opens ~ "'") }}
                as opens_at,
            case
                when weekday in ({{ business.weekdays | join(', ') }})
                    then {{ reporting_moment(
                        "date_day + time '" ~ business.closes ~ "'"
                    ) }}
                else {{ reporting_moment(
                    "date_day + time '" ~ business.opens ~ "'"
                ) }}
            end as closes_at
    ) as business_hours
),

{# The activities of a lead continue with its deal, or with several deals. #}
deals_of_leads as (
    select
        source_lead_id as lead_id,
        deal_id
    from deals
    where source_lead_id in (select lead_id from leads)
),

records as (
    select
        'lead' as record_type,
        lead_id,
        null::bigint as deal_id,
        owner_id,
        owner_name,
        title,
        coalesce(source_name, origin) as source,
        channel,
        created_at
    from leads
    where
        not is_deleted
        or lead_id in (select lead_id from deals_of_leads)
    union all
    select
        'deal' as record_type,
        source_lead_id as lead_id,
        deal_id,
        owner_id,
        owner_name,
        title,
        origin as source,
        channel,
        created_at
    from deals
    where deal_id not in (select deal_id from deals_of_leads)
),

records_created as (
    select
        coalesce(deal_id::text, lead_id) as record_id,
        *,
        {{ plausible('created_at') }} as began_at
    from records
),

activities_of_records as (
    select
        'deal' as record_type,
        deal_id::text as record_id,
        activity_id,
        plausibly_done_at as done_at
    from activities
    where deal_id is not null
    union all
    select
        'lead' as record_type,
        lead_id as record_id,
        activity_id,
        plausibly_done_at as done_at
    from activities
    where lead_id is not null
    union all
    select
        'lead' as record_type,
        deals_of_leads.lead_id as record_id,
        activities.activity_id,
        activities.plausibly_done_at as done_at
    from activities
    inner join deals_of_leads on activities.deal_id = deals_of_leads.deal_id
),

first_responses as (
    select distinct on (records.record_type, records.record_id)
        records.record_type,
        records.record_id,
        activities.activity_id,
        activities.done_at
    from records_created as records
    inner join activities_of_records as activities
        on records.record_type = activities.record_type
        and records.record_id = activities.record_id
        and records.began_at <= activities.done_at
    order by
        records.record_type,
        records.record_id,
        activities.done_at,
        activities.activity_id
),

records_with_response as (
    select
        records.*,
        responses.activity_id,
        responses.done_at as responded_at,
        least(
            coalesce(responses.done_at, {{ run_time() }}), {{ run_time() }}
        ) as ended_at
    from records_created as records
    left join first_responses as responses
        on records.record_type = responses.record_type
        and records.record_id = responses.record_id
),

records_timed as (
    select
        records.*,
        extract(
            epoch from records.responded_at - records.began_at
        ) as seconds,
        last_days.seconds_before + extract(epoch from greatest(
            least(records.ended_at, last_days.closes_at) - last_days.opens_at,
            interval '0'
        )) - first_days.seconds_before - extract(epoch from greatest(
            least(records.began_at, first_days.closes_at) - first_days.opens_at,
            interval '0'
        )) as business_seconds
    from records_with_response as records
    left join business_days as first_days
        on first_days.date_day = {{ reporting_date('records.began_at') }}
    left join business_days as last_days
        on last_days.date_day = {{ reporting_date('records.ended_at') }}
),

final as (
    select
        -- ids
        record_type || '-' || record_id as first_response_id,
        lead_id,
        deal_id,
        owner_id,
        activity_id,

        -- strings
        record_type,
        title,
        owner_name,
        source,
        channel,
        case
            when business_seconds is null then 'unknown'
            when responded_at is not null
                then case
                    when business_seconds <= {{ business.sla_seconds }}
                        then 'in_time'
                    else 'late'
                end
            when business_seconds <= {{ business.sla_seconds }} then 'waiting'
            else 'missed'
        end as response,

        -- numerics
        extract(hour from {{ reporting_time('began_at') }})::integer
            as created_hour,
        round(seconds / 3600, 2) as hours_to_response,
        case
            when responded_at is not null
                then round(business_seconds / 3600, 2)
        end as business_hours_to_response,

        -- dates
        {{ reporting_date('began_at') }} as created_date,

        -- timestamps
        created_at,
        responded_at
    from records_timed
)

select * from final
