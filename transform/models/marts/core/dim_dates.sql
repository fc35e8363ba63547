{% set offset = fiscal_year_offset() %}

with

births as (
    select {{ plausible('created_at') }} as created_at
    from {{ ref('stg_pipedrive__deals') }}
    union all
    select {{ plausible('created_at') }} as created_at
    from {{ ref('stg_pipedrive__leads') }}
    union all
    select {{ plausible('created_at') }} as created_at
    from {{ ref('stg_pipedrive__activities') }}
    union all
    select {{ run_time() }} as created_at
),

days as (
    select generate_series(
        date_trunc('year', {{ reporting_time('min(created_at)') }}),
        date_trunc('year', {{ reporting_time(run_time()) }})
        + interval '2 years - 1 day',
        interval '1 day'
    )::date as date_day
    from births
),

{# The day with the same position in the calendar year as this day has in the
   fiscal year, except for the day of the month. #}
days_with_fiscal_month as (
    select
        date_day,
        (
            date_trunc('month', date_day) - interval '{{ offset }} months'
        )::date as fiscal_month
    from days
),

final as (
    select
        -- ids
        date_day,

        -- strings
        to_char(date_day, 'FMMonth') as month_name,
        to_char(date_day, 'FMDay') as weekday_name,

        -- numerics
        extract(year from date_day)::integer as year,
        extract(quarter from date_day)::integer as quarter,
        extract(month from date_day)::integer as month,
        extract(day from date_day)::integer as day_of_month,
        extract(doy from date_day)::integer as day_of_year,
        extract(isoyear from date_day)::integer as iso_year,
        extract(week from date_day)::integer as iso_week,
        extract(isodow from date_day)::integer as weekday,
        (
            extract(year from fiscal_month) + {{ 1 if offset else 0 }}
        )::integer as fiscal_year,
        extract(quarter from fiscal_month)::integer as fiscal_quarter,
        extract(month from fiscal_month)::integer as fiscal_month,

        -- booleans
        extract(isodow from date_day) > 5 as is_weekend,
        extract(day from date_day + 1) = 1 as is_month_end,

        -- dates
        date_trunc('year', date_day)::date as year_start_date,
        date_trunc('quarter', date_day)::date as quarter_start_date,
        date_trunc('month', date_day)::date as month_start_date,
        {{ week_start('date_day') }} as week_start_date,
        (
            date_trunc('year', fiscal_month) + interval '{{ offset }} months'
        )::date as fiscal_year_start_date,
        (
            date_trunc('quarter', fiscal_month) + interval '{{ offset }} months'
        )::date as fiscal_quarter_start_date
    from days_with_fiscal_month
)

select * from final
