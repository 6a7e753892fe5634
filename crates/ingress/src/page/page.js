// The page of the admin listener. What a sender wrote is only ever set as text (`textContent`, `setAttribute` on names
// that are constants here), never as HTML. Reads /api/v1, which docs/admin-api.md describes.
"use strict";

// ---------------------------------------------------------------- words

const WORDS = {
  en: {
    skip: "Skip to content", now: "Now", callbacks: "Callbacks", quarantine: "Quarantine", settings: "Settings", keys: "Keys",
    live: "live", connecting: "connecting", lost: "connection lost at {0}, trying again",
    ready: "Ready.", notReady: "Not ready: {0}.", stopping: "Shutting down.",
    lately: "{0} callbacks in the last 10 minutes, {1}.", none: "No callback in the last 10 minutes.",
    allStored: "all stored", notStored: "{0} not stored", spoolEmpty: "Spool empty.", spoolHolds: "{0} messages wait in the spool ({1}), the oldest for {2}.", noSpool: "No spool.",
    rate: "Callbacks a second", taken: "stored or spooled", refused: "refused or quarantined", failed: "503",
    answer: "Time to answer", p50: "p50", p99: "p99", spool: "Messages in the spool", age: "Callback age (arrival minus EndTime), p50", tenMinutes: "10 minutes",
    filter: "Filter: words, or tag:Transcode state:Failed outcome:duplicate job:…", pause: "Pause", go: "Go on", fresh: "{0} new", pausedBy: "held while you look", shown: "{0} of {1}",
    time: "Time", outcome: "Outcome", kind: "Kind", tag: "Tag", state: "State", object: "Object", jobs: "Jobs", took: "ms", subject: "Subject", endpoint: "Endpoint", reason: "Reason", bytes: "Bytes",
    noCallbacks: "No callback has come since the bridge started. Try one:", noMatch: "None of the {0} callbacks here matches the filter.", gone: "The bridge keeps the last {0} callbacks; this one is no longer among them.",
    message: "Message", headers: "Headers", way: "Way", copy: "Copy", close: "Close", copied: "copied", loading: "Loading…", raw: "As it is",
    rule: "Decided by", stream: "Stream", sequence: "Sequence", duplicate: "Duplicate", yes: "yes: the stream had it already", no: "no",
    stages: "Stages (ms)", total: "total", id: "Message id", allJobs: "{0} messages; the first is shown",
    inSpool: "It waits in the spool; its body is there as soon as a stream has it.", noBody: "There is no message of it.", removed: "The stream no longer has it.",
    bodiesHidden: "Bodies are not shown here: the admin listener can be reached from elsewhere, and admin.token_file is not set.",
    body: "Body", download: "Download", replay: "Post again", replayed: "Answer: {0}", tokenNeeded: "Needs the token of admin.token_file.", noQuarantine: "Nothing is in quarantine.", whole: "The bridge has kept {0} of its {1} bytes.",
    key: "Key", value: "Value", source: "Set by", reload: "Last reload", neverReloaded: "Not reloaded since the start at {0}.", applied: "Applied at {0}.", kept: "Refused at {0}: {1}. What was in effect before stays so.",
    certificates: "Certificates", ends: "Valid until", streams: "Streams", messages: "Messages", limits: "Limits", fitness: "Fitness", fit: "holds what 200 promises", secretsHidden: "Secrets are not shown.",
    reconcile: "Reconcile", lastRun: "Last run", recovered: "recovered", noRun: "No run yet.", lookUp: "Look up a job", jobId: "JobId or RunId", notEnded: "No such job has ended.",
    login: "This page needs the token of admin.token_file.", token: "Token", enter: "Log in", wrong: "That is not the token.",
    keyFilter: "filter", keyRows: "next and previous row", keyOpen: "open", keyClose: "close", keyPause: "pause, go on", keyCopy: "copy the message id", keyHelp: "this help", keyViews: "the views",
    failedTo: "The bridge answered {0}: {1}", s: "s", min: "min", h: "h", d: "d",
  },
  zh: {
    skip: "跳到内容", now: "现状", callbacks: "回调", quarantine: "隔离区", settings: "配置", keys: "快捷键",
    live: "实时", connecting: "连接中", lost: "{0} 起连接中断，正在重试",
    ready: "就绪。", notReady: "未就绪：{0}。", stopping: "正在停止。",
    lately: "最近 10 分钟 {0} 个回调，{1}。", none: "最近 10 分钟没有回调。",
    allStored: "全部已存储", notStored: "{0} 个未存储", spoolEmpty: "本地暂存为空。", spoolHolds: "本地暂存中有 {0} 条消息（{1}），最早的已等待 {2}。", noSpool: "未启用本地暂存。",
    rate: "每秒回调数", taken: "已存储或已暂存", refused: "被拒绝或被隔离", failed: "503",
    answer: "应答耗时", p50: "p50", p99: "p99", spool: "本地暂存的消息数", age: "回调延迟（到达时间减 EndTime），p50", tenMinutes: "10 分钟",
    filter: "筛选：关键词，或 tag:Transcode state:Failed outcome:duplicate job:…", pause: "暂停", go: "继续", fresh: "新增 {0} 条", pausedBy: "查看时暂不滚动", shown: "{0} / {1}",
    time: "时间", outcome: "结果", kind: "类型", tag: "标签", state: "状态", object: "对象", jobs: "任务数", took: "毫秒", subject: "主题", endpoint: "端点", reason: "原因", bytes: "字节",
    noCallbacks: "启动以来还没有收到回调。可以试发一个：", noMatch: "这里的 {0} 个回调都不符合筛选条件。", gone: "只保留最近 {0} 个回调，该回调已不在其中。",
    message: "消息", headers: "消息头", way: "路径", copy: "复制", close: "关闭", copied: "已复制", loading: "加载中…", raw: "原文",
    rule: "路由依据", stream: "流", sequence: "序号", duplicate: "重复", yes: "是：流中已有", no: "否",
    stages: "各阶段（毫秒）", total: "合计", id: "消息 ID", allJobs: "共 {0} 条消息，此处为第一条",
    inSpool: "消息在本地暂存中，存入流之后即可查看。", noBody: "没有对应的消息。", removed: "流中已没有该消息。",
    bodiesHidden: "此处不显示消息体：管理端口可被外部访问，且未设置 admin.token_file。",
    body: "请求体", download: "下载", replay: "重新提交", replayed: "应答：{0}", tokenNeeded: "需要 admin.token_file 中的令牌。", noQuarantine: "隔离区为空。", whole: "共 {1} 字节，保留了 {0}。",
    key: "配置项", value: "值", source: "来源", reload: "最近一次重新加载", neverReloaded: "自 {0} 启动以来未重新加载。", applied: "{0} 已生效。", kept: "{0} 被拒绝：{1}。继续使用原有配置。",
    certificates: "证书", ends: "有效期至", streams: "流", messages: "消息数", limits: "限制", fitness: "适用性", fit: "满足 200 的承诺", secretsHidden: "不显示机密内容。",
    reconcile: "对账", lastRun: "最近一次", recovered: "已补回", noRun: "尚未运行。", lookUp: "查询任务", jobId: "JobId 或 RunId", notEnded: "没有已结束的该任务。",
    login: "访问此页面需要 admin.token_file 中的令牌。", token: "令牌", enter: "登录", wrong: "令牌不正确。",
    keyFilter: "筛选", keyRows: "下一行、上一行", keyOpen: "打开", keyClose: "关闭", keyPause: "暂停、继续", keyCopy: "复制消息 ID", keyHelp: "本帮助", keyViews: "切换页面",
    failedTo: "网桥应答 {0}：{1}", s: "秒", min: "分钟", h: "小时", d: "天",
  },
};

