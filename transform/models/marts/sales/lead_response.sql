with

responses as (
    select
        *,
        date_trunc('month', created_date)::date as created_month
    from {{ ref('fct_first_responses') }}
),

responses_counted as (
    select
        record_type,
        owner_id,
        source,
        created_hour,
        created_month,
        max(owner_name) as owner_name,
        count(*) as record_count,
        count(responded_at) as responded_count,
        count(*) filter (where response = 'in_time') as in_time_count,
        count(*) filter (where response = 'late') as late_count,
        count(*) filter (where response = 'missed') as missed_count,
        count(*) filter (where response = 'waiting') as waiting_count,
        percentile_cont(0.5) within group (
            order by hours_to_response
        ) as median_hours,
        percentile_cont(0.5) within group (
            order by business_hours_to_response
        ) as median_business_hours
    from responses
    group by record_type, owner_id, source, created_hour, created_month
),

final as (
    select
        -- ids
        jsonb_build_array(
            created_month, record_type, owner_id, source, created_hour
        )::text as lead_response_id,
        owner_id,

        -- strings
        record_type,
        source,
        owner_name,

        -- numerics
        created_hour,
        record_count,
        responded_count,
        in_time_count,
        late_count,
        missed_count,
        waiting_count,
        round(
            in_time_count * 1.0
            / nullif(in_time_count + late_count + missed_count, 0),
            4
        ) as in_time_rate,
        round(median_hours::numeric, 2) as median_hours,
        round(median_business_hours::numeric, 2) as median_business_hours,

        -- dates
        created_month
    from responses_counted
)

select * from final
