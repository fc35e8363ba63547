{# A month has what is under contract at its end. Only changes are added up:
   customers times months would be too many. #}
{% set today = reporting_date(run_time()) %}
{% set parts = [
    'opening', 'new', 'reactivated', 'expansion', 'contraction', 'churned',
    'closing',
] %}

with

deals as (
    select
        deal_id,
        currency,
        closed_date,
        coalesce(customer_id, 'deal-' || deal_id) as customer_key
    from {{ ref('fct_deals') }}
    where is_won
),

line_items as (
    select
        *,
        case
            when billing_cycle_count between 0 and 10000
                then billing_cycle_count
            when billing_cycle_count < 0 then 0
        end as cycles,
        {{ plausible('billing_start_date') }} as billed_from
    from {{ ref('stg_pipedrive__deal_products') }}
    where is_enabled and not is_deleted
),

installments as (
    select
        *,
        date_trunc('month', {{ plausible('billing_date') }})::date
            as billing_month
    from {{ ref('stg_pipedrive__deal_installments') }}
    where not is_deleted and {{ plausible('billing_date') }} is not null
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

frequencies as (
    select *
    from (
        values
        ('weekly', interval '1 week', 52.0 / 12),
        ('monthly', interval '1 month', 1.0),
        ('quarterly', interval '3 months', 1.0 / 3),
        ('semi-annually', interval '6 months', 1.0 / 6),
        ('annually', interval '1 year', 1.0 / 12)
    ) as frequencies (billing_frequency, cycle_length, cycles_per_month)
),

contracts_of_line_items as (
    select
        'line_items' as revenue_source,
        deals.customer_key,
        line_items.currency,
        line_items.amount * frequencies.cycles_per_month as monthly_amount,
        coalesce(line_items.billed_from, deals.closed_date) as from_date,
        (
            coalesce(line_items.billed_from, deals.closed_date)
            + line_items.cycles * frequencies.cycle_length
        )::date as until_date
    from line_items
    inner join frequencies
        on line_items.billing_frequency = frequencies.billing_frequency
    inner join deals on line_items.deal_id = deals.deal_id
),

{# The installments of a deal are spread evenly over the months from the first
   to the last. #}
contracts_in_installments as (
    select
        'installments' as revenue_source,
        deals.customer_key,
        deals.currency,
        sum(installments.amount) / (
            12 * extract(year from age(
                max(installments.billing_month),
                min(installments.billing_month)
            ))
            + extract(month from age(
                max(installments.billing_month),
                min(installments.billing_month)
            ))
            + 1
        ) as monthly_amount,
        min(installments.billing_month) as from_date,
        (max(installments.billing_month) + interval '1 month')::date
            as until_date
    from installments
    inner join deals on installments.deal_id = deals.deal_id
    group by deals.deal_id, deals.customer_key, deals.currency
),

contracts as (
    select
        *,
        date_trunc('month', from_date)::date as from_month,
        date_trunc('month', until_date)::date as until_month
    from (
        select * from contracts_of_line_items
        union all
        select * from contracts_in_installments
    ) as contracts
    where monthly_amount is not null and from_date is not null
),

beginnings_and_ends as (
    select
        revenue_source,
        customer_key,
        currency,
        from_month as month,
        monthly_amount as change
    from contracts
    where from_month is distinct from until_month
    union all
    select
        revenue_source,
        customer_key,
        currency,
        until_month as month,
        -monthly_amount as change
    from contracts
    where from_month != until_month
),

customers_by_month as (
    select
        revenue_source,
        currency,
        customer_key,
        month,
        sum(sum(change)) over one_by_one as revenue_after,
        sum(sum(change)) over one_by_one - sum(change) as revenue_before
    from beginnings_and_ends
    where month <= {{ today }}
    group by revenue_source, currency, customer_key, month
    window one_by_one as (
        partition by revenue_source, currency, customer_key order by month
    )
),

customers_with_past as (
    select
        *,
        revenue_after - revenue_before as change,
        revenue_before <= 0 and revenue_after > 0 as is_coming,
        revenue_before > 0 and revenue_after <= 0 as is_going,
        coalesce(
            max(revenue_before) over one_by_one > 0, false
        ) as was_here
    from customers_by_month
    window one_by_one as (
        partition by revenue_source, currency, customer_key order by month
    )
),

movements as (
    select
        *,
        case
            when is_coming and was_here then 'reactivated'
            when is_coming then 'new'
            when is_going then 'churned'
            when change > 0 then 'expansion'
            when change < 0 then 'contraction'
        end as movement
    from customers_with_past
),

movements_by_month as (
    select
        revenue_source,
        currency,
        month,
        {%- for part in parts[1:-1] %}
        {%- set sign = '-' if part in ('contraction', 'churned') else '' %}
        coalesce(
            sum({{ sign }}change) filter (where movement = '{{ part }}'), 0
        ) as {{ part }}_revenue,
        count(*) filter (
            where movement = '{{ part }}'
        ) as {{ part }}_count,
        {%- endfor %}
        sum(change) as change,
        count(*) filter (where is_coming) - count(*) filter (where is_going)
            as customer_change
    from movements
    group by revenue_source, currency, month
),

all_months as (
    select
        firsts.revenue_source,
        firsts.currency,
        months.month::date as month
    from (
        select
            revenue_source,
            currency,
            min(month)::timestamp as first_month
        from movements_by_month
        group by revenue_source, currency
    ) as firsts
    cross join lateral generate_series(
        firsts.first_month, {{ today }}::timestamp, interval '1 month'
    ) as months (month)
),

months_filled as (
    select
        all_months.revenue_source,
        all_months.currency,
        all_months.month,
        least(
            (all_months.month + interval '1 month - 1 day')::date, {{ today }}
        ) as rate_date,
        {%- for part in parts[1:-1] %}
        coalesce(moved.{{ part }}_revenue, 0) as {{ part }}_revenue,
        coalesce(moved.{{ part }}_count, 0) as {{ part }}_count,
        {%- endfor %}
        sum(coalesce(moved.change, 0)) over one_by_one as closing_revenue,
        sum(coalesce(moved.change, 0)) over one_by_one
        - coalesce(moved.change, 0) as opening_revenue,
        (sum(coalesce(moved.customer_change, 0)) over one_by_one)::bigint
            as customer_count
    from all_months
    left join movements_by_month as moved
        on all_months.revenue_source = moved.revenue_source
        and all_months.currency is not distinct from moved.currency
        and all_months.month = moved.month
    window one_by_one as (
        partition by all_months.revenue_source, all_months.currency
        order by all_months.month
    )
),

months_converted as (
    select
        months.*
        {%- for part in parts %},
        {{ in_reporting_currency(
            'months.' ~ part ~ '_revenue', 'months.currency', 'rates.rate'
        ) }} as reporting_{{ part }}_revenue
        {%- endfor %}
    from months_filled as months
    left join exchange_rates as rates
        on months.currency = rates.currency
        and months.rate_date = rates.rate_date
),

final as (
    select
        -- ids
        jsonb_build_array(
            month, revenue_source, currency
        )::text as recurring_revenue_id,

        -- strings
        revenue_source,
        currency,

        -- numerics
        {%- for part in parts %}
        {{ scaled(part ~ '_revenue') }} as {{ part }}_revenue,
        {{ scaled('reporting_' ~ part ~ '_revenue') }}
            as reporting_{{ part }}_revenue,
        {%- endfor %}
        case
            when reporting_closing_revenue is null then customer_count else 0
        end as unconverted_count,
        customer_count,
        {%- for part in parts[1:-1] %}
        {{ part }}_count,
        {%- endfor %}
        round(
            churned_revenue / nullif(greatest(opening_revenue, 0), 0), 4
        ) as churn_rate,
        round(
            (
                opening_revenue + expansion_revenue
                - contraction_revenue - churned_revenue
            ) / nullif(greatest(opening_revenue, 0), 0),
            4
        ) as retention_ratio,

        -- dates
        month
    from months_converted
)

select * from final