const preferred = () => (navigator.languages || []).find((l) => /^(zh|en)/i.test(l)) || "en";
let language = remembered("language") || (/^zh/i.test(preferred()) ? "zh" : "en");

/** The words of a key in the chosen language, with `{0}`, `{1}`… replaced. */
function t(key, ...values) {
  const text = WORDS[language][key] ?? WORDS.en[key] ?? key;
  return text.replace(/\{(\d)\}/g, (_, n) => String(values[n]));
}

function remembered(key) {
  try { return localStorage.getItem("ci-bridge." + key); } catch { return null; }
}
function remember(key, value) {
  try { localStorage.setItem("ci-bridge." + key, value); } catch { /* Private windows: it holds until the page is closed. */ }
}

// ---------------------------------------------------------------- building elements

const $ = (id) => document.getElementById(id);

/** An element: attributes by name, `on…` as listeners; children are elements or text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined).map((child) => child instanceof Node ? child : String(child)));
  return element;
}

const number = (n) => Number(n).toLocaleString(language === "zh" ? "zh-CN" : "en");
const two = (n) => String(n).padStart(2, "0");
const clock = (ms) => { const d = new Date(ms); return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`; };
const moment = (ms) => `${new Date(ms).toLocaleDateString("sv")} ${clock(ms)}`;

function span(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${t(unit)}`;
  }
  return `${Math.round(seconds)} ${t("s")}`;
}

function size(bytes) {
  let value = bytes, unit = 0;
  while (value >= 1024 && unit < 3) { value /= 1024; unit += 1; }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}

const seconds = (s) => s === null || s === undefined ? "–" : s < 0.1 ? `${(s * 1000).toFixed(1)} ms` : s < 120 ? `${s.toFixed(1)} s` : span(s);

// ---------------------------------------------------------------- the API

class Refused extends Error {
  constructor(status, problem) { super(problem.detail || problem.title || String(status)); this.status = status; }
}

async function api(path, options) {
  const response = await fetch("api/v1/" + path, { credentials: "same-origin", ...options });
  const body = (response.headers.get("content-type") || "").includes("json") ? await response.json() : {};
  if (response.status === 401) { loggedOut = true; show(); }
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

// ---------------------------------------------------------------- what is known

const KEEP = 500; // As many as the bridge keeps.
let status = null; // /api/v1/status, and each change of it
let points = []; // ten minutes, a point each few seconds
let facts = []; // callbacks, newest first
let fresh = 0; // how many of them came while the table was held
let held = null; // what the table shows while it is held
let isPaused = false;
let lostAt = null;
let loggedOut = false;
let source = null;

function listen() {
  source?.close();
  source = new EventSource("api/v1/events");
  setLink("connecting");
  source.onopen = () => { lostAt = null; setLink("live"); };
  source.onerror = () => {
    lostAt ??= Date.now();
    setLink("lost");
    // A browser gives up after an answer that is no stream, such as that of a proxy while the bridge starts anew.
    if (source.readyState === EventSource.CLOSED && !loggedOut) setTimeout(start, 2000);
  };
  source.addEventListener("status", (event) => { status = JSON.parse(event.data); changed("status"); });
  source.addEventListener("points", (event) => {
    const late = JSON.parse(event.data);
    points = [...points.filter((point) => !late.some((other) => other.t === point.t)), ...late].slice(-120);
    changed("points");
  });
  source.addEventListener("callbacks", (event) => { take(JSON.parse(event.data)); changed("callbacks"); });
}

/** New callbacks, oldest first. After a restart of the bridge its numbers begin anew. */
function take(arrived) {
  if (arrived.length && facts.length && arrived[0].run !== facts[0].run) facts = [];
  const newest = facts.length ? facts[0].n : -1;
  const unknown = arrived.filter((fact) => fact.n > newest);
  if (held) fresh += unknown.length;
  facts = [...unknown.reverse(), ...facts].slice(0, KEEP);
}

