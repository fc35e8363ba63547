{# Keeps what others build on a table when it is filled again: rights, views,
   indexes and open transactions. dbt's own materialization would replace the
   table and drop the old one with everything that depends on it. #}
{% materialization table, adapter='postgres' %}
    {% set existing = load_cached_relation(this) %}
    {% set target_relation = this.incorporate(type='table') %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set was_view = existing is not none and existing.is_view %}
    {% if was_view %}
        {% call statement('take_down') %}
            {% call as_block() %}{{ take_down(existing) }}{% endcall %}
        {% endcall %}
    {% endif %}
    {% set columns = fitted_columns(target_relation, sql, is_new=existing is none or was_view) %}
    {% call statement('main') -%}
        insert into {{ target_relation }} ({{ columns | map(attribute='name') | join(', ') }})
        select {{ columns | map(attribute='value') | join(', ') }}
        from (
            {{ sql }}
        ) as model
    {%- endcall %}

    {% if was_view %}
        {% call statement('put_back') %}
            {% call as_block() %}{{ put_back(existing) }}{% endcall %}
        {% endcall %}
    {% endif %}
    {% do declare_keys(target_relation) %}
    {% do apply_grants(target_relation, config.get('grants'), should_revoke=False) %}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{# Gives the table the query's columns, empties it, and returns the column names
   with their expressions. A column that the query no longer has stays, empty,
   while views need it. #}
{% macro fitted_columns(relation, sql, is_new) %}
    {% set model_columns = this.identifier ~ '__columns' %}
    {% set is_contract = config.get('contract').enforced %}
    {% set is_scaled = config.get('meta', {}).get('numbers_have_a_scale') and not is_contract %}
    {% call statement('model_columns') -%}
        create temporary table "{{ model_columns }}"
        {%- if is_contract %}
        {%- do get_assert_columns_equivalent(sql) %} (
            {%- for column in model.columns.values() %}
            {{ adapter.quote(column.name) }} {{ column.data_type }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) on commit drop
        {%- else %} on commit drop as
        select * from (
            {{ sql }}
        ) as model
        with no data
        {%- endif %}
    {%- endcall %}
    {% if is_new %}
        {% call statement('table') %}create table {{ relation }} (like "{{ model_columns }}"){% endcall %}
    {% endif %}
    {% call statement('columns', fetch_result=True) -%}
        select
            name,
            wanted.data_type as wanted_type,
            found.data_type as found_type,
            array_to_string(array(
                select distinct format('%I.%I', nspname, relname)
                from pg_catalog.pg_depend
                inner join pg_catalog.pg_rewrite on objid = pg_rewrite.oid
                inner join pg_catalog.pg_class on ev_class = pg_class.oid
                inner join pg_catalog.pg_namespace on relnamespace = pg_namespace.oid
                where
                    classid = 'pg_catalog.pg_rewrite'::regclass
                    and refclassid = 'pg_catalog.pg_class'::regclass
                    and refobjid = '{{ relation }}'::regclass
                    and refobjsubid = found.position
            ), ' ') as views
        from ({{ columns_of("'pg_temp." ~ adapter.quote(model_columns) ~ "'") }}) as wanted
        full join ({{ columns_of("'" ~ relation ~ "'") }}) as found using (name)
        order by wanted.position
    {%- endcall %}
    {% set columns, changes, own = [], [], [] %}
    {% for name, model_type, found_type, views in load_result('columns').data %}
        {% set column = adapter.quote(name) %}
        {% set gets_scale = is_scaled and model_type == 'numeric' %}
        {% set wanted_type = 'numeric(38,10)' if gets_scale else model_type %}
        {% if wanted_type %}
            {% do columns.append({'name': column, 'value': scaled(column) if gets_scale else column}) %}
        {% endif %}
        {% if wanted_type != found_type %}
            {% set others = views.split() | reject('in', own_views()) | list %}
            {% do own.extend(views.split() | select('in', own_views())) %}
            {% if others and not wanted_type %}
                {% do exceptions.warn(
                    relation ~ ' has no values for ' ~ column ~ ' any more. The column stays, empty, as '
                    ~ others | join(', ') ~ ' needs it.'
                ) %}
                {% set change = 'alter column ' ~ column ~ ' drop not null' %}
            {% elif others and found_type %}
                {% do exceptions.raise_compiler_error(
                    'The column ' ~ column ~ ' of ' ~ relation ~ ' becomes ' ~ wanted_type ~ ', and was '
                    ~ found_type ~ '. Postgres cannot change it under ' ~ others | join(', ')
                    ~ ': drop what needs the column, build, and make it again.'
                ) %}
            {% elif not found_type %}
                {% set change = 'add column ' ~ column ~ ' ' ~ wanted_type %}
            {% elif not wanted_type %}
                {% set change = 'drop column ' ~ column %}
            {% else %}
                {% set change = 'alter column ' ~ column ~ ' drop not null, alter column ' ~ column
                    ~ ' type ' ~ wanted_type ~ ' using null' %}
            {% endif %}
            {% do changes.append(change) %}
        {% endif %}
    {% endfor %}
    {% if own %}
        {% call statement('take_down') %}
            {% call as_block() %}{{ take_down(relation, with_itself=false) }}{% endcall %}
        {% endcall %}
    {% endif %}
    {% if changes %}
        {% call statement('change') %}alter table {{ relation }} {{ changes | join(', ') }}{% endcall %}
    {% endif %}
    {% if own %}
        {% call statement('put_back') %}
            {% call as_block() %}{{ put_back(relation) }}{% endcall %}
        {% endcall %}
    {% endif %}
    {% if not is_new %}
        {% call statement('empty') %}delete from {{ relation }}{% endcall %}
    {% endif %}
    {{ return(columns) }}
{% endmacro %}


{% macro columns_of(relation) -%}
    select
        attname as name,
        format_type(atttypid, atttypmod) as data_type,
        attnum as position
    from pg_catalog.pg_attribute
    where attrelid = {{ relation }}::regclass and attnum > 0 and not attisdropped
{%- endmacro %}


{# Creates the indexes and the primary key that the model declares, if they are
   missing. #}
{% macro declare_keys(relation) %}
    {% call statement('indexes', fetch_result=True) -%}
        select
            relname,
            amname,
            indisunique,
            indisprimary,
            array_to_string(array(
                select attname
                from unnest(indkey) with ordinality as keys (attnum, position)
                inner join pg_catalog.pg_attribute
                    on attrelid = indrelid and pg_attribute.attnum = keys.attnum
                order by position
            ), ',') as columns
        from pg_catalog.pg_index
        inner join pg_catalog.pg_class on indexrelid = pg_class.oid
        inner join pg_catalog.pg_am on relam = pg_am.oid
        where indrelid = '{{ relation }}'::regclass and indpred is null and indexprs is null
    {%- endcall %}
    {% set state = namespace(has_primary_key=false) %}
    {% set unique_indexes = {} %}
    {% set found = [] %}
    {% for name, method, is_unique, is_primary, columns in load_result('indexes').data %}
        {% do found.append((method, is_unique, columns)) %}
        {% if is_unique %}{% do unique_indexes.update({columns: name}) %}{% endif %}
        {% if is_primary %}{% set state.has_primary_key = true %}{% endif %}
    {% endfor %}

    {% for index in config.get('indexes', []) %}
        {% if (index.type or 'btree', index.unique or false, index.columns | join(',')) not in found %}
            {% call statement('index') %}{{ get_create_index_sql(relation, index) }}{% endcall %}
        {% endif %}
    {% endfor %}

    {% for column in model.columns.values() if not state.has_primary_key %}
        {% if 'primary_key' in column.constraints | map(attribute='type') | list %}
            {% set index = unique_indexes.get(column.name) %}
            {% call statement('primary_key') -%}
                alter table {{ relation }} add primary key
                {{ 'using index "' ~ index ~ '"' if index else '(' ~ adapter.quote(column.name) ~ ')' }}
            {%- endcall %}
        {% endif %}
    {% endfor %}
{% endmacro %}
