{{ config(materialized='table', post_hook='analyze {{ this }}') }}

{# A state has a deal from one day's end to another's. From the first day with
   versions on they alone count, before it the history of its fields. #}
with

versions as (
    select * from {{ ref('deal_versions') }}
),

field_spans as (
    select * from {{ ref('int_deal_field_spans') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

first_day as (
    select min(seen_date) as seen_date from versions
),

{# A clock that was wrong for a while makes versions end before they begin. #}
versions_in_turn as (
    select
        *,
        min(seen_date) over (
            partition by deal_id
            order by version_number
            rows between 1 following and unbounded following
        ) as next_seen_date
    from versions
),

seen as (
    select
        deal_id,
        pipeline_id,
        stage_id,
        owner_id,
        currency,
        case
            when is_in_pipeline then 'open'
            when is_deleted then 'deleted'
            when status in ('won', 'lost') then status
            when is_archived then 'archived'
            else 'unknown'
        end as outcome,
        coalesce(value, 0) as value,
        win_probability,
        false as is_rebuilt,
        expected_close_date,
        seen_date as start_date,
        coalesce(next_seen_date, 'infinity') as end_date
    from versions_in_turn
    where next_seen_date is null or next_seen_date > seen_date
),

known_on_first_day as (
    select distinct on (versions.deal_id)
        versions.deal_id,
        versions.pipeline_id,
        versions.stage_id,
        versions.win_probability,
        versions.is_in_pipeline,
        case
            when versions.is_deleted then 'deleted'
            when versions.is_archived then 'archived'
        end as put_away,
        case
            when versions.is_deleted or versions.is_archived
                then {{ reporting_date('coalesce(
                    case when not versions.is_deleted then versions.archived_at end,
                    versions.updated_at,
                    versions.created_at
                )') }}
        end as put_away_date
    from versions
    inner join first_day on versions.seen_date = first_day.seen_date
    order by versions.deal_id, versions.version_number
),

days_before as (
    select
        spans.deal_id,
        spans.field_key,
        spans.value,
        {{ reporting_date('spans.started_at') }} as start_date,
        least(
            {{ reporting_date('spans.ended_at') }}, first_day.seen_date
        ) as end_date
    from field_spans as spans
    cross join first_day
),

{# The state of each field at the end of a day; a deal that is older than any
   CRM has an impossible time of creation. #}
days_of_fields as (
    select * from days_before
    where start_date < end_date and start_date >= '1990-01-01'
),

days_of_status as (
    select
        days.deal_id,
        days.value as outcome,
        days.start_date,
        case
            when days.value = 'open' then least(known.put_away_date, days.end_date)
            else days.end_date
        end as end_date
    from days_of_fields as days
    inner join known_on_first_day as known on days.deal_id = known.deal_id
    where days.field_key = 'status'
    union all
    select
        days.deal_id,
        known.put_away as outcome,
        greatest(known.put_away_date, days.start_date) as start_date,
        days.end_date
    from days_of_fields as days
    inner join known_on_first_day as known on days.deal_id = known.deal_id
    where
        days.field_key = 'status'
        and days.value = 'open'
        and known.put_away is not null
),

days_of_states as (
    select
        status.deal_id,
        status.outcome,
        stage.value as stage_id,
        amount.value as value,
        currency.value as currency,
        owner.value as owner_id,
        expected.value as expected_close_date,
        greatest(
            status.start_date,
            stage.start_date,
            amount.start_date,
            currency.start_date,
            owner.start_date,
            expected.start_date
        ) as start_date,
        least(
            status.end_date,
            stage.end_date,
            amount.end_date,
            currency.end_date,
            owner.end_date,
            expected.end_date
        ) as end_date
    from days_of_status as status
    {%- for name, field_key in [
        ('stage', 'stage_id'),
        ('amount', 'value'),
        ('currency', 'currency'),
        ('owner', 'user_id'),
        ('expected', 'expected_close_date'),
    ] %}
    inner join days_of_fields as {{ name }}
        on status.deal_id = {{ name }}.deal_id
        and {{ name }}.field_key = '{{ field_key }}'
        and status.start_date < {{ name }}.end_date
        and {{ name }}.start_date < status.end_date
    {%- endfor %}
),

states_typed as (
    select
        deal_id,
        outcome,
        case when stage_id ~ '^\d{1,18}$' then stage_id::bigint end as stage_id,
        case when owner_id ~ '^\d{1,18}$' then owner_id::bigint end as owner_id,
        currency,
        case when value ~ '^-?\d+(\.\d+)?$' then value::numeric end as value,
        {{ date_or_null('expected_close_date') }} as expected_close_date,
        start_date,
        end_date
    from days_of_states
    where start_date < end_date
),

rebuilt as (
    select
        states.deal_id,
        coalesce(stages.pipeline_id, known.pipeline_id) as pipeline_id,
        states.stage_id,
        states.owner_id,
        states.currency,
        case
            when states.outcome in ('open', 'won', 'lost', 'deleted', 'archived')
                then states.outcome
            else 'unknown'
        end as outcome,
        coalesce(states.value, 0) as value,
        case
            when known.is_in_pipeline and states.stage_id = known.stage_id
                then known.win_probability
            else coalesce(
                case
                    when pipelines.has_probabilities then stages.probability
                end,
                100
            )
        end as win_probability,
        true as is_rebuilt,
        states.expected_close_date,
        states.start_date,
        states.end_date
    from states_typed as states
    inner join known_on_first_day as known on states.deal_id = known.deal_id
    left join stages on states.stage_id = stages.stage_id
    left join pipelines on stages.pipeline_id = pipelines.pipeline_id
),

all_states as (
    select * from rebuilt
    union all
    select * from seen
),

final as (
    select
        -- ids
        deal_id || '-' || start_date as deal_state_id,
        deal_id,
        pipeline_id,
        stage_id,
        owner_id,

        -- strings
        currency,
        outcome,

        -- numerics
        value,
        win_probability,

        -- booleans
        is_rebuilt,

        -- dates
        expected_close_date,
        start_date,
        end_date
    from all_states
)

select * from final
