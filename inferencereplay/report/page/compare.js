// What differs between two requests, a row for each JSON path.

const ABSENT = Symbol("absent");
const MOST_DIFFERENCES = 1000;

/** Make the page that compares two recordings' requests. */
function comparePage(old, other) {
  const whole = ({ method, path, query, body }) => ({ method, path, query, body });
  const lacking = [old, other].find((recording) => recording.left_out);
  const rows = lacking ? [] : [...differences(whole(old), whole(other), "")];
  const head = h("tr", {}, ["Path", "First", "Second"].map((name) => h("th", { scope: "col" }, name)));
  const told = lacking ? lacking.left_out : rows.length ? `The requests differ at ${count(rows.length, "path")}.` : "The requests are equal.";
  const rest = rows.length > MOST_DIFFERENCES ? `The first ${inWords.format(MOST_DIFFERENCES)} of them are shown.` : null;
  return [
    h("nav", { class: "crumbs" }, h("a", { href: "#" }, "← All recordings")),
    h("h1", {}, "Two requests compared"),
    h("p", { class: "soft" }, told, rest && ` ${rest}`),
    h("div", { class: "sides" }, side("First", old), side("Second", other)),
    rows.length ? h("div", { class: "card shelf" }, h("table", { class: "diff" }, h("thead", {}, head), h("tbody", {}, rows.slice(0, MOST_DIFFERENCES).map(diffRow)))) : null,
  ];
}

function side(name, recording) {
  return h("div", { class: "card" }, h("span", { class: "soft" }, name), h("br", {}),
    h("a", { href: address(recording) }, recording.title), h("div", { class: "mono soft" }, recording.file));
}

/** Every path at which two values of JSON differ. */
function* differences(old, other, path) {
  if (isObject(old) && isObject(other)) {
    for (const name of new Set([...Object.keys(old), ...Object.keys(other)])) {
      const step = /^[\w$-]{1,64}$/.test(name) ? name : JSON.stringify(name);
      yield* differences(member(old, name), member(other, name), path ? `${path}.${step}` : step);
    }
  } else if (Array.isArray(old) && Array.isArray(other)) {
    for (let index = 0; index < Math.max(old.length, other.length); index += 1) {
      yield* differences(index < old.length ? old[index] : ABSENT, index < other.length ? other[index] : ABSENT, `${path}[${index}]`);
    }
  } else if (old !== other) {
    yield [path, old, other];
  }
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function member(value, name) {
  return Object.hasOwn(value, name) ? value[name] : ABSENT;
}

function diffRow([path, old, other]) {
  const [first, second] = typeof old === "string" && typeof other === "string" ? parted(old, other) : [shown(old), shown(other)];
  return h("tr", {}, h("td", { class: "mono" }, path), h("td", { class: "old mono text" }, first), h("td", { class: "new mono text" }, second));
}

function shown(value) {
  if (value === ABSENT) return h("span", { class: "soft" }, "absent");
  return h("mark", {}, JSON.stringify(value, null, 2));
}

/** Two texts with what they have in common at both ends left plain. */
function parted(old, other) {
  const shortest = Math.min(old.length, other.length);
  let start = 0;
  while (start < shortest && old[start] === other[start]) start += 1;
  let end = 0;
  while (end < shortest - start && old[old.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  return [old, other].map((text) => [
    around(text.slice(0, start), true), h("mark", {}, text.slice(start, text.length - end)), around(text.slice(text.length - end), false),
  ]);
}

/** Shorten a long stretch that both texts have, at the side away from where they part. */
function around(text, isBefore) {
  if (text.length <= 200) return text;
  return isBefore ? `… ${text.slice(-160)}` : `${text.slice(0, 160)} …`;
}