async function start() {
  try {
    [status, { points }] = await Promise.all([api("status"), api("series")]);
    facts = [];
    take((await api("callbacks")).callbacks);
    loggedOut = false;
    listen();
    show();
  } catch (error) {
    if (error.status === 401) return;
    lostAt ??= Date.now();
    setLink("lost");
    setTimeout(start, 2000);
  }
}

function setLink(state) {
  $("link").dataset.state = state;
  $("link").textContent = state === "lost" ? t("lost", clock(lostAt)) : t(state);
}

/** Draws again what shows this, at most once a frame. */
const stale = new Set();
function changed(what) {
  if (!stale.size) requestAnimationFrame(() => { const all = new Set(stale); stale.clear(); view().update?.(all); });
  stale.add(what);
}

// ---------------------------------------------------------------- the address: #/view?q=…&open=…

function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: VIEWS[path] ? path : "now", query: new URLSearchParams(query) };
}

/** Changes parts of the address without a new entry in the history. */
function setAddress(changes) {
  const { view, query } = address();
  for (const [key, value] of Object.entries(changes)) value ? query.set(key, value) : query.delete(key);
  const text = query.toString();
  history.replaceState(null, "", `#/${view}${text ? "?" + text : ""}`);
}

const view = () => loggedOut ? LOGIN : VIEWS[address().view];

function show() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
  $("language").textContent = language === "zh" ? "English" : "中文";
  $("language").lang = language === "zh" ? "en" : "zh-CN";
  for (const link of $("views").children) {
    link.hash === `#/${address().view}` ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  setLink($("link").dataset.state);
  closeDrawer(false);
  release();
  $("main").replaceChildren();
  view().show($("main"));
}

// ---------------------------------------------------------------- now

