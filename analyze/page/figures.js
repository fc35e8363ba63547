"use strict";

// The figures of a chart, computed from the page's rows as analyze/sql.py computes them in Postgres.

const Figures = {
  /** Words shown instead of values, by set and value. */
  words: {},

  /** Unpack the rows: each column is an array of values, or of positions in a list of values. */
  unpack(packed) {
    const tables = {};
    for (const [name, table] of Object.entries(packed)) {
      const columns = {};
      for (const [column, {values, codes}] of Object.entries(table.columns)) {
        columns[column] = codes ? codes.map((code) => (code < 0 ? null : values[code])) : values;
      }
      tables[name] = {size: table.size, columns};
    }
    return tables;
  },

  /** Return the positions of a chart's rows that pass the filters. */
  chosen(chart, table, filters) {
    const {columns, size} = table;
    const equal = ["pipeline", "owner"].filter((name) => filters[name] && columns[name]);
    const currency = chart.money === "chosen" && filters.currency && columns.currency;
    const period = chart.period && columns[chart.period];
    const where = chart.where && columns[chart.where];
    const found = [];
    for (let i = 0; i < size; i += 1) {
      if (where && where[i] !== true) continue;
      if (equal.some((name) => columns[name][i] !== filters[name])) continue;
      if (currency && columns.currency[i] !== filters.currency) continue;
      if (period && filters.from && !(period[i] !== null && period[i] >= filters.from)) continue;
      if (period && filters.to && !(period[i] !== null && period[i] <= filters.to)) continue;
      found.push(i);
    }
    return found;
  },

  /** Return the rows of a bridge: those of the period, with all before it as `opening` and all up to its end as `closing`. */
  bridged(chart, table, filters) {
    const day = table.columns[chart.period];
    const {from, to} = filters;
    const steps = [];
    const found = [];
    for (let i = 0; i < table.size; i += 1) {
      const isOver = !to || (day[i] !== null && day[i] <= to);
      const isWithin = isOver && (!from || (day[i] !== null && day[i] >= from));
      const isBefore = from && day[i] !== null && day[i] < from;
      if (isBefore) { found.push(i); steps.push("opening"); }
      if (isWithin) { found.push(i); steps.push(table.columns[chart.bridge][i]); }
      if (isOver) { found.push(i); steps.push("closing"); }
    }
    const columns = {};
    for (const [name, values] of Object.entries(table.columns)) columns[name] = found.map((i) => values[i]);
    return {size: found.length, columns: {...columns, [chart.bridge]: steps}};
  },

  /** Return the figures of a chart: an ordered array of objects with groups and measures. */
  of(chart, table, filters) {
    if (chart.bridge) {
      const bridged = Figures.bridged(chart, table, filters);
      return Figures.of({...chart, bridge: null}, bridged, {...filters, from: "", to: ""});
    }
    const by = Object.keys(chart.by);
    const groups = new Map();
    if (by.length === 0) groups.set("[]", []);
    for (const i of Figures.chosen(chart, table, filters)) {
      const key = JSON.stringify(by.map((name) => table.columns[name][i]));
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(i);
    }
    const found = [];
    for (const [key, members] of groups) {
      const figure = {};
      JSON.parse(key).forEach((value, position) => { figure[by[position]] = value; });
      for (const name of Object.keys(chart.measures)) {
        figure[name] = Figures.measure(name, chart, table, members, filters);
      }
      found.push(figure);
    }
    found.sort((a, b) => Figures.compare(a, b, chart));
    return chart.limit ? found.slice(0, chart.limit) : found;
  },

  measure(name, chart, table, members, filters) {
    const measure = chart.measures[name];
    if (measure.ratio) {
      const [above, below] = measure.ratio.map((part) => Figures.measure(part, chart, table, members, filters));
      return above === null || !below ? null : above / below;
    }
    const where = measure.where && table.columns[measure.where];
    const counted = where ? members.filter((i) => where[i] === true) : members;
    if (measure.count) return counted.length;
    const converted = `reporting_${measure.sum || measure.median}`;
    const isConverted = chart.money === "chosen" && !filters.currency && table.columns[converted];
    const column = table.columns[isConverted ? converted : measure.sum || measure.median];
    const values = counted.map((i) => column[i]).filter((value) => value !== null);
    if (values.length === 0) return null;
    if (measure.sum) return values.reduce((total, value) => total + value, 0);
    values.sort((a, b) => a - b);
    const middle = (values.length - 1) / 2;
    return (values[Math.floor(middle)] + values[Math.ceil(middle)]) / 2;
  },

  /** Order as Postgres does: nulls last, texts by code point, values with words in the order of the words. */
  compare(a, b, chart) {
    for (const key of chart.order) {
      const falling = key.startsWith("-");
      const name = falling ? key.slice(1) : key;
      const places = [a, b].map((figure) => Figures.place(figure[name], chart.by[name]));
      for (const [one, other] of [places, [a[name], b[name]]]) {
        if (one === other) continue;
        if (one === null) return 1;
        if (other === null) return -1;
        return (one < other ? -1 : 1) * (falling ? -1 : 1);
      }
    }
    return 0;
  },

  /** Return the position of a value among the words of its group, if it has one. */
  place(value, group) {
    const place = group && group.words ? Object.keys(Figures.words[group.words]).indexOf(value) : -1;
    return place < 0 ? null : place;
  },

  /** Return the number of a chart's rows whose amount has no rate, and is therefore missing in sums. */
  unconverted(chart, table, filters) {
    if (chart.money !== "chosen" || filters.currency) return 0;
    const {columns} = table;
    const pairs = Object.keys(columns).filter((name) => columns[`reporting_${name}`]);
    return Figures.chosen(chart, table, filters)
      .filter((i) => pairs.some((name) => columns[name][i] !== null && columns[`reporting_${name}`][i] === null)).length;
  },
};
