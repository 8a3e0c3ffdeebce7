// What the `openai` package of npm sees of a server, as JSON on standard output.
// `node npm_client.ts BASE_URL` does everything, `node npm_client.ts BASE_URL miss` makes one call and prints its error.
import OpenAI from "openai";

type Ask = OpenAI.Chat.ChatCompletionCreateParamsNonStreaming;

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "sk-test-0123456789abcdef" });
const ask: Ask = { model: "gpt-test", messages: [{ role: "user", content: "Hello" }] };
const weather: OpenAI.Chat.ChatCompletionTool = {
  type: "function",
  function: {
    name: "weather",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } } },
  },
};

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

async function failure(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return { none: await call() };
  } catch (error) {
    const { constructor, status, message, code, type, param, requestID, error: body } = error as any;
    return { class: constructor.name, status, message, code, type, param, requestID, body };
  }
}

const kept = ["content-type", "x-request-id", "openai-processing-ms", "x-ratelimit-remaining-requests"];

const capabilities: Record<string, () => Promise<unknown>> = {
  "a plain answer": async () => client.chat.completions.create(ask),
  "its request id": async () => (await client.chat.completions.create({ ...ask, seed: 1 }))._request_id,
  "its headers": async () => {
    const { data, response } = await client.chat.completions.create({ ...ask, seed: 2 }).withResponse();
    return [data, response.status, kept.map((name) => response.headers.get(name))];
  },
  "a stream": async () => all(await client.chat.completions.create({ ...ask, stream: true })),
  "a stream with usage": async () =>
    all(await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })),
  "stream(), with its events": async () => {
    const events: unknown[] = [];
    const runner = client.chat.completions.stream({ ...ask, seed: 3 });
    runner.on("content", (delta, snapshot) => events.push([delta, snapshot]));
    return [await runner.finalChatCompletion(), events];
  },
  tools: async () => {
    const first = await client.chat.completions.create({ ...ask, tools: [weather] });
    const message = first.choices[0].message;
    const told = { role: "tool", tool_call_id: message.tool_calls![0].id, content: "sun" } as const;
    return [first, await client.chat.completions.create({ ...ask, messages: [...ask.messages, message, told] })];
  },
  "tools, streamed": async () =>
    all(await client.chat.completions.create({ ...ask, tools: [weather], stream: true })),
  "runTools()": async () => {
    const runner = client.chat.completions.runTools(
      {
        ...ask,
        seed: 4,
        tools: [
          {
            type: "function",
            function: { ...weather.function, parse: JSON.parse, function: () => "sun", description: "It tells." },
          } as any,
        ],
      },
      { maxChatCompletions: 2 },
    );
    await runner.done().catch(() => undefined);
    return runner.messages;
  },
  "an error": async () => failure(async () => client.chat.completions.create({ ...ask, model: "no-such-model" })),
  "an error of a stream": async () =>
    failure(async () => client.chat.completions.create({ ...ask, model: "no-such-model", stream: true })),
  "an abort": async () => {
    const stream = await client.chat.completions.create({ ...ask, seed: 5, stream: true });
    for await (const chunk of stream) {
      stream.controller.abort();
      return [chunk, stream.controller.signal.aborted];
    }
    return "empty";
  },
  "an abort before the answer": async () => {
    const controller = new AbortController();
    const call = client.chat.completions.create({ ...ask, seed: 6 }, { signal: controller.signal });
    controller.abort();
    return failure(async () => call);
  },
  "the Responses API": async () => client.responses.create({ model: "gpt-test", input: "Hello" }),
  "the Responses API, streamed": async () =>
    all(await client.responses.create({ model: "gpt-test", input: "Hello", stream: true })),
  embeddings: async () => client.embeddings.create({ model: "gpt-test", input: ["a", "b"] }),
};

if (process.argv[3] === "miss") {
  console.log(JSON.stringify(await failure(async () => client.chat.completions.create(ask))));
} else {
  const seen: Record<string, unknown> = {};
  for (const [name, run] of Object.entries(capabilities)) seen[name] = await run();
  console.log(JSON.stringify(seen));
}
