// Reads each message with the CloudEvents SDK, once as published in binary mode and once in structured mode.
//
// A line of standard input is a JSON object with both, each with headers and body; the two must be one event. Prints how many.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import readline from "node:readline";

const { HTTP } = createRequire(`${process.argv[2]}/`)("cloudevents");

let count = 0;
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { binary, structured } = JSON.parse(line);
  // This SDK leaves the decoding that the bindings ask for to its callers.
  const headers = Object.fromEntries(Object.entries(binary.headers).map(([name, value]) =>
    [name.toLowerCase(), name.startsWith("ce-") ? decodeURIComponent(value) : value]));
  const lower = Object.fromEntries(Object.entries(structured.headers).map(([name, value]) => [name.toLowerCase(), value]));
  const events = [{ headers, body: binary.body }, { headers: lower, body: structured.body }].map((message) => {
    const event = HTTP.toEvent(message);
    assert.ok(event.validate());
    const attributes = event.toJSON();
    // The SDK makes up a time where there is none.
    if (!("ce-time" in headers)) delete attributes.time;
    return attributes;
  });
  assert.deepEqual(events[0], events[1]);
  count += 1;
}
console.log(count);
