// Handles moderation results that object to something. Needs two packages: npm install
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
// The durable name is the service's own: its instances share the messages, and a restart goes on where it was.
const manager = await jetstreamManager(nc);
await manager.consumers.add("CI", {
  durable_name: "moderation-violations",
  filter_subject: "ci.moderation.*.violation",
  ack_policy: AckPolicy.Explicit,
});
const consumer = await jetstream(nc).consumers.get("CI", "moderation-violations");
for await (const message of await consumer.consume()) {
  const result = message.json();
  // Delivery is at least once: the id is the same whenever the same thing happened.
  console.log(message.headers.get("Nats-Msg-Id"), message.headers.get("ce-subject"), result.ForbidState);
  // Only after the work is done: what is not acknowledged comes again.
  message.ack();
}
