// The table of recordings: sorted, filtered, shown a thousand rows at a time.

const ROWS = 1000;
const COLUMNS = [
  { name: "Request", class: "what", value: (r) => r.title.toLowerCase() },
  { name: "Model", class: "model phone-away", value: (r) => r.model },
  { name: "Outcome", class: "", value: (r) => outcome(r)[1] },
  { name: "Arrivals", class: "narrow-away", value: (r) => r.offsets.length || null, descends: true },
  { name: "First", class: "number", value: (r) => r.first, title: "Time to the first token" },
  { name: "Time", class: "number phone-away", value: (r) => r.seconds, descends: true },
  { name: "Tokens", class: "number narrow-away", value: (r) => r.tokens && r.tokens[1], title: "Tokens sent and received", descends: true },
  { name: "Recorded, UTC", class: "when narrow-away", value: (r) => r.at, descends: true },
];

/** Make what shows the recordings; `view` keeps filter, order, length and choice while other pages are looked at. */
function tablePage(view) {
  const body = h("tbody", {});
  const columns = COLUMNS.filter((column) => DATA.recordings.some((recording) => !isEmpty(column.value(recording))));
  const head = columns.map((column) => headCell(column, view, () => refresh()));
  const table = h("table", { class: "list" },
    h("caption", { class: "unseen" }, "Recordings"),
    h("thead", {}, h("tr", {}, h("th", { class: "pick" }, h("span", { class: "unseen" }, "Compare")), head)), body);
  const shelf = h("div", { class: "card shelf" }, table);
  const after = h("div", {});

  function refresh() {
    view.matching = arranged(view);
    head.forEach((cell, index) => mark(cell, view.isDescending, view.column === columns[index]));
    body.replaceChildren();
    draw();
    say(`${count(view.matching.length, "recording")} found`);
  }

  /** Add the rows that are still to be shown; those that are there stay, for ten thousand take seconds. */
  function draw() {
    const next = view.matching.slice(body.childElementCount, view.rows);
    body.append(...next.map((recording) => tableRow(recording, columns, view)));
    const rest = view.matching.length - view.rows;
    const more = h("button", { class: "more", onclick: () => { view.rows += ROWS; draw(); } }, `Show ${count(Math.min(rest, ROWS), "more row")}`);
    const none = h("p", { class: "none" }, "No recording matches.");
    after.replaceChildren(...(rest > 0 ? [more] : view.matching.length ? [] : [none]));
  }

  const filters = filterBar(view, () => { view.rows = ROWS; refresh(); });
  refresh();
  return [filters, shelf, after];
}

function headCell(column, view, refresh) {
  const sort = () => {
    view.isDescending = view.column === column ? !view.isDescending : Boolean(column.descends);
    view.column = column;
    refresh();
  };
  return h("th", { class: column.class.replace("what", ""), scope: "col" },
    h("button", { onclick: sort, title: column.title }, column.name, h("span", { "aria-hidden": "true" })));
}

function mark(cell, isDescending, isSorted) {
  if (isSorted) cell.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  else cell.removeAttribute("aria-sort");
  cell.querySelector("button span").textContent = isSorted ? (isDescending ? " ↓" : " ↑") : "";
}

function tableRow(recording, columns, view) {
  const box = h("input", {
    type: "checkbox", "aria-label": `Compare ${recording.title}`, onchange: () => view.choose(recording, box.checked),
  });
  box.checked = view.chosen.includes(recording);
  const link = h("a", { href: address(recording), title: recording.title }, recording.title);
  const cells = {
    Request: [link, h("span", {}, `${recording.method} ${recording.path}`)],
    Model: recording.model || h("span", { class: "soft" }, "–"),
    Outcome: badge(recording),
    Arrivals: spark(recording),
    First: seconds(recording.first),
    Time: seconds(recording.seconds),
    Tokens: recording.tokens ? recording.tokens.map((tokens) => inWords.format(tokens)).join(" → ") : "",
    "Recorded, UTC": when(recording.at).replace(" UTC", ""),
  };
  const open = (event) => {
    if (!event.target.closest("a, input, .pick") && !String(getSelection())) location.hash = address(recording);
  };
  return h("tr", { onclick: open }, h("td", { class: "pick" }, box),
    columns.map(({ name, class: kind }) => h("td", { class: kind, title: name === "Model" ? recording.model : null }, cells[name])));
}

/** The arrivals of a stream as small strokes. */
function spark(recording) {
  const { offsets } = recording;
  if (offsets.length < 2) return "";
  const last = offsets[offsets.length - 1] || 1;
  const columns = new Set(offsets.map((offset) => Math.round((offset / last) * 90) + 1));
  const path = [...columns].map((x) => `M${x} 4V18`).join("");
  return svg("svg", { class: "spark", viewBox: "0 0 92 22", "aria-label": count(offsets.length, "chunk"), role: "img" },
    svg("path", { d: `M1 20.5H91${path}`, stroke: "currentColor", fill: "none" }));
}

function filterBar(view, refresh) {
  const search = h("input", {
    type: "search", id: "search", placeholder: "Filter by any text in request or answer", "aria-label": "Filter by text",
    oninput: () => { view.text = search.value; refresh(); },
  });
  search.value = view.text;
  const kinds = Object.keys(KINDS);
  return h("div", { class: "filters row" }, search,
    choice("Every model", "model", distinct((r) => r.model), view, refresh),
    choice("Every path", "path", distinct((r) => r.path), view, refresh),
    choice("Every kind", "kind", kinds, view, refresh),
    h("span", { class: "soft phone-away" }, h("kbd", {}, "?"), " keys"));
}

function distinct(value) {
  return [...new Set(DATA.recordings.map(value))].filter(Boolean).sort();
}

function choice(all, name, values, view, refresh) {
  const select = h("select", { "aria-label": all, onchange: () => { view[name] = select.value; refresh(); } },
    h("option", { value: "" }, all), values.map((value) => h("option", { value }, value)));
  select.value = view[name];
  return select;
}

/** The recordings that the filter lets through, in the order that was asked for. */
function arranged(view) {
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = DATA.recordings.filter((r) =>
    (!view.model || r.model === view.model) && (!view.path || r.path === view.path)
    && (!view.kind || KINDS[view.kind](r)) && words.every((word) => searched(r).includes(word) || isNamed(r, word)));
  if (view.column === null) return matching;
  const { value } = view.column;
  const sign = view.isDescending ? -1 : 1;
  return matching.sort((a, b) => ordered(value(a), value(b), sign));
}

/** What has no value comes last, whichever way. */
function ordered(a, b, sign) {
  const [lacksA, lacksB] = [isEmpty(a), isEmpty(b)];
  if (lacksA || lacksB) return lacksA - lacksB;
  return (a < b ? -1 : a > b ? 1 : 0) * sign;
}

function isEmpty(value) {
  return value === null || value === "";
}

/** Whether a word is a part of the file's name, long enough to be no accident among so many digits. */
function isNamed(recording, word) {
  return word.length >= 8 && recording.file.toLowerCase().includes(word);
}

const texts = new Map();

/** All that is known of a recording as one text in lower case. */
function searched(recording) {
  let text = texts.get(recording);
  if (text === undefined) {
    const { model, path, title, at, body, pieces, failure } = recording;
    const said = pieces.map((piece) => piece[2]).join("");
    text = [model, path, title, at, failure, outcome(recording)[1], strings(body), said].join("\n").toLowerCase();
    texts.set(recording, text);
  }
  return text;
}

function strings(value) {
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value).map(([name, item]) => `${Array.isArray(value) ? "" : name} ${strings(item)}`).join("\n");
}
