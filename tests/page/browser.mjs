// A browser, pages of the bridge in it, and whatever no page may do: complain, break its own policy, ask anybody else.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const tools = process.env.PAGE_TOOLS;
const require = createRequire(join(tools, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** How long a page may take on a busy machine; what takes this long has failed. */
export const PATIENCE_MS = 30000;

export async function browse(test) {
  const ours = join(tools, "browser");
  const env = { ...process.env };
  if (existsSync(ours)) env.LD_LIBRARY_PATH = join(ours, "lib");
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || join(ours, "chromium"),
    // As root, and in a container, it has no sandbox; what it opens is our own page.
    args: ["--headless=shell", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    env,
  });
  try { await test(new Tester(browser)); } finally { await browser.close(); }
}

class Tester {
  constructor(browser) {
    this.browser = browser;
    this.faults = [];
  }

  /** A page of the bridge at an address, as one who prefers these languages and colours sees it. */
  async open(admin, path = "", { width = 1280, height = 800, scheme = "light", language = "en-US", expected = [], ...more } = {}) {
    const context = await this.browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale: language, reducedMotion: "reduce", ...more });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    // That something is refused belongs to some tests, and the browser says so on the console: those name it in `expected`.
    page.on("pageerror", (error) => this.faults.push(`error: ${error.stack}`));
    page.on("console", (message) => {
      const text = message.text();
      if (["error", "warning"].includes(message.type()) && !expected.some((part) => text.includes(part))) this.faults.push(`console: ${text}`);
    });
    page.on("request", (request) => {
      const { host, protocol } = new URL(request.url());
      if (protocol !== "data:" && host !== admin) this.faults.push(`a request to ${request.url()}`);
    });
    page.on("dialog", (dialog) => { this.faults.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    if (process.env.PAGE_FILES) await instead(page, process.env.PAGE_FILES);
    await page.goto(`http://${admin}/${path}`);
    return page;
  }

  /** No page has complained, broken its policy or asked anybody else. */
  noFaults() { assert.deepEqual(this.faults, []); }
}

/** Puts the files of a folder in the place of those built in, to work at the page without building the bridge each time. */
async function instead(page, folder) {
  await page.route(/\/(page\.(css|js))?$/, async (route) => {
    const name = new URL(route.request().url()).pathname.slice(1) || "index.html";
    await route.fulfill({ response: await route.fetch(), body: readFileSync(join(folder, name)) });
  });
}

/** Nothing that axe-core finds to be against WCAG 2.2 AA; it runs beside the page's policy, not under it. */
export async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const found = violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, any }) => `${id}: ${help}: ${html.slice(0, 160)} ${any[0]?.message ?? ""}`));
  assert.deepEqual(found, [], what);
}

/** Waits until a condition in the page holds. */
export const until = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: PATIENCE_MS });

/** Waits until an element has a text, or one that matches. */
export async function shows(page, selector, expected) {
  const matches = (text) => expected instanceof RegExp ? expected.test(text) : text.includes(expected);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const text = (await page.locator(selector).first().textContent({ timeout: PATIENCE_MS })) ?? "";
    if (matches(text)) return text;
    assert.ok(Date.now() < deadline, `${selector} does not show ${expected}, but ${text}`);
    await page.waitForTimeout(50);
  }
}
