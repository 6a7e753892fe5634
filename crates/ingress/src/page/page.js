// Shows /api/v1, see docs/admin-api.md. What a sender wrote becomes text only, never HTML. The address says what is looked at
// (#/callbacks?q=tag:Transcode&open=<message id>), and `route` follows it.
"use strict";

// ---- words

const CHINESE = {
  "Skip to content": "跳到内容", Now: "概览", Callbacks: "回调", Quarantine: "隔离区", Settings: "配置", Keys: "快捷键", "Log out": "退出",
  connecting: "连接中", live: "实时", reconnecting: "重新连接中", "lost since {0}, trying again": "{0} 起连接中断，正在重试", "too many pages are open": "打开的页面过多",
  "Ready.": "就绪。", "Not ready: {0}.": "未就绪：{0}。", "{0} callback~ in the last 10 minutes, {1}.": "最近 10 分钟 {0} 个回调，{1}。",
  "No callback in the last 10 minutes.": "最近 10 分钟没有回调。", "all stored": "全部已存储", "all sent, none stored": "全部已发送，均不存储",
  "{0} not stored (503)": "{0} 个未存储（503）", "{0} dropped by a rule": "{0} 个被规则丢弃", "{0} in quarantine": "{0} 个在隔离区", "Spool empty.": "spool 为空。",
  "No spool.": "未启用 spool。", "{0} message~ in the spool ({1}), the oldest for {2}.": "spool 中有 {0} 条消息（{1}），最早的已等待 {2}。",
  "Callbacks a second": "每秒回调数", "Time to answer, p99": "应答耗时 p99", "Messages in the spool": "spool 中的消息", "Median age on arrival": "到达时的延迟中位数",
  "highest {0}": "最高 {0}", "10 min": "10 分钟",
  Pause: "暂停", "Go on": "继续", "{0} new ↑": "新增 {0} 条 ↑", "{0} of {1}": "{0} / {1}", time: "时间", when: "时间", outcome: "结果", kind: "类型", state: "状态", object: "对象",
  jobs: "任务", ms: "毫秒", subject: "主题", endpoint: "端点", reason: "原因", "what is wrong": "说明", bytes: "字节", "message id": "消息 ID",
  "No callback has come since the bridge started. Try one:": "启动以来还没有收到回调。可以试发一个：",
  "None of the {0} callbacks here matches the filter.": "这里的 {0} 个回调都不符合筛选条件。",
  "The bridge keeps the last {0} callbacks; this one is no longer among them.": "只保留最近 {0} 个回调，该回调已不在其中。", way: "路径", message: "消息", headers: "消息头",
  "As it is": "原文", Close: "关闭", copied: "已复制", "Loading…": "加载中…", "The first {0} of {1}.": "共 {1}，这里是开头的 {0}。",
  Received: "收到", Recognised: "识别", Routed: "路由", Stored: "存储", Answered: "应答", "by {0}": "依据 {0}", "the stream had it already": "stream 中已有",
  "in the spool, until a stream has it": "在 spool 中，等待存入 stream", "No stream has a message of it.": "stream 中没有它的消息。",
  "The stream no longer has it.": "stream 中已没有该消息。", Download: "下载", Replay: "重新投递", "Replaying needs admin.token_file.": "重新投递需要设置 admin.token_file。",
  "Nothing is in quarantine.": "隔离区为空。", Older: "更早", key: "配置项", value: "值", "set by": "来源", "Last reload": "最近一次重新加载",
  "In effect since {0}.": "{0} 起生效。",
  "Refused at {0}; what was in effect stays so. {1}": "{0} 被拒绝，继续使用原有配置。{1}", certificates: "证书", name: "名称", "valid until": "有效期至",
  streams: "stream", messages: "消息数", limits: "限制", fitness: "适用性", "as a 200 promises": "满足 200 的承诺", reconcile: "对账",
  "Last run at {0}: {1}.": "最近一次 {0}：{1}。", "Look up a job: JobId or RunId": "查询任务：JobId 或 RunId",
  "The page needs a token of admin.token_file.": "访问此页面需要 admin.token_file 中的令牌。", "Log in": "登录", Filter: "筛选", "next and previous row": "下一行、上一行",
  open: "打开", "pause, go on": "暂停、继续", "copy the message id": "复制消息 ID", "this help": "本帮助", "The bridge does not answer.": "ci-bridge 没有应答。", s: "秒",
  min: "分钟", h: "小时", d: "天",
};

const preferred = navigator.languages.find((name) => /^(zh|en)/i.test(name)) || "en";
let chinese = (inStorage("getItem") || preferred).startsWith("zh");

/** Words in the chosen language, with values in the place of {0}, {1}…; ~ is the s of a plural. */
function t(words, ...values) {
  const text = chinese ? CHINESE[words] ?? words : words.replace("~", values[0] === "1" ? "" : "s");
  return text.replace(/\{(\d)\}/g, (_, index) => values[index]);
}

