"use strict";

// A chart as Vega-Lite: the definition's marks and encoding, with additions that make them readable on this page.

const THEMES = {
  light: {
    ink: "#1b1f27", soft: "#555d6b", line: "#d9dde4", card: "#ffffff",
    colors: ["#0b5fa5", "#ad8f42", "#19482c", "#d4687b", "#1894ee", "#604610", "#7910c1", "#0c0e7e"],
    steps: {total: "#4d5766", up: "#1a9e8f", down: "#c8480a"},
  },
  dark: {
    ink: "#eceff4", soft: "#aab2c0", line: "#343a46", card: "#1d2129",
    colors: ["#6cb6ff", "#d08410", "#3ddcaa", "#e0315f", "#e1da6b", "#bae0f7", "#a645a4", "#4570e3"],
    steps: {total: "#aab2c0", up: "#3ddcaa", down: "#ff8f3f"},
  },
};

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const AXIS = 48; // pixels for the numbers of an axis
const LONGEST = 190; // pixels of a label beside its bar; longer labels are above it
const NARROW = 480; // pixels of a chart without room beside its bars

const pen = document.createElement("canvas").getContext("2d");

/** Return the width of the longest of some texts in pixels. */
function widest(texts) {
  pen.font = `12px ${FONT}`;
  return Math.ceil(Math.max(0, ...texts.map((each) => pen.measureText(each).width)));
}

/** Numbers and dates of axes, labels and tooltips, as everywhere on the page. */
function shown(value, kind) {
  const [name, currency, short] = kind.split(" ");
  if (name === "date") return new Date(value).toLocaleDateString(locale(), {timeZone: "UTC", dateStyle: "medium"});
  if (name === "month") return new Date(value).toLocaleDateString(locale(), {timeZone: "UTC", month: "short", year: "numeric"});
  if (name === "day") return new Date(value).toLocaleDateString(locale(), {timeZone: "UTC", day: "numeric", month: "short"});
  return format(value, name, {currency: currency === "-" ? "" : currency, short: short === "short"});
}

function spec(chart, figures, width) {
  const columns = {...chart.by, ...chart.measures};
  const values = figures.map((figure) => {
    const made = {...figure};
    for (const [name, group] of Object.entries(chart.by)) {
      if (group.format === "date" && made[name] !== null) made[name] = Date.parse(`${made[name]}T00:00:00Z`);
      else if (group.format === "text") made[name] = named(made[name], group);
    }
    return made;
  });
  const encoding = structuredClone(chart.chart.encoding);
  encoding.tooltip = Object.entries(columns).map(([name, column]) => {
    const tip = {field: name, title: capital(text(column.label))};
    if (column.format === "text") return {...tip, type: "nominal"};
    if (column.format === "date") return {...tip, type: "temporal", formatType: "shown", format: encoding.x.timeUnit ? "month" : "date"};
    return {...tip, type: "quantitative", formatType: "shown", format: kindOf(column, chart)};
  });
  if (encoding.color) {
    const isOne = new Set(values.map((value) => value[encoding.color.field])).size === 1;
    const room = widest(values.map((value) => value[encoding.color.field])) + 40;
    const columns = Math.max(1, Math.floor(width / room));
    Object.assign(encoding.color, {sort: null, legend: isOne ? null : {title: null, orient: "top", offset: 28, columns, labelLimit: width}});
  }
  const drawn = encoding.y.type === "nominal" ? sideways(chart, values, encoding, width) : upright(chart, values, encoding, width);
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: description(chart, figures),
    data: {values},
    background: "transparent",
    padding: 2,
    ...drawn,
    config: config(THEMES[state.theme]),
  };
}

const kindOf = (column, chart, short = false) => `${column.format} ${(column.format === "money" && currencyOf(chart)) || "-"}${short ? " short" : ""}`;

