// Posts callbacks over HTTP/2, all of a round at once over a connection of its own, before its SETTINGS have been read.
// Arguments: port, file of the authority, posts a round, rounds. Prints a line a round: each status, and how often.

import { readFileSync } from "node:fs";
import { connect } from "node:http2";

const [port, ca, posts, rounds] = process.argv.slice(2);

function post(session, job) {
  return new Promise((resolve) => {
    const request = session.request({ ":method": "POST", ":path": "/ci/callback" });
    let status = "no answer";
    request.on("response", (headers) => (status = headers[":status"]));
    request.on("error", (error) => resolve(error.code));
    request.on("close", () => resolve(status));
    request.resume();
    request.end(
      "<Response><EventName>TaskFinish</EventName>" +
        `<JobsDetail><JobId>${job}</JobId><Tag>Transcode</Tag><State>Success</State></JobsDetail></Response>`,
    );
  });
}

for (let round = 0; round < Number(rounds); round++) {
  const session = connect(`https://127.0.0.1:${port}`, { ca: readFileSync(ca) });
  session.on("error", (error) => console.error(error.message));
  session.on("goaway", (code, _, reason) => console.error("GOAWAY", code, String(reason ?? "")));
  const all = Array.from({ length: Number(posts) }, (_, n) => post(session, `node-${round}-${n}`));
  const count = new Map();
  for (const status of await Promise.all(all)) count.set(status, (count.get(status) ?? 0) + 1);
  console.log([...count].map(([status, times]) => `${status}: ${times}`).join(", "));
  session.close();
}
