with

records as (
    select * from {{ ref('int_customer_records') }}
),

final as (
    select
        -- ids
        customer_record_id,
        customer_id,
        record_id,

        -- strings
        crm,
        kind,
        name,
        match_rules,
        match_rules_across_crms,

        -- booleans
        customer_record_id = customer_id as is_main_record
    from records
)

select * from final
