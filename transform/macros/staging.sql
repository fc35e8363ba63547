{# The staging view of an entity's change log. #}
{% macro changes_of(entity) -%}
with

source as (
    select * from {{ raw_table(entity ~ '_changes') }}
),

-- A change gets another key when its actor is deleted, but is still the same
-- change.
changes as (
    select distinct on ({{ entity }}_id, sequence, time, field_key, old_value, new_value) *
    from source
    order by {{ entity }}_id, sequence, time, field_key, old_value, new_value, _sdc_extracted_at desc
),

renamed as (
    select
        -- ids
        change_id as {{ entity }}_change_id,
        {{ entity }}_id,
        field_key,
        actor_user_id,

        -- strings
        old_value,
        new_value,
        change_source,
        change_source_user_agent as user_agent,

        -- numerics
        sequence,

        -- booleans
        coalesce(is_bulk_update_flag, false) as is_bulk_update,

        -- timestamps
        time at time zone 'UTC' as changed_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from changes
)

select * from renamed
{%- endmacro %}


{# The staging view of the followers of an entity's records. #}
{% macro followers_of(entity) -%}
with

source as (
    select * from {{ raw_table(entity ~ '_followers') }}
),

renamed as (
    select
        -- ids
        {{ entity }}_id || '.' || user_id as {{ entity }}_follower_id,
        {{ entity }}_id,
        user_id,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as followed_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
{%- endmacro %}
