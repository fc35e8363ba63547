{{ config(severity='warn') }}

select sentence
from {{ ref('load_summary') }}
where not is_complete and not has_missing and stream_count > 0
