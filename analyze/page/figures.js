"use strict";

// The figures of a chart: what analyze/sql.py has Postgres compute, for the rows that the page carries.

const Figures = {
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

  /** Positions of the rows of a chart that the filters let through. */
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

  /** The figures of a chart: an array of objects with its groups and measures, in its order. */
  of(chart, table, filters) {
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
    found.sort((a, b) => Figures.compare(a, b, chart.order));
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

  /** Order as Postgres does: nulls last, texts by code point. */
  compare(a, b, order) {
    for (const key of order) {
      const falling = key.startsWith("-");
      const name = falling ? key.slice(1) : key;
      if (a[name] === b[name]) continue;
      if (a[name] === null) return 1;
      if (b[name] === null) return -1;
      return (a[name] < b[name] ? -1 : 1) * (falling ? -1 : 1);
    }
    return 0;
  },

  /** How many of the rows of a chart have an amount that has no rate, and so no part in its sums. */
  unconverted(chart, table, filters) {
    if (chart.money !== "chosen" || filters.currency) return 0;
    const {columns} = table;
    const pairs = Object.keys(columns).filter((name) => columns[`reporting_${name}`]);
    return Figures.chosen(chart, table, filters)
      .filter((i) => pairs.some((name) => columns[name][i] !== null && columns[`reporting_${name}`][i] === null)).length;
  },
};
