// Elements and words. What comes from a recording becomes text nodes here, and never markup.

/** Make an element: functions under `on…` become listeners, strings among the children become text. */
function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an element of SVG. */
function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Characters that reorder their neighbours, or that nobody sees; tabs and the ends of lines are none of them. */
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Return a text in which these can be seen. */
function visible(text) {
  return text.replace(UNSEEN, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (name === "title" && value) element.title = visible(value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  const kept = children.flat(9).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...kept.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

/** A list of terms; those without a value are left out. */
function terms(className, pairs) {
  const kept = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: className }, kept.map(([name, ...value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function say(text) {
  document.getElementById("said").textContent = text;
}

const inWords = new Intl.NumberFormat("en");

function count(number, one, many = `${one}s`) {
  return `${inWords.format(number)} ${number === 1 ? one : many}`;
}

function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.9995) return `${(value * 1000).toFixed(value < 0.00995 ? 1 : 0)} ms`;
  if (value < 59.995) return `${value.toFixed(2)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function bytes(value) {
  if (value < 1024) return `${value} B`;
  return value < 1024 ** 2 ? `${(value / 1024).toFixed(1)} kB` : `${(value / 1024 ** 2).toFixed(1)} MB`;
}

function when(at) {
  return at.replace("T", " ").replace(/(:\d\d)(:\d\d)?(\.\d+)?Z$/, "$1 UTC");
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
