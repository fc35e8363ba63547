{% set streams = ['activities', 'deals', 'organizations', 'persons', 'products'] %}

{# Columns that change without a change of the record. #}
{% set volatile = [
    'next_activity_id', 'last_activity_id', 'last_incoming_mail_time',
    'last_outgoing_mail_time',
] %}

with

all_samples as (
    select * from {{ ref('stg_pipedrive__source_samples') }}
),

samples as (
    select *
    from all_samples
    where asked_at > (
        select max(latest.asked_at) - interval '30 days'
        from all_samples as latest
    )
),

raw_rows as (
    {%- for stream in streams %}
    select
        '{{ stream }}' as stream,
        {{ stream }}.id::text as record_id,
        to_jsonb({{ stream }}.*) as content
    from {{ raw_table(stream) }}
    where {{ stream }}.id::text in (
        select samples.record_id
        from samples
        where samples.stream = '{{ stream }}'
    )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

compared as (
    select
        samples.source_sample_id,
        samples.run_id,
        samples.stream,
        samples.record_id,
        samples.updated_at,
        samples.asked_at,
        raw_rows.record_id is null as is_absent,
        -- A record that never changed may have no time of change.
        (raw_rows.content ->> 'update_time')::timestamp at time zone 'UTC'
            > coalesce(samples.updated_at, '-infinity') as is_newer,
        samples.content as sent,
        raw_rows.content as stored
    from samples
    left join raw_rows using (stream, record_id)
),

final as (
    select
        -- ids
        source_sample_id,
        run_id,
        stream,
        record_id,

        -- strings
        (
            select string_agg(columns.name, ', ' order by columns.name)
            from jsonb_each(compared.sent) as columns (name, value)
            where not is_absent
            and not coalesce(is_newer, false)
            and columns.name not like '%\_count'
            and columns.name not in ('{{ volatile | join("', '") }}')
            -- A label may be renamed while the record keeps its option.
            and not coalesce(sent -> (columns.name || '_id') = stored -> (columns.name || '_id'), false)
            and not coalesce(sent -> (columns.name || '_ids') = stored -> (columns.name || '_ids'), false)
            and {{ comparable("columns.value") }}
                is distinct from {{ comparable("stored -> columns.name") }}
        ) as different_columns,

        -- booleans
        is_absent,

        -- timestamps
        updated_at,
        asked_at
    from compared
)

select * from final
