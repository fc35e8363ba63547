"use strict";

// The page: filters and tabs around the figures, drawn by Vega-Lite. Whatever comes from the CRM is set as text.

const WORDS = {
  en: {
    language: "Language", pipeline: "Pipeline", owner: "Owner", currency: "Currency", from: "From", to: "To",
    all: "All", reset: "Reset", dark: "Dark", light: "Light", table: "Figures as a table", none: "Nothing to show for this choice.",
    converted: "all, in {currency}", in: "in {currency}",
    unfiltered: "not filtered by {filters}", and: " and ", unconverted: "{n} without an exchange rate are left out",
    made: "Made {at} from the marts of this warehouse. Nothing on this page was loaded from elsewhere.", nobody: "(none)",
  },
  pt: {
    language: "Idioma", pipeline: "Funil", owner: "Responsável", currency: "Moeda", from: "De", to: "Até",
    all: "Todos", reset: "Limpar", dark: "Escuro", light: "Claro", table: "Números em tabela", none: "Nada a mostrar com esta escolha.",
    converted: "todas, em {currency}", in: "em {currency}",
    unfiltered: "não filtrado por {filters}", and: " e ", unconverted: "{n} sem cotação ficam de fora",
    made: "Feito {at} a partir dos marts deste banco. Nada nesta página foi carregado de outro lugar.", nobody: "(nenhum)",
  },
};

const THEMES = {
  light: {ink: "#1b1f27", soft: "#555d6b", line: "#d9dde4", colors: ["#0b5fa5", "#d55e00", "#007d5c", "#b3528e", "#8a6d00", "#3a9bd9", "#6b4fa0", "#4d4d4d"]},
  dark: {ink: "#eceff4", soft: "#aab2c0", line: "#343a46", colors: ["#6cb6ff", "#ff9f4a", "#3ccf9f", "#f08bc4", "#f0d44c", "#9adcff", "#b9a3ff", "#d0d0d0"]},
};

const definitions = JSON.parse(document.getElementById("definitions").textContent);
const element = (id) => document.getElementById(id);
const state = {dashboard: 0, filters: {}};
let tables = {};
let views = [];
let drawn = 0;

