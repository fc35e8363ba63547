with

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

deals_with_outcome as (
    select
        *,
        status is not distinct from 'open' and not is_deleted as is_open,
        status is not distinct from 'won' and not is_deleted as is_won,
        status is not distinct from 'lost' and not is_deleted as is_lost
    from deals
),

deals_with_probability as (
    select
        deals_with_outcome.deal_id,
        deals_with_outcome.currency,
        deals_with_outcome.value,
        deals_with_outcome.is_open,
        deals_with_outcome.is_won,
        deals_with_outcome.is_lost,
        case
            when deals_with_outcome.is_won then 100
            when deals_with_outcome.is_lost then 0
            when deals_with_outcome.is_open
                then coalesce(
                    deals_with_outcome.probability,
                    case
                        when pipelines.has_probabilities
                            then stages.probability
                    end,
                    100
                )
        end as win_probability,
        case
            when deals_with_outcome.is_open
                then {{ reporting_date(run_time()) }}
            -- closed in the future: no day to come has a rate
            else least(
                {{ reporting_date('deals_with_outcome.closed_at') }},
                {{ reporting_date(run_time()) }}
            )
        end as exchange_date
    from deals_with_outcome
    left join pipelines
        on deals_with_outcome.pipeline_id = pipelines.pipeline_id
    left join stages on deals_with_outcome.stage_id = stages.stage_id
),

deals_weighted as (
    select
        *,
        value * win_probability * 0.01 as weighted_value
    from deals_with_probability
),

final as (
    select
        deals_weighted.deal_id,
        deals_weighted.weighted_value,
        {{ in_reporting_currency(
            'deals_weighted.value', 'deals_weighted.currency',
            'exchange_rates.rate'
        ) }} as reporting_value,
        {{ in_reporting_currency(
            'deals_weighted.weighted_value', 'deals_weighted.currency',
            'exchange_rates.rate'
        ) }} as reporting_weighted_value,
        deals_weighted.win_probability,
        deals_weighted.is_open,
        deals_weighted.is_won,
        deals_weighted.is_lost,
        deals_weighted.exchange_date
    from deals_weighted
    left join exchange_rates
        on deals_weighted.currency = exchange_rates.currency
        and deals_weighted.exchange_date = exchange_rates.rate_date
)

select * from final
