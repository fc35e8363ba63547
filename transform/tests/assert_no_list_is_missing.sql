-- Tests what no model reads, so that the marts are built when it fails.
select sentence
from {{ ref('load_summary') }}
where has_missing