async function start() {
  const packed = Uint8Array.from(atob(element("rows").textContent.trim()), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  tables = Figures.unpack(await new Response(stream).json());
  state.language = navigator.language.toLowerCase().startsWith("pt") ? "pt" : "en";
  state.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  element("language").value = state.language;
  element("language").onchange = (event) => { state.language = event.target.value; draw(); };
  element("theme").onclick = () => { state.theme = state.theme === "dark" ? "light" : "dark"; draw(); };
  element("reset").onclick = () => { reset(); draw(); };
  for (const name of ["pipeline", "owner", "currency", "from", "to"]) {
    element(name).onchange = (event) => { state.filters[name] = event.target.value; draw(); };
  }
  element("tabs").onkeydown = (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const count = definitions.dashboards.length;
    open((state.dashboard + step + count) % count);
    element("tabs").children[state.dashboard].focus();
  };
  reset();
  await draw();
}

function reset() {
  state.filters = {pipeline: "", owner: "", currency: definitions.currency, from: definitions.from, to: definitions.to};
}

function open(position) {
  state.dashboard = position;
  draw();
}

// Words, numbers and dates in the reader's language

const word = (key, values = {}) => fill(WORDS[state.language][key], values);
const text = (both) => (both ? fill(both[state.language], values()) : "");
const values = () => Object.fromEntries(Object.entries(definitions.values).map(([name, [value, kind]]) => [name, kind === "words" ? value[state.language] : format(value, kind)]));
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
const locale = () => (state.language === "pt" ? "pt-BR" : "en-US");
const date = (value) => new Date(`${value}T00:00:00Z`).toLocaleDateString(locale(), {timeZone: "UTC", dateStyle: "medium"});

function format(value, kind, chart, short) {
  if (value === null || value === undefined) return "–";
  if (kind === "text") return String(value);
  if (kind === "date") return date(value);
  const options = {
    integer: {maximumFractionDigits: 0},
    percent: {style: "percent", maximumFractionDigits: 1},
    days: {maximumFractionDigits: 1},
    number: {maximumFractionDigits: 2},
    bits: {minimumFractionDigits: 3, maximumFractionDigits: 3},
    money: {maximumFractionDigits: 0},
  }[kind];
  const compact = short ? {notation: "compact", maximumFractionDigits: 1} : {};
  const shown = new Intl.NumberFormat(locale(), {...options, ...(kind === "percent" ? {} : compact)}).format(value);
  return kind === "money" && chart && currencyOf(chart) ? `${currencyOf(chart)} ${shown}` : shown;
}

function currencyOf(chart) {
  if (chart.money === "reporting") return definitions.reporting_currency;
  return chart.money ? state.filters.currency || definitions.reporting_currency : "";
}

// The page

async function draw() {
  const run = ++drawn;
  views.forEach((view) => view.finalize());
  views = [];
  const dashboard = definitions.dashboards[state.dashboard];
  document.documentElement.lang = locale();
  document.documentElement.dataset.theme = state.theme;
  document.querySelectorAll("[data-text]").forEach((each) => { each.textContent = word(each.dataset.text); });
  document.title = `${text(dashboard.title)} · ${definitions.company}`;
  element("title").textContent = definitions.company;
  element("as-of").textContent = text(definitions.as_of);
  element("theme").textContent = word(state.theme === "dark" ? "light" : "dark");
  element("reset").textContent = word("reset");
  element("footer").textContent = word("made", {at: new Date(definitions.made_at).toLocaleString(locale())});
  drawTabs();
  drawFilters();
  const panel = element("panel");
  const about = make("p", "about", text(dashboard.about));
  const grid = make("div", "grid");
  panel.setAttribute("aria-labelledby", `tab-${dashboard.name}`);
  panel.replaceChildren(about, grid);
  const cards = dashboard.charts.map((chart) => card(chart, grid));
  for (const [chart, body, figures] of cards) {
    if (run !== drawn) return;
    await show(chart, body, figures);
  }
  document.documentElement.dataset.drawn = String(run);
}

function make(tag, className, content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

function drawTabs() {
  element("tabs").replaceChildren(...definitions.dashboards.map((dashboard, position) => {
    const tab = make("button", "", text(dashboard.title));
    const selected = position === state.dashboard;
    Object.assign(tab, {type: "button", id: `tab-${dashboard.name}`, onclick: () => open(position), tabIndex: selected ? 0 : -1});
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-selected", String(selected));
    tab.setAttribute("aria-controls", "panel");
    return tab;
  }));
}

function drawFilters() {
  const choices = (values, first) => [["", first], ...values.map((value) => [value, value])];
  const lists = {
    pipeline: choices(definitions.pipelines, word("all")),
    owner: choices(definitions.owners, word("all")),
    currency: choices(definitions.currencies, word("converted", {currency: definitions.reporting_currency})),
  };
  for (const [name, values] of Object.entries(lists)) {
    element(name).replaceChildren(...values.map(([value, label]) => Object.assign(make("option", "", label), {value})));
    element(name).value = state.filters[name];
  }
  for (const name of ["from", "to"]) element(name).value = state.filters[name];
}

function card(chart, grid) {
  const figures = Figures.of(chart, tables[chart.rows], state.filters);
  const section = make("section", `card ${chart.width}`);
  const heading = make("h2", "", text(chart.question));
  heading.id = `chart-${chart.name}`;
  section.setAttribute("aria-labelledby", heading.id);
  section.dataset.chart = chart.name;
  const body = make("div");
  section.append(heading, make("p", "note", notes(chart)), body);
  grid.append(section);
  return [chart, body, figures];
}

function notes(chart) {
  const columns = tables[chart.rows].columns;
  const {filters} = state;
  const said = [];
  if (currencyOf(chart)) said.push(word("in", {currency: currencyOf(chart)}));
  const unused = ["pipeline", "owner"].filter((name) => filters[name] && !columns[name]).map((name) => word(name).toLowerCase());
  if (unused.length) said.push(word("unfiltered", {filters: unused.join(word("and"))}));
  const unconverted = Figures.unconverted(chart, tables[chart.rows], filters);
  if (unconverted) said.push(word("unconverted", {n: unconverted}));
  return [text(chart.note), ...said].filter(Boolean).join(" · ");
}

async function show(chart, body, figures) {
  const drawn = chart.kind === "chart" ? Object.values(chart.chart.encoding).map((coded) => coded.field) : [Object.keys(chart.measures)[0]];
  const measures = drawn.filter((name) => name in chart.measures);
  const isEmpty = figures.every((figure) => measures.every((name) => figure[name] === null));
  if (isEmpty) {
    body.append(make("p", "empty", word("none")));
  } else if (chart.kind === "number") {
    const [first, ...others] = Object.entries(chart.measures);
    const said = ([name, measure]) => `${format(figures[0][name], measure.format, chart)} ${text(measure.label)}`;
    body.append(make("div", "number", format(figures[0][first[0]], first[1].format, chart, true)));
    body.append(make("p", "", [said(first), ...others.map(said)].join(", ")));
  } else if (chart.kind === "table") {
    body.append(tableOf(chart, figures));
  } else {
    const place = make("div", "chart");
    const details = make("details");
    details.append(make("summary", "", word("table")), tableOf(chart, figures));
    body.append(place, details);
    const options = {actions: false, renderer: "svg", ast: true, expressionFunctions: {shown}};
    const result = await vegaEmbed(place, spec(chart, figures, place.clientWidth), options);
    views.push(result);
  }
}

/** One sentence for those who do not see the chart: its first measure, largest and smallest. */
function description(chart, figures) {
  const [name, measure] = Object.entries(chart.measures)[0];
  const known = figures.filter((figure) => figure[name] !== null);
  const said = (figure) => `${Object.entries(chart.by).map(([key, group]) => format(figure[key], group.format)).join(", ")}: ${format(figure[name], measure.format, chart)}`;
  const ordered = [...known].sort((a, b) => b[name] - a[name]);
  const ends = ordered.length > 1 ? [ordered[0], ordered[ordered.length - 1]] : ordered;
  return `${text(chart.question)} ${text(measure.label)}. ${ends.map(said).join("; ")}`;
}

function tableOf(chart, figures) {
  const columns = [...Object.entries(chart.by), ...Object.entries(chart.measures)];
  const isFigure = (kind) => !["text", "date"].includes(kind);
  const head = make("tr");
  columns.forEach(([, column]) => {
    const cell = make("th", isFigure(column.format) ? "figure" : "", text(column.label));
    cell.scope = "col";
    head.append(cell);
  });
  const lines = figures.map((figure) => {
    const line = make("tr");
    columns.forEach(([name, column]) => {
      const value = figure[name] === null && column.format === "text" ? word("nobody") : format(figure[name], column.format, chart);
      line.append(make("td", isFigure(column.format) ? "figure" : "", value));
    });
    return line;
  });
  const made = make("table");
  const [thead, tbody] = [make("thead"), make("tbody")];
  thead.append(head);
  tbody.append(...lines);
  made.append(thead, tbody);
  const scroll = make("div", "scroll");
  scroll.append(made);
  return scroll;
}

// Vega-Lite

/** Numbers and dates of axes and tooltips, as everywhere on the page. */
function shown(value, kind) {
  if (kind === "month") return new Date(value).toLocaleDateString(locale(), {timeZone: "UTC", month: "short", year: "numeric"});
  if (kind === "day") return new Date(value).toLocaleDateString(locale(), {timeZone: "UTC", dateStyle: "medium"});
  return kind.endsWith(" axis") ? format(value, kind.slice(0, -5), null, true) : format(value, kind);
}

function spec(chart, figures, width) {
  const theme = THEMES[state.theme];
  const columns = {...chart.by, ...chart.measures};
  const values = figures.map((figure) => {
    const shown = {...figure};
    for (const [name, group] of Object.entries(chart.by)) {
      if (group.format === "text" && shown[name] === null) shown[name] = word("nobody");
      if (group.format === "date" && shown[name] !== null) shown[name] = Date.parse(`${shown[name]}T00:00:00Z`);
    }
    return shown;
  });
  const encoding = structuredClone(chart.chart.encoding);
  const narrow = width < 480;
  const labels = narrow ? 110 : 200;
  for (const [channel, coded] of Object.entries(encoding)) {
    const column = columns[coded.field];
    const title = text(column.label);
    if (coded.type === "nominal" && (channel === "y" || channel === "x")) {
      coded.sort = null;
      coded.axis = {title: null, labelLimit: labels};
    } else if (channel === "yOffset") {
      coded.sort = null;
    } else if (channel === "color") {
      coded.legend = {title: null, orient: "top", columns: narrow ? 2 : 4, labelLimit: 160};
    } else if (channel === "row") {
      coded.header = {title: null, labelAngle: 0, labelAlign: "left", labelAnchor: "start", labelOrient: "top", labelFontWeight: 600, labelLimit: width - labels - 24};
      coded.spacing = 16;
    } else if (coded.type === "temporal") {
      coded.scale = {type: "utc"};
      if (coded.timeUnit) coded.timeUnit = `utc${coded.timeUnit}`;
      coded.axis = {title: null, labelOverlap: true, tickCount: narrow ? 4 : 8, grid: false, formatType: "shown", format: coded.timeUnit ? "month" : "day"};
    } else if (coded.type === "quantitative") {
      coded.axis = {title: currencyOf(chart) && column.format === "money" ? `${title} (${currencyOf(chart)})` : title, formatType: "shown", format: `${column.format} axis`, tickCount: narrow ? 4 : 6};
      if (column.format === "integer") coded.axis.tickMinStep = 1;
    }
  }
  encoding.tooltip = Object.entries(columns).map(([name, column]) => {
    if (column.format === "text") return {field: name, title: text(column.label), type: "nominal"};
    const format = column.format === "date" ? "day" : column.format;
    return {field: name, title: text(column.label), type: column.format === "date" ? "temporal" : "quantitative", formatType: "shown", format};
  });
  const mark = {...chart.chart.mark};
  if (mark.type === "bar" && encoding.x.type === "temporal" && !encoding.x.timeUnit) {
    mark.size = Math.max(2, (0.75 * (width - 60)) / new Set(values.map((value) => value[encoding.x.field])).size);
  }
  const isNominal = encoding.y.type === "nominal";
  const places = new Set(values.map((value) => value[encoding.y.field])).size;
  if (encoding.row) encoding.y.axis.minExtent = encoding.y.axis.maxExtent = labels;
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: description(chart, figures),
    data: {values},
    mark,
    encoding,
    width: encoding.row ? width - labels - 24 : "container",
    height: encoding.row ? {step: 26} : isNominal ? places * 26 : 240,
    ...(encoding.row ? {resolve: {scale: {y: "independent"}}} : {}),
    autosize: encoding.row ? undefined : {type: isNominal ? "fit-x" : "fit", contains: "padding"},
    background: "transparent",
    padding: 4,
    config: {
      customFormatTypes: true,
      font: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif",
      view: {stroke: null},
      axis: {labelColor: theme.soft, titleColor: theme.soft, gridColor: theme.line, domainColor: theme.line, tickColor: theme.line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal"},
      header: {labelColor: theme.ink, labelFontSize: 13},
      legend: {labelColor: theme.soft, labelFontSize: 12},
      bar: {color: theme.colors[0]},
      line: {color: theme.colors[0], strokeWidth: 2},
      point: {color: theme.colors[0], filled: true, size: 40},
      area: {color: theme.colors[0]},
      range: {category: theme.colors},
    },
  };
}

window.figures = () => Object.fromEntries(definitions.dashboards.map((dashboard) => [
  dashboard.name,
  Object.fromEntries(dashboard.charts.map((chart) => [chart.name, Figures.of(chart, tables[chart.rows], state.filters)])),
]));
start();
