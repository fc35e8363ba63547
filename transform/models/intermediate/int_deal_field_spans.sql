{# This is a table because a view has no statistics, without which its
   self-joins would be planned as nested loops. #}
{{ config(materialized='table', post_hook='analyze {{ this }}') }}

{# The change log has the logged changes, the versions have changes since the
   log was read, and the deal has its present state. Where they disagree because
   changes are not read yet, the deal is right. #}
{% set fields = [
    'stage_id', 'status', 'value', 'currency', 'user_id', 'expected_close_date',
] %}

with

deals as (
    select
        deal_id,
        creator_user_id,
        stage_id,
        status,
        value,
        currency,
        owner_id,
        expected_close_date,
        {{ plausible('created_at') }} as created_at,
        {{ plausible('updated_at') }} as updated_at,
        {{ plausible('stage_changed_at') }} as stage_changed_at,
        {{ plausible('closed_at') }} as closed_at
    from {{ ref('stg_pipedrive__deals') }}
),

changes as (
    select
        deal_id,
        field_key,
        actor_user_id,
        {{ plain_number('old_value') }} as old_value,
        {{ plain_number('new_value') }} as new_value,
        sequence,
        false as is_inferred,
        changed_at
    from {{ ref('stg_pipedrive__deal_changes') }}
    where
        field_key in ('{{ fields | join("', '") }}')
        and {{ plausible('changed_at') }} is not null
    union all
    select
        deal_id,
        field_key,
        null as actor_user_id,
        old_value,
        new_value,
        version_number as sequence,
        true as is_inferred,
        changed_at
    from {{ ref('int_deal_changes_seen') }}
),

first_changes as (
    select distinct on (deal_id, field_key) *
    from changes
    order by deal_id, field_key, changed_at, sequence
),

last_changes as (
    select distinct on (deal_id, field_key) *
    from changes
    order by deal_id, field_key, changed_at desc, sequence desc
),

fields as (
    select
        deals.deal_id,
        deals.creator_user_id,
        deals.created_at,
        fields.*
    from deals
    cross join lateral (
        values
        (
            'stage_id',
            case
                when deals.stage_changed_at > deals.created_at then null
                else deals.stage_id::text
            end,
            deals.stage_id::text,
            deals.stage_changed_at
        ),
        (
            'status',
            'open',
            deals.status,
            coalesce(deals.closed_at, deals.updated_at)
        ),
        (
            'value',
            {{ plain_number('deals.value::text') }},
            {{ plain_number('deals.value::text') }},
            deals.updated_at
        ),
        (
            'currency',
            deals.currency,
            deals.currency,
            deals.updated_at
        ),
        (
            'user_id',
            deals.owner_id::text,
            deals.owner_id::text,
            deals.updated_at
        ),
        (
            'expected_close_date',
            deals.expected_close_date::text,
            deals.expected_close_date::text,
            deals.updated_at
        )
    ) as fields (field_key, value_without_log, present_value, changed_at)
),

fields_with_log as (
    select
        fields.deal_id,
        fields.field_key,
        fields.creator_user_id,
        fields.present_value,
        case
            when first_changes.deal_id is null then fields.value_without_log
            else first_changes.old_value
        end as first_value,
        case
            when last_changes.deal_id is null then fields.value_without_log
            else last_changes.new_value
        end as last_value,
        coalesce(first_changes.is_inferred, true) as is_inferred,
        least(fields.created_at, first_changes.changed_at) as started_at,
        greatest(
            fields.changed_at,
            coalesce(last_changes.changed_at, fields.created_at)
        ) as present_since
    from fields
    left join first_changes
        on fields.deal_id = first_changes.deal_id
        and fields.field_key = first_changes.field_key
    left join last_changes
        on fields.deal_id = last_changes.deal_id
        and fields.field_key = last_changes.field_key
),

starts as (
    select
        deal_id,
        field_key,
        creator_user_id as changed_by_user_id,
        first_value as value,
        0 as step,
        null::bigint as sequence,
        is_inferred and first_value is distinct from present_value
        as is_inferred,
        started_at
    from fields_with_log
    union all
    select
        changes.deal_id,
        changes.field_key,
        changes.actor_user_id as changed_by_user_id,
        changes.new_value as value,
        1 as step,
        changes.sequence,
        changes.is_inferred,
        changes.changed_at as started_at
    from changes
    inner join fields
        on changes.deal_id = fields.deal_id
        and changes.field_key = fields.field_key
    union all
    select
        deal_id,
        field_key,
        null as changed_by_user_id,
        present_value as value,
        2 as step,
        null as sequence,
        true as is_inferred,
        present_since as started_at
    from fields_with_log
    where last_value is distinct from present_value
),

spans as (
    select
        *,
        row_number() over one_by_one as span_number,
        lead(started_at) over one_by_one as ended_at
    from starts
    window one_by_one as (
        partition by deal_id, field_key order by step, started_at, sequence
    )
),

final as (
    select
        -- ids
        concat_ws('-', deal_id, field_key, span_number) as deal_field_span_id,
        deal_id,
        field_key,
        changed_by_user_id,

        -- strings
        value,

        -- numerics
        span_number,

        -- booleans
        is_inferred,

        -- timestamps
        started_at,
        ended_at
    from spans
)

select * from final
