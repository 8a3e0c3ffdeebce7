// When the chunks of an answer arrived: strokes on an axis, and how the text grew.

const HEIGHT = 148;
const FLOOR = 112;
const CEILING = 22;

/** Make the plot; `seek` is called with the seconds that somebody points at. */
function timeline(times, sizes, first, seek) {
  const total = times[times.length - 1] || 0.001;
  const line = svg("line", { class: "head-line", y1: CEILING - 8, y2: FLOOR + 10 });
  const picture = svg("svg", { role: "img", "aria-label": described(times, first), height: HEIGHT });
  const box = h("div", { class: "plot" }, picture);
  let width = 0;
  let now = total;

  function draw() {
    width = box.clientWidth;
    if (!width) return;
    const x = (time) => (time / total) * (width - 2) + 1;
    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    picture.replaceChildren(...bands(times, first, x), grown(times, sizes, x), ...axis(total, x, width), strokes(times, x), ...labels(times, first, x, width), line);
    place(now);
  }

  function place(time) {
    now = time;
    const at = (Math.min(time, total) / total) * (width - 2) + 1;
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
  }

  function point(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const inside = picture.getBoundingClientRect();
    seek(Math.max(0, Math.min(1, (event.clientX - inside.left) / inside.width)) * total);
  }

  picture.addEventListener("pointerdown", (event) => { picture.setPointerCapture(event.pointerId); point(event); });
  picture.addEventListener("pointermove", point);
  new ResizeObserver(draw).observe(box);
  return { box, place };
}

function described(times, first) {
  const gap = longestGap(times);
  const longest = gap ? `, longest gap ${seconds(gap.length)}` : "";
  return `${count(times.length, "arrival")} in ${seconds(times[times.length - 1])}, first token after ${seconds(first)}${longest}`;
}

/** The longest time between two arrivals, if there are three of them. */
function longestGap(times) {
  let longest = null;
  for (let index = 1; index < times.length; index += 1) {
    const length = times[index] - times[index - 1];
    if (!longest || length > longest.length) longest = { length, start: times[index - 1], end: times[index] };
  }
  return times.length > 2 ? longest : null;
}

function bands(times, first, x) {
  const rest = { y: CEILING, height: FLOOR - CEILING };
  const gap = longestGap(times);
  const found = first ? [svg("rect", { class: "wait", x: x(0), width: x(first) - x(0), ...rest })] : [];
  if (gap) found.push(svg("rect", { class: "gap", x: x(gap.start), width: Math.max(1, x(gap.end) - x(gap.start)), ...rest }));
  return found;
}

function labels(times, first, x, width) {
  const gap = longestGap(times);
  const found = [];
  if (first) found.push(svg("text", { class: "wait-label", x: x(0) + 2, y: CEILING - 8 }, `first token ${seconds(first)}`));
  if (gap) {
    const middle = Math.min(width - 62, Math.max(first ? 200 : 62, x((gap.start + gap.end) / 2)));
    found.push(svg("text", { class: "gap-label", x: middle, y: CEILING - 8, "text-anchor": "middle" }, `longest gap ${seconds(gap.length)}`));
  }
  return found;
}

/** The characters that had arrived, over time. */
function grown(times, sizes, x) {
  const all = sizes.reduce((sum, size) => sum + size, 0) || 1;
  let sum = 0;
  let path = `M${x(0)} ${FLOOR}`;
  times.forEach((time, index) => {
    sum += sizes[index];
    path += `H${x(time).toFixed(1)}V${(FLOOR - (sum / all) * (FLOOR - CEILING - 4)).toFixed(1)}`;
  });
  return svg("path", { class: "grown", d: `${path}V${FLOOR}Z` });
}

function strokes(times, x) {
  const columns = new Set(times.map((time) => x(time).toFixed(1)));
  return svg("path", { class: "arrivals", d: [...columns].map((at) => `M${at} ${FLOOR + 1}v9`).join("") });
}

function axis(total, x, width) {
  const step = niceStep(total / Math.max(2, Math.floor(width / 110)));
  const marks = [svg("line", { class: "axis", x1: 0, x2: width, y1: FLOOR, y2: FLOOR })];
  for (let time = 0; time <= total * 1.0001; time += step) {
    const side = time === 0 ? "start" : x(time) > width - 30 ? "end" : "middle";
    marks.push(svg("text", { x: x(time), y: FLOOR + 26, "text-anchor": side }, time === 0 ? "0" : roundTime(time, step)));
  }
  return marks;
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}

function roundTime(time, step) {
  if (step >= 1) return `${Math.round(time)} s`;
  return time >= 1 || step >= 0.1 ? `${time.toFixed(step >= 0.1 ? 1 : 2)} s` : `${Number((time * 1000).toFixed(2))} ms`;
}
