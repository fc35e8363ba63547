-- Warns if a custom field has two columns in one table, as after a run without
-- its state: the older one keeps old values. See
-- docs/custom-fields.md.
{{ config(severity='warn') }}

select
    stream,
    field_code,
    string_agg(column_name, ', ' order by _sdc_extracted_at desc) as columns_newest_first
from {{ ref('stg_pipedrive__field_columns') }}
where is_current
group by stream, field_code
having count(*) > 1
