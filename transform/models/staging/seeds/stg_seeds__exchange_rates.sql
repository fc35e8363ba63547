with

lines as (
    {{ seed_lines(ref('exchange_rates')) }}
),

typed as (
    select
        line_number,
        {{ date_or_null(seed_text('rate_date')) }} as rate_date,
        upper({{ seed_text('currency') }}) as currency,
        upper({{ seed_text('reporting_currency') }}) as reporting_currency,
        {{ number_or_null(seed_text('rate')) }} as rate,
        line
    from lines
),

lines_judged as (
    select
        *,
        {{ seed_problem(
            ['rate_date', 'currency', 'reporting_currency', 'rate'],
            {
            "rate_date is no day written as 2026-11-20":
                "rate_date is null",
            "rate is no number written as 0.1874":
                "rate is null",
            "rate is not above 0":
                "rate <= 0",
            }
        ) }} as problem_of_line
    from typed
),

final as (
    select
        line_number,
        rate_date,
        currency,
        reporting_currency,
        rate,
        line,
        coalesce(
            problem_of_line,
            case
                when
                    problem_of_line is null
                    and row_number() over (
                        partition by
                            problem_of_line,
                            rate_date,
                            currency,
                            reporting_currency
                        order by line_number
                    ) > 1
                    then 'a line above has the rate of this day and pair'
            end
        ) as problem
    from lines_judged
)

select * from final
