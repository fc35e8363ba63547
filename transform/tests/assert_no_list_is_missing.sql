-- No model reads this, so that the marts are built even if it fails.
select sentence
from {{ ref('load_summary') }}
where has_missing
