with

spans as (
    select
        *,
        {{ date_or_null('value') }} as expected_close_date
    from {{ ref('int_deal_field_spans') }}
    where field_key = 'expected_close_date'
),

owners as (
    select
        deal_id,
        case when value ~ '^\d{1,18}$' then value::bigint end as owner_id,
        span_number,
        started_at,
        ended_at
    from {{ ref('int_deal_field_spans') }}
    where field_key = 'user_id'
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

spans_in_turn as (
    select
        *,
        lag(expected_close_date) over one_by_one as old_expected_close_date
    from spans
    window one_by_one as (partition by deal_id order by span_number)
),

changes as (
    select
        *,
        expected_close_date - old_expected_close_date as slipped_days,
        row_number() over one_by_one as change_number,
        first_value(old_expected_close_date) over (
            partition by deal_id
            order by old_expected_close_date is null, span_number
        ) as first_expected_close_date
    from spans_in_turn
    where
        span_number > 1
        and expected_close_date is distinct from old_expected_close_date
    window one_by_one as (partition by deal_id order by span_number)
),

{# The owner of the deal when the date was changed; the first one, if there are
   several in the same second. #}
changes_with_owner as (
    select distinct on (changes.deal_id, changes.change_number)
        changes.*,
        owners.owner_id
    from changes
    left join owners
        on changes.deal_id = owners.deal_id
        and owners.started_at <= changes.started_at
        and (owners.ended_at is null or changes.started_at <= owners.ended_at)
    order by changes.deal_id, changes.change_number, owners.span_number
),

final as (
    select
        -- ids
        changes.deal_id || '-' || changes.change_number as deal_slippage_id,
        changes.deal_id,
        changes.owner_id,
        changes.changed_by_user_id,
        deals.pipeline_id,

        -- strings
        deals.title,
        owners.name as owner_name,
        users.name as changed_by_name,
        deals.currency,
        case
            when changes.old_expected_close_date is null then 'dated'
            when changes.expected_close_date is null then 'undated'
            when changes.slipped_days > 0 then 'postponed'
            else 'brought_forward'
        end as change,

        -- numerics
        deals.value,
        changes.change_number,
        changes.slipped_days,
        changes.expected_close_date
        - coalesce(
            changes.first_expected_close_date, changes.expected_close_date
        ) as slipped_days_so_far,

        -- booleans
        changes.is_inferred,
        deals.is_deleted,

        -- dates
        changes.old_expected_close_date,
        changes.expected_close_date,
        {{ reporting_date('changes.started_at') }} as changed_date,

        -- timestamps
        changes.started_at as changed_at
    from changes_with_owner as changes
    inner join deals on changes.deal_id = deals.deal_id
    left join users as owners on changes.owner_id = owners.user_id
    left join users on changes.changed_by_user_id = users.user_id
)

select * from final
