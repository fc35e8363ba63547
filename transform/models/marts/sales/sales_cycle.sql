{% set bands = value_bands() %}

with

deals as (
    select
        *,
        date_trunc('month', closed_date)::date as closed_month
    from {{ ref('fct_deals') }}
    where is_won or is_lost
),

channels as (
    select
        deal_id,
        channel
    from {{ ref('int_pipedrive_customer_deals') }}
),

labels as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'deal' and field_code = 'label_ids'
),

line_items as (
    select
        deal_id,
        product_id,
        max(product_name) as product_name
    from {{ ref('fct_deal_products') }}
    where is_enabled and not is_deleted and product_id is not null
    group by deal_id, product_id
),

products as (
    select * from {{ ref('dim_products') }}
),

applied_labels as (
    select distinct
        deals.deal_id,
        applied.label_id
    from deals
    cross join lateral jsonb_array_elements_text(
        case
            when jsonb_typeof(deals.label_ids) = 'array' then deals.label_ids
        end
    ) as applied (label_id)
),

{# A deal with several labels or products is in the rows of each of them. #}
deals_in_segments as (
    select
        deal_id,
        'all' as breakdown,
        null as segment_key,
        null as segment,
        null::integer as segment_position
    from deals
    union all
    select
        deals.deal_id,
        'channel' as breakdown,
        channels.channel as segment_key,
        channels.channel as segment,
        null as segment_position
    from deals
    left join channels on deals.deal_id::text = channels.deal_id
    union all
    select
        deals.deal_id,
        'label' as breakdown,
        applied_labels.label_id as segment_key,
        coalesce(labels.label, applied_labels.label_id) as segment,
        null as segment_position
    from deals
    left join applied_labels on deals.deal_id = applied_labels.deal_id
    left join labels on applied_labels.label_id = labels.option_id
    union all
    select
        deals.deal_id,
        'value_band' as breakdown,
        bands.position::text as segment_key,
        bands.name as segment,
        bands.position as segment_position
    from deals
    left join (
        values
        {%- for band in bands %}
        (
            {{ loop.index }},
            '{{ band.name }}',
            {{ band.from }}::numeric,
            {{ band.to }}::numeric
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as bands (position, name, from_value, to_value)
        on deals.reporting_value >= bands.from_value
        and deals.reporting_value < bands.to_value
    union all
    select
        deal_id,
        'owner' as breakdown,
        owner_id::text as segment_key,
        owner_name as segment,
        null as segment_position
    from deals
    union all
    select
        deals.deal_id,
        'product' as breakdown,
        line_items.product_id::text as segment_key,
        coalesce(products.name, line_items.product_name) as segment,
        null as segment_position
    from deals
    left join line_items on deals.deal_id = line_items.deal_id
    left join products on line_items.product_id = products.product_id
),

segments_by_month as (
    select
        deals.closed_month,
        deals.pipeline_id,
        segments.breakdown,
        segments.segment_key,
        max(deals.pipeline_name) as pipeline_name,
        max(segments.segment) as segment,
        max(segments.segment_position) as segment_position,
        count(*) as closed_count,
        count(*) filter (where deals.is_won) as won_count,
        count(*) filter (where deals.is_lost) as lost_count,
        count(deals.days_to_win) as timed_won_count,
        sum(deals.days_to_win) as total_days_to_win,
        percentile_cont(array[0.5, 0.9]) within group (
            order by deals.days_to_win
        ) as days_to_win,
        percentile_cont(0.5) within group (
            order by deals.days_open
        ) filter (where deals.is_lost) as median_days_to_lose
    from deals_in_segments as segments
    inner join deals on segments.deal_id = deals.deal_id
    group by
        deals.closed_month,
        deals.pipeline_id,
        segments.breakdown,
        segments.segment_key
),

final as (
    select
        -- ids
        jsonb_build_array(
            closed_month, pipeline_id, breakdown, segment_key
        )::text as sales_cycle_id,
        pipeline_id,

        -- strings
        breakdown,
        segment_key,
        segment,
        pipeline_name,

        -- numerics
        segment_position,
        closed_count,
        won_count,
        lost_count,
        round(won_count * 1.0 / closed_count, 4) as win_rate,
        timed_won_count,
        total_days_to_win,
        round(
            total_days_to_win * 1.0 / nullif(timed_won_count, 0), 2
        ) as average_days_to_win,
        round(days_to_win[1]::numeric, 2) as median_days_to_win,
        round(days_to_win[2]::numeric, 2) as slow_days_to_win,
        round(median_days_to_lose::numeric, 2) as median_days_to_lose,

        -- dates
        closed_month
    from segments_by_month
)

select * from final
