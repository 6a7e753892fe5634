// The bridge under test, which the Rust side of a test starts, stops and looks after.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
// The Rust side closes it when this one has ended.
process.stdin.unref();

/** The addresses of the bridge, `admin` and `callbacks`; they change with `ask("restart")`. */
export const bridge = JSON.parse(process.env.BRIDGE);

/** Asks the Rust side to do something, and waits until it has. */
export async function ask(what) {
  process.stdout.write(`${what}\n`);
  const { value } = await lines.next();
  Object.assign(bridge, JSON.parse(value));
}

/** Posts a callback; gives what it was answered. */
export async function post(body, path = "/ci/callback") {
  const response = await fetch(`http://${bridge.callbacks}${path}`, { method: "POST", body });
  return { status: response.status, ...(await response.json()) };
}

/** A finished job. */
export function task(job, { tag = "Transcode", state = "Success", object = `in/${job}.mp4`, more = {} } = {}) {
  return JSON.stringify({
    EventName: "TaskFinish",
    JobsDetail: { JobId: job, Tag: tag, State: state, Input: { BucketId: "media-1300000001", Region: "ap-beijing", Object: object }, ...more },
  });
}

export async function posted(body, status = 200) {
  const answer = await post(body);
  assert.equal(answer.status, status, JSON.stringify(answer));
  return answer;
}