const NOW = {
  show(main) {
    this.sentence = el("p", { class: "sentence", role: "status" });
    this.checks = el("ul", { class: "checks" });
    this.charts = el("div", { class: "charts" });
    this.more = el("section");
    main.append(this.sentence, this.checks, this.charts, this.more);
    this.jobs(main);
    this.update(new Set(["status", "points"]));
  },
  update(what) {
    if (!status) return;
    if (what.has("status")) this.status();
    if (what.has("points")) this.draw();
  },
  status() {
    const { ready, checks, spool, reconcile } = status;
    const failed = checks.filter((check) => !check.ok);
    const parts = [ready ? t("ready") : failed.some((check) => check.name === "shutdown") ? t("stopping") : t("notReady", failed.map((check) => check.name).join(", "))];
    parts.push(status.lately.callbacks ? t("lately", number(status.lately.callbacks), status.lately.unavailable ? t("notStored", number(status.lately.unavailable)) : t("allStored")) : t("none"));
    parts.push(!spool ? t("noSpool") : spool.messages ? t("spoolHolds", number(spool.messages), size(spool.bytes), span(spool.oldest_seconds)) : t("spoolEmpty"));
    const text = parts.join(language === "zh" ? "" : " ");
    // A reader of the screen hears what changes, and this is asked for each second.
    if (this.sentence.textContent !== text) this.sentence.textContent = text;
    this.sentence.className = `sentence ${ready ? "good" : "bad"}`;
    document.title = ready ? "ci-bridge" : "✕ ci-bridge";
    this.checks.replaceChildren(...failed.map((check) => el("li", {}, el("b", {}, check.name), " ", check.detail)));
    this.more.replaceChildren();
    if (reconcile) {
      const run = reconcile.last;
      this.more.append(el("h2", {}, t("reconcile")), el("p", {}, run ? `${t("lastRun")}: ${moment(run.time)}, ${Object.entries(run.results).map(([result, count]) => `${number(count)} ${result}`).join(", ")}.` : t("noRun")));
      for (const job of run?.recovered || []) this.more.append(el("div", { class: "mono" }, `${job.id} ${job.subject}`));
    }
  },
  draw() {
    const last = points[points.length - 1] || {};
    const step = points.length > 1 ? (points[1].t - points[0].t) / 1000 : 1;
    const rate = (key) => points.map((point) => point[key] / step);
    const of = (key) => points.map((point) => point[key]);
    const perSecond = (last.taken + last.refused + last.failed || 0) / step;
    this.charts.replaceChildren(
      chart(t("rate"), perSecond < 10 ? perSecond.toFixed(1) : number(Math.round(perSecond)), [[t("taken"), rate("taken")], [t("refused"), rate("refused")], [t("failed"), rate("failed")]]),
      chart(t("answer"), `${t("p50")} ${seconds(last.p50)} · ${t("p99")} ${seconds(last.p99)}`, [[t("p50"), of("p50")], [t("p99"), of("p99")]]),
      chart(t("spool"), number(last.spool || 0), [[t("spool"), of("spool")]]),
      chart(t("age"), seconds(last.age), [[t("age"), of("age")]]),
    );
  },
  jobs(main) {
    if (!status?.jobs) return;
    const input = el("input", { type: "search", id: "job", autocomplete: "off", spellcheck: "false" });
    const answer = el("div", { role: "status" });
    const ask = async (event) => {
      event.preventDefault();
      try { answer.replaceChildren(tree(await api("jobs/" + encodeURIComponent(input.value.trim())))); }
      catch (error) { answer.replaceChildren(error.status === 404 ? t("notEnded") : t("failedTo", error.status, error.message)); }
    };
    main.append(el("h2", {}, t("lookUp")), el("form", { class: "bar", onsubmit: ask }, el("label", { for: "job" }, t("jobId")), input), answer);
  },
};

/** Ten minutes as lines, each in a class of its own; a gap where there is no value. */
function chart(title, value, lines) {
  const SVG = "http://www.w3.org/2000/svg";
  const [width, height] = [600, 100];
  const top = Math.max(...lines.flatMap(([, values]) => values.filter((v) => v !== null && v !== undefined)), 1e-9);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  lines.forEach(([, values], index) => {
    let pen = "M", d = "";
    values.forEach((v, at) => {
      if (v === null || v === undefined) { pen = "M"; return; }
      d += `${pen}${((at + 120 - values.length) / 119 * width).toFixed(1)} ${(height - v / top * (height - 4) - 2).toFixed(1)}`;
      pen = "L";
    });
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", "c" + index);
    path.setAttribute("d", d || "M0 0");
    svg.append(path);
  });
  const legend = lines.length > 1 ? el("p", { class: "legend" }, lines.map(([name], index) => el("span", { class: "c" + index }, name))) : null;
  return el("figure", {}, el("figcaption", {}, el("span", {}, title), el("b", {}, value)), svg, legend);
}

// ---------------------------------------------------------------- callbacks

const FIELDS = ["outcome", "kind", "tag", "state", "object", "subject", "endpoint", "reason", "job", "seq", "bucket", "id"];
const COLOURS = { published: "good", duplicate: "quiet", spooled: "warn", quarantined: "bad", rejected: "warn", unavailable: "bad", probe: "quiet", dropped: "quiet" };

