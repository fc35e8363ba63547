{# Without statistics, which autovacuum gathers only a minute later, the query
   plans of a first build are bad for a large account. The limits are
   autovacuum's own. #}
{% macro analyze_raw_tables() %}
    {% if not is_build() %}{{ return('') }}{% endif %}
    {% set changed %}
        select format('%I.%I', schemaname, relname)
        from pg_catalog.pg_stat_user_tables
        where
            schemaname in ('{{ graph.sources.values() | map(attribute="schema") | unique | join("', '") }}')
            and n_mod_since_analyze > 50 + n_live_tup * 0.1
    {% endset %}
    {% for (table,) in run_query(changed) %}
        {% do run_query('analyze ' ~ table) %}
    {% endfor %}
{% endmacro %}


{# Grants the roles of bi_roles the right to read the marts, including marts
   that are created later. #}
{% macro open_marts() %}
    {% if not is_build() %}{{ return('') }}{% endif %}
    {% set schemas = ['marts', 'compat'] if compat_is_on() else ['marts'] %}
    {% for role in bi_roles() %}
        {% set name = "'" ~ role | replace("'", "''") ~ "'" %}
        {% if not run_query('select 1 from pg_catalog.pg_roles where rolname = ' ~ name).rows %}
            {% do exceptions.raise_compiler_error(
                "BI_ROLES names the role " ~ role ~ ", which the database does not have: make it, or take it out."
            ) %}
        {% endif %}
        {% for schema in schemas %}
            {% set not_yet %}
                select format('usage on schema %I', nspname)
                from pg_catalog.pg_namespace
                where nspname = '{{ schema }}' and not has_schema_privilege({{ name }}, oid, 'usage')
                union all
                select format('select on %s', oid::regclass)
                from pg_catalog.pg_class
                where
                    relnamespace = to_regnamespace('{{ schema }}')
                    and relkind in ('r', 'v')
                    and pg_has_role(relowner, 'usage')
                    and not has_table_privilege({{ name }}, oid, 'select')
            {% endset %}
            {% for (right,) in run_query(not_yet) %}
                {% do run_query('grant ' ~ right ~ ' to ' ~ adapter.quote(role)) %}
            {% endfor %}
            {% do run_query(
                'alter default privileges in schema ' ~ schema ~ ' grant select on tables to ' ~ adapter.quote(role)
            ) %}
        {% endfor %}
    {% endfor %}
{% endmacro %}


{% macro bi_roles() %}
    {% set roles = [] %}
    {% for role in var('bi_roles', env_var('BI_ROLES', '')).split(',') if role.strip() %}
        {% do roles.append(role.strip()) %}
    {% endfor %}
    {{ return(roles) }}
{% endmacro %}


{# BI tools learn from foreign keys how tables are joined. Those of the marts
   exist between two builds and are not enforced, because Pipedrive hides
   records, and a deal may be in a stage that the token cannot see. From
   Postgres 18 on such keys can stay during a build; in older versions they are
   dropped, unless a reader holds a lock. #}
{% macro drop_foreign_keys() %}
    {% if not is_build() or keys_need_not_be_enforced() %}{{ return('') }}{% endif %}
    {% set made %}
        select conrelid::regclass, conname
        from pg_catalog.pg_constraint
        where contype = 'f' and conname ~ '__fk$' and connamespace = to_regnamespace('marts')
    {% endset %}
    {% for table, name in run_query(made) %}
        {% do run_query(unless_locked('alter table ' ~ table ~ ' drop constraint "' ~ name ~ '"', '1s')) %}
    {% endfor %}
{% endmacro %}


{# One foreign key for each test of relationships between two marts. #}
{% macro add_foreign_keys() %}
    {% if not is_build() %}{{ return('') }}{% endif %}
    {% set kind = 'not enforced' if keys_need_not_be_enforced() else 'deferrable initially deferred not valid' %}
    {% for test in graph.nodes.values() if test.resource_type == 'test' and test.attached_node %}
        {% set model = graph.nodes.get(test.attached_node) %}
        {% if model.schema == 'marts' and test.test_metadata.name == 'relationships' %}
            {% for parent in test.depends_on.nodes if parent != test.attached_node %}
                {% set one = graph.nodes[parent] %}
                {% if one.schema == 'marts' %}
                    {% do run_query(unless_locked(
                        'alter table ' ~ model.relation_name
                        ~ ' add constraint "' ~ (model.name ~ '__' ~ test.column_name)[:59] ~ '__fk"'
                        ~ ' foreign key ("' ~ test.column_name ~ '") references ' ~ one.relation_name
                        ~ ' (' ~ test.test_metadata.kwargs.field ~ ') ' ~ kind,
                        '3s'
                    )) %}
                {% endif %}
            {% endfor %}
        {% endif %}
    {% endfor %}
{% endmacro %}


{# Leaves out keys that an open transaction blocks, keys that exist already, and
   keys of tables and schemas that are not built yet. #}
{% macro unless_locked(statement, patience) -%}
    do $unless_locked$
    begin
        set local lock_timeout = '{{ patience }}';
        {{ statement }};
    exception when lock_not_available or duplicate_object or undefined_table or undefined_column
        or invalid_schema_name or invalid_foreign_key then
        null;
    end
    $unless_locked$
{%- endmacro %}


{% macro keys_need_not_be_enforced() %}
    {{ return(run_query("select current_setting('server_version_num')::integer >= 180000").rows[0][0]) }}
{% endmacro %}


{% macro is_build() %}
    {{ return(execute and flags.WHICH in ('build', 'run')) }}
{% endmacro %}


{% macro compat_is_on() %}
    {{ return(var('compat', env_var('COMPAT', 'false')) | string | lower == 'true') }}
{% endmacro %}
