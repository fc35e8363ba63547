{{ config(severity='warn') }}

select
    seed,
    line_number,
    problem
from {{ ref('seed_problems') }}
