// How a recording came out, in a word and a colour.

/** The class of a badge and its text. */
function outcome(recording) {
  if (recording.status === 0 || recording.end === "error") return ["bad", "connection broke"];
  if (recording.status >= 400) return ["bad", `error ${recording.status}`];
  if (recording.end === "closed") return ["wait", "left early"];
  if (recording.finish === "length") return ["wait", "length"];
  return ["good", recording.finish || String(recording.status)];
}

function badge(recording) {
  const [kind, text] = outcome(recording);
  return h("span", { class: `badge ${kind}` }, text);
}

/** The kinds that the filter offers. */
const KINDS = {
  streams: (recording) => recording.is_stream,
  "plain answers": (recording) => !recording.is_stream,
  errors: (recording) => outcome(recording)[0] === "bad",
  "left early": (recording) => recording.end === "closed",
};
