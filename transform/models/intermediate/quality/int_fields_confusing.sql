with

fields as (
    select * from {{ ref('stg_pipedrive__fields') }}
    where not is_deleted
),

fields_in_plain_words as (
    select
        field_id,
        entity,
        field_code,
        name,
        column_name,
        is_custom,
        btrim(
            regexp_replace({{ folded('name') }}, '[^a-z0-9]+', '_', 'g'), '_'
        ) as plain_name
    from fields
),

custom_fields as (
    select
        *,
        count(*) over (
            partition by entity, lower(btrim(name))
        ) as namesake_count
    from fields_in_plain_words
    where is_custom
),

builtin_names as (
    select
        entity,
        plain_name
    from fields_in_plain_words
    where not is_custom
    union
    select
        entity,
        field_code as plain_name
    from fields_in_plain_words
    where not is_custom
),

findings as (
    select
        'ambiguous_field_name' as rule,
        'pipedrive' as crm,
        'fields' as entity,
        field_id as record_id,
        namesake_count || ' fields of a ' || entity || ' have this name'
            as detail
    from custom_fields
    where namesake_count > 1
    union all
    select
        'builtin_field_name' as rule,
        'pipedrive' as crm,
        'fields' as entity,
        custom_fields.field_id as record_id,
        'every ' || custom_fields.entity || ' has a field '
        || custom_fields.plain_name as detail
    from custom_fields
    inner join builtin_names
        on custom_fields.entity = builtin_names.entity
        and custom_fields.plain_name = builtin_names.plain_name
    union all
    select
        'unfit_field_name' as rule,
        'pipedrive' as crm,
        'fields' as entity,
        field_id as record_id,
        case
            when octet_length(name) <= 63 then 'no letter or digit to name a column by'
            else octet_length(name) || ' bytes, a column''s name has 63 at most'
        end as detail
    from custom_fields
    -- The tap transliterates names to ASCII; nothing was left of these.
    where
        (plain_name = '' and column_name ~ '^field_[0-9a-f]{6,}$')
        or octet_length(name) > 63
),

final as (
    select
        concat_ws('.', rule, crm, entity, record_id, detail) as finding_id,
        rule,
        crm,
        entity,
        record_id,
        detail
    from findings
)

select * from final
