// The answer, streamed as it once arrived.

const SPEEDS = [0.25, 0.5, 1, 2, 5, 10];

/** Make the player of a recording's answer: it shows the whole answer until it is played or scrubbed. */
function player(recording) {
  const { times, isInvented } = schedule(recording);
  const sizes = chunkSizes(recording, times.length);
  const total = times[times.length - 1];
  const answer = answerBox(recording);
  let position = total;
  let speed = 1;
  let last = null;

  const play = h("button", { class: "main play", onclick: toggle }, "▶ Play");
  const range = h("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": "Position", oninput: () => seek((range.value / 1000) * total) });
  const clock = h("span", { class: "clock mono" });
  const pace = h("select", { "aria-label": "Speed", onchange: () => { speed = Number(pace.value); } },
    SPEEDS.map((value) => h("option", { value, selected: value === 1 }, `${value} ×`)));
  const plot = isInvented || times.length < 2 ? null : timeline(times, sizes, recording.first ?? times[0], seek);
  const near = h("p", { class: "near" });

  function toggle() {
    if (last !== null) return pause();
    if (position >= total) position = 0;
    last = performance.now();
    play.textContent = "❚❚ Pause";
    requestAnimationFrame(step);
  }

  function pause() {
    last = null;
    play.textContent = "▶ Play";
    show();
  }

  function step(now) {
    if (last === null || !play.isConnected) return;
    position = Math.min(total, position + (Math.max(0, now - last) / 1000) * speed);
    last = now;
    show();
    if (position >= total) pause();
    else requestAnimationFrame(step);
  }

  function seek(time) {
    position = Math.max(0, Math.min(total, time));
    show();
  }

  function show() {
    const arrived = arrivedBy(times, position);
    answer.show(arrived, position < total);
    plot?.place(position);
    range.value = total ? Math.round((position / total) * 1000) : 1000;
    range.setAttribute("aria-valuetext", `${seconds(position)} of ${seconds(total)}`);
    clock.textContent = `${position.toFixed(2)} / ${total.toFixed(2)} s`;
    near.textContent = visible(nearest(recording, times, arrived));
  }

  show();
  const controls = h("div", { class: "controls" }, play, pace, range, clock);
  const box = h("section", { class: "card player", "aria-label": "Answer" },
    h("div", { class: "row spread" }, h("h2", {}, "Answer"), badge(recording)),
    answer.box, controls, plot?.box, near, isInvented ? invented() : measures(recording, times));
  return { box, toggle, seekBy: (delta) => seek(position + delta * total) };
}

/** The time of each chunk; where none was recorded, a pace that can be followed with the eyes. */
function schedule(recording) {
  if (recording.offsets.length) return { times: recording.offsets, isInvented: false };
  if (recording.seconds) return { times: [recording.seconds], isInvented: false };
  const length = Math.max(1, recording.is_stream ? recording.chunks : 1);
  return { times: Array.from({ length }, (_, index) => 0.3 + index * 0.03), isInvented: true };
}

function invented() {
  return h("p", { class: "soft" }, "This recording holds no timing. The player's pace, 0.3 s and then 30 ms a chunk, is made up.");
}

/** The characters that each chunk brought. */
function chunkSizes(recording, length) {
  const sizes = new Array(length).fill(0);
  for (const [chunk, , text] of recording.pieces) sizes[Math.min(chunk, length - 1)] += text.length;
  return sizes;
}

/** How many of `times` are not after `position`. */
function arrivedBy(times, position) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

function nearest(recording, times, arrived) {
  if (times.length < 2) return "";
  if (!arrived) return "Nothing has arrived yet.";
  const text = recording.pieces.filter((piece) => piece[0] === arrived - 1).map((piece) => piece[2]).join("");
  const brought = text ? `: ${JSON.stringify(text)}` : ", which brought no text";
  return `Chunk ${arrived} of ${times.length}, after ${seconds(times[arrived - 1])}${brought}`;
}

function measures(recording, times) {
  const gaps = times.slice(1).map((time, index) => time - times[index]);
  const { rate, is_estimated: isEstimated } = recording;
  return terms("measures", [
    ["First token", seconds(recording.first)],
    ["Last arrival", seconds(times[times.length - 1])],
    ["Chunks", recording.is_stream ? inWords.format(recording.chunks) : null],
    ["Median gap", gaps.length ? seconds(median(gaps)) : null],
    ["Longest gap", gaps.length > 1 ? seconds(longestGap(times).length) : null],
    ["Tokens a second", rate === null ? null : `${isEstimated ? "about " : ""}${rate.toFixed(1)}`],
  ]);
}

/** The blocks of the answer; `show` writes what the first chunks brought. */
function answerBox(recording) {
  const blocks = recording.blocks.map(blockBox);
  const several = new Set(recording.blocks.map((block) => block.choice)).size > 1;
  const box = h("div", { class: "answer" });
  recording.blocks.forEach((block, index) => {
    const isFirst = index === 0 || recording.blocks[index - 1].choice !== block.choice;
    if (several && isFirst) box.append(h("h3", {}, `Choice ${block.choice + 1}`));
    box.append(blocks[index].box);
  });
  box.append(...mediaBoxes(recording, false));
  if (!blocks.length) box.append(h("p", { class: "soft" }, recording.left_out || "The answer holds no text."));
  if (recording.failure) box.append(h("p", { class: "badge bad" }, recording.failure));
  let written = 0;

  function show(arrived, isMoving) {
    if (!written || recording.pieces[written - 1][0] >= arrived) {
      written = 0;
      blocks.forEach((block) => block.clear());
    }
    while (written < recording.pieces.length && recording.pieces[written][0] < arrived) {
      const [, block, text] = recording.pieces[written];
      blocks[block].add(text);
      written += 1;
    }
    if (isMoving) box.scrollTop = box.scrollHeight;
    const current = isMoving && written ? recording.pieces[written - 1][1] : null;
    blocks.forEach((block, index) => block.mark(index === current));
  }
  return { box, show };
}

function blockBox(block) {
  const names = { __proto__: null, tool: `Calls ${block.name}`, reasoning: "Reasoning", refusal: "Refusal", json: block.name || "JSON" };
  const text = document.createTextNode("");
  const holder = h("p", { class: block.kind === "tool" || block.kind === "json" ? "text code" : "text" }, text);
  const title = names[block.kind];
  const box = h("div", { class: `block ${title ? block.kind : "plain"}`, hidden: true }, title && h("h4", {}, title), holder);
  return {
    box,
    add: (more) => { text.appendData(visible(more)); box.hidden = false; },
    clear: () => { text.data = ""; box.hidden = true; },
    mark: (isCurrent) => holder.classList.toggle("caret", isCurrent),
  };
}
