{% set seeds = {
    'acquisition_costs': ['month', 'crm', 'channel', 'amount', 'currency'],
    'category_synonyms': [
        'crm', 'entity', 'column_name', 'spelling', 'category',
    ],
    'exchange_rates': [
        'rate_date', 'currency', 'reporting_currency', 'rate',
    ],
} %}

with

lines as (
    {%- for seed, columns in seeds.items() %}
    select
        '{{ seed }}' as seed,
        array['{{ columns | join("', '") }}'] as columns,
        line_number,
        line,
        problem
    from {{ ref('stg_seeds__' ~ seed) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

first_lines as (
    select distinct on (seed) *
    from lines
    order by seed, line_number
),

problems as (
    select
        seed,
        line_number,
        line,
        problem
    from lines
    where problem is not null
    union all
    select
        first_lines.seed,
        1 as line_number,
        null as line,
        'nobody reads the column ' || names.name as problem
    from first_lines
    cross join lateral jsonb_object_keys(first_lines.line) as names (name)
    where names.name != all(first_lines.columns)
),

final as (
    select
        concat_ws('.', seed, line_number, problem) as seed_problem_id,
        seed,
        line_number,
        problem,
        line::text as line
    from problems
)

select * from final
