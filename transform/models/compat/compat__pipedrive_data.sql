{# Reads the custom columns and the stages from the database, as the table that
   it replaces did. #}
{% set base = [
    'id', 'titulo', 'creator_user_id', 'creator_user_name', 'person_id',
    'person_name', 'stage_id', 'stage_name', 'pipeline_id', 'pipeline_name',
    'owner_id', 'owner_name', 'org_id', 'org_name', 'status', 'value',
    'currency', 'lost_reason', 'visible_to', 'label', 'probability',
    'expected_close_date', 'add_time', 'update_time', 'close_time', 'won_time',
    'lost_time', 'first_won_time',
] %}
{% set deal_columns = column_names(ref('fct_deals')) %}
{% set custom = column_names(ref('deals_wide'))
    | reject('in', deal_columns) | list %}
{% set stages = column_names(ref('deal_stage_pivot'))
    | reject('equalto', 'deal_id') | list %}
{% set taken = base + stages %}

with

deals as (
    select * from {{ ref('deals_wide') }}
),

staged_deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

first_visits as (
    select * from {{ ref('deal_stage_pivot') }}
),

final as (
    select
        deals.deal_id::text as id,
        deals.title as titulo,
        deals.creator_user_id,
        coalesce(users.name, 'Desconhecido') as creator_user_name,
        deals.person_id,
        coalesce(deals.person_name, 'Desconhecido') as person_name,
        deals.stage_id,
        coalesce(deals.stage_name, 'Desconhecido') as stage_name,
        deals.pipeline_id,
        coalesce(deals.pipeline_name, 'Desconhecido') as pipeline_name,
        deals.owner_id,
        coalesce(deals.owner_name, 'Desconhecido') as owner_name,
        deals.organization_id as org_id,
        coalesce(deals.organization_name, 'Desconhecido') as org_name,
        case
            when deals.is_deleted then 'Deletado'
            when deals.is_won then 'Ganho'
            when deals.is_lost then 'Perdido'
            when deals.is_open then 'Em aberto'
        end as status,
        coalesce(deals.value, 0) as value,
        coalesce(deals.currency, 'USD')::varchar(10) as currency,
        deals.lost_reason,
        staged_deals.visibility::text as visible_to,
        nullif(translate(deals.label_ids::text, '[] ', ''), '') as label,
        staged_deals.probability,
        deals.expected_close_date,
        deals.created_at as add_time,
        deals.updated_at as update_time,
        deals.closed_at as close_time,
        deals.won_at as won_time,
        deals.lost_at as lost_time,
        deals.first_won_at as first_won_time
        {%- for column in custom %},
        deals.{{ adapter.quote(column) }}::text as {{ adapter.quote(
            free_name(column, taken + custom)
            if column in taken else column
        ) }}
        {%- endfor %}
        {%- for stage in stages %},
        first_visits.{{ adapter.quote(stage) }}
        {%- endfor %}
    from deals
    inner join staged_deals on deals.deal_id = staged_deals.deal_id
    left join users on deals.creator_user_id = users.user_id
    left join first_visits on deals.deal_id = first_visits.deal_id
)

select * from final