/** The chosen language; a private window has no storage. */
function inStorage(method, ...value) {
  try { return localStorage[method]("ci-bridge.language", ...value); } catch { return null; }
}

// ---- elements, numbers and times

const $ = (id) => document.getElementById(id);
const isThere = (value) => value || value === 0;

/** `h("p.quiet", { title }, …)`: an element with classes; `on…` are listeners, children are elements or text. */
function h(names, ...children) {
  const [name, ...classes] = names.split(".");
  const element = /svg|path/.test(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  const attributes = children[0]?.constructor === Object ? children.shift() : {};
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (isThere(value)) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter(isThere));
  return element;
}

const button = (text, onclick, attributes) => h("button", { type: "button", onclick, ...attributes }, text);
const quiet = (text) => h("p.quiet", text);
const search = (attributes) => h("input", { type: "search", autocomplete: "off", spellcheck: "false", ...attributes });
const orDash = (value, format) => isThere(value) ? format(value) : "–";
const number = (n) => n.toLocaleString("en");
const clock = (ms) => new Date(ms).toLocaleTimeString("sv");
const moment = (ms) => new Date(ms).toLocaleString("sv");

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [0.001, "ms"]];
function span(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= 2 * size) || UNITS.at(-1);
  return `${Number((seconds / size).toPrecision(3))} ${unit === "ms" ? unit : t(unit)}`;
}

function size(bytes) {
  let unit = 0;
  for (; bytes >= 1024 && unit < 3; unit += 1) bytes /= 1024;
  return `${unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}

/** For those who hear the page: what is on it changes too often to be read out. */
const say = (text) => { $("spoken").textContent = text; };

// ---- the API

/** The JSON of an answer; an error has its status, if there was one. */
async function api(path, options) {
  const response = await fetch("api/v1/" + path, options).catch(() => null);
  const body = /json/.test(response?.headers.get("content-type")) ? await response.json() : {};
  if (response?.status === 401 && path !== "session") logOut();
  if (response?.ok) return body;
  throw Object.assign(new Error(response ? `${response.status}: ${body.detail || body.title}` : t("The bridge does not answer.")), { status: response?.status });
}

// ---- what is known

const SILENCE_MS = 15000; // The bridge says something each five seconds.
const LOST_MS = 5000; // A connection that is back sooner was not lost.

let run; // Which start of the bridge the numbers of `facts` are of.
let status, may = {};
let points = [], stepSeconds = 5; // Ten minutes, oldest first.
let facts = [], arrived = 0; // Callbacks, newest first, and how many there were in all.
let loggedOut = false;
let source, heardAt, goneSince, timer;

async function start() {
  try {
    takeStatus(await api("status"));
    takeCallbacks(await api("callbacks"));
    loggedOut = false;
    route();
    listen();
  } catch (error) {
    if (error.status !== 401) retry("again");
  }
}

function retry(state) {
  source?.close();
  goneSince ||= Date.now();
  setLink(state);
  clearTimeout(timer);
  timer = setTimeout(start, 2000);
}

function listen() {
  let opened = false;
  source = new EventSource(`api/v1/events?last=${run}:${facts[0]?.n || 0}`);
  const on = (name, take) => source.addEventListener(name, (event) => { heardAt = Date.now(); take(JSON.parse(event.data)); });
  on("status", takeStatus);
  on("callbacks", takeCallbacks);
  on("points", (late) => takePoints([...points, ...late.points]));
  source.onopen = () => {
    [opened, heardAt, goneSince] = [true, Date.now(), 0];
    setLink("live");
    api("series").then((series) => { stepSeconds = series.step_seconds; takePoints(series.points); }, () => {});
  };
  source.onerror = () => {
    goneSince ||= Date.now();
    // By itself it does not try again after an answer that is no stream: to a ninth page, or of a proxy.
    if (source.readyState !== EventSource.CLOSED) setLink("again"); else retry(opened ? "again" : "full");
  };
}

function takeStatus(news) {
  const before = status?.ready;
  status = news;
  may = news.may || may;
  $("logout").hidden = !status.token;
  if (before !== status.ready) say(sentence());
  changed();
}

function takePoints(list) {
  points = [...new Map(list.map((point) => [point.t, point])).values()].slice(-SLOTS);
  changed();
}

/** New callbacks, oldest first; each run of the bridge counts anew. */
function takeCallbacks(news) {
  if (news.run !== run) [run, facts] = [news.run, []];
  const newest = facts[0]?.n || 0;
  arrived += news.skipped || 0;
  const unknown = news.callbacks.filter((fact) => fact.n > newest);
  for (const fact of unknown) Object.assign(fact, { serial: ++arrived, open: fact.id || `n:${run}:${fact.n}` });
  facts = [...unknown.reverse(), ...facts].slice(0, status.keep);
  changed();
}

function setLink(state) {
  if (state === "again" && Date.now() - goneSince > LOST_MS) state = "lost";
  const text = t({ again: "reconnecting", lost: "lost since {0}, trying again", full: "too many pages are open" }[state] || state, clock(goneSince));
  if ($("link").textContent !== text) $("link").textContent = text;
  $("link").dataset.state = state;
  const shown = document.querySelector("[aria-current=page]")?.textContent;
  document.title = `${state === "lost" || status?.ready === false ? "✕ " : ""}${shown} · ci-bridge`;
}

setInterval(() => {
  const { state } = $("link").dataset;
  // A bridge that is frozen, or a cable that is out, closes nothing.
  if (state === "live" && Date.now() - heardAt > SILENCE_MS) retry("again"); else setLink(state);
}, 1000);

/** Draws again, at most once a frame. */
let frame;
function changed() {
  frame ||= requestAnimationFrame(() => { frame = null; shownView.update?.(); });
}

// ---- the address

function address() {
  const [path, query] = location.hash.slice(2).split("?");
  return { view: VIEWS[path] ? path : "now", query: new URLSearchParams(query) };
}

function href(view, query) {
  const readable = (text) => encodeURIComponent(text).replace(/%(3A|2F|40)/g, decodeURIComponent).replace(/%20/g, "+");
  const parts = Object.entries(query).filter(([, value]) => isThere(value)).map(([key, value]) => `${key}=${readable(value)}`);
  return `#/${view}${parts.length ? "?" : ""}${parts.join("&")}`;
}

