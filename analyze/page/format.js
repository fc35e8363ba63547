"use strict";

// Words, numbers and dates in the reader's language.

const WORDS = {
  en: {
    language: "Language", pipeline: "Pipeline", owner: "Owner", currency: "Currency", from: "From", to: "To",
    all: "All", reset: "Reset", dark: "Dark", light: "Light", table: "Figures as a table", none: "Nothing to show for these filters.",
    converted: "all, in {currency}", in: "Amounts in {currency}.", company: "Sales dashboards",
    unfiltered: "Not filtered by {filters}.", and: " and ", unconverted: "Amounts without an exchange rate are left out ({n} rows).",
    made: "Created {at} from the marts of this warehouse. Nothing on this page was loaded from elsewhere.", nobody: "(none)",
  },
  pt: {
    language: "Idioma", pipeline: "Funil", owner: "Responsável", currency: "Moeda", from: "De", to: "Até",
    all: "Todos", reset: "Limpar", dark: "Escuro", light: "Claro", table: "Números em tabela", none: "Nada a mostrar com estes filtros.",
    converted: "todas, em {currency}", in: "Valores em {currency}.", company: "Painéis de vendas",
    unfiltered: "Não filtrado por {filters}.", and: " e ", unconverted: "Valores sem cotação não são somados ({n} linhas).",
    made: "Gerado {at} a partir dos marts deste banco. Nada nesta página foi carregado de outro lugar.", nobody: "(nenhum)",
  },
};

const NUMBERS = {
  integer: {maximumFractionDigits: 0},
  percent: {style: "percent", maximumFractionDigits: 1},
  days: {maximumFractionDigits: 1},
  number: {maximumFractionDigits: 2},
  bits: {minimumFractionDigits: 3, maximumFractionDigits: 3},
  money: {maximumFractionDigits: 0},
};

const NOTHING = "–";

/** The smallest number that may be shortened: 12K or 12 mil is easier to read than 12,345. */
const LARGE = 10000;

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
const word = (key, values = {}) => fill(WORDS[state.language][key], values);
const text = (both) => (both ? fill(both[state.language], values()) : "");
const locale = () => (state.language === "pt" ? "pt-BR" : "en-US");
const capital = (label) => label.charAt(0).toLocaleUpperCase(locale()) + label.slice(1);

/** Replace the words in braces by values of the account. */
function values() {
  const found = Object.entries(definitions.values);
  return Object.fromEntries(found.map(([name, [value, kind]]) => [name, kind === "words" ? value[state.language] : format(value, kind)]));
}

/** Return a value of a group as readers see it. */
function named(value, group) {
  const words = group.words ? Figures.words[group.words] : {};
  if (Object.hasOwn(words, value)) return words[value][state.language];
  return value === null && group.format === "text" && !group.words ? word("nobody") : format(value, group.format);
}

/** Format a figure or a date. Amounts have the sign of their currency; short ones are for axes and headlines. */
function format(value, kind, {currency = "", short = false} = {}) {
  if (value === null || value === undefined) return NOTHING;
  if (kind === "text") return String(value);
  if (kind === "date") return new Date(`${value}T00:00:00Z`).toLocaleDateString(locale(), {timeZone: "UTC", dateStyle: "medium"});
  if (kind === "moment") {
    return new Date(`${value.replace(" ", "T")}Z`).toLocaleString(locale(), {timeZone: "UTC", dateStyle: "medium", timeStyle: "short"});
  }
  const isSmall = kind === "percent" && value > 0 && value < 0.0005;
  const compact = short && kind !== "percent" && Math.abs(value) >= LARGE ? {notation: "compact", maximumFractionDigits: 1} : {};
  const options = {...NUMBERS[kind], ...compact, signDisplay: "negative"};
  if (isSmall) return `< ${new Intl.NumberFormat(locale(), options).format(0.001)}`;
  if (kind !== "money" || !currency) return new Intl.NumberFormat(locale(), options).format(value);
  try {
    return new Intl.NumberFormat(locale(), {...options, style: "currency", currency, minimumFractionDigits: 0}).format(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return `${currency} ${new Intl.NumberFormat(locale(), options).format(value)}`; // a custom currency of the account
  }
}

/** Return the currency of a chart's amounts, or of one figure that has its own. */
function currencyOf(chart, figure = {}) {
  if (figure.currency) return figure.currency;
  if (chart.money === "reporting") return definitions.reporting_currency;
  return chart.money ? state.filters.currency || definitions.reporting_currency : "";
}
