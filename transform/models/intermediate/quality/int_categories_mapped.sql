with

category_synonyms as (
    select * from {{ ref('stg_seeds__category_synonyms') }}
    where problem is null
),

{# This is an array because Postgres then skips whole tables. #}
raw_records as (
    select * from {{ ref('int_raw_records') }}
    where entity = any(array(select entity from category_synonyms))
),

columns_with_categories as (
    select distinct
        crm,
        entity,
        column_name
    from category_synonyms
),

spellings as (
    select
        crm,
        entity,
        column_name,
        spelling,
        category
    from category_synonyms
    union all
    select
        crm,
        entity,
        column_name,
        category as spelling,
        category
    from category_synonyms
),

categories_by_spelling as (
    select
        crm,
        entity,
        column_name,
        {{ folded('btrim(spelling)') }} as plain_spelling,
        min(category) as category
    from spellings
    group by crm, entity, column_name, plain_spelling
),

categories_as_written as (
    select
        raw_records.crm,
        raw_records.entity,
        raw_records.record_id,
        columns_with_categories.column_name,
        raw_records.raw_values ->> columns_with_categories.column_name
            as raw_value
    from raw_records
    inner join columns_with_categories
        on raw_records.crm = columns_with_categories.crm
        and raw_records.entity = columns_with_categories.entity
),

final as (
    select
        concat_ws(
            '.', written.crm, written.entity, written.record_id,
            written.column_name
        ) as record_category_id,
        written.crm,
        written.entity,
        written.record_id,
        written.column_name,
        written.raw_value,
        coalesce(
            categories_by_spelling.category, btrim(written.raw_value)
        ) as category,
        categories_by_spelling.category is not null as is_known
    from categories_as_written as written
    left join categories_by_spelling
        on written.crm = categories_by_spelling.crm
        and written.entity = categories_by_spelling.entity
        and written.column_name = categories_by_spelling.column_name
        and {{ folded('btrim(written.raw_value)') }}
        = categories_by_spelling.plain_spelling
    where btrim(written.raw_value) != ''
)

select * from final