/** A filter as a function: `key:value` looks at one member, a word at all, and `-` in front turns it round. */
function matcher(text) {
  const terms = (text.match(/\S+/g) || []).map((term) => {
    const negated = term.length > 1 && term[0] === "-";
    const word = (negated ? term.slice(1) : term).toLowerCase();
    const at = word.indexOf(":");
    const field = at > 0 && FIELDS.includes(word.slice(0, at)) ? word.slice(0, at) : null;
    const wanted = field ? word.slice(at + 1) : word;
    const has = (value) => value !== undefined && value !== null && String(value).toLowerCase().includes(wanted);
    return (fact) => (field === "seq" ? String(fact.seq) === wanted : field ? has(fact[field]) : FIELDS.some((name) => has(fact[name]))) !== negated;
  });
  return (fact) => terms.every((term) => term(fact));
}

const CALLBACKS = {
  show(main) {
    this.drawn = new Set();
    this.input = el("input", {
      type: "search", "aria-label": t("filter"), placeholder: t("filter"), autocomplete: "off", spellcheck: "false",
      oninput: () => { setAddress({ q: this.input.value.trim() }); this.draw(); },
    });
    this.input.value = address().query.get("q") || "";
    this.button = el("button", { type: "button", onclick: pause });
    this.count = el("span", { class: "quiet", role: "status" });
    this.rows = el("tbody", { onclick: (event) => openRow(event.target.closest("tr")), onmouseenter: hold, onmouseleave: () => isPaused || scrolled() || release() });
    const heads = [["time"], ["outcome"], ["kind", "narrow"], ["tag"], ["state"], ["object"], ["jobs", "number narrow"], ["took", "number narrow"], ["subject", "narrow"]];
    this.table = el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map(([key, kind]) => el("th", { class: kind, scope: "col" }, t(key))))), this.rows));
    this.note = el("div", { class: "empty" });
    main.append(el("div", { class: "bar" }, this.input, this.button, this.count), this.table, this.note);
    this.draw();
    const open = address().query.get("open");
    if (open) openFact(open, false);
  },
  update(what) { if (what.has("callbacks")) this.draw(); },
  draw() {
    const all = held || facts;
    const matching = all.filter(matcher(this.input.value));
    this.count.textContent = [t("shown", number(matching.length), number(all.length)), held && fresh ? t("fresh", number(fresh)) : held && !isPaused ? t("pausedBy") : ""].filter(Boolean).join(" · ");
    this.button.textContent = t(isPaused ? "go" : "pause");
    this.button.setAttribute("aria-pressed", String(isPaused));
    const known = this.drawn;
    const before = new Map([...this.rows.children].map((row) => [row.dataset.n, row]));
    // Rows that stay are kept, so that focus and selection do.
    this.rows.replaceChildren(...matching.map((fact) => before.get(String(fact.n)) || this.row(fact, known.size && !known.has(fact.n))));
    this.drawn = new Set(all.map((fact) => fact.n));
    this.table.hidden = !matching.length;
    this.note.hidden = Boolean(matching.length);
    this.note.replaceChildren(all.length ? t("noMatch", number(all.length)) : t("noCallbacks"), all.length ? "" : el("pre", {}, "ci-bridge send --sample noise-reduction"));
  },
  row(fact, isNew) {
    const cell = (text, kind) => el("td", { class: kind }, text ?? "");
    return el("tr", { tabindex: "0", "data-n": String(fact.n), class: isNew ? "new" : null, "aria-selected": String(fact.id === address().query.get("open")) },
      cell(clock(fact.t)), cell(fact.outcome, COLOURS[fact.outcome]), cell(fact.kind, "narrow"), cell(fact.tag), cell(fact.state ?? fact.reason), cell(fact.object, "wide"),
      cell(fact.jobs || "", "number narrow"), cell(fact.ms.toFixed(1), "number narrow"), cell(fact.subject, "wide narrow mono"));
  },
};

const scrolled = () => window.scrollY > 40;

function hold() {
  if (held) return;
  held = facts;
  fresh = 0;
}

function release() {
  if (isPaused && address().view === "callbacks") return;
  isPaused = false;
  held = null;
  fresh = 0;
  changed("callbacks");
}

function pause() {
  isPaused = !isPaused;
  isPaused ? hold() : release();
  changed("callbacks");
}

addEventListener("scroll", () => {
  if (loggedOut || address().view !== "callbacks") return;
  if (scrolled()) hold(); else if (held && !isPaused && !CALLBACKS.rows.matches(":hover")) release();
}, { passive: true });

// ---------------------------------------------------------------- the drawer

let copyId = null;

function drawer(title, ...children) {
  const close = el("button", { type: "button", onclick: () => closeDrawer(true), "aria-label": t("close") }, "✕");
  $("drawer").replaceChildren(el("div", { class: "title" }, el("h2", { id: "drawer-title" }, title), close), ...children);
  $("drawer").hidden = false;
  $("drawer").scrollTop = 0;
}

