{# The log is used up to its last change of a field, and the versions after
   that. Both are dated by Pipedrive's clock. #}
with

versions as (
    select
        *,
        count(*) over (partition by deal_id) as version_count
    from {{ ref('deal_versions') }}
),

fields as (
    select
        versions.deal_id,
        versions.version_number,
        versions.created_at,
        versions.updated_at,
        versions.seen_at,
        fields.*
    from versions
    cross join lateral (
        values
        ('stage_id', versions.stage_id::text, versions.stage_changed_at),
        ('status', versions.status, versions.closed_at),
        ('value', {{ plain_number('versions.value::text') }}, null),
        ('currency', versions.currency, null),
        ('user_id', versions.owner_id::text, null),
        ('expected_close_date', versions.expected_close_date::text, null)
    ) as fields (field_key, value, changed_at)
    where versions.version_count > 1
),

last_changes as (
    select distinct on (deal_id, field_key)
        deal_id,
        field_key,
        {{ plain_number('new_value') }} as value,
        changed_at
    from {{ ref('stg_pipedrive__deal_changes') }}
    where changed_at is not null
    order by deal_id, field_key, changed_at desc, sequence desc
),

{# The state before the first version: the end of the log or, without a log, an
   open deal at first, in an unknown stage if it has moved since. #}
known_before as (
    select
        fields.deal_id,
        fields.field_key,
        case
            when last_changes.deal_id is not null then last_changes.value
            when fields.field_key = 'status' then 'open'
            when
                fields.field_key = 'stage_id'
                and fields.changed_at > fields.created_at
                then null
            else fields.value
        end as value,
        coalesce(last_changes.changed_at, fields.created_at) as known_until,
        last_changes.deal_id is not null as has_log
    from fields
    left join last_changes
        on fields.deal_id = last_changes.deal_id
        and fields.field_key = last_changes.field_key
    where fields.version_number = 1
),

one_after_another as (
    select
        deal_id,
        field_key,
        value,
        0 as version_number,
        null::timestamptz as changed_at,
        known_until as updated_at,
        null::timestamptz as seen_at
    from known_before
    union all
    select
        fields.deal_id,
        fields.field_key,
        fields.value,
        fields.version_number,
        fields.changed_at,
        fields.updated_at,
        fields.seen_at
    from fields
    inner join known_before
        on fields.deal_id = known_before.deal_id
        and fields.field_key = known_before.field_key
    where
        not known_before.has_log
        or fields.updated_at > known_before.known_until
),

compared as (
    select
        *,
        lag(value) over one_by_one as old_value,
        lag(updated_at) over one_by_one as known_until
    from one_after_another
    window one_by_one as (
        partition by deal_id, field_key order by version_number
    )
),

final as (
    select
        -- ids
        concat_ws('-', deal_id, field_key, version_number)
            as deal_change_seen_id,
        deal_id,
        field_key,

        -- strings
        old_value,
        value as new_value,

        -- numerics
        version_number,

        -- timestamps
        case
            when changed_at > known_until then changed_at
            when updated_at > known_until then updated_at
            else coalesce(greatest(seen_at, known_until), seen_at)
        end as changed_at
    from compared
    where version_number > 0 and value is distinct from old_value
)

select * from final
