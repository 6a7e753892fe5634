// The bridge one writes in Node today: fastify, fast-xml-parser and nats.js; acknowledged before the answer.

import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { XMLParser } from "fast-xml-parser";
import Fastify from "fastify";

const xml = new XMLParser({ parseTagValue: false, isArray: (name) => name === "JobsDetail" });

function* messages(body) {
  const callback = body.startsWith("<") ? xml.parse(body).Response : JSON.parse(body);
  const detail = callback.JobsDetail;
  if (callback.EventName !== "TaskFinish") {
    const verdict = detail.Result === 0 ? "normal" : "violation";
    yield { subject: `ci.moderation.${callback.EventName}.${verdict}`, id: `moderation:${detail.JobId}`, job: detail };
    return;
  }
  for (const job of detail) {
    yield { subject: `ci.task.${job.Tag}.${job.State.toLowerCase()}`, id: `task:${job.JobId}:${job.State}`, job };
  }
}

const js = jetstream(await connect({ servers: process.env.NATS_URL }));
const app = Fastify({ bodyLimit: 2 ** 21 });
// The vendor says application/xml over JSON too.
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
app.post("/ci/callback", async (request) => {
  const published = [...messages(request.body)].map(({ subject, id, job }) =>
    js.publish(subject, JSON.stringify(job), { msgID: id }),
  );
  await Promise.all(published);
  return "ok\n";
});
console.log(`ready on ${await app.listen({ host: "127.0.0.1", port: 0 })}`);