/** Changes parts of the address; a step is one that the browser can go back. */
function setAddress(changes, isStep) {
  const { view, query } = address();
  history[isStep ? "pushState" : "replaceState"](null, "", href(view, { ...Object.fromEntries(query), ...changes }));
  route();
}

let shownView;
const view = () => loggedOut ? LOGIN : status ? VIEWS[address().view] : { show() {} };

function route() {
  if (shownView !== view()) show(); else shownView.follow?.(address().query);
}

function show() {
  document.documentElement.lang = chinese ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text ||= element.textContent);
  $("language").textContent = chinese ? "English" : "中文";
  $("language").lang = chinese ? "en" : "zh-CN";
  for (const link of $("views").children) link.setAttribute("aria-current", link.hash === `#/${address().view}` ? "page" : "false");
  setLink($("link").dataset.state);
  hideDrawer();
  shownView = view();
  $("main").replaceChildren();
  scrollTo(0, 0);
  shownView.show($("main"));
}

// ---- now

const COLOURS = { published: "good", duplicate: "quiet", spooled: "warn", quarantined: "bad", rejected: "warn", unavailable: "bad", probe: "quiet", dropped: "quiet" };

function sentence() {
  const { ready, checks, spool, lately, delivery } = status;
  const failed = checks.filter((check) => !check.ok).map((check) => check.name);
  const count = (outcome, words) => lately[outcome] && t(words, number(lately[outcome]));
  const fate = [count("unavailable", "{0} not stored (503)"), count("dropped", "{0} dropped by a rule")].filter(Boolean);
  if (!fate.length) fate.push(t(delivery === "core" ? "all sent, none stored" : "all stored"));
  return [
    ready ? t("Ready.") : t("Not ready: {0}.", failed.join(", ")),
    lately.callbacks ? t("{0} callback~ in the last 10 minutes, {1}.", number(lately.callbacks), [...fate, count("quarantined", "{0} in quarantine")].filter(Boolean).join(chinese ? "，" : ", ")) : t("No callback in the last 10 minutes."),
    !spool ? t("No spool.") : spool.messages ? t("{0} message~ in the spool ({1}), the oldest for {2}.", number(spool.messages), size(spool.bytes), span(spool.oldest_seconds)) : t("Spool empty."),
  ].join(chinese ? "" : " ");
}

const NOW = {
  show(main) {
    const rate = (n) => n < 10 ? n.toFixed(1) : number(Math.round(n));
    // Outcomes stand on one another: each is painted over those before.
    const sum = (...keys) => (point) => keys.reduce((all, key) => all + point[key], 0) / stepSeconds;
    this.charts = [
      chart("Callbacks a second", rate, ["503", "bad", sum("taken", "refused", "failed")], ["4xx", "warn", sum("taken", "refused")], ["200", "good", sum("taken")]),
      chart("Time to answer, p99", span, ["p99", "accent"], ["p50", "good"]), chart("Messages in the spool", number, ["spool", "warn"]), chart("Median age on arrival", span, ["age", "accent"]),
    ];
    this.sentence = h("p.sentence");
    const link = ([outcome, colour]) => h(`a.dot.${colour}`, { href: href("callbacks", { q: "outcome:" + outcome }), "data-outcome": outcome });
    this.outcomes = h("p.row.outcomes", Object.entries(COLOURS).map(link));
    this.checks = h("ul.checks");
    this.more = h("section");
    main.append(this.sentence, this.outcomes, this.checks, h("div.charts", this.charts.map(({ figure }) => figure)), this.more);
    if (status.jobs) main.append(lookUp());
    this.update();
  },
  update() {
    const { ready, checks, lately, reconcile } = status;
    for (const chart of this.charts) chart.draw();
    this.sentence.textContent = sentence();
    this.sentence.classList.toggle("bad", !ready);
    for (const link of this.outcomes.children) {
      const { outcome } = link.dataset;
      link.hidden = !lately[outcome];
      link.textContent = `${number(lately[outcome])} ${outcome}`;
    }
    this.checks.replaceChildren(...checks.filter((check) => !check.ok).map((check) => h("li", h("b", check.name), " ", check.detail, check.remedy && quiet(check.remedy))));
    if (!reconcile?.last) return;
    const { time, trouble, results, recovered = [] } = reconcile.last;
    const counts = Object.entries(results || {}).filter(([, count]) => count).map(([result, count]) => `${number(count)} ${result}`);
    this.more.replaceChildren(h("h2", t("reconcile")), h("p", t("Last run at {0}: {1}.", moment(time), trouble || counts.join(", ") || 0)), ...recovered.map((job) => h("div.mono", `${job.id} ${job.subject}`)));
  },
};

