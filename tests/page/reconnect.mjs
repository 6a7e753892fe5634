// The page says whether it is live: through a restart of the bridge, a bridge that is frozen, and too many pages at once.
import assert from "node:assert/strict";
import { createServer, connect } from "node:net";
import { browse, shows, until } from "./browser.mjs";
import { ask, bridge, posted, task } from "./bridge.mjs";

// One address for a bridge that comes back at another port.
const links = new Set();
const front = createServer((from) => {
  if (!bridge.admin) return from.destroy();
  const [host, port] = bridge.admin.split(":");
  const to = connect(port, host);
  for (const [socket, other] of [[from, to], [to, from]]) {
    links.add(socket);
    socket.pipe(other);
    socket.on("error", () => other.destroy());
    socket.on("close", () => { links.delete(socket); other.destroy(); });
  }
});
await new Promise((listening) => front.listen(0, "127.0.0.1", listening));
const address = `127.0.0.1:${front.address().port}`;
const expected = ["ERR_", "status of 503"];

await browse(async (tester) => {
  const page = await tester.open(address, "#/callbacks", { expected });
  await throughARestart(page);
  await throughAFreeze(page);
  await page.context().close();
  await tooMany(tester);
  tester.noFaults();
});
for (const link of links) link.destroy();
front.close();

/** Lost since when; then live again by itself, with what came meanwhile, and with the filter as it was. */
async function throughARestart(page) {
  await shows(page, "#link", "live");
  await posted(task("before"));
  await page.getByRole("searchbox").fill("tag:Transcode");
  await shows(page, ".list tbody tr", "before.mp4");
  await ask("stop");
  await shows(page, "#link", "reconnecting");
  await shows(page, "#link", /^lost since \d\d:\d\d:\d\d, trying again$/);
  await until(page, () => document.title.startsWith("✕"));
  await shows(page, ".list tbody tr", "before.mp4");
  await ask("start");
  await posted(task("after"));
  await shows(page, "#link", "live");
  await shows(page, ".list tbody tr", "after.mp4");
  // What the bridge before this one knew is gone with it.
  await until(page, () => document.querySelectorAll(".list tbody tr").length === 1);
  await until(page, () => !document.title.startsWith("✕"));
}

/** A bridge that is frozen closes nothing, and is not live. */
async function throughAFreeze(page) {
  await ask("freeze");
  await shows(page, "#link", "lost since");
  await ask("thaw");
  await shows(page, "#link", "live");
  await posted(task("thawed"));
  await shows(page, ".list tbody tr", "thawed.mp4");
}

/** The ninth page says why it is not live, and becomes so when another is closed. */
async function tooMany(tester) {
  const pages = [];
  for (let page = 0; page < 8; page += 1) {
    // A page that was closed leaves its place a moment later.
    pages.push(await tester.open(address, "", { expected }));
    await shows(pages.at(-1), "#link", "live");
  }
  const ninth = await tester.open(address, "", { expected });
  await shows(ninth, "#link", "too many pages are open");
  await shows(ninth, ".sentence", "Ready.");
  await pages[0].context().close();
  await shows(ninth, "#link", "live");
  assert.equal(pages.length, 8);
}
