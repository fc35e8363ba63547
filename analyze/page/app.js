"use strict";

// The page: filters and tabs around the figures, drawn by Vega-Lite. Whatever comes from the CRM is set as text.

const definitions = JSON.parse(document.getElementById("definitions").textContent);
const element = (id) => document.getElementById(id);
const state = {dashboard: 0, filters: {}};
let tables = {};
let views = [];
let drawn = 0;
Figures.words = definitions.words;

async function start() {
  tables = Figures.unpack(JSON.parse(await unpacked("rows")));
  document.head.append(make("script", "", await unpacked("vega")));
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

/** Unpack a part of the page. */
function unpacked(id) {
  const packed = Uint8Array.from(atob(element(id).textContent.trim()), (char) => char.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function reset() {
  state.filters = {pipeline: "", owner: "", currency: definitions.currency, from: definitions.from, to: definitions.to};
}

function open(position) {
  state.dashboard = position;
  draw();
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
  const company = definitions.company || word("company");
  document.title = `${text(dashboard.title)} · ${company}`;
  element("title").textContent = company;
  element("as-of").textContent = dashboard.as_of[state.language];
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
  element("tabs").children[state.dashboard].scrollIntoView({block: "nearest", inline: "nearest"});
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
  const {charts} = definitions.dashboards[state.dashboard];
  const isUsed = (name) => charts.some((chart) => obeys(chart, name));
  const used = Object.keys(state.filters).filter(isUsed);
  for (const name of Object.keys(state.filters)) element(name).parentElement.hidden = !used.includes(name);
  element("filters").hidden = used.length === 0;
}

/** Return whether a filter applies to a chart. */
function obeys(chart, name) {
  if (name === "currency") return chart.money === "chosen";
  return ["from", "to"].includes(name) ? chart.period !== null : name in tables[chart.rows].columns;
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
  const {filters} = state;
  const said = [];
  if (currencyOf(chart)) said.push(word("in", {currency: currencyOf(chart)}));
  const unused = ["pipeline", "owner"].filter((name) => filters[name] && !obeys(chart, name)).map((name) => word(name).toLowerCase());
  if (unused.length) said.push(word("unfiltered", {filters: unused.join(word("and"))}));
  const unconverted = Figures.unconverted(chart, tables[chart.rows], filters);
  if (unconverted) said.push(word("unconverted", {n: unconverted}));
  return [text(chart.note), ...said].filter(Boolean).join(" ");
}

/** Return whether a chart has data for any choice of filters. */
function hasRows(chart) {
  return Figures.chosen({...chart, period: null, money: null}, tables[chart.rows], {}).length > 0;
}

async function show(chart, body, figures) {
  const drawn = chart.kind === "chart" ? Object.values(chart.chart.encoding).map((coded) => coded.field) : [Object.keys(chart.measures)[0]];
  const measures = drawn.filter((name) => name in chart.measures);
  const isEmpty = chart.kind === "table" ? figures.length === 0 : figures.every((figure) => measures.every((name) => figure[name] === null));
  if (isEmpty) {
    body.append(make("p", "empty", (hasRows(chart) ? "" : text(chart.empty)) || word("none")));
  } else if (chart.kind === "number") {
    const [first, ...others] = Object.entries(chart.measures);
    const currency = currencyOf(chart);
    const said = ([name, measure]) => `${format(figures[0][name], measure.format, {currency})} ${text(measure.label)}`;
    const headline = format(figures[0][first[0]], first[1].format, {currency, short: true});
    const isWhole = said(first).startsWith(`${headline} `);
    body.append(make("div", "number", headline));
    body.append(make("p", "", [isWhole ? capital(text(first[1].label)) : said(first), ...others.map(said)].join(" · ")));
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

function tableOf(chart, figures) {
  const columns = [...Object.entries(chart.by), ...Object.entries(chart.measures)].filter(([name]) => name !== "currency");
  const isFigure = (kind) => !["text", "date", "moment"].includes(kind);
  const head = make("tr");
  columns.forEach(([, column]) => {
    const cell = make("th", isFigure(column.format) ? "figure" : "", capital(text(column.label)));
    cell.scope = "col";
    head.append(cell);
  });
  const lines = figures.map((figure) => {
    const line = make("tr");
    columns.forEach(([name, column]) => {
      const currency = currencyOf(chart, figure);
      const value = name in chart.by ? named(figure[name], column) : format(figure[name], column.format, {currency});
      const cell = make("td", isFigure(column.format) ? "figure" : "", value);
      cell.dataset.label = capital(text(column.label));
      if (value === NOTHING) cell.dataset.nothing = "";
      line.append(cell);
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

window.figures = () => Object.fromEntries(definitions.dashboards.map((dashboard) => [
  dashboard.name,
  Object.fromEntries(dashboard.charts.map((chart) => [chart.name, Figures.of(chart, tables[chart.rows], state.filters)])),
]));
start();
