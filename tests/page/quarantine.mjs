// Quarantine behind a token: logging in, the faulty place, replaying and what that is answered, downloading, logging out.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { accessible, browse, shows, until } from "./browser.mjs";
import { ask, bridge, post, posted, task } from "./bridge.mjs";

const rows = (page) => page.locator(".list tbody tr");
const token = process.env.ADMIN_TOKEN;

await browse(async (tester) => {
  await aCallbackThatIsTakenLater();
  await posted(`{\n  "EventName": "TaskFinish",\n  "备注": "夏日🌊海边", }\n}`, 400);
  await posted(`{"pad":"${"x".repeat(5000)}" "JobsDetail":{}}`, 400);
  await posted(`<Response><EventName>TaskFinish</EventName></Response>`, 422);
  await posted(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22]), 400);
  const page = await tester.open(bridge.admin, "#/quarantine", { expected: ["status of 401", "status of 422"] });
  await logsIn(page);
  await faultyPlaces(page);
  await downloads(page);
  await replays(page);
  await newOnes(page);
  await olderOnes(page);
  await logsOut(page);
  tester.noFaults();
});

/** More jobs than the bridge takes at first. */
async function aCallbackThatIsTakenLater() {
  const jobs = ["q1", "q2"].map((job) => ({ JobId: job, Tag: "Transcode", State: "Success" }));
  const { status } = await post(JSON.stringify({ EventName: "TaskFinish", JobsDetail: jobs }));
  assert.ok([413, 422].includes(status), `${status}`);
  await ask("stop");
  await ask("start");
}

async function logsIn(page) {
  const field = page.getByLabel("token of admin.token_file");
  await field.fill("guessed");
  await page.keyboard.press("Enter");
  await shows(page, ".login .bad", "401");
  await accessible(page, "a wrong token");
  await field.fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await shows(page, "#link", "live");
  await until(page, () => document.querySelectorAll(".list tbody tr").length === 5);
  const cookies = await page.context().cookies();
  assert.equal(cookies.length, 1);
  assert.deepEqual([cookies[0].httpOnly, cookies[0].sameSite, cookies[0].value.includes(token)], [true, "Strict", false]);
  await page.reload();
  await until(page, () => document.querySelectorAll(".list tbody tr").length === 5);
}

/** The caret stands under the character that the reason names, behind characters of any width, and in a line of any length. */
async function faultyPlaces(page) {
  const open = async (index) => {
    await rows(page).nth(index).click();
    await until(page, () => document.querySelectorAll("#drawer h2").length > 1);
  };
  const under = () => page.evaluate(() => {
    const caret = document.querySelector("mark");
    const text = caret.previousElementSibling.previousSibling.previousSibling;
    const line = document.createRange();
    const at = caret.previousElementSibling.textContent.length - text.previousElementSibling.textContent.length;
    line.setStart(text, at);
    line.setEnd(text, at + 1);
    return [line.toString(), Math.abs(line.getBoundingClientRect().left - caret.getBoundingClientRect().left)];
  });
  await open(3);
  await shows(page, "#drawer p", /^line 3, column 18/);
  const [character, off] = await under();
  assert.equal(character, "}");
  assert.ok(off < 1, `${off} px beside it`);
  await page.keyboard.press("Escape");
  await open(2);
  const [long, beside] = await under();
  assert.deepEqual([long, beside < 1], ['"', true]);
  assert.ok((await page.locator("#drawer .lines").textContent()).length < 1000);
  await page.keyboard.press("j");
  await shows(page, "#drawer h2", "syntax");
  await page.keyboard.press("Escape");
  await open(0);
  await shows(page, "#drawer pre", "\uFFFD");
  await page.keyboard.press("Escape");
  await open(1);
  await shows(page, "#drawer h2", "shape");
}

async function downloads(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  assert.equal(readFileSync(await download.path(), "utf8"), "<Response><EventName>TaskFinish</EventName></Response>");
}

/** What cannot be read stays; what is taken now leaves quarantine, and its messages are named. */
async function replays(page) {
  const answer = "#drawer [role=status]";
  await page.getByRole("button", { name: "Replay" }).click();
  await shows(page, answer, /^422: .{20}/);
  await accessible(page, "what a replay was answered");
  await page.keyboard.press("Escape");
  await rows(page).nth(4).click();
  await page.getByRole("button", { name: "Replay" }).click();
  await shows(page, answer, /^200 published: .{10}/);
  await shows(page, answer, "ci.task.Transcode.success task:q2:Success");
  await page.keyboard.press("Escape");
  await page.reload();
  await until(page, () => document.querySelectorAll(".list tbody tr").length === 4);
}

/** What comes meanwhile is counted, and shown when that is asked for. */
async function newOnes(page) {
  await posted("<unfinished", 400);
  await shows(page, ".chip", "1 new");
  assert.equal(await rows(page).count(), 4);
  await page.locator(".chip").click();
  await until(page, () => document.querySelectorAll(".list tbody tr").length === 5);
  await page.goto(`http://${bridge.admin}/#/quarantine?open=2`);
  await shows(page, "#drawer h2", "syntax #2");
}

/** What one answer does not hold is a button away; the answers are made short, so that few entries are enough. */
async function olderOnes(page) {
  await page.route(/quarantine\?limit=200/, (route) => route.continue({ url: route.request().url().replace("limit=200", "limit=2") }));
  await page.goto(`http://${bridge.admin}/#/quarantine`);
  await page.reload();
  const older = page.getByRole("button", { name: "Older" });
  const sequences = () => page.evaluate(() => [...document.querySelectorAll(".list tbody tr")].map((row) => row.item.seq));
  const seen = [];
  for (const count of [2, 2, 1]) {
    await until(page, (before) => {
      const rows = [...document.querySelectorAll(".list tbody tr")];
      return rows.length && !rows.some((row) => before.includes(row.item.seq));
    }, seen);
    await shows(page, ".bar", `${count} of 5`);
    seen.push(...await sequences());
    if (seen.length < 5) await older.click();
  }
  assert.deepEqual(seen, [...seen].sort((a, b) => b - a));
  assert.equal(new Set(seen).size, 5);
  assert.equal(await older.count(), 0);
  await accessible(page, "older entries");
  await page.unroute(/quarantine\?limit=200/);
}

async function logsOut(page) {
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.locator(".login").waitFor();
  await page.reload();
  await page.locator(".login").waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  assert.equal((await posted(task("still"))).outcome, "published");
}
