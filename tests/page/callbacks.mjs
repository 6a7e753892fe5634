// The table of callbacks and the drawer: what came is there, can be found, shared, copied, and holds still while somebody looks.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { browse, shows, until } from "./browser.mjs";
import { bridge, posted, task } from "./bridge.mjs";

const rows = (page) => page.locator(".list tbody tr");
const row = (page, text) => rows(page).filter({ hasText: text }).first();
const drawer = (page) => page.locator("#drawer");
const count = (page, expected) => until(page, (n) => document.querySelectorAll(".list tbody tr").length === n, expected);
const address = async (page) => decodeURIComponent(new URL(page.url()).hash);
const focused = (page) => page.evaluate(() => document.activeElement.closest("tr")?.textContent ?? document.activeElement.tagName);

await browse(async (tester) => {
  const page = await tester.open(bridge.admin, "#/callbacks", { permissions: ["clipboard-read", "clipboard-write"] });
  await nothingYet(page);
  await whatComesIsThere(page);
  await filters(page, tester);
  await keys(page);
  await drawers(page, tester);
  await copies(page);
  await holdsStill(page);
  await linksLast(page, tester);
  await looksUpAJob(tester);
  tester.noFaults();
});

async function nothingYet(page) {
  await shows(page, "#link", "live");
  await shows(page, ".empty", "ci-bridge send --sample");
  assert.equal(await page.locator(".list").isVisible(), false);
}

/** Without a reload, the newest first, with every column. */
async function whatComesIsThere(page) {
  await posted(task("j1", { object: "in/夏日 海边.mp4" }));
  await posted(task("j2", { tag: "Concat", state: "Failed" }));
  await posted(task("j1", { object: "in/夏日 海边.mp4" }));
  await posted("{", 400);
  await posted(readFileSync(process.env.WORKFLOW, "utf8"));
  await count(page, 5);
  const cells = await rows(page).evaluateAll((all) => all.map((row) => [...row.cells].slice(1, 7).map((cell) => cell.textContent)));
  assert.deepEqual(cells, [
    ["published", "workflow", "", "Failed", "uploads/clip-2.mp4", "1"],
    ["quarantined", "", "", "syntax", "", ""],
    ["duplicate", "task", "Transcode", "Success", "in/夏日 海边.mp4", "1"],
    ["published", "task", "Concat", "Failed", "in/j2.mp4", "1"],
    ["published", "task", "Transcode", "Success", "in/夏日 海边.mp4", "1"],
  ]);
  assert.match(await rows(page).nth(3).textContent(), /^\d\d:\d\d:\d\d.*ci\.task\.Concat\.failed$/);
}

/** While it is typed, in the address, after a reload, and for whoever is sent the address. */
async function filters(page, tester) {
  const input = page.getByRole("searchbox");
  for (const [text, left] of [
    ["tag:Transcode", 2], ["tag:transcode outcome:duplicate", 1], ["-outcome:published", 2], ["failed", 2], ["state:Failed -kind:task", 1],
    ["job:j2", 1], ["seq:1", 3], ["status:400", 1], ["夏日 海边", 2], ["reason:syntax", 1], ["j2", 1], ["rule:subjects.workflow", 1], ["nothing", 0], ["", 5],
  ]) {
    await input.fill(text);
    await count(page, left);
    assert.equal((await address(page)).replaceAll("+", " "), text ? `#/callbacks?q=${text}` : "#/callbacks");
  }
  await input.fill("nothing");
  await shows(page, ".empty", "None of the 5 callbacks");
  await input.fill("outcome:duplicate");
  await page.reload();
  await count(page, 1);
  assert.equal(await input.inputValue(), "outcome:duplicate");
  const shared = await tester.open(bridge.admin, new URL(page.url()).hash);
  await count(shared, 1);
  await shared.context().close();
  await input.fill("");
  await count(page, 5);
}

