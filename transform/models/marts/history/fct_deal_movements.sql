{# Each step of a deal from one state to the next is one row: first its group
   changes, then its value, and then it leaves. The difference between its value
   in a group before and after equals the sum of its steps there. #}
with

states as (
    select * from {{ ref('int_deal_states') }}
),

states_in_turn as (
    select
        *,
        lag(outcome) over one_by_one as old_outcome,
        lag(pipeline_id) over one_by_one as old_pipeline_id,
        lag(owner_id) over one_by_one as old_owner_id,
        lag(currency) over one_by_one as old_currency,
        lag(value) over one_by_one as old_value,
        row_number() over one_by_one = 1 as is_first
    from states
    window one_by_one as (partition by deal_id order by start_date)
),

changes as (
    select
        *,
        coalesce(old_outcome = 'open', false) as was_open,
        outcome = 'open' as is_open,
        currency is distinct from old_currency as has_new_currency,
        case
            when currency is distinct from old_currency then value
            else old_value
        end as value_taken_along,
        case
            when pipeline_id is distinct from old_pipeline_id
                then array['moved_out', 'moved_in']
            when owner_id is distinct from old_owner_id
                then array['handed_over', 'taken_over']
            when currency is distinct from old_currency
                then array['currency_changed', 'currency_changed']
        end as change_of_group
    from states_in_turn
),

steps as (
    select
        changes.deal_id,
        changes.start_date as movement_date,
        changes.is_rebuilt,
        steps.*
    from changes
    cross join lateral (
        values
        (
            1,
            case
                when changes.is_first then 'created'
                when changes.is_open and not changes.was_open
                    then case
                        when changes.old_outcome in ('won', 'lost')
                            then 'reopened'
                        else 'restored'
                    end
            end,
            changes.pipeline_id,
            changes.owner_id,
            changes.currency,
            1,
            changes.value
        ),
        (
            2,
            case when changes.was_open then changes.change_of_group[1] end,
            changes.old_pipeline_id,
            changes.old_owner_id,
            changes.old_currency,
            -1,
            -changes.old_value
        ),
        (
            3,
            case when changes.was_open then changes.change_of_group[2] end,
            changes.pipeline_id,
            changes.owner_id,
            changes.currency,
            1,
            changes.value_taken_along
        ),
        (
            4,
            case
                when
                    changes.was_open
                    and changes.value != changes.value_taken_along
                    then 'value_changed'
            end,
            changes.pipeline_id,
            changes.owner_id,
            changes.currency,
            0,
            changes.value - changes.value_taken_along
        ),
        (
            5,
            case
                when
                    not changes.is_open
                    and (changes.was_open or changes.is_first)
                    then changes.outcome
            end,
            changes.pipeline_id,
            changes.owner_id,
            changes.currency,
            -1,
            -changes.value
        )
    ) as steps (
        step, movement, pipeline_id, owner_id, currency, deal_count, value
    )
    where steps.movement is not null
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

final as (
    select
        -- ids
        concat_ws('-', steps.deal_id, steps.movement_date, steps.step)
            as deal_movement_id,
        steps.deal_id,
        steps.pipeline_id,
        steps.owner_id,

        -- strings
        steps.movement,
        pipelines.name as pipeline_name,
        users.name as owner_name,
        steps.currency,

        -- numerics
        steps.deal_count,
        steps.value,

        -- booleans
        steps.is_rebuilt,

        -- dates
        steps.movement_date
    from steps
    left join pipelines on steps.pipeline_id = pipelines.pipeline_id
    left join users on steps.owner_id = users.user_id
)

select * from final
