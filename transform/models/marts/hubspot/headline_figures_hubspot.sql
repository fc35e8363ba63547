with

deals as (
    select
        *,
        case
            when is_closed then closed_at else {{ run_time() }}
        end as valued_at
    from {{ ref('int_hubspot_deals_matched') }}
    where not is_deleted
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

figures (position, figure) as (
    values
    (1, 'open pipeline value'),
    (2, 'win rate in percent'),
    (3, 'median days to win'),
    (4, 'best company by won value')
),

deals_converted as (
    select
        deals.*,
        deals.is_closed
        and {{ plausible('deals.closed_at') }}
        > {{ run_time() }} - interval '365 days'
        and deals.closed_at <= {{ run_time() }}
            as is_closed_recently,
        case
            when deals.is_won and deals.created_at <= deals.closed_at
                then {{ whole_days('deals.created_at', 'deals.closed_at') }}
        end as days_to_win,
        {{ in_reporting_currency(
            'deals.amount', 'deals.currency', 'exchange_rates.rate'
        ) }} as reporting_amount
    from deals
    left join exchange_rates
        on
            deals.currency = exchange_rates.currency
            and {{ reporting_date('deals.valued_at') }}
            = exchange_rates.rate_date
),

open_pipeline as (
    select
        1 as position,
        currency,
        sum(amount) as value,
        {{ sum_if_all_converted('reporting_amount', 'amount') }}
            as reporting_value,
        {{ unconverted_count('reporting_amount', 'amount') }}
            as unconverted_count,
        'open deals: ' || count(*) as detail
    from deals_converted
    where not is_closed
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
    from deals_converted
    where is_closed_recently
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
    from deals_converted
    where is_closed_recently and is_won
),

won_value_by_company as (
    select
        currency,
        company_id,
        sum(amount) as value,
        {{ sum_if_all_converted('reporting_amount', 'amount') }}
            as reporting_value,
        {{ unconverted_count('reporting_amount', 'amount') }}
            as unconverted_count,
        count(*) as deal_count
    from deals_converted
    where is_closed_recently and is_won and company_id is not null
    group by currency, company_id
),

best_company as (
    select distinct on (won.currency)
        4 as position,
        won.currency,
        won.value,
        won.reporting_value,
        won.unconverted_count,
        coalesce(companies.company_name, 'company ' || won.company_id)
        || ', deals won in the last 365 days: ' || won.deal_count as detail
    from won_value_by_company as won
    left join companies on won.company_id = companies.company_id
    where won.value > 0
    order by won.currency, won.value desc, won.company_id
),

measured as (
    select * from open_pipeline
    union all
    select * from win_rate
    union all
    select * from days_to_win
    union all
    select * from best_company
),

{{ headline_figures_of_each_currency() }}