const SLOTS = 120;

/** Ten minutes as bars of `[name, colour, value of a point]`; the first is the headline. */
function chart(name, format, ...lines) {
  const svg = h("svg", { viewBox: `0 0 ${SLOTS} 100`, preserveAspectRatio: "none", role: "img" }, lines.map(([, colour]) => h("path." + colour)));
  const [value, highest] = [h("b"), h("span")];
  const draw = () => {
    const series = lines.map(([key, , read = (point) => point[key]]) => points.map(read));
    const top = Math.max(...series.flat(), 1e-9);
    series.forEach((values, line) => {
      const bars = values.map((value, index) => value > 0 ? `M${index + SLOTS - values.length + 0.5} 100V${99 - value / top * 99}` : "");
      svg.children[line].setAttribute("d", bars.join("") || "M0 0");
    });
    value.textContent = orDash(series[0].at(-1), format);
    highest.textContent = t("highest {0}", format(top));
    svg.setAttribute("aria-label", `${t(name)}: ${value.textContent}, ${highest.textContent}`);
  };
  const legend = lines.length > 1 && lines.map(([key, colour]) => h("span.dot." + colour, key));
  return { draw, figure: h("figure", h("figcaption", t(name), value), svg, h("p.axis", t("10 min"), legend, highest)) };
}

function lookUp() {
  const input = search({ id: "job", required: true });
  const answer = h("div", { role: "status" });
  const onsubmit = async (event) => {
    event.preventDefault();
    try {
      const message = await api("jobs/" + encodeURIComponent(input.value.trim()));
      answer.replaceChildren(headersOf(message.headers), bodyOf(message));
    } catch (error) { answer.replaceChildren(quiet(error.message)); }
  };
  return h("section", h("h2", h("label", { for: "job" }, t("Look up a job: JobId or RunId"))), h("form.row", { onsubmit }, input), answer);
}

// ---- callbacks

const FIELDS = "outcome kind tag state object subject endpoint reason detail job bucket id rule stream seq status".split(" ");
const LIVE_ROWS = 100; // Drawn while rows come by themselves; all of them when somebody looks closer.

/** A filter as a function: `key:value` looks at one member, a word at all; `-` in front turns it round. */
function matcher(text) {
  const terms = text.toLowerCase().split(/\s+/).filter(Boolean).map((term) => {
    const [, not, name, value] = /^(-?)(?:(\w+):)?(.*)$/.exec(term);
    const isField = FIELDS.includes(name);
    const word = isField ? value : term.slice(not.length);
    // Of a number all of it: 20 is not 200.
    const has = (member) => isThere(member) && (typeof member === "number" ? String(member) === word : member.toLowerCase().includes(word));
    return (fact) => (isField ? has(fact[name]) : FIELDS.some((field) => has(fact[field]))) !== Boolean(not);
  });
  return (fact) => terms.every((term) => term(fact));
}

/** A table of what can be opened, by `[column, text of an item, its colour]`, and what makes a row of it. The first cell is a link. */
function list(columns, view, place) {
  const onclick = (event) => {
    const row = event.target.closest("tr");
    // A link can be opened in a tab of its own, and text be selected.
    if (event.ctrlKey || event.metaKey || event.shiftKey || (event.detail && String(getSelection()))) return;
    event.preventDefault();
    [chosen, opened] = [row.item, null];
    setAddress(place(chosen), $("drawer").hidden);
    $("drawer").focus();
  };
  const row = (item) => {
    const cells = columns.map(([key, read, colour = () => ""], index) => {
      const text = read(item) ?? "";
      const cell = "td." + key.split(" ")[0];
      return index ? h(cell, { title: text }, text && h("span." + colour(item), text)) : h(cell, h("a", { href: href(view, place(item)) }, text));
    });
    return Object.assign(h("tr", cells), { item });
  };
  const rows = h("tbody", { onclick });
  return { row, rows, table: h("table.list", head(columns.map(([key]) => key)), rows) };
}