function closeDrawer(byUser) {
  if ($("drawer").hidden) return;
  $("drawer").hidden = true;
  copyId = null;
  if (!byUser) return;
  setAddress({ open: "" });
  const row = document.querySelector("tr[aria-selected=true]");
  row?.setAttribute("aria-selected", "false");
  row?.focus();
}

function openRow(row) {
  if (!row?.dataset.n) return;
  for (const other of document.querySelectorAll("tr[aria-selected=true]")) other.setAttribute("aria-selected", "false");
  row.setAttribute("aria-selected", "true");
  if (address().view === "quarantine") return openQuarantined(row.dataset.n);
  const fact = (held || facts).find((fact) => String(fact.n) === row.dataset.n);
  if (fact) openFact(fact.id || "n:" + fact.n, true, fact);
}

/** By message id, so that the address can be sent to somebody else; what has none by its number. */
async function openFact(id, byUser, fact) {
  fact ??= facts.find((fact) => fact.id === id || "n:" + fact.n === id);
  setAddress({ open: id });
  if (!fact) return drawer(id, el("p", { class: "empty" }, t("gone", number(KEEP))));
  copyId = fact.id || null;
  const body = el("section", {}, el("p", { class: "quiet" }, t("loading")));
  drawer(fact.object || fact.id || fact.reason || fact.outcome, wayOf(fact), body, copiesOf(fact));
  if (byUser) $("drawer").focus();
  const say = (text) => body.replaceChildren(el("p", { class: "quiet" }, text));
  if (!fact.stream) return say(t(fact.outcome === "spooled" ? "inSpool" : "noBody"));
  try {
    const message = await api(`streams/${encodeURIComponent(fact.stream)}/messages/${fact.seq}`);
    body.replaceChildren(headersOf(message.headers), el("h2", {}, t("message")), bodyOf(message));
  } catch (error) {
    say(error.status === 404 ? t("removed") : error.status === 403 ? t("bodiesHidden") : t("failedTo", error.status, error.message));
  }
}

function list(rows) {
  return el("dl", {}, rows.filter(([, value]) => value !== undefined && value !== null && value !== "").flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));
}

function wayOf(fact) {
  const stages = Object.entries(fact.stages || {}).map(([stage, ms]) => `${stage} ${ms.toFixed(2)}`);
  return el("section", {}, list([
    [t("time"), moment(fact.t)], [t("outcome"), el("span", { class: COLOURS[fact.outcome] }, `${fact.outcome} (${fact.status})`)], [t("reason"), fact.detail || fact.reason],
    [t("endpoint"), fact.endpoint], [t("kind"), fact.kind], [t("tag"), fact.tag], [t("state"), fact.state], [t("rule"), fact.rule],
    [t("jobs"), fact.jobs > 1 ? t("allJobs", number(fact.jobs)) : null], [t("subject"), fact.subject && el("code", {}, fact.subject)], [t("id"), fact.id && el("code", {}, fact.id)],
    [t("stream"), fact.stream], [t("sequence"), fact.seq], [t("duplicate"), fact.stream && t(fact.outcome === "duplicate" ? "yes" : "no")], [t("bytes"), number(fact.bytes)],
    [t("stages"), [...stages, `${t("total")} ${fact.ms.toFixed(2)}`].join(" · ")],
  ]));
}

function headersOf(headers) {
  const first = (name) => ["nats-msg-id", "ce-id"].indexOf(name.toLowerCase()) + 1 || 9;
  const sorted = [...headers].sort(([a], [b]) => first(a) - first(b));
  return el("section", {}, el("h2", {}, t("headers")), list(sorted.map(([name, value]) => [name, el("code", {}, value)])));
}

/** JSON as a tree, formatted at once, and as it is; other bodies as text. */
function bodyOf(message) {
  let value;
  try { value = JSON.parse(message.body); } catch { return el("pre", {}, message.body); }
  return el("div", {}, tree(value, 2), el("details", {}, el("summary", {}, t("raw")), el("pre", {}, message.body)));
}

