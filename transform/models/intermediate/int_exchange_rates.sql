{# A rate is valid until the next one, because there is none on weekends and
   holidays, but for at most a week. #}
with

exchange_rates as (
    select * from {{ ref('stg_seeds__exchange_rates') }}
    where problem is null
),

rates_into_the_reporting_currency as (
    select
        rate_date,
        currency,
        rate,
        least(
            lead(rate_date, 1, 'infinity') over (
                partition by currency
                order by rate_date
            ),
            rate_date + 7
        ) as next_rate_date
    from exchange_rates
    where
        reporting_currency = {{ reporting_currency() }}
        and currency != {{ reporting_currency() }}
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