/** Bars from left to right, each with its figure at its end instead of an axis. */
function sideways(chart, values, encoding, width) {
  const {y, x, row, yOffset, color, tooltip} = encoding;
  const kind = kindOf(chart.measures[x.field], chart, true);
  for (const value of values) value.said = shown(value[x.field], kind);
  if (chart.bridge) values = addUp(chart, values, x.field);
  const isStacked = color && !yOffset;
  const said = isStacked ? totals(values, y.field, x.field, kind) : values;
  const room = widest(said.map((value) => value.said)) + 10;
  const longest = widest(values.map((value) => value[y.field]));
  const isAbove = width < NARROW || longest > LONGEST;
  const extent = isAbove ? 0 : longest + 10;
  const inner = Math.max(60, width - extent - room - 8);
  const step = isAbove ? 44 : 26;
  const size = yOffset ? {} : {height: isAbove ? 16 : 20};
  const axis = isAbove
    ? {title: null, labelAlign: "left", labelPadding: 0, labelOffset: -16, labelLimit: inner + room, minExtent: 0, maxExtent: 0, domain: false, ticks: false}
    : {title: null, labelLimit: extent, minExtent: extent, maxExtent: extent, domain: false, ticks: false, labelPadding: 8};
  const base = {y: {...y, sort: null, axis}, ...(yOffset ? {yOffset: {...yOffset, sort: null}} : {}), tooltip};
  const largest = Math.max(0, ...said.map((value) => value[x.field]));
  const across = {...x, axis: null, scale: row ? {domain: [0, largest || 1]} : {zero: true}};
  let bars = {mark: {...chart.chart.mark, ...size}, encoding: {...base, x: across, ...(color ? {color} : {})}};
  let end = across;
  if (chart.bridge) {
    const {total, up, down} = THEMES[state.theme].steps;
    const colors = {field: "kind", type: "nominal", legend: null, scale: {domain: ["total", "up", "down"], range: [total, up, down]}};
    bars = {mark: {...chart.chart.mark, ...size}, encoding: {...base, x: {...across, field: "start"}, x2: {field: "end"}, color: colors}};
    end = {...across, field: "right"};
  }
  const labels = {
    ...(isStacked ? {data: {values: said}} : {}),
    mark: {type: "text", align: "left", dx: 5},
    encoding: {...base, x: end, text: {field: "said", type: "nominal"}},
  };
  const layers = {data: {values}, layer: [bars, labels], width: inner, height: {step, ...(yOffset ? {for: "position"} : {})}};
  const theme = THEMES[state.theme];
  const caption = {text: capital(text(chart.measures[x.field].label)), anchor: "start", frame: "group", fontSize: 12, fontWeight: "normal", color: theme.soft, offset: isAbove ? 16 : 8};
  if (!row) return {...layers, title: caption};
  const title = {anchor: "start", frame: "group", fontSize: 13, fontWeight: 600, color: theme.ink, offset: isAbove ? 14 : 6};
  const parts = [...new Set(values.map((value) => value[row.field]))].map((part) => ({
    ...layers, data: {values: values.filter((value) => value[row.field] === part)}, title: {...title, text: part, limit: width - 24},
  }));
  return {vconcat: parts, spacing: 20, title: {...caption, frame: "bounds", offset: 12}};
}

/** Return the sum of the parts of each bar. */
function totals(values, place, measure, kind) {
  const sums = new Map();
  for (const value of values) sums.set(value[place], (sums.get(value[place]) || 0) + (value[measure] || 0));
  return [...sums].map(([name, sum]) => ({[place]: name, [measure]: sum, said: shown(sum, kind)}));
}

/** Return the steps of a bridge with a movement, each with its start and end. */
function addUp(chart, values, measure) {
  const totals = ["opening", "closing"].map((name) => named(name, chart.by[chart.bridge]));
  const moves = values.filter((value) => totals.includes(value[chart.bridge]) || Math.abs(value[measure]) >= 0.005);
  let reached = 0;
  return moves.map((value) => {
    const amount = value[measure] || 0;
    const isTotal = totals.includes(value[chart.bridge]);
    const start = isTotal ? 0 : reached;
    reached = start + amount;
    const kind = isTotal ? "total" : amount < 0 ? "down" : "up";
    return {...value, start, end: reached, right: Math.max(start, reached), kind, said: `${kind === "up" ? "+" : ""}${value.said}`};
  });
}