/** A JSON value; what is within is built when it is opened, the first `depth` levels at once. */
function tree(value, depth = 1, key) {
  const name = key === undefined ? "" : el("span", { class: "key" }, key + ": ");
  if (value === null || typeof value !== "object") {
    return el("div", { class: "tree leaf" }, name, el("span", { class: typeof value === "string" ? "text" : null }, typeof value === "string" ? value : JSON.stringify(value)));
  }
  const entries = Object.entries(value);
  const details = el("details", {}, el("summary", {}, name, Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`));
  const fill = () => { if (details.children.length === 1) details.append(...entries.slice(0, 1000).map(([key, child]) => tree(child, depth - 1, key)), entries.length > 1000 ? `… ${entries.length}` : ""); };
  details.addEventListener("toggle", fill);
  if (depth > 0 || entries.length <= 3) { details.open = true; fill(); }
  return el("div", { class: "tree" }, details);
}

function copiesOf(fact) {
  const quote = (text) => `'${text.replace(/'/g, "'\\''")}'`;
  const get = `nats stream get ${fact.stream} ${fact.seq}`;
  const offers = [
    [t("id"), fact.id], [t("subject"), fact.subject], ["nats stream get", fact.stream && get],
    ["curl", fact.stream && `curl ${quote(`${location.origin}/api/v1/streams/${fact.stream}/messages/${fact.seq}`)}`],
    ["ci-bridge render", fact.stream && fact.outcome === "quarantined" && `ci-bridge quarantine show ${fact.seq} | ci-bridge render -`],
  ].filter(([, text]) => text);
  if (!offers.length) return null;
  return el("section", {}, el("h2", {}, t("copy")), el("div", { class: "copies" }, offers.map(([name, text]) => el("button", { type: "button", title: text, onclick: (event) => copy(text, event.currentTarget) }, name))));
}

async function copy(text, button) {
  try { await navigator.clipboard.writeText(text); } catch {
    // Without TLS a browser offers no clipboard but for loopback.
    const area = el("textarea", { readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  if (!button) return;
  const name = button.textContent;
  button.textContent = `✓ ${t("copied")}`;
  setTimeout(() => { button.textContent = name; }, 1200);
}

// ---------------------------------------------------------------- quarantine

const QUARANTINE = {
  async show(main) {
    const say = (text) => main.replaceChildren(el("p", { class: "empty" }, text));
    say(t("loading"));
    let entries;
    try { ({ entries } = await api("quarantine")); } catch (error) { return say(t("failedTo", error.status, error.message)); }
    if (view() !== this) return;
    if (!entries.length) return say(t("noQuarantine"));
    this.entries = entries;
    const rows = entries.map((entry) => el("tr", { tabindex: "0", "data-n": String(entry.seq), "aria-selected": "false" },
      el("td", {}, moment(entry.time)), el("td", { class: "bad" }, entry.reason), el("td", { class: "wide" }, entry.detail), el("td", { class: "narrow" }, entry.endpoint ?? ""), el("td", { class: "number narrow" }, number(entry.bytes))));
    const heads = [["time"], ["reason"], ["message"], ["endpoint", "narrow"], ["bytes", "number narrow"]];
    main.replaceChildren(el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map(([key, kind]) => el("th", { class: kind, scope: "col" }, t(key))))),
      el("tbody", { onclick: (event) => openRow(event.target.closest("tr")) }, rows))));
    const open = address().query.get("open");
    if (open) openRow(rows.find((row) => row.dataset.n === open));
  },
};

async function openQuarantined(seq) {
  setAddress({ open: seq });
  drawer(`#${seq}`, el("p", { class: "quiet" }, t("loading")));
  let entry;
  try { entry = await api("quarantine/" + seq); } catch (error) {
    return drawer(`#${seq}`, el("p", { class: "empty" }, error.status === 404 ? t("removed") : error.status === 403 ? t("bodiesHidden") : t("failedTo", error.status, error.message)));
  }
  copyId = entry.id;
  const answer = el("p", { role: "status" });
  const replay = async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try { answer.textContent = t("replayed", (await api(`quarantine/${seq}/replay`, { method: "POST" })).detail); }
    catch (error) { answer.textContent = error.status === 401 || error.status === 403 ? `${error.message} ${t("tokenNeeded")}` : t("failedTo", error.status, error.message); }
    button.disabled = false;
  };
  const save = el("a", { href: `api/v1/quarantine/${seq}/body`, download: `quarantine-${seq}` }, t("download"));
  drawer(`${entry.reason} #${seq}`, el("p", {}, entry.detail), list([[t("time"), moment(entry.time)], [t("id"), el("code", {}, entry.id)], [t("endpoint"), entry.endpoint], [t("bytes"), number(entry.bytes)]]),
    el("div", { class: "bar" }, save, el("button", { type: "button", onclick: replay }, t("replay"))), answer, el("h2", {}, t("body")), faulty(entry),
    entry.kept < entry.bytes ? el("p", { class: "quiet" }, t("whole", number(entry.kept), number(entry.bytes))) : null);
  $("drawer").focus();
}

