{% set epoch = "timestamp '2000-01-01'" %}
{% set past = (epoch, 'now_in_utc') %}
{% set lifetime = ("timestamp '1900-01-01'", 'now_in_utc') %}
{% set since_creation = ("created_at at time zone 'UTC'", 'now_in_utc') %}
{% set foreseeable = (epoch, "now_in_utc + interval '10 years'") %}

{% set dates = {
    'pipedrive.activities.activity_id': {
        'created_at': past, 'updated_at': past, 'done_at': past,
        'due_date': foreseeable,
    },
    'pipedrive.deal_products.deal_product_id': {'billing_start_date': foreseeable},
    'pipedrive.deals.deal_id': {
        'created_at': past, 'updated_at': past,
        'closed_at': since_creation, 'won_at': since_creation,
        'lost_at': since_creation, 'first_won_at': since_creation,
        'stage_changed_at': since_creation, 'archived_at': since_creation,
        'expected_close_date': foreseeable,
    },
    'pipedrive.leads.lead_id': {
        'created_at': past, 'updated_at': past,
        'expected_close_date': foreseeable,
    },
    'pipedrive.notes.note_id': {'created_at': past, 'updated_at': past},
    'pipedrive.organizations.organization_id': {
        'created_at': past, 'updated_at': past,
    },
    'pipedrive.persons.person_id': {
        'created_at': past, 'updated_at': past, 'birth_date': lifetime,
    },
    'pipedrive.products.product_id': {'created_at': past, 'updated_at': past},
    'hubspot.companies.company_id': {'created_at': past, 'updated_at': past},
    'hubspot.contacts.contact_id': {'created_at': past, 'updated_at': past},
    'hubspot.deals.deal_id': {
        'created_at': past, 'updated_at': past, 'closed_at': foreseeable,
    },
} %}

{# There is a day of tolerance, because clocks differ and a date has no time
   zone. #}
with

dates_with_limits as (
    {%- for listing, columns in dates.items() %}
    {%- set crm, entity, key = listing.split('.') %}
    select
        '{{ crm }}' as crm,
        '{{ entity }}' as entity,
        {{ key }}::text as record_id,
        dates.*
    from {{ ref('stg_' ~ crm ~ '__' ~ entity) }}
    cross join (
        select {{ run_time() }} at time zone 'UTC' as now_in_utc
    ) as run
    cross join lateral (
        values
        {%- for column, (earliest, latest) in columns.items() %}
        (
            '{{ column }}',
            {{ column }}{{ '' if column.endswith('_date') else " at time zone 'UTC'" }},
            {{ earliest }},
            {{ latest }}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as dates (column_name, moment, earliest, latest)
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

findings as (
    select
        'impossible_date' as rule,
        crm,
        entity,
        record_id,
        column_name || ' ' || moment::date
        || case
            when moment < earliest then ' is before ' || earliest::date
            else ' is after ' || latest::date
        end as detail
    from dates_with_limits
    where
        moment < earliest - interval '1 day'
        or moment > latest + interval '1 day'
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
