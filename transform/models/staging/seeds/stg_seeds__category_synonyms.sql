with

lines as (
    {{ seed_lines(ref('category_synonyms')) }}
),

typed as (
    select
        line_number,
        lower({{ seed_text('crm') }}) as crm,
        {{ seed_text('entity') }} as entity,
        {{ seed_text('column_name') }} as column_name,
        {{ seed_text('spelling') }} as spelling,
        {{ seed_text('category') }} as category,
        line
    from lines
),

lines_judged as (
    select
        *,
        {{ seed_problem(
            ['crm', 'entity', 'column_name', 'spelling', 'category'],
            {
            "crm is neither pipedrive nor hubspot":
                "crm not in ('pipedrive', 'hubspot')",
            }
        ) }} as problem_of_line
    from typed
),

final as (
    select
        line_number,
        crm,
        entity,
        column_name,
        spelling,
        category,
        line,
        coalesce(
            problem_of_line,
            case
                when
                    problem_of_line is null
                    and category != first_value(category) over (
                        partition by
                            problem_of_line,
                            crm,
                            entity,
                            column_name,
                            {{ folded('spelling') }}
                        order by line_number
                    )
                    then 'a line above gives this spelling another category'
            end
        ) as problem
    from lines_judged
)

select * from final
