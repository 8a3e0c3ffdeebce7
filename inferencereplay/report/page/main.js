// Which page is shown, the choice of two recordings, and the keys.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MAIN = document.getElementById("main");
const files = new Map(DATA.recordings.map((recording) => [recording.file, recording]));
const view = { text: "", model: "", path: "", kind: "", column: null, isDescending: false, rows: ROWS, matching: [], chosen: [], playing: null, neighbours: {}, choose };

function address(recording) {
  return `#recording/${encodeURIComponent(recording.file)}`;
}

/** Choose a recording for a comparison, or no more; the third takes the place of the first. */
function choose(recording, isChosen) {
  view.chosen = view.chosen.filter((other) => other !== recording);
  if (isChosen) view.chosen = [...view.chosen, recording].slice(-2);
  if (MAIN.querySelector(".list")) {
    for (const row of MAIN.querySelectorAll(".list tbody tr")) {
      row.querySelector("input").checked = view.chosen.some((other) => address(other) === row.querySelector("a").getAttribute("href"));
    }
  }
  showChosen();
}

function showChosen() {
  const box = document.getElementById("chosen");
  if (!view.chosen.length) return box.replaceChildren();
  const [first, second] = view.chosen;
  const compare = () => { location.hash = `#compare/${encodeURIComponent(first.file)}/${encodeURIComponent(second.file)}`; };
  const clear = () => { for (const recording of [...view.chosen]) choose(recording, false); };
  box.replaceChildren(h("div", { class: "card" },
    h("span", {}, second ? "Two recordings chosen." : "One chosen; choose another one."),
    h("button", { class: "main", disabled: !second, onclick: compare }, "Compare requests"),
    h("button", { onclick: clear }, "Clear")));
}

function header() {
  const { totals } = DATA;
  const pairs = [
    ["Recordings", inWords.format(totals.recordings), small(count(totals.requests, "request"))],
    ["Streams", inWords.format(totals.streams), small(count(totals.chunks, "chunk"))],
    ["Tokens", inWords.format(totals.sent + totals.received), small(`${inWords.format(totals.sent)} in, ${inWords.format(totals.received)} out`)],
    ["Models", inWords.format(totals.models), small(totals.models ? `${totals.model}${totals.models > 1 ? ` and ${inWords.format(totals.models - 1)} more` : ""}` : "none named")],
    ["Recorded time", totals.seconds ? seconds(totals.seconds) : "–", small(totals.first === null ? "no timing" : `first token ${seconds(totals.first)}`, "The median of all streams")],
    ["Errors", inWords.format(totals.errors), small(totals.incomplete ? `${inWords.format(totals.incomplete)} incomplete` : "none incomplete")],
    ["On disk", bytes(totals.bytes), small(totals.newest ? `newest ${totals.newest.slice(0, 10)}` : "no dates")],
  ];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const turn = () => { root.style.colorScheme = (root.style.colorScheme || (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark"; };
  document.title = visible(`${DATA.directory} – recordings`);
  document.getElementById("top").replaceChildren(
    h("div", { class: "head row spread" },
      h("div", {}, h("h1", {}, DATA.directory), h("div", { class: "made" }, `Made by inferencereplay ${DATA.version}, ${when(DATA.made)}`)),
      h("button", { onclick: turn }, "Light / dark")),
    terms("totals", pairs.map(([name, ...value]) => [name, ...value])), ...notices());
  for (const card of document.querySelectorAll(".totals > div")) card.classList.add("card");
}

function small(text, title = text) {
  return h("small", { title }, text);
}

/** What is not in the report, and why. */
function notices() {
  return DATA.notices.map(({ text, files: names }) => names.length
    ? h("details", { class: "notice" }, h("summary", {}, text), h("ul", {}, names.map((name) => h("li", { class: "mono" }, name))))
    : h("p", { class: "notice" }, text));
}

function route() {
  const [page, ...parts] = location.hash.slice(1).split("/").map(decoded);
  const [first, second] = parts.map((file) => files.get(file));
  view.playing = null;
  let content = null;
  if (page === "recording" && first) content = recordingPage(first, view);
  else if (page === "compare" && first && second) content = comparePage(first, second);
  document.getElementById("top").hidden = content !== null;
  MAIN.replaceChildren(...(content ?? tablePage(view)).filter(Boolean));
  if (content) scrollTo(0, 0);
  else scrollTo(0, view.scroll ?? 0);
  if (!content && view.last) MAIN.querySelector(`a[href="${CSS.escape(view.last)}"]`)?.focus({ preventScroll: true });
  view.last = content ? location.hash : null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const KEYS = {
  "/": () => MAIN.querySelector("#search")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  Escape: () => { if (location.hash.length > 1) location.hash = "#"; },
  " ": () => view.playing?.toggle(),
  ArrowRight: () => view.playing?.seekBy(0.02),
  ArrowLeft: () => view.playing?.seekBy(-0.02),
  c: () => MAIN.querySelector("[aria-pressed]")?.click(),
  "?": () => help(),
};

/** Go to the next row of the table, or to the next recording. */
function move(step) {
  if (view.playing) {
    const to = step > 0 ? view.neighbours.after : view.neighbours.before;
    if (to) location.hash = address(to);
    return;
  }
  const links = [...MAIN.querySelectorAll(".list .what a")];
  const index = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, index + step))]?.focus();
}

function help() {
  const lines = [["/", "filter"], ["j k", "next, previous"], ["Enter", "open"], ["Esc", "back to the table"],
    ["Space", "play, pause"], ["← →", "scrub"], ["c", "choose to compare"]];
  const dialog = h("dialog", { class: "card", onclose: () => dialog.remove() }, h("h2", {}, "Keys"),
    terms("keys", lines.map(([key, what]) => [h("kbd", {}, key), what])), h("form", { method: "dialog" }, h("button", {}, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea, dialog, summary");
  const isOwn = event.target.closest("button") && event.key === " ";
  if (isTyping || isOwn || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  if (event.key.startsWith("Arrow") && !view.playing) return;
  if (event.key === " " && !view.playing) return;
  event.preventDefault();
  KEYS[event.key]();
});
addEventListener("scroll", () => { if (MAIN.querySelector(".list")) view.scroll = scrollY; }, { passive: true });
addEventListener("hashchange", route);
header();
route();
showChosen();