/** The body by lines, with a caret under the column that the reason names; else the body. */
function faulty(entry) {
  if (!entry.line) return el("pre", {}, entry.body);
  const lines = entry.body.split("\n");
  const from = Math.max(0, entry.line - 6), to = Math.min(lines.length, entry.line + 5);
  // A long line is shown around the fault.
  const left = Math.max(0, entry.column - 80);
  const width = String(to).length;
  const shown = el("pre", { class: "lines" });
  for (let at = from; at < to; at += 1) {
    shown.append(`${String(at + 1).padStart(width)}  ${lines[at].slice(left, left + 240)}\n`);
    if (at + 1 === entry.line) shown.append(el("span", { class: "caret" }, `${" ".repeat(width + 2 + Math.max(0, entry.column - 1 - left))}^\n`));
  }
  return el("div", {}, shown, el("details", {}, el("summary", {}, t("raw")), el("pre", {}, entry.body)));
}

// ---------------------------------------------------------------- settings

const SETTINGS = {
  async show(main) {
    const say = (text) => main.replaceChildren(el("p", { class: "empty" }, text));
    say(t("loading"));
    let answer;
    try { answer = await api("settings"); } catch (error) { return say(t("failedTo", error.status, error.message)); }
    if (view() !== this) return;
    const { reload, certificates, streams, settings, version, started } = answer;
    const text = !reload ? t("neverReloaded", moment(started)) : reload.applied ? t("applied", moment(reload.time)) : t("kept", moment(reload.time), reload.why);
    main.replaceChildren(el("p", { class: "quiet" }, `ci-bridge ${version}`), el("h2", {}, t("reload")), el("p", { class: reload && !reload.applied ? "bad" : null }, text));
    if (certificates.length) main.append(el("h2", {}, t("certificates")), table(["key", "ends", "fitness"], certificates.map((c) => [c.name, moment(c.not_after), c.detail])));
    main.append(el("h2", {}, t("streams")), table(["stream", "messages", "bytes", "limits", "fitness"], streams.map((s) => [s.name, s.messages === null ? "–" : number(s.messages), s.bytes === null ? "–" : size(s.bytes), s.limits, s.findings.length ? s.findings.join("; ") : t("fit")])));
    main.append(el("h2", {}, t("settings")), el("p", { class: "quiet" }, t("secretsHidden")), table(["key", "value", "source"], settings.map((row) => [el("code", {}, row.key), el("code", {}, row.value), row.source])));
  },
};

function table(heads, rows) {
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((key) => el("th", { scope: "col" }, t(key))))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", { class: "wide" }, cell)))))));
}

// ---------------------------------------------------------------- logging in

const LOGIN = {
  show(main) {
    const input = el("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
    const wrong = el("p", { class: "bad", role: "alert" });
    const enter = async (event) => {
      event.preventDefault();
      const response = await fetch("api/v1/session", { method: "POST", credentials: "same-origin", headers: { authorization: "Bearer " + input.value } });
      if (response.ok) { loggedOut = false; start(); } else { wrong.textContent = t("wrong"); input.select(); }
    };
    main.append(el("form", { class: "login", onsubmit: enter }, el("label", { for: "token" }, t("login")), input, el("button", {}, t("enter")), wrong));
    input.focus();
  },
};

const VIEWS = { now: NOW, callbacks: CALLBACKS, quarantine: QUARANTINE, settings: SETTINGS };

// ---------------------------------------------------------------- keys

function help() {
  const rows = [["/", "keyFilter"], ["j k", "keyRows"], ["Enter", "keyOpen"], ["Esc", "keyClose"], ["␣", "keyPause"], ["c", "keyCopy"], ["1 2 3 4", "keyViews"], ["?", "keyHelp"]];
  $("keys").replaceChildren(el("h2", { id: "keys-title" }, t("keys")), el("dl", {}, rows.flatMap(([key, word]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(word))])), el("form", { method: "dialog" }, el("button", {}, t("close"))));
  $("keys").showModal();
}

function step(by) {
  const rows = [...document.querySelectorAll("tbody tr[data-n]")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row === document.activeElement || row.getAttribute("aria-selected") === "true");
  const row = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  if (address().view === "callbacks") hold();
  row.focus();
  if (!$("drawer").hidden) openRow(row), row.focus();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open || loggedOut) return;
  const field = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape") {
    if (!$("drawer").hidden) closeDrawer(true); else field?.blur();
    return;
  }
  if (field) return;
  const onControl = event.target.closest?.("button, a, summary");
  const row = event.target.closest?.("tr[data-n]");
  const actions = {
    "/": () => { if (address().view !== "callbacks") { location.hash = "#/callbacks"; show(); } CALLBACKS.input.focus(); },
    j: () => step(1), k: () => step(-1), "?": help, c: () => copyId && copy(copyId),
    Enter: row && (() => openRow(row)), " ": !onControl && address().view === "callbacks" && pause,
  };
  const index = "1234".indexOf(event.key);
  const action = index >= 0 ? () => { location.hash = $("views").children[index].hash; } : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

$("help").addEventListener("click", help);
$("language").addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; remember("language", language); show(); });
addEventListener("hashchange", show);
show();
start();
