// Waits for the job whose id is the argument, and prints what became of it: npm install && node wait.mjs JOB
import { connect } from "@nats-io/transport-node";

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
// The body says how long the bridge keeps the request; the timeout is a little longer.
const message = await nc.request(`ci.await.${process.argv[2]}`, "30m", { timeout: 31 * 60 * 1000 });
const error = message.headers?.get("Nats-Service-Error");
if (error) throw new Error(error);
console.log(message.json().State, message.headers.get("ce-subject"));
await nc.close();