const head = (keys) => h("thead", h("tr", keys.map((key) => h("th." + key.split(" ")[0], { scope: "col" }, t(key)))));
const table = (keys, rows) => h("table.plain", head(keys), h("tbody", rows.map((row) => h("tr", row.map((cell, index) => h("td", { "data-key": t(keys[index]) }, cell))))));

let isPaused, chosen;

const CALLBACKS = {
  show(main) {
    isPaused = false;
    this.shown = [];
    this.input = search({
      "aria-label": t("Filter"), placeholder: `${t("Filter")}: tag:Transcode state:Failed -outcome:duplicate`,
      oninput: () => setAddress({ q: this.input.value.trim() }),
    });
    this.button = button("", () => { isPaused = !isPaused; if (isPaused) this.draw(); else goOn(); });
    this.fresh = button("", goOn, { class: "chip" });
    this.count = h("span.quiet");
    Object.assign(this, list([
      ["time", (fact) => clock(fact.t)], ["outcome", (fact) => fact.outcome, (fact) => "dot." + COLOURS[fact.outcome]], ["kind", (fact) => fact.kind], ["tag", (fact) => fact.tag],
      ["state", (fact) => fact.state ?? fact.reason, (fact) => fact.state === "Failed" ? "bad" : ""], ["object", (fact) => fact.object],
      ["jobs", (fact) => fact.jobs || ""], ["ms", (fact) => fact.ms.toFixed(1)], ["subject", (fact) => fact.subject, () => "mono"],
    ], "callbacks", placeOf));
    this.note = h("div.empty");
    main.append(h("div.row.bar", this.input, this.button, this.fresh, this.count), this.table, this.note);
    this.follow(address().query);
  },
  follow(query) {
    const text = query.get("q") || "";
    if (this.input.value.trim() !== text) this.input.value = text;
    followOpen(query, showFact);
    this.draw();
  },
  update() { this.draw(); },
  draw() {
    // Rows stay while somebody looks at them. What was touched counts as hovered for long.
    const hovering = matchMedia("(hover: hover)").matches && this.rows.matches(":hover");
    const looksClosely = isPaused || hovering || scrollY > 40 || !$("drawer").hidden || this.rows.contains(document.activeElement);
    const held = looksClosely && this.shown.length;
    if (!held) this.shown = facts;
    const matching = this.shown.filter(matcher(this.input.value));
    const fresh = held && facts.length ? facts[0].serial - this.shown[0].serial : 0;
    this.count.textContent = t("{0} of {1}", number(matching.length), number(this.shown.length));
    this.button.textContent = isPaused ? t("Go on") : t("Pause");
    this.fresh.hidden = !fresh;
    this.fresh.textContent = t("{0} new ↑", number(fresh));
    this.place(held ? matching : matching.slice(0, LIVE_ROWS));
    this.table.hidden = !matching.length;
    this.note.replaceChildren(...matching.length ? [] : this.shown.length ? [t("None of the {0} callbacks here matches the filter.", number(this.shown.length))]
      : [t("No callback has come since the bridge started. Try one:"), h("pre", "ci-bridge send --sample noise-reduction")]);
  },
  /** Rows that stay are not touched: the focus may be there. */
  place(wanted) {
    const before = new Map([...this.rows.children].map((row) => [row.item, row]));
    const stay = new Set(wanted);
    const newest = this.rows.firstChild?.item.serial;
    for (const [fact, row] of before) if (!stay.has(fact)) row.remove();
    wanted.forEach((fact, index) => {
      const row = before.get(fact) || this.row(fact);
      if (this.rows.children[index] !== row) this.rows.insertBefore(row, this.rows.children[index]);
      row.classList.toggle("chosen", fact === chosen);
      if (fact.serial > newest) row.classList.add("new");
    });
  },
};

/** A link names the place in the stream too: the message is there when the bridge has forgotten the callback. */
const placeOf = (fact) => ({ open: fact.open, at: fact.stream && `${fact.stream}/${fact.seq}` });

function goOn() {
  isPaused = false;
  if (CALLBACKS.rows.contains(document.activeElement)) document.activeElement.blur();
  scrollTo(0, 0);
  CALLBACKS.shown = facts;
  CALLBACKS.draw();
}

addEventListener("scroll", () => changed(), { passive: true });

// ---- the drawer

let copyId, opened;

function fillDrawer(heading, ...children) {
  $("drawer").replaceChildren(h("div.title", h("h2", { id: "drawer-title" }, heading), button("✕", closeDrawer, { "aria-label": t("Close") })), ...children.flat().filter(isThere));
  $("drawer").hidden = false;
  $("drawer").scrollTop = 0;
}

function hideDrawer() {
  $("drawer").hidden = true;
  copyId = opened = chosen = null;
}

function closeDrawer() {
  const row = document.querySelector(".chosen a");
  setAddress({ open: "", at: "" });
  row?.focus();
}

function followOpen(query, show) {
  const open = query.get("open");
  if (!open) return hideDrawer();
  if (open === opened) return;
  opened = open;
  show(open, query.get("at"));
}

