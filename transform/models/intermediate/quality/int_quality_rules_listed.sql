with

rules as (
    select * from {{ ref('data_quality_rules') }}
),

final as (
    select
        concat_ws('.', rules.rule, crms.crm, entities.entity)
            as data_quality_id,
        rules.rule,
        crms.crm,
        entities.entity,
        rules.meaning
    from rules
    cross join lateral (
        values ('pipedrive', rules.pipedrive), ('hubspot', rules.hubspot)
    ) as crms (crm, entity_names)
    cross join lateral
        regexp_split_to_table(crms.entity_names, ' ') as entities (entity)
    where entities.entity != ''
)

select * from final
