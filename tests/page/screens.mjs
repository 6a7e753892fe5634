// Every view in both languages and both colours, at three widths: readable by all, and nothing of a sender's is more than text.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { accessible, browse, shows, until } from "./browser.mjs";
import { ask, bridge, post, posted, task } from "./bridge.mjs";

const VIEWS = ["now", "callbacks", "quarantine", "settings"];
const WIDTHS = [360, 1280, 2560];

await browse(async (tester) => {
  everyWordIsTranslated();
  await nothingYet(tester);
  await hostile(tester);
  await looks(tester);
  await languages(tester);
  await trouble(tester);
  tester.noFaults();
});

/** A word that is shown in English alone is a word that was forgotten. */
function everyWordIsTranslated() {
  const page = new URL("../../crates/ingress/src/page/", import.meta.url);
  const script = readFileSync(new URL("page.js", page), "utf8");
  const [, table] = /const CHINESE = \{(.*?)\n\};/s.exec(script);
  const known = new Set([...table.matchAll(/(?:"([^"]+)"|(\w+)): "[^"]+"/g)].map(([, text, word]) => text ?? word));
  const rest = script.replace(table, "");
  const markup = [...readFileSync(new URL("index.html", page), "utf8").matchAll(/data-text[^>]*>([^<]+)</g)].map(([, words]) => words);
  const used = [...rest.matchAll(/\b(?:t|step|count)\((?:"[a-z]+", )?"([^"]+)"/g)].map(([, words]) => words).concat(markup);
  assert.ok(used.length > 50 && known.size > 80, `${used.length} uses of ${known.size} words`);
  assert.deepEqual(used.filter((words) => !known.has(words)), [], "without a translation");
  assert.deepEqual([...known].filter((words) => !rest.includes(words) && !markup.includes(words)), [], "used nowhere");
}

async function nothingYet(tester) {
  const page = await tester.open(bridge.admin);
  await shows(page, ".sentence", "Ready. No callback in the last 10 minutes. Spool empty.");
  assert.equal(await page.title(), "Now · ci-bridge");
  await accessible(page, "before the first callback");
  await page.getByRole("link", { name: "Quarantine" }).click();
  await shows(page, ".empty", "Nothing is in quarantine");
  await page.context().close();
}

/** Script in every field that a sender fills; what is kept of it is text in every view. */
async function hostile(tester) {
  const evil = `"><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}\${alert(1)}javascript:alert(1)`;
  await posted(task(evil, { tag: evil, state: "Success", object: evil, more: { [evil]: evil, Operation: { UserData: evil, Output: { Object: evil } } } }));
  await posted(`<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>x</JobId><Tag>${evil.replaceAll("<", "&lt;")}</Tag><State>Failed</State></JobsDetail></Response>`);
  await post(`<${evil}`);
  await post(JSON.stringify({ [evil]: evil }));
  await post(task(evil), `/ci/callback/${encodeURIComponent(evil)}?${encodeURIComponent(evil)}`);
  const page = await tester.open(bridge.admin, `#/callbacks?q=${encodeURIComponent(evil)}`);
  await shows(page, ".empty", "None of the");
  await page.getByRole("searchbox").fill("");
  await until(page, () => document.querySelectorAll(".list tbody tr").length >= 4);
  await shows(page, ".list", "<img src=x");
  for (const view of ["callbacks", "quarantine"]) {
    await page.goto(`http://${bridge.admin}/#/${view}`);
    await until(page, () => document.querySelectorAll(".list tbody tr").length > 0);
    const count = await page.locator(".list tbody tr").count();
    for (let index = 0; index < count; index += 1) {
      await page.locator(".list tbody tr").nth(index).click();
      await until(page, () => document.querySelectorAll("#drawer h2").length > 1);
      assert.equal(await page.locator("img, main script, aside script, iframe, [onerror]").count(), 0);
      await page.keyboard.press("Escape");
    }
  }
  await page.context().close();
}

/** No view is wider than the window, and axe-core finds nothing; with and without an open drawer. */
async function looks(tester) {
  for (const scheme of ["light", "dark"]) {
    for (const width of WIDTHS) {
      const page = await tester.open(bridge.admin, "", { width, scheme });
      await shows(page, ".sentence", "Ready.");
      for (const view of VIEWS) {
        await page.goto(`http://${bridge.admin}/#/${view}`);
        const isList = ["callbacks", "quarantine"].includes(view);
        await page.locator(isList ? ".list" : view === "now" ? ".sentence" : ".plain").first().waitFor();
        await fits(page, `${view}, ${scheme}, ${width} px`);
        if (!isList) continue;
        await page.locator(".list tbody tr a").first().click();
        await until(page, () => document.querySelectorAll("#drawer h2").length > 1);
        await fits(page, `${view} with drawer, ${scheme}, ${width} px`);
        await page.keyboard.press("Escape");
      }
      const [back, moving] = await page.evaluate(() => [getComputedStyle(document.documentElement).backgroundColor, document.getAnimations().length]);
      const light = Math.max(...back.match(/\d+/g).map(Number)) > 128;
      assert.deepEqual([light, moving], [scheme === "light", 0], "nothing moves for those who want it so");
      await page.context().close();
    }
  }
}

async function fits(page, what) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= window, `${what}: ${wide} px in a window of ${window}`);
  await accessible(page, what);
}

/** By what the browser prefers; switched by hand, and remembered. */
async function languages(tester) {
  const page = await tester.open(bridge.admin, "", { language: "zh-CN" });
  await shows(page, ".sentence", "就绪。最近 10 分钟 ");
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
  assert.deepEqual(await page.locator("nav a").allTextContents(), ["概览", "回调", "隔离区", "配置"]);
  await page.getByRole("button", { name: "English" }).click();
  await shows(page, ".sentence", "Ready.");
  await page.reload();
  await shows(page, ".sentence", "Ready.");
  await page.getByRole("button", { name: "中文" }).click();
  for (const view of VIEWS) {
    await page.goto(`http://${bridge.admin}/#/${view}`);
    await shows(page, "main", /[一-龥]/);
    await accessible(page, `${view} in Chinese`);
  }
  await page.context().close();
}

/** NATS goes away: the sentence says so, which check fails and what to do; what comes waits in the spool. */
async function trouble(tester) {
  const page = await tester.open(bridge.admin);
  await shows(page, ".sentence", "Ready.");
  await ask("stop-nats");
  await shows(page, ".sentence", "Not ready: nats");
  await posted(task("spooled1"));
  await shows(page, ".sentence", "1 message in the spool");
  await shows(page, ".checks", /nats .{20}/);
  await until(page, () => document.title === "✕ Now · ci-bridge");
  await shows(page, "#spoken", "Not ready");
  await accessible(page, "not ready");
  await page.getByRole("link", { name: /spooled/ }).click();
  await until(page, () => document.querySelectorAll(".list tbody tr").length === 1);
  await page.locator(".list tbody tr").click();
  await shows(page, "#drawer .way", "in the spool");
  await page.keyboard.press("Escape");
  await ask("start-nats");
  await page.getByRole("link", { name: "Now" }).click();
  await shows(page, ".sentence", /^Ready\..*Spool empty\.$/);
  await page.context().close();
}