async function showFact(open, at) {
  const fact = chosen = chosen?.open === open ? chosen : facts.find((fact) => fact.open === open);
  copyId = fact?.id || (at && open);
  const [stream, seq] = fact ? [fact.stream, fact.seq] : at?.split("/") || [];
  const copies = h("div.row", copiesOf(copyId, fact?.subject, stream, seq));
  const body = h("div", quiet(t("Loading…")));
  fillDrawer(fact?.object || open, copies, fact ? [h("h2", t("way")), wayOf(fact)] : quiet(t("The bridge keeps the last {0} callbacks; this one is no longer among them.", status.keep)), body);
  const tell = (text) => body.replaceChildren(quiet(text));
  if (!stream) return tell(t("No stream has a message of it."));
  try {
    const message = await api(`streams/${encodeURIComponent(stream)}/messages/${encodeURIComponent(seq)}`);
    if (opened !== open) return;
    // The stream may have been made anew since the link was: then another message is there.
    if (!fact && !message.headers.some(([, value]) => value === open)) return tell(t("The stream no longer has it."));
    copies.replaceChildren(...copiesOf(copyId, message.subject, stream, seq, message));
    body.replaceChildren(h("h2", t("message")), bodyOf(message), h("h2", t("headers")), headersOf(message.headers));
  } catch (error) { tell(error.message); }
}

const pairs = (rows) => h("dl", rows.filter(([, value]) => isThere(value)).map(([key, value]) => [h("dt", key), h("dd", value)]));

/** What happened to a callback, step by step, and how long each took. */
function wayOf(fact) {
  const { stages = {}, outcome } = fact;
  const step = (key, ms, ...parts) => {
    const said = parts.filter(isThere).flatMap((part, index) => index ? [" · ", part] : [part]);
    return said.length && h("li", h("span.quiet", t(key), " "), said, isThere(ms) && h("span.took.quiet", ms.toFixed(2), " ms"));
  };
  return h("ol.way", [
    step("Received", stages.read, moment(fact.t), fact.endpoint && h("b", fact.endpoint), size(fact.bytes)),
    step("Recognised", stages.parse, fact.kind && h("b", fact.kind), fact.tag, fact.state, fact.bucket, fact.jobs > 1 && `${t("jobs")} ${number(fact.jobs)}`),
    step("Routed", null, fact.subject && h("code", fact.subject), fact.rule && t("by {0}", fact.rule)),
    step("Stored", stages.publish, fact.stream ? h("b", `${fact.stream} #${fact.seq}`) : outcome === "spooled" && t("in the spool, until a stream has it"), fact.duplicate && t("the stream had it already")),
    step("Answered", fact.ms, h("b." + COLOURS[outcome], `${fact.status} ${outcome}`), fact.reason, fact.detail),
  ].filter(Boolean));
}

/** Ids first. */
function headersOf(headers) {
  const place = ([name]) => ["nats-msg-id", "ce-id"].indexOf(name.toLowerCase()) + 1 || 9;
  return pairs(headers.toSorted((a, b) => place(a) - place(b)).map(([name, value]) => [name, h("code", value)]));
}

function textOf({ body, body_base64: coded }) {
  return isThere(coded) ? new TextDecoder().decode(Uint8Array.from(atob(coded), (c) => c.charCodeAt(0))) : body;
}

function bodyOf(message) {
  const text = textOf(message);
  const { kept, bytes, object } = message;
  const notes = [kept < bytes && quiet(t("The first {0} of {1}.", size(kept), size(bytes))), object && quiet(`${object.bucket}/${object.name}: ${size(object.bytes)}`)];
  try { notes.push(tree(JSON.parse(text), text.length < 4096 ? 9 : 2)); } catch { return h("div", notes, h("pre", text)); }
  return h("div", notes, h("details", h("summary", t("As it is")), h("pre", text)));
}

const MOST_MEMBERS = 1000; // A list of 100,000 words would stop the browser for seconds.

/** A JSON value, `depth` levels of it open; what is in the others is made when they are opened. */
function tree(value, depth, key) {
  const name = isThere(key) && [h("span.accent", key), ": "];
  if (value === null || typeof value !== "object") return h("div.tree.leaf", name, h(typeof value === "string" ? "span.good" : "span", JSON.stringify(value)));
  const members = Object.entries(value);
  const details = h("details", h("summary", name, Array.isArray(value) ? `[${members.length}]` : `{${members.length}}`));
  const fill = () => {
    if (details.childElementCount > 1) return;
    details.append(...members.slice(0, MOST_MEMBERS).map(([key, child]) => tree(child, depth - 1, key)), members.length > MOST_MEMBERS ? "…" : "");
  };
  details.addEventListener("toggle", fill);
  if (depth > 0) fill();
  details.open = depth > 0;
  return h("div.tree", details);
}

// ---- copying

