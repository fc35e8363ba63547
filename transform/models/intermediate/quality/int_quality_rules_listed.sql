{% set rules = {
    'ambiguous_field_name': (
        'Custom field with the name of another one.',
        {'pipedrive': ['fields']},
    ),
    'builtin_field_name': (
        'Custom field with the name of a field that every record has.',
        {'pipedrive': ['fields']},
    ),
    'deleted_option': (
        'A custom field holds an option that the field no longer has.',
        {'pipedrive': [
            'deals', 'leads', 'organizations', 'persons', 'products',
        ]},
    ),
    'duplicate': (
        'Another record is the same company or person.',
        {
            'pipedrive': ['organizations', 'persons'],
            'hubspot': ['companies', 'contacts'],
        },
    ),
    'excess_decimals': (
        'Amount with more decimals than its currency has.',
        {'pipedrive': ['deal_products', 'deals', 'leads']},
    ),
    'impossible_date': (
        'Closed before it was created, in the future, or absurdly far away.',
        {
            'pipedrive': [
                'activities', 'deal_products', 'deals', 'leads', 'notes',
                'organizations', 'persons', 'products',
            ],
            'hubspot': ['companies', 'contacts', 'deals'],
        },
    ),
    'inconsistent_category': (
        'Category that is not written as in the seed of synonyms.',
        {
            'pipedrive': [
                'deals', 'leads', 'organizations', 'persons', 'products',
            ],
            'hubspot': ['companies', 'contacts', 'deals'],
        },
    ),
    'missing_association': (
        'Deal that only names the domain of its company.',
        {'hubspot': ['deals']},
    ),
    'missing_company': (
        'Deal without organization or company.',
        {'pipedrive': ['deals'], 'hubspot': ['deals']},
    ),
    'missing_customer': (
        'Deal with neither organization nor person.',
        {'pipedrive': ['deals'], 'hubspot': ['deals']},
    ),
    'missing_last_name': (
        'Person of whom only the first name is known.',
        {'pipedrive': ['persons'], 'hubspot': ['contacts']},
    ),
    'missing_name': (
        'Record without name, title, subject or content.',
        {
            'pipedrive': [
                'activities', 'deals', 'leads', 'notes', 'organizations',
                'persons', 'pipelines', 'products', 'stages',
            ],
            'hubspot': ['companies', 'contacts', 'deals'],
        },
    ),
    'missing_product': (
        'Line item whose product is gone.',
        {'pipedrive': ['deal_products']},
    ),
    'missing_update_time': (
        'Record without update time, whose changes incremental runs miss.',
        {
            'pipedrive': [
                'activities', 'deal_products', 'deals', 'leads', 'notes',
                'organizations', 'persons', 'pipelines', 'products', 'stages',
            ],
            'hubspot': ['companies', 'contacts', 'deals'],
        },
    ),
    'missing_value': (
        'Deal without value, or won for nothing.',
        {'pipedrive': ['deals'], 'hubspot': ['deals']},
    ),
    'orphan': (
        'Points to a record that is not in the warehouse.',
        {
            'pipedrive': [
                'activities', 'deal_products', 'deals', 'leads', 'notes',
                'organizations', 'persons', 'products', 'stages',
            ],
            'hubspot': ['deals'],
        },
    ),
    'rejected_value': (
        'A value did not fit its column, and is null there.',
        {'pipedrive': [
            'activities', 'deal_products', 'deals', 'leads', 'notes',
            'organizations', 'persons', 'pipelines', 'products', 'stages',
        ]},
    ),
    'shared_website': (
        'Another company, not the same, has this website.',
        {'pipedrive': ['organizations'], 'hubspot': ['companies']},
    ),
    'too_many_contact_points': (
        'Person with more than ten phone numbers or e-mail addresses.',
        {'pipedrive': ['persons']},
    ),
    'unfit_field_name': (
        'Custom field whose name cannot be the name of a column.',
        {'pipedrive': ['fields']},
    ),
    'unsafe_text': (
        'Name, title, subject or content with characters that break exports.',
        {
            'pipedrive': [
                'activities', 'deal_products', 'deals', 'leads', 'notes',
                'organizations', 'persons', 'pipelines', 'products', 'stages',
            ],
            'hubspot': ['companies', 'contacts', 'deals'],
        },
    ),
    'unusable_address': (
        'E-mail or website that is none, or has letters beyond ASCII.',
        {
            'pipedrive': ['organizations', 'persons'],
            'hubspot': ['companies', 'contacts'],
        },
    ),
} %}

with

final as (
    {%- set checks = [] %}
    {%- for rule, (meaning, crms) in rules.items() %}
    {%- for crm, entities in crms.items() %}
    {%- for entity in entities %}
    {%- do checks.append((rule, crm, entity, meaning)) %}
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    select
        rule || '.' || crm || '.' || entity as data_quality_id,
        rule,
        crm,
        entity,
        meaning
    from (
        values
        {%- for check in checks %}
        ('{{ check | join("', '") }}'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as rules (rule, crm, entity, meaning)
)

select * from final
