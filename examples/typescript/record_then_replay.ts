// Record the answers of a server once, through `inferencereplay serve`; then get the same ones with that server gone.
// It takes Node.js 24, and the command of `pip install 'inferencereplay[serve]'`:
//
//   npm install && node record_then_replay.ts
//
// A program of yours needs no change for this: set OPENAI_BASE_URL to the address that the command prints.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import OpenAI from "openai";

const recordings = mkdtempSync(join(tmpdir(), "recordings-"));
let calls = 0;

// In place of api.openai.com: a server whose every answer is another one.
const upstream = createServer((request, response) => {
  request.resume();
  calls += 1;
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const content of ["Answer ", "number ", `${calls}.`]) {
    const chunk = { id: "c", object: "chat.completion.chunk", created: 1, model: "m" };
    const choices = [{ index: 0, delta: { content }, finish_reason: null }];
    response.write(`data: ${JSON.stringify({ ...chunk, choices })}\n\n`);
  }
  response.end("data: [DONE]\n\n");
});
upstream.listen(0, "127.0.0.1");
await once(upstream, "listening");
const address = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`;

/** Start `inferencereplay serve`; return the process, and the base URL that its first line says. */
async function serve(...options: string[]): Promise<[ChildProcess, string]> {
  const server = spawn("inferencereplay", ["serve", recordings, "--port", "0", ...options]);
  for await (const line of createInterface(server.stderr!)) {
    const found = line.match(/ at (http:\S+)$/);
    if (found) return [server, found[1]];
  }
  throw new Error("inferencereplay serve did not start");
}

/** Ask through a server, and return the text as it is streamed. */
async function ask(baseURL: string): Promise<string> {
  const client = new OpenAI({ baseURL, apiKey: "none of the server's business" });
  const messages = [{ role: "user" as const, content: "Which answer is this?" }];
  let text = "";
  for await (const chunk of await client.chat.completions.create({ model: "m", messages, stream: true })) {
    text += chunk.choices[0].delta.content ?? "";
  }
  return text;
}

const [recorder, recordingURL] = await serve("--mode", "record-if-missing", "--upstream", address);
const recorded = await ask(recordingURL);
recorder.kill();
await once(recorder, "exit");

upstream.closeAllConnections();
upstream.close();
await assert.rejects(fetch(address));

const [player, replayURL] = await serve();
const replayed = [await ask(replayURL), await ask(replayURL)];
player.kill();
await once(player, "exit");

assert.equal(calls, 1);
assert.deepEqual(replayed, [recorded, recorded]);
console.log(`recorded: ${recorded}\nreplayed, with the upstream gone: ${replayed[0]}`);
