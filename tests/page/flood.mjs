// Three pages under a flood of callbacks: none falls behind. The long form says how far, and what they cost the bridge.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { browse, shows, until } from "./browser.mjs";
import { ask, bridge, posted, task } from "./bridge.mjs";

const minutes = Number(process.env.FLOOD_MINUTES || 0);
const LOOKS = minutes ? minutes * 120 : 6;
const LOOK_EVERY_MS = 500;
const MOST_BEHIND_MS = 2000;
const MOST_MEMORY_KIB = 4096;
const WARM_MS = 20000; // Until the bridge has what it keeps in any case: connections, the window of ids, the ring.

await browse(async (tester) => {
  const before = minutes ? await warm() : null;
  const pages = [];
  for (const view of ["callbacks", "callbacks?q=tag:NoiseReduction", "now"]) {
    pages.push(await tester.open(bridge.admin, `#/${view}`));
    await shows(pages.at(-1), "#link", "live");
  }
  await ask("flood");
  const behind = await watch(pages);
  await ask("calm");
  await posted(task("last"));
  for (const page of pages) await until(page, () => facts[0].job === "last");
  await shows(pages[0], ".list tbody tr", "last.mp4");
  if (minutes) report(behind, before, bridge.flooded);
  tester.noFaults();
});

async function warm() {
  await ask("flood");
  await sleep(WARM_MS);
  await ask("calm");
  return bridge.flooded;
}

/** How old the newest callback of a page is, look by look. Each look waits until the page has something new. */
async function watch(pages) {
  const behind = [];
  const newest = pages.map(() => 0);
  for (let look = 0; look < LOOKS; look += 1) {
    await Promise.all(pages.map(async (page, index) => {
      await until(page, (before) => facts[0]?.n > before, newest[index]);
      const [n, t] = await page.evaluate(() => [facts[0].n, Date.now() - facts[0].t]);
      newest[index] = n;
      behind.push(t);
    }));
    if (minutes) await sleep(LOOK_EVERY_MS);
  }
  return behind.sort((a, b) => a - b);
}

function report(behind, before, during) {
  const grown = during.peak_kib - before.peak_kib;
  console.error(`${during.sent} callbacks in ${during.seconds.toFixed(0)} s, ${Math.round(during.sent / during.seconds)} a second, three pages open`);
  console.error(`behind, of ${behind.length} looks: median ${behind[behind.length >> 1]} ms, at most ${behind.at(-1)} ms`);
  console.error(`memory: ${before.peak_kib} KiB at most without pages, ${during.peak_kib} KiB with them, ${grown} KiB more`);
  assert.ok(behind.at(-1) <= MOST_BEHIND_MS, "a page fell behind");
  assert.ok(grown <= MOST_MEMORY_KIB, "the pages cost too much memory");
}
