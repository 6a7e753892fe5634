// Handles moderation results that object to something; CI_SUBJECT chooses other events. Needs three packages: npm install
import { createHash } from "node:crypto";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
// The durable name is the service's own: its instances share the messages, and a restart goes on where it was.
const manager = await jetstreamManager(nc);
await manager.consumers.add("CI", {
  durable_name: "moderation-violations",
  filter_subject: process.env.CI_SUBJECT ?? "ci.moderation.*.violation",
  ack_policy: AckPolicy.Explicit,
});
const consumer = await jetstream(nc).consumers.get("CI", "moderation-violations");
for await (const message of await consumer.consume()) {
  const body = await whole(message);
  const result = JSON.parse(new TextDecoder().decode(body));
  // Delivery is at least once: the id is the same whenever the same thing happened.
  console.log(message.headers.get("Nats-Msg-Id"), message.headers.get("ce-subject"), result.Result, body.length, "bytes, SHA-256", createHash("sha256").update(body).digest("hex"));
  // Only after the work is done: what is not acknowledged comes again.
  message.ack();
}

// The body; of an event that is larger than NATS takes, from the object store, whole and compared with its digest.
async function whole(message) {
  const place = message.headers.get("Ci-Object");
  if (!place) return message.data;
  const [bucket, name] = [place.slice(0, place.indexOf("/")), place.slice(place.indexOf("/") + 1)];
  const store = await new Objm(nc).open(bucket);
  return await store.getBlob(name);
}
