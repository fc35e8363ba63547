{# A rate holds until the next one, as there is none on weekends and holidays,
   but not longer than a week: an old rate is no rate. #}
with

exchange_rates as (
    select * from {{ ref('exchange_rates') }}
),

rates_into_the_reporting_currency as (
    select
        rate_date,
        upper(currency) as currency,
        rate,
        least(
            lead(rate_date, 1, 'infinity') over (
                partition by upper(currency)
                order by rate_date
            ),
            rate_date + 7
        ) as next_rate_date
    from exchange_rates
    where
        upper(reporting_currency) = {{ reporting_currency() }}
        and upper(currency) != {{ reporting_currency() }}
),

final as (
    select
        rates.currency || '-' || days.day::date as exchange_rate_id,
        rates.currency,
        rates.rate,
        days.day::date as rate_date
    from rates_into_the_reporting_currency as rates
    cross join lateral generate_series(
        rates.rate_date::timestamp,
        (rates.next_rate_date - 1)::timestamp,
        interval '1 day'
    ) as days (day)
)

select * from final
