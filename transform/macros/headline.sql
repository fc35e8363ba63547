{# The end of both models of headline figures: each of `figures` with its
   `measured` value, or a row that says that there is no data yet. #}
{% macro headline_figures_of_each_currency() -%}
final as (
    select
        concat_ws(
            ' ', figures.position, measured.currency
        ) as headline_figure_id,
        figures.position,
        figures.figure,
        measured.currency,
        measured.value,
        measured.reporting_value,
        measured.unconverted_count,
        coalesce(measured.detail, 'none yet') as detail
    from figures
    left join measured on figures.position = measured.position
)

select * from final
{%- endmacro %}
