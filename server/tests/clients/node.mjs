// Calls the model door with the unchanged npm client of OpenAI, through every shape it speaks, and prints what each call cost.
// Each line is a JSON list: what was called, tokens sent, cached and answered, as the client was told.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const OpenAI = createRequire(process.env.PACKAGES + "/")("openai").default;
const { BASE_URL, KEY, SPENT_KEY, MODEL: model } = process.env;
// No retries: what a call meets, the test is to see.
const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: KEY, maxRetries: 0 });
const question = [{ role: "user", content: "What is the weather in Paris?" }];
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tell = (name, ...counts) => console.log(JSON.stringify([name, ...counts]));
const told = (name, usage) =>
  tell(name, usage.prompt_tokens, usage.prompt_tokens_details?.cached_tokens ?? 0, usage.completion_tokens);
const toldByResponse = (name, { usage }) =>
  tell(name, usage.input_tokens, usage.input_tokens_details?.cached_tokens ?? 0, usage.output_tokens);

const chatTools = [{ type: "function", function: { name: "get_weather", parameters: city } }];
const asked = await client.chat.completions.create({ model, messages: question, tools: chatTools, max_tokens: 100 });
assert.deepEqual(JSON.parse(asked.choices[0].message.tool_calls[0].function.arguments), { city: "Paris" });
told("chat, a tool", asked.usage);

const stream = client.chat.completions.stream({
  model, messages: question, tools: chatTools, stream_options: { include_usage: true },
});
const streamed = await stream.finalChatCompletion();
assert.deepEqual(JSON.parse(streamed.choices[0].message.tool_calls[0].function.arguments), { city: "Paris" });
told("chat, a tool in a stream", await stream.totalUsage());

const completion = await client.completions.create({ model, prompt: "Say something.", max_tokens: 50 });
assert.equal(completion.choices[0].text, "Something.");
told("completion", completion.usage);
let text = "";
let usage;
for await (const chunk of await client.completions.create({
  model, prompt: "Say something.", stream: true, stream_options: { include_usage: true },
})) {
  usage = chunk.usage ?? usage;
  text += chunk.choices.map((choice) => choice.text ?? "").join("");
}
assert.equal(text, "Something.");
told("completion in a stream", usage);

const embedding = await client.embeddings.create({ model, input: "Paris", encoding_format: "float" });
assert.deepEqual(embedding.data[0].embedding, [0.5, 0.25]);
tell("embedding", embedding.usage.prompt_tokens, 0, 0);

const tools = [{ type: "function", name: "get_weather", parameters: city, strict: false }];
const response = await client.responses.create({ model, input: question[0].content, tools, max_output_tokens: 100 });
const call = response.output.find((item) => item.type === "function_call");
assert.deepEqual(JSON.parse(call.arguments), { city: "Paris" });
toldByResponse("response, a tool", response);

let answer = "";
for await (const event of await client.responses.create({
  model, tools, stream: true,
  input: [
    question[0],
    { type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments },
    { type: "function_call_output", call_id: call.call_id, output: "sunny" },
  ],
})) {
  if (event.type === "response.output_text.delta") answer += event.delta;
  if (event.type === "response.completed") toldByResponse("response in a stream", event.response);
}
assert.equal(answer, "It is sunny.");

const names = [];
for await (const listed of client.models.list()) names.push(listed.id);
assert.ok(names.includes(model));
await assert.rejects(client.responses.create({ model: "none", input: "hello" }), (error) => error.status === 404 && !!error.requestID);
const spent = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: SPENT_KEY, maxRetries: 2 });
for (const ask of [
  () => spent.chat.completions.create({ model, messages: question }),
  () => spent.completions.create({ model, prompt: "hello" }),
  () => spent.responses.create({ model, input: "hello" }),
]) {
  await assert.rejects(ask(), (error) => error instanceof OpenAI.RateLimitError && error.code === "insufficient_quota");
}
