with

lines as (
    {{ seed_lines(ref('acquisition_costs')) }}
),

typed as (
    select
        line_number,
        date_trunc(
            'month', {{ date_or_null(seed_text('month')) }}
        )::date as month,
        lower({{ seed_text('crm') }}) as crm,
        {{ channel_named(seed_text('channel')) }} as channel,
        {{ number_or_null(seed_text('amount')) }} as amount,
        upper({{ seed_text('currency') }}) as currency,
        line
    from lines
),

final as (
    select
        line_number,
        month,
        crm,
        channel,
        amount,
        currency,
        line,
        {{ seed_problem(
            ['month', 'crm', 'channel', 'amount', 'currency'],
            {
            "month is no day written as 2026-11-01":
                "month is null",
            "crm is neither pipedrive nor hubspot":
                "crm not in ('pipedrive', 'hubspot')",
            "amount is no number written as 4200.00":
                "amount is null",
            "amount is below 0":
                "amount < 0",
            }
        ) }} as problem
    from typed
)

select * from final
