{% set keys = {'companies': 'company_id', 'contacts': 'contact_id'} %}

with recursive

merges as (
    {%- for entity, key in keys.items() %}
    select
        '{{ entity }}' as entity,
        merged.record_id,
        records.{{ key }} as kept_record_id,
        records.is_deleted
    from {{ ref('stg_hubspot__' ~ entity) }} as records
    cross join lateral unnest(string_to_array(records.merged_ids, ';'))
        as merged (record_id)
    where merged.record_id != records.{{ key }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

{# The remaining record of a merge may have been merged again. #}
steps as (
    select
        entity,
        record_id,
        kept_record_id,
        is_deleted
    from merges
    union
    select
        steps.entity,
        steps.record_id,
        merges.kept_record_id,
        merges.is_deleted
    from steps
    inner join merges
        on steps.entity = merges.entity
        and steps.kept_record_id = merges.record_id
),

final as (
    select
        entity || '.' || record_id as merged_record_id,
        entity,
        record_id,
        min(kept_record_id) as kept_record_id
    from steps
    where not is_deleted
    group by entity, record_id
)

select * from final
