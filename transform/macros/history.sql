{# This is a function because a model cannot have the days as parameters. It
   refers to its table in text, so that builds can replace the table, and it is
   replaced in place to keep its rights. Everybody who may read the table may
   use it. #}
{% macro pipeline_waterfall(movements, versions) -%}
    {% set query = 'select min(seen_date) from ' ~ versions %}
    {% set first_build = run_query(query).columns[0][0] if execute else none %}
    create or replace function {{ movements.schema }}.pipeline_waterfall(
        opening_day date, closing_day date
    )
    returns table (
        pipeline_id bigint,
        owner_id bigint,
        pipeline_name text,
        owner_name text,
        currency text,
        place integer,
        step text,
        deal_count bigint,
        value numeric,
        is_rebuilt boolean
    )
    language plpgsql stable as $function$
    begin
        if opening_day is null or closing_day is null or opening_day > closing_day then
            raise exception 'pipeline_waterfall goes from one day to a later one, not from % to %.',
                coalesce(opening_day::text, 'no day'), coalesce(closing_day::text, 'no day');
        end if;
        return query
        with steps as (
            select
                movements.*,
                steps.step,
                case steps.step
                    when 'opening' then opening_day < '{{ first_build or 'infinity' }}'
                    when 'closing' then closing_day < '{{ first_build or 'infinity' }}'
                    else movements.is_rebuilt
                end as is_step_rebuilt
            from {{ movements.include(database=false) }} as movements
            cross join lateral (
                values
                ('opening', movements.movement_date <= opening_day),
                (movements.movement, movements.movement_date > opening_day),
                ('closing', true)
            ) as steps (step, is_counted)
            where movements.movement_date <= closing_day and steps.is_counted
        )

        select
            steps.pipeline_id::bigint,
            steps.owner_id::bigint,
            max(steps.pipeline_name)::text,
            max(steps.owner_name)::text,
            steps.currency::text,
            array_position(
                array[
                    'opening', 'created', 'reopened', 'restored', 'moved_in',
                    'taken_over', 'value_changed', 'currency_changed',
                    'moved_out', 'handed_over', 'won', 'lost', 'deleted',
                    'archived', 'unknown', 'closing'
                ],
                steps.step::text
            ),
            steps.step::text,
            sum(steps.deal_count)::bigint,
            sum(steps.value)::numeric,
            bool_or(steps.is_step_rebuilt)
        from steps
        group by steps.pipeline_id, steps.owner_id, steps.currency, steps.step
        order by steps.pipeline_id, steps.owner_id, steps.currency, 6;
    end
    $function$
{%- endmacro %}


{# One row per day for each row of `days_with_changes`, which is valid until the
   next change. #}
{% macro all_days(today) -%}
all_days as (
    select
        changes.*,
        days.day::date as snapshot_date
    from days_with_changes as changes
    cross join lateral generate_series(
        changes.day::timestamp,
        coalesce(changes.next_day - 1, {{ today }})::timestamp,
        interval '1 day'
    ) as days (day)
    where changes.deal_count > 0
)
{%- endmacro %}
