with

states as (
    select
        *,
        lead(start_date, 1, 'infinity') over (
            partition by deal_id order by start_date
        ) as next_start_date
    from {{ ref('int_deal_states') }}
)

select * from states
where start_date >= end_date or end_date != next_start_date
