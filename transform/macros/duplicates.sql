{# The end of a model of match keys: the rows of its `match_keys`, each with an
   id. #}
{% macro record_match_keys() -%}
final as (
    select
        concat_ws('.', crm, entity, record_id, match_rule, match_key)
            as record_match_key_id,
        crm,
        entity,
        record_id,
        match_rule,
        match_key
    from match_keys
    where match_key is not null
)

select * from final
{%- endmacro %}