function copiesOf(id, subject, stream, seq, message) {
  const token = status.token ? ` -H "Authorization: Bearer $TOKEN"` : "";
  const offers = { "message id": id, subject };
  if (stream) offers["nats stream get"] = `nats stream get ${stream} ${seq}`;
  if (stream) offers.curl = `curl${token} ${location.origin}/api/v1/streams/${encodeURIComponent(stream)}/messages/${seq}`;
  if (message) offers["ci-bridge render"] = rendering(message);
  return Object.entries(offers).filter(([, text]) => text).map(([name, text]) => button(t(name), (event) => copy(text, event.currentTarget)));
}

/** A command that makes the message again. */
function rendering(message) {
  const type = message.headers.find(([name]) => name === "ce-type")?.[1] || "";
  if (type.includes("quarantine")) return `ci-bridge quarantine show ${message.seq} | ci-bridge render -`;
  // A large event is not whole here, and a structured one has no such header.
  if (!type || message.object || message.kept < message.bytes) return null;
  const event = JSON.parse(textOf(message));
  // The Simple form of moderation has no state, and no other form makes its id.
  const callback = type.includes("workflow") ? { EventName: "WorkflowFinish", WorkflowExecution: event } : event.State && { EventName: event.EventName || "TaskFinish", JobsDetail: event };
  return callback && `ci-bridge render - <<'EOF'\n${JSON.stringify(callback)}\nEOF\n`;
}

