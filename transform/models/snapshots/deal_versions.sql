{# Rows are only added. Columns that are not compared would add a row for every
   note and every call. A new column counts as empty in earlier versions. #}
{% set not_compared = ['version_number', 'updated_at', 'seen_date', 'seen_at'] %}

with

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

deal_values as (
    select * from {{ ref('int_deals_valued') }}
),

present as (
    select
        deals.deal_id,
        deals.pipeline_id,
        deals.stage_id,
        deals.owner_id,
        deals.status,
        deals.currency,
        deals.value,
        deal_values.win_probability,
        deal_values.is_open and not deals.is_archived as is_in_pipeline,
        deals.is_archived,
        deals.is_deleted,
        deals.expected_close_date,
        deals.created_at,
        deals.updated_at,
        deals.stage_changed_at,
        deals.closed_at,
        deals.archived_at
    from deals
    inner join deal_values on deals.deal_id = deal_values.deal_id
),

{% if is_incremental() %}
last_versions as (
    select distinct on (deal_id) *
    from {{ this }}
    order by deal_id, version_number desc
),

living as (
    select
        count(*) as known_count,
        count(present.deal_id) as present_count
    from last_versions
    left join present on last_versions.deal_id = present.deal_id
    where not last_versions.is_deleted
),

{# A deal without a raw row is gone, unless so many are missing that the raw
   table itself must be incomplete. Its last version is read as JSON, because it
   lacks columns that are new here. #}
gone as (
    select gone.*
    from last_versions
    cross join living
    cross join lateral jsonb_to_record(
        to_jsonb(last_versions) || '{
            "win_probability": null,
            "is_in_pipeline": false,
            "is_deleted": true
        }'
    ) as gone (
        deal_id bigint,
        pipeline_id bigint,
        stage_id bigint,
        owner_id bigint,
        status text,
        currency text,
        value numeric,
        win_probability numeric,
        is_in_pipeline boolean,
        is_archived boolean,
        is_deleted boolean,
        expected_close_date date,
        created_at timestamptz,
        updated_at timestamptz,
        stage_changed_at timestamptz,
        closed_at timestamptz,
        archived_at timestamptz
    )
    where
        not last_versions.is_deleted
        and living.present_count >= living.known_count * 0.8
        and not exists (
            select * from present
            where present.deal_id = last_versions.deal_id
        )
),

changed as (
    select
        coalesce(last_versions.version_number, 0) + 1 as version_number,
        found.*
    from (
        select * from present
        union all
        select * from gone
    ) as found
    left join last_versions on found.deal_id = last_versions.deal_id
    where
        last_versions.deal_id is null
        or jsonb_strip_nulls(to_jsonb(found))
        - '{ {{- not_compared | join(', ') -}} }'::text[]
        is distinct from jsonb_strip_nulls(to_jsonb(last_versions))
        - '{deal_version_id, {{ not_compared | join(', ') }}}'::text[]
),
{% else %}
changed as (
    select
        1 as version_number,
        *
    from present
),
{% endif %}

final as (
    select
        -- ids
        deal_id || '-' || version_number as deal_version_id,
        deal_id,
        pipeline_id,
        stage_id,
        owner_id,

        -- strings
        status,
        currency,

        -- numerics
        version_number,
        value,
        win_probability,

        -- booleans
        is_in_pipeline,
        is_archived,
        is_deleted,

        -- dates
        expected_close_date,
        {{ reporting_date(run_time()) }} as seen_date,

        -- timestamps
        created_at,
        updated_at,
        stage_changed_at,
        closed_at,
        archived_at,
        {{ run_time() }} as seen_at
    from changed
)

select * from final