/** Columns, lines and areas over time or over numbers. */
function upright(chart, values, encoding, width) {
  const {x, y, color} = encoding;
  const column = chart.measures[y.field];
  const inner = width - AXIS - 8;
  const mark = {...chart.chart.mark, ...(color && chart.chart.mark.type === "bar" ? {stroke: THEMES[state.theme].card, strokeWidth: 0.5} : {})};
  const isBar = mark.type === "bar";
  if (x.type === "temporal") {
    const places = [...new Set(values.map((value) => value[x.field]))].filter((place) => place !== null).sort((a, b) => a - b);
    const months = monthsFrom(places[0], places[places.length - 1]);
    const isByMonth = Boolean(x.timeUnit) || months.length > 4;
    const every = Math.ceil(((widest(months.map((month) => shown(month, "month"))) + 20) * months.length) / inner);
    x.scale = {type: "utc"};
    x.axis = {title: null, labelOverlap: true, labelFlush: !isBar, labelPadding: x.timeUnit ? 8 : 4, grid: false, ticks: !x.timeUnit, formatType: "shown", format: isByMonth ? "month" : "day"};
    if (isByMonth) x.axis.values = months.filter((_, position) => position % every === 0).map(utc);
    else x.axis.tickCount = Math.floor(inner / 90);
    if (isBar && x.timeUnit) {
      mark.width = {band: months.length > 3 ? 0.72 : 0.3};
      x.axis.labelOffset = inner / months.length / 2;
    } else if (isBar) {
      mark.size = Math.max(2, (0.72 * inner) / (places.length + 1));
    }
    if (x.timeUnit) x.timeUnit = `utc${x.timeUnit}`;
  } else {
    x.axis = {title: capital(text(chart.by[x.field].label)), tickMinStep: 1, labelAngle: 0, labelOverlap: true, grid: false, formatType: "shown", format: "integer -"};
  }
  y.axis = {
    title: capital(text(column.label)), titleAngle: 0, titleAlign: "left", titleAnchor: "end", titleBaseline: "bottom", titleX: -AXIS, titleY: -10,
    minExtent: AXIS, maxExtent: AXIS, formatType: "shown", format: `${column.format} - short`, tickCount: 5, domain: false, ticks: false, labelPadding: 6,
    ...(column.format === "integer" ? {tickMinStep: 1} : {}),
  };
  return {mark, encoding, width: inner, height: 220};
}

/** Return the beginnings of all months from one moment to another. */
function monthsFrom(first, last) {
  const months = [];
  const month = new Date(first);
  month.setUTCDate(1);
  for (; month.getTime() <= last; month.setUTCMonth(month.getUTCMonth() + 1)) months.push(month.getTime());
  return months;
}

/** Return a month in Vega-Lite's format for an axis. */
const utc = (time) => ({utc: true, year: new Date(time).getUTCFullYear(), month: new Date(time).getUTCMonth() + 1, date: 1});

/** Describe the chart in one sentence for screen readers: the largest and smallest value of its first measure. */
function description(chart, figures) {
  const [name, measure] = Object.entries(chart.measures)[0];
  const known = figures.filter((figure) => figure[name] !== null);
  const said = (figure) => `${Object.entries(chart.by).map(([key, group]) => named(figure[key], group)).join(", ")}: ${format(figure[name], measure.format, {currency: currencyOf(chart)})}`;
  const ordered = [...known].sort((a, b) => b[name] - a[name]);
  const ends = ordered.length > 1 ? [ordered[0], ordered[ordered.length - 1]] : ordered;
  return `${text(chart.question)} ${capital(text(measure.label))}. ${ends.map(said).join("; ")}`;
}

function config(theme) {
  return {
    customFormatTypes: true,
    font: FONT,
    view: {stroke: null},
    axis: {labelColor: theme.soft, titleColor: theme.soft, gridColor: theme.line, domainColor: theme.line, tickColor: theme.line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal"},
    axisY: {labelColor: theme.soft},
    header: {labelColor: theme.ink, labelFontSize: 13},
    legend: {labelColor: theme.soft, labelFontSize: 12, symbolType: "square", columnPadding: 16},
    bar: {color: theme.colors[0]},
    line: {color: theme.colors[0], strokeWidth: 2},
    point: {color: theme.colors[0], filled: true, size: 40},
    area: {color: theme.colors[0]},
    text: {color: theme.ink, fontSize: 12},
    range: {category: theme.colors},
  };
}
