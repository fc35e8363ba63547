{# A view that keeps its columns, or gets more at the end, is replaced in place.
   Any other view is created again, with its rights and the views that depend on
   it. #}
{% materialization view, adapter='postgres' %}
    {% set existing = load_cached_relation(this) %}
    {% set target_relation = this.incorporate(type='view') %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('main') -%}
        {% if existing is none -%}
            {{ get_create_view_as_sql(target_relation, sql) }}
        {%- else -%}
            {% call as_block() -%}
                {%- if existing.is_view %}
                {{ get_replace_view_sql(target_relation, sql) }}
            exception when invalid_table_definition then
                {%- endif %}
                {{ take_down(existing) }}
                {{ get_create_view_as_sql(target_relation, sql) }}
                {{ put_back(existing) }}
            {%- endcall %}
        {%- endif %}
    {%- endcall %}

    {% do apply_grants(target_relation, config.get('grants'), should_revoke=False) %}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{% macro as_block() -%}
    do $build$
    declare
        each record;
        command text;
    begin
        {{ caller() }}
    end
    $build$
{%- endmacro %}


{# Drops the views that depend on a relation, the last ones first, and the
   relation itself, after saving the statements that create them again in
   `taken_down`. Only the keys of a table are dropped by cascade, so that any
   object that cannot be created again stops the build. One model does this at
   a time: two models that drop the same views would wait for each other. #}
{% macro take_down(relation, with_itself=true) -%}
    perform pg_advisory_xact_lock(hashtextextended('pipedrive-warehouse views', 0));
    create temporary table taken_down on commit drop as
    with recursive hanging (relation, depth) as (
        select '{{ relation }}'::regclass::oid, 0
        union
        select ev_class, depth + 1
        from hanging
        inner join pg_catalog.pg_depend
            on refclassid = 'pg_catalog.pg_class'::regclass and refobjid = relation
        inner join pg_catalog.pg_rewrite
            on classid = 'pg_catalog.pg_rewrite'::regclass and objid = pg_rewrite.oid
        where ev_class != relation
    ),

    lists (relation, part, acl) as (
        select oid, '', relacl from pg_catalog.pg_class
        union all
        select attrelid, format(' (%I)', attname), attacl from pg_catalog.pg_attribute
    ),

    rights as (
        select
            relation,
            array_agg(format(
                'grant %s%s on %s to %s%s',
                privilege_type,
                part,
                relation::regclass,
                case when grantee = 0 then 'public' else grantee::regrole::text end,
                case when is_grantable then ' with grant option' end
            )) as commands
        from lists
        cross join aclexplode(acl)
        inner join pg_catalog.pg_class on relation = oid and grantee != relowner
        group by relation
    ),

    comments as (
        select
            objoid as relation,
            array_agg(format(
                'comment on %s %s%s is %L',
                case when objsubid = 0 then 'view' else 'column' end,
                objoid::regclass,
                '.' || quote_ident(attname),
                description
            )) as commands
        from pg_catalog.pg_description
        left join pg_catalog.pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0
        where classoid = 'pg_catalog.pg_class'::regclass
        group by objoid
    )

    select
        relation::regclass::text as name,
        depth,
        case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as kind,
        case when relkind = 'v' then pg_get_viewdef(relation) end as definition,
        array_to_string(reloptions, ', ') as options,
        array(
            select format('null::%s as %I', format_type(atttypid, atttypmod), attname)
            from pg_catalog.pg_attribute
            where attrelid = relation and attnum > 0 and not attisdropped
            order by attnum
        ) as columns,
        array[format('alter view %s owner to %s', relation::regclass, relowner::regrole)]
        || comments.commands as looks,
        coalesce(rights.commands, '{}') as rights
    from (select relation, max(depth) as depth from hanging group by relation) as deepest
    inner join pg_catalog.pg_class on relation = oid
    left join rights using (relation)
    left join comments using (relation);

    for each in select * from taken_down where depth > 0 or {{ with_itself }} order by depth desc loop
        begin
            if each.kind = 'materialized view' then
                raise insufficient_privilege using message = 'it is a materialized view';
            end if;
            execute format(case each.kind when 'table' then 'drop table %s cascade' else 'drop view %s' end, each.name);
        exception when insufficient_privilege or dependent_objects_still_exist then
            raise exception {{ cannot_change(relation) }}, each.name, sqlerrm;
        end;
    end loop;
{%- endmacro %}


{# Creates the dropped views again. A view of this project that no longer fits
   is built by its own model later; until then a placeholder keeps its rights,
   and raises an error for its readers. #}
{% macro put_back(relation) -%}
    for each in select * from taken_down order by depth, name loop
        begin
            if each.depth > 0 then
                execute format(
                    'create view %s%s as %s',
                    each.name,
                    ' with (' || each.options || ')',
                    each.definition
                );
            end if;
        exception when undefined_column or undefined_function or datatype_mismatch then
            if each.name != all ('{ {{- own_views() | join(',') -}} }') then
                raise exception {{ cannot_change(relation) }}, each.name, sqlerrm;
            end if;
            execute format(
                'create view %s as select %s where ''This view is made by the next dbt build.''::text::boolean',
                each.name,
                array_to_string(each.columns, ', ')
            );
        end;
        foreach command in array case when each.depth > 0 then each.looks else '{}' end || each.rights loop
            begin
                execute command;
            exception when undefined_column then
                null;  -- a right on a column that is gone
            end;
        end loop;
    end loop;
    drop table taken_down;
{%- endmacro %}


{% macro cannot_change(relation) -%}
    '{{ relation.include(database=false) }} has to be made anew, and % cannot: %. Drop it, build, and make it again.'
{%- endmacro %}


{# The names in Postgres' notation. #}
{% macro own_views() %}
    {% set views = [] %}
    {% for node in graph.nodes.values() if node.config.materialized == 'view' %}
        {% do views.append(node.schema ~ '.' ~ node.alias) %}
    {% endfor %}
    {{ return(views) }}
{% endmacro %}
