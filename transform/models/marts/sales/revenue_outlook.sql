{% set parts = ['won', 'expected', 'overdue'] %}

with

deals as (
    select * from {{ ref('fct_deals') }}
    where is_won or (is_open and not is_archived)
),

deals_told_apart as (
    select
        *,
        case
            when is_won then 'won'
            when is_overdue then 'overdue'
            else 'expected'
        end as part,
        date_trunc(
            'month',
            case
                when is_won then closed_date
                else {{ plausible('expected_close_date') }}
            end
        )::date as month
    from deals
),

deals_in_columns as (
    select
        *,
        case part
            when 'won' then value
            when 'expected' then weighted_value
            else 0
        end as outlook_value,
        case part
            when 'won' then reporting_value
            when 'expected' then reporting_weighted_value
            else 0
        end as reporting_outlook_value
        {%- for part in parts %},
        case when part = '{{ part }}' then value else 0 end as {{ part }}_value,
        case
            when part = '{{ part }}' then reporting_value else 0
        end as reporting_{{ part }}_value,
        case
            when part = '{{ part }}' then weighted_value else 0
        end as {{ part }}_weighted_value,
        case
            when part = '{{ part }}' then reporting_weighted_value else 0
        end as reporting_{{ part }}_weighted_value
        {%- endfor %}
    from deals_told_apart
),

months as (
    select
        pipeline_id,
        owner_id,
        currency,
        month,
        max(pipeline_name) as pipeline_name,
        max(owner_name) as owner_name,
        sum(outlook_value) as outlook_value,
        {{ sum_if_all_converted('reporting_outlook_value', 'outlook_value') }}
            as reporting_outlook_value,
        {%- for part in parts %}
        count(*) filter (where part = '{{ part }}') as {{ part }}_count,
        {%- for value in (
            [part ~ '_value'] if part == 'won'
            else [part ~ '_value', part ~ '_weighted_value']
        ) %}
        sum({{ value }}) as {{ value }},
        {{ sum_if_all_converted('reporting_' ~ value, value) }}
            as reporting_{{ value }},
        {%- endfor %}
        {%- endfor %}
        {{ unconverted_count('reporting_value', 'value') }}
            as unconverted_count
    from deals_in_columns
    group by pipeline_id, owner_id, currency, month
),

final as (
    select
        -- ids
        jsonb_build_array(
            month, pipeline_id, owner_id, currency
        )::text as revenue_outlook_id,
        pipeline_id,
        owner_id,

        -- strings
        currency,
        pipeline_name,
        owner_name,

        -- numerics
        outlook_value,
        reporting_outlook_value,
        won_count,
        won_value,
        reporting_won_value,
        expected_count,
        expected_value,
        reporting_expected_value,
        expected_weighted_value,
        reporting_expected_weighted_value,
        overdue_count,
        overdue_value,
        reporting_overdue_value,
        overdue_weighted_value,
        reporting_overdue_weighted_value,
        unconverted_count,

        -- dates
        month
    from months
)

select * from final
