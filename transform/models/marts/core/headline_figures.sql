{% set first_day = week_start(reporting_date(run_time())) %}

with

deals as (
    select * from {{ ref('fct_deals') }}
    where not is_deleted
),

activities as (
    select * from {{ ref('fct_activities') }}
    where not is_deleted
),

figures (position, figure) as (
    values
    (1, 'open pipeline value'),
    (2, 'win rate in percent'),
    (3, 'median days to win'),
    (4, 'best owner by won value'),
    (5, 'activities done this week')
),

recently_closed_deals as (
    select *
    from deals
    where
        (is_won or is_lost)
        and {{ plausible('closed_at') }} > {{ run_time() }} - interval '365 days'
        and closed_at <= {{ run_time() }}
),

open_pipeline as (
    select
        1 as position,
        currency,
        sum(value) as value,
        {{ sum_if_all_converted('reporting_value', 'value') }}
            as reporting_value,
        {{ unconverted_count('reporting_value', 'value') }}
            as unconverted_count,
        'open deals: ' || count(*) as detail
    from deals
    where is_open and not is_archived
    group by currency
),

win_rate as (
    select
        2 as position,
        null as currency,
        round(
            100.0 * count(*) filter (where is_won) / nullif(count(*), 0), 1
        ) as value,
        null::numeric as reporting_value,
        null::bigint as unconverted_count,
        count(*) filter (where is_won) || ' won of ' || count(*)
        || ' closed in the last 365 days' as detail
    from recently_closed_deals
),

days_to_win as (
    select
        3 as position,
        null as currency,
        percentile_cont(0.5) within group (
            order by days_to_win
        )::numeric as value,
        null::numeric as reporting_value,
        null::bigint as unconverted_count,
        'deals won in the last 365 days: ' || count(days_to_win) as detail
    from recently_closed_deals
    where is_won
),

won_value_by_owner as (
    select
        currency,
        owner_id,
        max(owner_name) as owner_name,
        sum(value) as value,
        {{ sum_if_all_converted('reporting_value', 'value') }}
            as reporting_value,
        {{ unconverted_count('reporting_value', 'value') }}
            as unconverted_count,
        count(*) as deal_count
    from recently_closed_deals
    where is_won and owner_id is not null
    group by currency, owner_id
),

best_owner as (
    select distinct on (currency)
        4 as position,
        currency,
        value,
        reporting_value,
        unconverted_count,
        coalesce(owner_name, 'user ' || owner_id)
        || ', deals won in the last 365 days: ' || deal_count as detail
    from won_value_by_owner
    where value > 0
    order by currency, value desc, owner_id
),

activities_done as (
    select
        5 as position,
        null as currency,
        count(*) as value,
        null::numeric as reporting_value,
        null::bigint as unconverted_count,
        'since ' || to_char({{ first_day }}, 'FMDay, YYYY-MM-DD') as detail
    from activities
    where
        is_done
        and done_date between {{ first_day }} and {{ first_day }} + 6
),

measured as (
    select * from open_pipeline
    union all
    select * from win_rate
    union all
    select * from days_to_win
    union all
    select * from best_owner
    union all
    select * from activities_done
),

{{ headline_figures_of_each_currency() }}