async function copy(text, pressed) {
  try { await navigator.clipboard.writeText(text); } catch {
    // Beyond loopback and without TLS a browser has nothing else to offer.
    const area = h("textarea.unseen", { readonly: true }, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(t("copied"));
  pressed?.classList.add("done");
  setTimeout(() => pressed?.classList.remove("done"), 1200);
}

// ---- quarantine

async function fetched(main, path, draw) {
  main.replaceChildren(quiet(t("Loading…")));
  const asked = shownView;
  const parts = await api(path).then(draw).catch((error) => [h("p.empty", error.message)]);
  if (shownView === asked) main.replaceChildren(...parts);
}

const QUARANTINE = {
  async show(main, before = "") {
    this.known = arrived;
    this.fresh = button("", () => this.show(main), { class: "chip", hidden: true });
    await fetched(main, "quarantine?limit=200" + before, ({ stream, entries, next, total }) => {
      this.stream = stream;
      const { row, rows, table } = list([
        ["when", (entry) => moment(entry.time)], ["reason", (entry) => entry.reason, () => "dot.bad"], ["what is wrong", (entry) => entry.detail],
        ["endpoint", (entry) => entry.endpoint], ["bytes", (entry) => number(entry.bytes)],
      ], "quarantine", (entry) => ({ open: entry.seq }));
      rows.append(...entries.map(row));
      this.rows = rows;
      const older = next && button(t("Older"), () => this.show(main, "&before=" + next));
      return [h("div.bar", t("{0} of {1}", number(entries.length), number(total)), this.fresh, older), total ? table : h("p.empty", t("Nothing is in quarantine."))];
    });
    if (shownView === this) this.follow(address().query);
  },
  follow(query) {
    followOpen(query, showQuarantined);
    for (const row of this.rows?.children || []) row.classList.toggle("chosen", String(row.item.seq) === opened);
  },
  update() {
    const fresh = facts.filter((fact) => fact.serial > this.known && fact.outcome === "quarantined").length;
    this.fresh.hidden = !fresh;
    this.fresh.textContent = t("{0} new ↑", number(fresh));
  },
};

async function showQuarantined(seq) {
  fillDrawer("#" + seq, quiet(t("Loading…")));
  try {
    const entry = await api("quarantine/" + encodeURIComponent(seq));
    if (opened !== seq) return;
    copyId = entry.id;
    const answer = h("div", { role: "status" });
    const replay = async ({ currentTarget: pressed }) => {
      pressed.disabled = true;
      try {
        const said = await api(`quarantine/${seq}/replay`, { method: "POST" });
        answer.replaceChildren(h("p." + (said.status === 200 ? "good" : "bad"), `${said.status} ${said.outcome}: ${said.detail}`),
          ...said.messages.map(({ subject, id }) => h("div.mono", `${subject} ${id}`)));
      } catch (error) { answer.replaceChildren(h("p.bad", error.message)); }
      pressed.disabled = false;
    };
    fillDrawer(`${entry.reason} #${seq}`, h("p", entry.detail),
      h("div.row", button(t("Replay"), replay, { disabled: !may.write }), h("a", { href: `api/v1/quarantine/${seq}/body`, download: `quarantine-${seq}` }, t("Download")), copiesOf(entry.id, entry.subject, QUARANTINE.stream, seq, entry)),
      !may.write && quiet(t("Replaying needs admin.token_file.")), answer, h("h2", t("message")), faulty(entry), h("h2", t("headers")), headersOf(entry.headers));
  } catch (error) { if (opened === seq) fillDrawer("#" + seq, quiet(error.message)); }
}

const AROUND = 5;
const BESIDE = 80;

/** The lines and characters around the fault, a caret under its column. */
function faulty(entry) {
  const body = bodyOf(entry);
  if (!entry.line) return body;
  const first = Math.max(0, entry.line - 1 - AROUND);
  const left = Math.max(0, entry.column - 1 - BESIDE);
  const shown = textOf(entry).split("\n").slice(first, entry.line + AROUND).map((line, index) => {
    // A column is a character, which in JavaScript may be two places of a string.
    const characters = Array.from(line).slice(left, left + 3 * BESIDE);
    const no = `${String(first + index + 1).padStart(4)}  `;
    // The same text unseen: the caret stands under its character however wide others are.
    const caret = first + index + 1 === entry.line && [h("span.ghost", no, characters.slice(0, entry.column - 1 - left).join("")), h("mark", "^"), "\n"];
    return [h("span.quiet", no), characters.join(""), "\n", caret].flat();
  });
  return h("div", h("pre.lines", shown), h("details", h("summary", t("As it is")), body));
}

// ---- settings

const SETTINGS = {
  show(main) {
    return fetched(main, "settings", ({ version, file, started, reload, certificates, streams, settings }) => {
      const certificate = ({ name, not_after: end, ok, detail }) => [name, orDash(end, moment), h(ok ? "span" : "span.bad", detail)];
      const stream = ({ name, messages, bytes, limits, findings, detail = findings.join("; ") }) =>
        [name, orDash(messages, number), orDash(bytes, size), limits, detail ? h("span.warn", detail) : t("as a 200 promises")];
      const setting = ({ key, value, source }) => [h("code", key), h("code", value), h(source === "default" ? "span.quiet" : "b.accent", source)];
      return [
        quiet(`ci-bridge ${version} ${file || ""}`), h("h2", t("Last reload")),
        reload?.applied === false ? h("p.bad", t("Refused at {0}; what was in effect stays so. {1}", moment(reload.time), reload.why)) : h("p", t("In effect since {0}.", moment(reload?.time || started))),
        ...certificates.length ? [h("h2", t("certificates")), table(["name", "valid until", "fitness"], certificates.map(certificate))] : [],
        h("h2", t("streams")), table(["name", "messages", "bytes", "limits", "fitness"], streams.map(stream)),
        h("h2", t("Settings")), table(["key", "value", "set by"], settings.map(setting)),
      ];
    });
  },
};

// ---- logging in and out

const LOGIN = {
  show(main) {
    const input = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
    const wrong = h("p.bad", { role: "alert" });
    const onsubmit = async (event) => {
      event.preventDefault();
      try {
        await api("session", { method: "POST", headers: { authorization: "Bearer " + input.value.trim() } });
        await start();
      } catch (error) {
        wrong.textContent = error.message;
        input.select();
      }
    };
    main.append(h("form.login", { onsubmit }, h("label", { for: "token" }, t("The page needs a token of admin.token_file.")), input, h("button", t("Log in")), wrong));
    input.focus();
  },
};

function logOut() {
  source?.close();
  [loggedOut, facts, points] = [true, [], []];
  $("logout").hidden = true;
  setLink("connecting");
  route();
}

const VIEWS = { now: NOW, callbacks: CALLBACKS, quarantine: QUARANTINE, settings: SETTINGS };

// ---- keys

function help() {
  const rows = { "/": "Filter", "j k": "next and previous row", Enter: "open", Esc: "Close", "␣": "pause, go on", c: "copy the message id", "?": "this help" };
  $("keys").replaceChildren(h("h2", { id: "keys-title" }, t("Keys")), pairs(Object.entries(rows).map(([key, word]) => [h("kbd", key), t(word)])), h("form", { method: "dialog" }, h("button", t("Close"))));
  $("keys").showModal();
}

function step(by) {
  const links = [...document.querySelectorAll(".list a")];
  const at = links.findIndex((link) => link.matches(":focus")) + 1 || links.findIndex((link) => link.matches(".chosen a")) + 1;
  const link = links[Math.min(Math.max(at - 1 + by, 0), links.length - 1)];
  link?.focus();
  if (!link || $("drawer").hidden) return;
  link.click();
  link.focus();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open || loggedOut) return;
  const isIn = (what) => event.target.closest?.(what);
  const onCallbacks = address().view === "callbacks";
  const id = copyId || isIn("tr")?.item.id;
  const actions = {
    "/": () => { if (!onCallbacks) location.hash = "#/callbacks"; route(); CALLBACKS.input.focus(); },
    j: () => step(1), k: () => step(-1), "?": help, c: () => id && copy(id), " ": onCallbacks && !isIn("button, summary") && (() => CALLBACKS.button.click()),
  };
  "1234".split("").forEach((key, index) => { actions[key] = () => $("views").children[index].click(); });
  if (event.key === "Escape") return $("drawer").hidden ? event.target.blur?.() : closeDrawer();
  if (isIn("input") || !actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

$("help").addEventListener("click", help);
$("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
$("language").addEventListener("click", () => { chinese = !chinese; inStorage("setItem", chinese ? "zh" : "en"); show(); });
$("logout").addEventListener("click", () => api("session", { method: "DELETE" }).finally(logOut));
addEventListener("hashchange", route);
show();
start();
