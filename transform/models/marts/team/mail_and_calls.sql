with

calls as (
    select
        *,
        {{ reporting_date('started_at') }} as call_date
    from {{ ref('stg_pipedrive__call_logs') }}
    where not is_deleted
),

messages as (
    select
        *,
        {{ plausible('messaged_at') }} as plausibly_messaged_at
    from {{ ref('stg_pipedrive__mail_messages') }}
    where not is_draft and not is_deleted
),

threads as (
    select
        mail_thread_id,
        deal_id,
        lead_id
    from {{ ref('stg_pipedrive__mail_threads') }}
),

users as (
    select * from {{ ref('dim_users') }}
),

messages_one_after_another as (
    select
        *,
        lead(is_sent) over one_by_one as is_next_sent,
        lead(plausibly_messaged_at) over one_by_one as next_messaged_at
    from messages
    window one_by_one as (
        partition by mail_thread_id
        order by plausibly_messaged_at, mail_message_id
    )
),

{# The next mail of a thread answers a mail, unless it was received as well. #}
messages_answered as (
    select
        messages.user_id,
        {{ reporting_date('messages.messaged_at') }} as message_date,
        messages.is_sent,
        messages.mail_tracking_status,
        threads.deal_id is not null
        or threads.lead_id is not null as is_about_a_sale,
        case
            when
                not messages.is_sent
                and messages.is_next_sent
                and messages.mail_thread_id is not null
                then round(
                    extract(
                        epoch from messages.next_messaged_at
                        - messages.plausibly_messaged_at
                    ) / 3600,
                    2
                )
        end as hours_to_answer
    from messages_one_after_another as messages
    left join threads on messages.mail_thread_id = threads.mail_thread_id
),

weeks as (
    select
        user_id,
        {{ week_start('call_date') }} as week_start_date,
        'call' as kind,
        outcome,
        duration_seconds,
        deal_id is not null or lead_id is not null as is_about_a_sale,
        null as mail_tracking_status,
        null::numeric as hours_to_answer
    from calls
    union all
    select
        user_id,
        {{ week_start('message_date') }} as week_start_date,
        case when is_sent then 'sent' else 'received' end as kind,
        null as outcome,
        null as duration_seconds,
        is_about_a_sale,
        mail_tracking_status,
        hours_to_answer
    from messages_answered
),

weeks_counted as (
    select
        user_id,
        week_start_date,
        count(*) filter (where kind = 'call') as call_count,
        count(*) filter (
            where outcome = 'connected'
        ) as connected_count,
        count(*) filter (
            where kind = 'call' and is_about_a_sale
        ) as sales_call_count,
        sum(duration_seconds) as call_seconds,
        percentile_cont(0.5) within group (
            order by duration_seconds
        ) filter (where outcome = 'connected') as median_call_seconds,
        count(*) filter (where kind = 'sent') as sent_count,
        count(*) filter (
            where kind = 'sent' and mail_tracking_status is not null
        ) as tracked_count,
        count(*) filter (
            where kind = 'sent' and mail_tracking_status = 'opened'
        ) as opened_count,
        count(*) filter (where kind = 'received') as received_count,
        count(hours_to_answer) as answered_count,
        count(*) filter (
            where kind != 'call' and is_about_a_sale
        ) as sales_mail_count,
        percentile_cont(0.5) within group (
            order by hours_to_answer
        ) as median_hours_to_answer
    from weeks
    group by user_id, week_start_date
),

final as (
    select
        -- ids
        jsonb_build_array(
            weeks.user_id, weeks.week_start_date
        )::text as mail_and_calls_id,
        weeks.user_id,

        -- strings
        users.name as user_name,

        -- numerics
        weeks.call_count,
        weeks.connected_count,
        round(
            weeks.connected_count * 1.0 / nullif(weeks.call_count, 0), 4
        ) as connected_rate,
        weeks.sales_call_count,
        round(coalesce(weeks.call_seconds, 0) / 60.0, 2) as call_minutes,
        round((weeks.median_call_seconds / 60)::numeric, 2)
            as median_call_minutes,
        weeks.sent_count,
        weeks.tracked_count,
        weeks.opened_count,
        weeks.received_count,
        weeks.answered_count,
        round(
            weeks.answered_count * 1.0 / nullif(weeks.received_count, 0), 4
        ) as answered_rate,
        weeks.sales_mail_count,
        round(weeks.median_hours_to_answer::numeric, 2)
            as median_hours_to_answer,

        -- dates
        weeks.week_start_date
    from weeks_counted as weeks
    left join users on weeks.user_id = users.user_id
)

select * from final