async function keys(page) {
  await page.keyboard.press("Escape");
  await page.keyboard.press("1");
  await until(page, () => location.hash === "#/now");
  await page.keyboard.press("/");
  assert.equal(await focused(page), "INPUT");
  await page.keyboard.type("j?c 2");
  assert.equal(await page.getByRole("searchbox").inputValue(), "j?c 2");
  await page.getByRole("searchbox").fill("");
  await page.keyboard.press("Escape");
  assert.equal(await focused(page), "BODY");
  await page.keyboard.press("j");
  assert.match(await focused(page), /clip-2/);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  assert.match(await focused(page), /syntax/);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  const copied = (id) => until(page, async (id) => (await navigator.clipboard.readText()) === id, id);
  await page.keyboard.press("c");
  await copied("task:j2:Failed");
  await page.evaluate(() => navigator.clipboard.writeText(""));
  await page.keyboard.press("Enter");
  await shows(page, "#drawer h2", "in/j2.mp4");
  assert.equal(await address(page), "#/callbacks?open=task:j2:Failed&at=CI/2");
  await page.keyboard.press("c");
  await copied("task:j2:Failed");
  await page.keyboard.press("k");
  await shows(page, "#drawer", "duplicate");
  await page.keyboard.press("Escape");
  assert.equal(await drawer(page).isVisible(), false);
  assert.match(await focused(page), /duplicate/);
  assert.equal(await address(page), "#/callbacks");
  await page.keyboard.press("?");
  assert.equal(await page.getByRole("dialog").isVisible(), true);
  await page.keyboard.press("j");
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").isVisible(), false);
  await page.keyboard.press("Escape");
  // The first Tab offers to skip the head of the page, the way of those who have neither mouse nor these keys.
  await page.reload();
  await count(page, 5);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "INPUT");
  assert.equal(await address(page), "#/callbacks");
  await page.keyboard.press("Escape");
}

/** Of one id, two callbacks: each row opens its own. The browser's Back closes the drawer. */
async function drawers(page, tester) {
  await row(page, "duplicate").click();
  await shows(page, "#drawer .way", "200 duplicate");
  await shows(page, "#drawer .way", "the stream had it already");
  await rows(page).nth(4).click();
  await shows(page, "#drawer .way", "200 published");
  const way = await page.locator(".way li").allTextContents();
  assert.equal(way.length, 5);
  assert.match(way[0], /^Received \d{4}-\d\d-\d\d \d\d:\d\d:\d\d · default · \d+ B\d+\.\d\d ms$/);
  assert.match(way[1], /^Recognised task · Transcode · Success · media-1300000001.*\d ms$/);
  assert.equal(way[2], "Routed ci.task.Transcode.success · by subjects.task");
  assert.match(way[3], /^Stored CI #1\d*\.\d\d ms$/);
  assert.match(way[4], /^Answered 200 published\d*\.\d\d ms$/);
  await shows(page, "#drawer .tree", /JobId: "j1"/);
  assert.match((await page.locator("#drawer dt").first().textContent()).toLowerCase(), /^nats-msg-id$/);
  await shows(page, "#drawer dd", "task:j1:Success");
  await page.goBack();
  await drawer(page).waitFor({ state: "hidden" });
  await page.goForward();
  await shows(page, "#drawer .tree", /JobId: "j1"/);
  await page.getByRole("button", { name: "Close" }).click();
  await row(page, "quarantined").click();
  await shows(page, "#drawer .way", "400 quarantined");
  await shows(page, "#drawer pre", "{");
  await page.getByRole("button", { name: "Close" }).click();
  // A row opens a tab of its own where that is asked for: the page leaves such a click to the browser, and the link leads there.
  const [left, link] = await row(page, "j2.mp4").getByRole("link").evaluate((link) => {
    let left;
    addEventListener("click", (event) => { left = !event.defaultPrevented; event.preventDefault(); }, { once: true });
    link.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ctrlKey: true }));
    return [left, link.hash];
  });
  assert.equal(left, true);
  const tab = await tester.open(bridge.admin, link);
  await shows(tab, "#drawer h2", "in/j2.mp4");
  await tab.context().close();
}

