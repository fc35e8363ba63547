{# Checks the database at run time, because new stages get their columns then.
   #}
{% macro stage_columns(stages, visits) %}
    {% if not execute or not load_relation(visits) %}{{ return([]) }}{% endif %}

    {% set query %}
        select
            stage_id,
            concat_ws(
                '_',
                'moved_to_stage',
                nullif(trim('_' from left(
                    trim('_' from regexp_replace(
                        {{ folded('stages.name') }}, '[^a-z0-9]+', '_', 'g'
                    )),
                    63 - length('moved_to_stage__' || stage_id)
                )), ''),
                stage_id
            ) as name
        from {{ stages }} as stages
        full join (
            select distinct stage_id
            from {{ visits }}
            where stage_id is not null
        ) as visits using (stage_id)
        order by stages.pipeline_id, stages.position, stage_id
    {% endset %}
    {% set found = [] %}
    {% for stage in run_query(query) %}
        {% do found.append({'stage_id': stage['stage_id'], 'name': stage['name']}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}
