// One recording: what was asked, what was answered, and when.

/** Make the page of a recording. */
function recordingPage(recording, view) {
  const list = view.matching.length ? view.matching : DATA.recordings;
  const index = list.indexOf(recording);
  const playing = player(recording);
  view.playing = playing;
  view.neighbours = { before: list[index - 1], after: index < 0 ? undefined : list[index + 1] };
  return [
    crumbs(recording, view),
    h("h1", {}, recording.title),
    facts(recording),
    recording.left_out ? h("p", { class: "notice" }, recording.left_out) : null,
    h("div", { class: "pair" }, h("div", {}, turns(recording), settings(recording), tools(recording), request(recording)), playing.box),
  ];
}

function crumbs(recording, view) {
  const { before, after } = view.neighbours;
  const go = (to) => () => { location.hash = address(to); };
  const isChosen = view.chosen.includes(recording);
  return h("nav", { class: "crumbs row spread", "aria-label": "Recordings" },
    h("a", { href: "#" }, "← All recordings"),
    h("span", { class: "row" },
      h("button", { "aria-pressed": String(isChosen), onclick: (event) => pressed(event.currentTarget, recording, view) }, isChosen ? "Chosen to compare" : "Compare"),
      h("button", { disabled: !before, onclick: before && go(before), "aria-label": "Previous recording" }, "↑"),
      h("button", { disabled: !after, onclick: after && go(after), "aria-label": "Next recording" }, "↓")));
}

function pressed(button, recording, view) {
  const isChosen = !view.chosen.includes(recording);
  view.choose(recording, isChosen);
  button.setAttribute("aria-pressed", String(isChosen));
  button.textContent = isChosen ? "Chosen to compare" : "Compare";
}

function facts(recording) {
  const { tokens } = recording;
  return terms("facts", [
    ["File", h("span", { class: "mono" }, recording.file)],
    ["Request", `${recording.method} ${recording.path}`],
    ["Model", recording.model],
    ["Recorded", when(recording.at)],
    ["Tokens", tokens ? `${inWords.format(tokens[0])} sent, ${inWords.format(tokens[1])} received` : null],
    ["Size", bytes(recording.size)],
  ]);
}

/** Sounds, images and videos, which the page holds. */
function mediaBoxes(recording, isSent) {
  const makers = {
    __proto__: null,
    audio: (item) => h("audio", { controls: true, src: item.url }),
    image: (item) => h("img", { src: item.url, alt: item.name }),
    video: (item) => h("video", { controls: true, src: item.url }),
  };
  return recording.media.filter((item) => item.is_sent === isSent).map((item) =>
    h("figure", { class: "media" }, makers[item.kind](item), h("figcaption", { class: "soft mono" }, item.name)));
}

function turns(recording) {
  if (!recording.messages.length) return null;
  return h("section", { class: "turns", "aria-label": "Conversation" }, recording.messages.map((message) =>
    h("article", { class: `card turn ${message.role === "user" ? "user" : ""}` },
      h("h3", {}, message.role, message.name ? ` · ${message.name}` : ""),
      message.parts.map((part) => partBox(part)))), mediaBoxes(recording, true));
}

function partBox(part) {
  if (part.kind === "text") return h("p", { class: "text" }, part.text);
  const title = part.kind === "tool" ? `Calls ${part.name}` : part.name || part.kind;
  return h("div", { class: `block ${part.kind === "tool" ? "tool" : ""}` }, h("h4", {}, title), h("p", { class: "text code" }, part.text));
}

function settings(recording) {
  const pairs = Object.entries(recording.settings).map(([name, value]) =>
    [name, h("span", { class: "mono" }, typeof value === "string" ? value : JSON.stringify(value))]);
  return pairs.length ? fold(count(pairs.length, "setting"), terms("facts", pairs)) : null;
}

function tools(recording) {
  if (!recording.tools.length) return null;
  return fold(count(recording.tools.length, "tool"), terms("tools", recording.tools.map((tool) => [tool.name, tool.description || "–"])));
}

function request(recording) {
  return recording.left_out ? null : fold("Request", h("pre", { class: "long" }, JSON.stringify(recording.body, null, 2)));
}

function fold(title, ...inside) {
  return h("details", { class: "card" }, h("summary", {}, title), inside);
}