/** What is copied does what it says. */
async function copies(page) {
  const copied = async (name) => {
    await page.evaluate(() => navigator.clipboard.writeText(""));
    await drawer(page).getByRole("button", { name, exact: true }).click();
    await until(page, async () => (await navigator.clipboard.readText()) !== "");
    return page.evaluate(() => navigator.clipboard.readText());
  };
  for (const [text, subject, id] of [
    ["Concat", "ci.task.Concat.failed", "task:j2:Failed"],
    ["clip-2", "ci.workflow.Failed", "workflow:i7be3a9d815d611f1b7a952540024deb5:Failed"],
  ]) {
    await row(page, text).click();
    await shows(page, "#drawer .row", "ci-bridge render");
    assert.equal(await copied("message id"), id);
    assert.equal(await copied("subject"), subject);
    assert.match(await copied("nats stream get"), /^nats stream get CI \d+$/);
    const curl = await copied("curl");
    const { subject: stored } = await (await fetch(curl.replace(/^curl /, ""))).json();
    assert.equal(stored, subject);
    const command = (await copied("ci-bridge render")).replace("ci-bridge", process.env.CI_BRIDGE);
    const { stdout, stderr } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
    const made = JSON.parse(stdout || `"${stderr}"`);
    assert.deepEqual([made.subject, made.headers["Nats-Msg-Id"]], [subject, id]);
    await page.keyboard.press("Escape");
  }
  await row(page, "quarantined").click();
  assert.match(await copied("ci-bridge render"), /^ci-bridge quarantine show 1 /);
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
}

/** By the space bar, under the pointer, with the focus in a row, and scrolled down: nothing moves, and what is new is counted. */
async function holdsStill(page) {
  const chip = page.locator(".chip");
  const top = () => rows(page).first().textContent();
  const comes = async (job) => { await posted(task(job)); };
  const held = async (job, fresh) => {
    const before = await top();
    await comes(job);
    await shows(page, ".chip", `${fresh} new`);
    assert.equal(await top(), before);
  };
  const live = async (job) => {
    await comes(job);
    await shows(page, ".list tbody tr", `${job}.mp4`);
    assert.equal(await chip.isVisible(), false);
  };
  await page.mouse.move(5, 5);
  await live("a1");
  await page.keyboard.press("Space");
  await shows(page, ".bar button", "Go on");
  await held("a2", 1);
  await held("a3", 2);
  await page.keyboard.press("Space");
  await shows(page, ".list tbody tr", "a3.mp4");
  await live("a4");
  await rows(page).nth(2).hover();
  await held("a5", 1);
  await page.mouse.move(5, 5);
  await live("a6");
  await page.keyboard.press("j");
  await held("a7", 1);
  await page.keyboard.press("Escape");
  await live("a8");
  for (let job = 0; job < 40; job += 1) await comes(`b${job}`);
  await shows(page, ".list tbody tr", "b39.mp4");
  await page.evaluate(() => scrollTo(0, 300));
  await held("a9", 1);
  await chip.click();
  await shows(page, ".list tbody tr", "a9.mp4");
  assert.equal(await page.evaluate(() => scrollY), 0);
  await live("a10");
}

/** A link to a callback leads to its message when the bridge has forgotten the callback, and itself has been started again. */
async function linksLast(page, tester) {
  for (let job = 0; job < 500; job += 20) await Promise.all(Array.from({ length: 20 }, (_, index) => posted(task(`c${job + index}`))));
  const shared = await tester.open(bridge.admin, "#/callbacks?open=task:j2:Failed&at=CI/2");
  await shows(shared, "#drawer", "this one is no longer among them");
  await shows(shared, "#drawer .tree", /JobId: "j2"/);
  await shared.context().close();
  const foreign = await tester.open(bridge.admin, "#/callbacks?open=task:other:Failed&at=CI/2");
  await shows(foreign, "#drawer", "The stream no longer has it.");
  await foreign.context().close();
  const nowhere = await tester.open(bridge.admin, "#/callbacks?open=task:other:Failed");
  await shows(nowhere, "#drawer", "this one is no longer among them");
  await nowhere.context().close();
}

/** What a job last said, by its id alone. */
async function looksUpAJob(tester) {
  const page = await tester.open(bridge.admin, "", { expected: ["status of 404"] });
  const field = page.getByLabel("Look up a job");
  await field.fill("j2");
  await page.keyboard.press("Enter");
  await shows(page, "form + [role=status]", /JobId: "j2"/);
  await field.fill("j0");
  await page.keyboard.press("Enter");
  await shows(page, "form + [role=status]", /^404: .{10}/);
  await page.context().close();
}
