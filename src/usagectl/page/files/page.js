// Draws the document of a run, which arrives once per second, or of a stack, once per minute. Texts are set as text, never as HTML,
// because records are written by others.
/* global uPlot */

const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const exact = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });

let token = "";
let run = "";
let facts = {};
const isStack = () => facts.kind === "stack";
let switches = [];
let view = null;
let faultsSet = null;
let shownRuns = {};
let lastEvent = 0;

/// An element with properties and children.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/// Sets a text only if it differs, so that screen readers don't repeat it.
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/// Replaces the children only if what they show has changed, so that focus and selection stay.
function setChildren(target, key, make) {
  const known = JSON.stringify(key);
  if (target.dataset.key === known) return;
  target.dataset.key = known;
  target.replaceChildren(...make());
}

/// What isn't known is a dash, and never 0.
const known = (value, unit = whole.format) => (value === undefined || value === null ? "–" : unit(value));
const timeOfDay = (second) => new Date(second * 1000).toISOString().slice(11, 16);
const at = (object, path) => path.split(".").reduce((value, name) => value?.[name], object);
const plural = (count, what) => `${whole.format(count)} ${what}${count === 1 ? "" : "s"}`;

function duration(ms) {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  // Rounded before it is divided, because 59.6 s would be 60 s and no minute.
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function bytes(size) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  for (; size >= 1000 && unit < units.length - 1; unit += 1) size /= 1000;
  return `${unit === 0 ? size : size.toPrecision(3)} ${units[unit]}`;
}

/// `0-2` of shardId-00000000000000000000-00000002; of other names, the end.
function shardName(id) {
  const name = id.replace(/^shardId-/, "").replace(/(^|-)0+(?=[0-9a-z])/g, "$1");
  return name.length > 12 ? `…${name.slice(-8)}` : name;
}
/// A text with code in backticks, as nodes.
const withCode = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
const atLeast = (count, more) => whole.format(count) + (more ? "+" : "");

// ---- Charts -------------------------------------------------------------------------------------------------------------

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = [];
const HISTORY = 600;
/// Seconds between the times on an axis.
const TIMES = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

function chart(id, unit, series) {
  const target = byId(id);
  const axis = (more) => ({
    stroke: () => color("--muted"),
    grid: { stroke: () => color("--line"), width: 1 },
    ticks: { show: false },
    font: "12px Inter, system-ui, sans-serif",
    ...more,
  });
  const clock = (second) => isStack() ? timeOfDay(second) : `${Math.floor(second / 60)}:${String(Math.floor(second % 60)).padStart(2, "0")}`;
  const options = {
    width: target.clientWidth || 320,
    height: 180,
    padding: [10, 6, 0, 0],
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(high || 0, 1) * 1.08] } },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: false },
    hooks: { setCursor: [() => made && drawLegend(made)] },
    axes: [
      axis({ values: (_, splits) => splits.map(clock), space: 60, size: 26, incrs: TIMES }),
      axis({ values: (_, splits) => splits.map((value) => unit(value)), size: 62, space: 34 }),
    ],
    series: [
      {},
      ...series.map(({ label, stroke, fill, dash }) => ({
        label,
        stroke: () => color(stroke),
        fill: fill ? () => color(fill) : undefined,
        width: 1.75,
        dash,
        points: { show: false },
        spanGaps: true,
      })),
    ],
  };
  let made = null;
  const plot = new uPlot(options, [[], ...series.map(() => [])], target);
  const swatch = (one) => element("span", { className: "swatch", "data-stroke": one.stroke.slice(2), "data-dash": Boolean(one.dash), "aria-hidden": "true" });
  const values = series.map(() => element("span", { className: "value" }, "–"));
  const when = element("li", { className: "when" });
  target.parentElement.append(element("ul", { className: "legend", "aria-hidden": "true" },
    ...series.map((one, index) => element("li", {}, swatch(one), `${one.label} `, values[index])), when));
  made = { plot, target, series, unit, values, when, clock };
  charts.push(made);
  new ResizeObserver(() => plot.setSize({ width: Math.max(target.clientWidth, 120), height: 180 })).observe(target);
  return made;
}

/// The values at the cursor, or else the latest.
function drawLegend({ plot, series, unit, values, when, clock }) {
  const index = plot.cursor.idx;
  const isPointed = index !== null && index !== undefined && plot.cursor.left >= 0;
  series.forEach((one, number) => setText(values[number], known(isPointed ? history[one.column][index] : latest(one.column), unit)));
  const pointed = (second) => `at ${clock(second)}${isStack() ? " UTC" : ""}`;
  const end = isStack() && history.seconds.length > 0 ? pointed(history.seconds.at(-1)) : "now";
  setText(when, isPointed ? pointed(history.seconds[index]) : end);
}

/// The latest value that is known: of ages, some minutes have none.
const latest = (column) => history[column].findLast((value) => value !== null);

const history = { seconds: [], processed: [], delivered: [], failed: [], iterator_age_ms: [], fold_age_ms: [] };

/// When the labels of the charts were set last. A screen reader would read them every second otherwise.
let labeled = -Infinity;

function drawCharts() {
  const second = history.seconds.at(-1) ?? -Infinity;
  const isDue = isStack() || Math.abs(second - labeled) >= 10;
  if (isDue) labeled = second;
  for (const made of charts) {
    const { plot, target, series, unit } = made;
    plot.setData([history.seconds, ...series.map((one) => history[one.column])]);
    const last = (one) => `${one.label} ${known(latest(one.column), unit)}`;
    const label = `${target.dataset.title}: ${series.map(last).join(", ")}`;
    drawLegend(made);
    if (isDue) target.setAttribute("aria-label", label);
  }
}

function startCharts() {
  for (const target of all(".chart")) target.dataset.title = target.getAttribute("aria-label");
  const rate = (value) => short.format(value);
  chart("rate-chart", rate, [
    { label: "delivered", column: "delivered", stroke: "--muted" },
    { label: "durable", column: "processed", stroke: "--accent", fill: "--accent-soft" },
    { label: "failed", column: "failed", stroke: "--problem", dash: [5, 4] },
  ]);
  chart("age-chart", duration, [
    { label: "source", column: "iterator_age_ms", stroke: "--accent", fill: "--accent-soft" },
    { label: "ledger", column: "fold_age_ms", stroke: "--warning", dash: [5, 4] },
  ]);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(({ plot }) => plot.redraw()));
}

// ---- Sections -----------------------------------------------------------------------------------------------------------

function drawSummary({ level, title, reasons }) {
  byId("summary").dataset.level = level;
  setText(byId("summary-title"), title);
  setChildren(byId("summary-reasons"), reasons, () => reasons.map((reason) => element("li", {}, reason)));
  document.title = `${{ calm: "", warning: "▲ ", problem: "✕ " }[level] ?? ""}${facts.pipeline ?? "usagectl"} · usagectl ${isStack() ? "watch" : "local"}`;
}

function drawNode(name, detail, level, flows) {
  const node = document.querySelector(`[data-node="${name}"]`);
  setText(byId(`node-${name}`), detail);
  if (level) node.dataset.level = level;
  else delete node.dataset.level;
  node.toggleAttribute("data-flow", Boolean(flows));
}

const stuck = (blocked) => {
  if (blocked.length === 0) return null;
  return blocked.some((one) => one.failed_attempts >= 3) ? "problem" : "warning";
};

const kinds = { dynamodb: "table", kinesis: "Kinesis stream", "kinesis-for-dynamodb": "table, through Kinesis," };

/// The path of a stack: sums over the time that is shown.
function drawStackPath() {
  const { figures, mappings, storage } = view;
  const flows = history.processed.slice(-3).some((value) => value > 0);
  const age = (name) => known(figures[name], duration);
  const state = (mapping) => {
    if (!mapping) return "state unknown";
    return [mapping.state.toLowerCase(), mapping.last_result].filter(Boolean).join(", last result: ");
  };
  const level = (mapping, blocks) => (blocks || mapping?.state.startsWith("Disabl") ? "problem" : mapping && mapping.state !== "Enabled" ? "warning" : null);
  const blocks = (what) => view.blocked.some(([line]) => line.includes(`shard of the ${what}`));
  setText(byId("waiting"), age("iterator_age_ms"));
  drawNode("source", `${kinds[facts.stream] ?? ""} ${facts.source ?? ""}`, null);
  drawNode("mapping", state(mappings?.source), level(mappings?.source, blocks("source")), flows);
  drawNode("function", `${known(figures.invocations)} invocations, ${known(figures.errors)} failed`, null, flows);
  drawNode("ledger", facts.ledger ? `table ${facts.ledger}` : "this pipeline counts nothing", null, flows);
  const folds = facts.ledger ? `${state(mappings?.ledger)}; oldest page ${age("fold_age_ms")}` : "no fold";
  drawNode("fold", folds, level(mappings?.ledger, blocks("ledger")), flows && figures.notices > 0);
  drawNode("snapshots", facts.usage_table ? `table ${facts.usage_table}` : "none", null, flows && figures.snapshots > 0);
  setText(byId("avro-files"), known(figures.files));
  drawNode("avro", facts.archive ? `bucket ${facts.archive}` : "this pipeline archives nothing", null, flows && figures.files > 0);
  drawFailures(storage?.failures, figures.queued);
}

function drawFailures(failures, queued) {
  const batches = queued ?? failures?.batches ?? 0;
  const documents = failures ? batches + failures.quarantined + failures.notices : queued;
  const more = failures?.more ? "+" : "";
  setText(byId("failed-documents"), known(documents, (count) => whole.format(count) + more));
  const parts = failures
    ? [[batches, "failed batch", "failed batches"], [failures.quarantined, "quarantined", "quarantined"], [failures.notices, "late notice", "late notices"]]
    : [[batches, "failed batch", "failed batches"]];
  const named = parts.filter(([number]) => number > 0).map(([number, one, many]) => `${whole.format(number)} ${number === 1 ? one : many}`);
  const empty = documents === undefined ? "not known" : "empty";
  drawNode("failures", named.join(", ") || empty, documents > 0 ? "warning" : null);
}

function drawPath() {
  const { status, storage, sample } = view;
  const { mapping, waiting, fold } = status;
  const flows = sample.processed > 0;
  setText(byId("waiting"), atLeast(waiting.records, waiting.more_unread));
  const written = status.written ? `; ${whole.format(status.written)} written by the load` : "";
  drawNode("source", `${kinds[facts.stream] ?? ""} ${facts.source ?? ""}${written}`);
  drawNode("mapping", `${plural(status.shards, "shard")}${waiting.oldest_age_ms ? `, oldest record ${duration(waiting.oldest_age_ms)}` : ""}`, stuck(view.blocked), flows);
  drawNode("function", `${plural(mapping.invocations, "invocation")}, ${plural(mapping.errors + mapping.not_invoked, "failure")}`, null, flows);
  const folding = fold?.waiting.records ?? 0;
  // Of a mapping that is disabled or can't read its stream, it isn't known how many wait.
  const unread = fold?.waiting.more_unread;
  const pages = folding === 1 && !unread ? "1 page" : `${atLeast(folding, unread)} pages`;
  drawNode("ledger", facts.ledger ? (folding || unread ? `${pages} waiting to be folded` : "all pages folded") : "this pipeline counts nothing", null, flows);
  drawNode("fold", fold?.waiting.oldest_age_ms ? `oldest page ${duration(fold.waiting.oldest_age_ms)}` : !fold ? "no fold" : unread ? "pages may wait" : "nothing waits", stuck(view.blocked_folds), folding > 0);
  drawNode("snapshots", facts.usage_table ? `table ${facts.usage_table}` : "none", null, folding > 0);
  const { avro, parquet, failures } = storage ?? {};
  const count = (files) => (files ? atLeast(files.files, files.more) : "–");
  setText(byId("avro-files"), count(avro));
  setText(byId("parquet-files"), count(parquet));
  setText(byId("avro-size"), avro ? `${count(avro)}, ${bytes(avro.bytes)}` : "–");
  setText(byId("parquet-size"), parquet ? `${count(parquet)}, ${bytes(parquet.bytes)}` : "–");
  drawNode("avro", avro ? bytes(avro.bytes) : "", null, flows);
  drawNode("parquet", parquet ? bytes(parquet.bytes) : "");
  drawFailures(failures);
}

/// What blocks a stack, in lines: CloudWatch doesn't say more.
function drawStackBlocked() {
  const card = byId("blocked-card");
  card.hidden = view.blocked.length === 0;
  card.dataset.level = "problem";
  const describe = ([first, ...others]) => element("div", { className: "stuck" },
    element("p", {}, first), ...others.map((line) => element("p", { className: "muted" }, line)));
  setChildren(byId("blocked"), view.blocked, () => view.blocked.map(describe));
}

function drawBlocked() {
  const blocked = [...view.blocked.map((one) => [one, "record"]), ...view.blocked_folds.map((one) => [one, "page"])];
  const card = byId("blocked-card");
  card.hidden = blocked.length === 0;
  card.dataset.level = stuck(blocked.map(([one]) => one)) ?? "calm";
  const now = Date.parse(view.at);
  const left = (time) => duration(Math.max(0, Date.parse(time) - now));
  const describe = ([one, what]) => {
    const attempts = `${whole.format(one.failed_attempts)}${one.maximum_attempts ? ` of ${whole.format(one.maximum_attempts)}` : ""} attempts failed`;
    const next = Date.parse(one.next_attempt) > now ? `next attempt in ${left(one.next_attempt)}` : "an attempt is running";
    const until = one.retried_until ? `given up in about ${left(one.retried_until)}` : "retried without limit";
    return element("div", { className: "stuck" },
      element("p", {}, one.cause.replace(/^the /, "The ")),
      element("p", {}, `${one.behind} ${one.behind === "1" ? `${what} waits` : `${what}s wait`} behind ${one.record}`),
      element("p", { className: "muted" }, `${attempts}, ${next}, ${until}; since ${one.since.slice(11, 19)} UTC`),
      element("p", { className: "muted record" }, one.shard));
  };
  setChildren(byId("blocked"), blocked.length ? [blocked, view.at] : [], () => blocked.map(describe));
}

function drawShards(target, shards, lanes) {
  const reading = shards?.reading ?? [];
  const lane = (shard, number) => {
    const busy = shard.lanes.find((one) => one.lane === number);
    const [state, shown, spoken] = busy?.is_blocked
      ? ["blocked", "✕", "blocked"]
      : busy?.delivering
        ? ["delivering", whole.format(busy.delivering.records) + (busy.delivering.retries ? " ↻" : ""), `delivering ${plural(busy.delivering.records, "record")}${busy.delivering.retries ? ", again" : ""}`]
        : ["idle", "·", "idle"];
    return element("span", { className: "lane", "data-state": state, role: "img", "aria-label": `lane ${number + 1}: ${spoken}`, title: `Lane ${number + 1}: ${spoken}` }, shown);
  };
  const describe = (shard) => {
    const twins = shard.readers > 1 ? `, ${shard.readers} readers` : "";
    const parents = shard.parents.length ? `, after ${shard.parents.map(shardName).join(" and ")}` : "";
    const numbers = Array.from({ length: lanes }, (_, number) => number);
    return element("li", { className: "shard" },
      element("div", { className: "shard-head" },
        element("span", { title: shard.shard }, `Shard ${shardName(shard.shard)}`, element("span", { className: "muted" }, `${parents}${twins}`)),
        element("span", {}, `${atLeast(shard.unsettled_records, shard.more_unread)} waiting`)),
      element("div", { className: "lanes" }, ...numbers.map((number) => lane(shard, number))));
  };
  const closed = Math.max(0, (shards?.total ?? 0) - reading.length);
  const note = closed > 0 ? [element("p", { className: "muted" }, `${plural(closed, "other shard")}: read to the end, or not read yet`)] : [];
  setChildren(target, [shards, lanes], () => [element("ul", { className: "shards" }, ...reading.map(describe)), ...note]);
}

function drawCauses() {
  const causes = Object.entries(view.status.mapping.failures_by_cause).sort((one, other) => other[1] - one[1]).slice(0, 5);
  setChildren(byId("causes"), causes, () => causes.length === 0 ? [] : [
    element("h3", {}, "Why invocations failed"),
    element("ul", { className: "causes" }, ...causes.map(([cause, count]) => element("li", {}, element("b", {}, whole.format(count)), element("span", {}, cause)))),
  ]);
}

function drawRejectedRows(rows, note) {
  setText(byId("rejected-note"), note);
  byId("rejected-table").hidden = rows.length === 0;
  setChildren(byId("rejected-rows"), rows, () => rows.map(([record, why]) =>
    element("tr", {}, element("td", { className: "record", title: record }, `…${record.slice(-12)}`), element("td", {}, why))));
}

/// The last quarantined records of a stack: their documents in the failure bucket.
function drawStackRejections() {
  const rows = view.rejections.map(({ sequence_number, code, field, reason }) => [sequence_number, `${code}: ${field} ${reason}`]);
  const quarantined = view.storage?.failures?.quarantined;
  const canRedrive = view.tasks.some(({ name }) => name === "redrive");
  const how = canRedrive ? "" : " To redrive from this page, start usagectl watch with --allow-redrive.";
  const which = rows.length < quarantined ? ` The last ${rows.length} of them:` : "";
  const note = quarantined === undefined
    ? "Not known: the failure bucket can’t be read, or the stack has none."
    : quarantined > 0 ? `${plural(quarantined, "record")} in quarantine. Fix what rejects them, then redrive.${how}${which}` : `No record is in quarantine.${how}`;
  drawRejectedRows(rows, note);
}

function drawRejections() {
  const quarantined = view.status.quarantined?.records ?? 0;
  const last = view.status.waiting.last_rejected;
  const rows = view.rejections.map(({ sequence_number, code, field, reason }) => [sequence_number, `${code}: ${field} ${reason}`]);
  const reason = last?.cause?.kind === "reported" ? last.cause.detail : null;
  if (reason && !rows.some(([record]) => record === last.sequence_number)) {
    rows.unshift([last.sequence_number, `${reason.code}: ${reason.field} ${reason.reason}`]);
  }
  const note = quarantined > 0
    ? `${plural(quarantined, "record")} quarantined in this run. Fix what rejects them, then redrive.`
    : rows.length > 0 ? "The last record that the function rejected." : "None. Failed batches and quarantined records appear here with their reason.";
  drawRejectedRows(rows, note);
}

function drawUsage() {
  const usage = view.usage;
  const measures = usage?.measures ?? [];
  const select = byId("measure");
  setChildren(select, measures.map((one) => one.measure), () => measures.map((one) => element("option", { value: one.measure }, one.measure)));
  select.parentElement.hidden = measures.length === 0;
  const shown = measures.find((one) => one.measure === select.value) ?? measures[0];
  byId("usage-table").hidden = !shown;
  if (!shown) {
    const waits = isStack() && !usage && facts.usage_table ? "The usage table is being read." : "No usage in this window yet.";
    const note = facts.usage_note ?? (facts.usage_table ? waits : "This pipeline counts nothing.");
    setChildren(byId("usage-window"), note, () => withCode(note));
    return;
  }
  const shared = shown.shares_records ? ", some of which count the same records" : "";
  const total = shown.total === undefined ? shared : `, ${exact.format(shown.total)} in all`;
  const passed = shown.window === "total" ? "" : `; ${short.format(shown.elapsed * 100)}% of the ${shown.window} has passed`;
  const window = shown.window === "total" ? "All time" : `The ${shown.window} from ${shown.start.slice(0, 16).replace("T", " ").replace(" 00:00", "")}`;
  delete byId("usage-window").dataset.key;
  setText(byId("usage-window"), `${window}: ${plural(shown.groups, "group")}${total}${passed}. Read at ${usage.read_at.slice(11, 19)} UTC.`);
  const number = (text) => exact.format(Number(text));
  const largest = Math.max(...shown.top.map((one) => Math.abs(Number(one.value))), 1e-9);
  const row = ({ group, value, limit, projected }) => {
    const [entity, ...rest] = group;
    const bar = element("meter", { className: "bar-of", min: 0, max: limit ?? largest, value: Number(value) });
    if (limit) {
      bar.low = limit * 0.8;
      bar.high = limit * 0.999;
      bar.optimum = 0;
    }
    bar.setAttribute("aria-label", limit ? `${short.format((Number(value) / limit) * 100)}% of the limit` : `${short.format((Number(value) / largest) * 100)}% of the largest`);
    const over = limit && projected > limit;
    return element("tr", {},
      element("th", { scope: "row" }, entity),
      element("td", { className: "wide muted" }, rest.join(" ")),
      element("td", { className: "number" }, number(value)),
      element("td", { className: "bars" }, bar),
      element("td", { className: "number" }, limit ? exact.format(limit) : "–"),
      element("td", { className: over ? "number over" : "number" }, projected === undefined ? "–" : `${over ? "▲ " : ""}${exact.format(projected)}`));
  };
  setChildren(byId("usage-rows"), shown.top, () => shown.top.map(row));
}

function noAlarm() {
  if (!isStack()) return "No alarm of the template is firing.";
  if (view.alarm_count === null) return "Not known: the alarms can’t be read.";
  return view.alarm_count === 0 ? "The stack has no alarms." : `None of ${plural(view.alarm_count, "alarm")} is firing.`;
}

function drawAlarms() {
  const composites = ["Page", "Ticket"];
  const alarms = ((isStack() ? view.alarms : view.status.alarms) ?? []).filter(({ name }) => !composites.includes(name));
  const item = ({ name, state, severity, reason }) => {
    const level = state === "ALARM" ? (severity === "page" ? "problem" : "warning") : "calm";
    const word = state === "ALARM" ? (severity === "page" ? "pages" : "ticket") : "fired earlier";
    return element("li", { "data-level": level }, element("span", { className: "mark", "aria-hidden": "true" }),
      element("span", {}, element("strong", {}, name), ` ${word}: ${reason}`));
  };
  const calm = () => [element("li", { "data-level": "calm" }, element("span", { className: "mark", "aria-hidden": "true" }), noAlarm())];
  setChildren(byId("alarms"), [alarms, noAlarm()], () => (alarms.length ? alarms.map(item) : calm()));
  const alert = (text) => element("li", { "data-level": "warning" }, element("span", { className: "mark", "aria-hidden": "true" }), text);
  const more = view.more_alerts ? [`More are firing: usagectl alerts --stack ${facts.stack} --firing lists all.`] : [];
  const alerts = [...view.alerts, ...more];
  setChildren(byId("alerts"), alerts, () => alerts.map(alert));
}

// ---- Faults -------------------------------------------------------------------------------------------------------------

/// The faults in effect, by name, from `crash=10,twins`.
function inEffect(text) {
  const parts = (text ?? "").split(",").filter((part) => part && part !== "none");
  return new Map(parts.map((part) => part.split("=")).map(([name, value]) => [name, value ?? ""]));
}

function drawSwitches() {
  for (const [id, outages] of [["faults-passing", false], ["faults-outage", true]]) {
    const shown = switches.filter((one) => one.is_outage === outages);
    setChildren(byId(id), shown, () => shown.map(({ name, title, effect, refused }) =>
      element("li", {}, element("button", { type: "button", className: "switch", role: "switch", "aria-checked": "false", "aria-disabled": refused ? "true" : null, "data-fault": name, "aria-describedby": `effect-${name}` },
        element("span", { className: "track", "aria-hidden": "true" }),
        element("span", { className: "title" }, title),
        element("span", { className: "count" }),
        element("span", { className: "effect", id: `effect-${name}` }, refused ? refused.replaceAll("`", "") : effect)))));
  }
}

function drawFaults() {
  const { status } = view;
  if (faultsSet && (status.faults === faultsSet.text || Date.now() > faultsSet.until)) faultsSet = null;
  const on = inEffect(faultsSet?.text ?? status.faults);
  for (const button of all(".switch")) {
    const name = button.dataset.fault;
    const injected = (status.injected?.[name] ?? 0) + (status.fold?.injected?.[name] ?? 0);
    button.setAttribute("aria-checked", String(on.has(name)));
    const value = on.get(name);
    const how = value ? (value.endsWith("s") ? `every ${value}` : `${value}%`) : "";
    setText(button.querySelector(".count"), [on.has(name) ? how || "on" : "", injected ? `${whole.format(injected)}×` : ""].filter(Boolean).join(" · "));
  }
  setText(byId("faults-note"), on.size ? `${plural(on.size, "fault")} on. Counts stay exact; watch the run heal when they are off.` : "Switch one on, and watch the run heal.");
}

async function post(path, body) {
  const response = await fetch(path, { method: "POST", headers: { "x-usagectl-token": token }, body });
  const text = await response.text();
  let answer = {};
  try { answer = JSON.parse(text); } catch { answer = { error: text }; }
  if (!response.ok) throw new Error(answer.error || `status ${response.status}`);
  return answer;
}

async function switchFault(button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  const error = byId("faults-error");
  try {
    const on = button.getAttribute("aria-checked") !== "true";
    const { faults } = await post("/page/faults", JSON.stringify({ name: button.dataset.fault, on }));
    faultsSet = { text: faults, until: Date.now() + 5000 };
    error.hidden = true;
    if (view) drawFaults();
  } catch (failure) {
    error.textContent = `The fault was not switched: ${failure.message}`;
    error.hidden = false;
  }
}

// ---- Commands -----------------------------------------------------------------------------------------------------------

const RESULTS = {
  reconcile: ["Proved: every record was counted once.", "Not proved yet: see below."],
  redrive: ["Done: nothing is left to redrive.", "Some records remain: see below."],
  compact: ["Compacted.", "Compaction failed: see below."],
};

function drawTasks() {
  for (const button of all("[data-task]")) button.hidden = !view.tasks.some(({ name }) => name === button.dataset.task);
  for (const task of view.tasks) {
    const button = document.querySelector(`[data-task="${task.name}"]`);
    button.setAttribute("aria-disabled", String(task.is_running));
    button.dataset.idle ??= button.textContent;
    setText(button, task.is_running ? "Running…" : button.dataset.idle);
    const target = byId(`task-${task.name}`);
    if (task.is_running) {
      target.hidden = false;
      setChildren(target, ["running", task.runs], () => [element("p", { className: "muted", role: "status" }, "Running…"), element("p", { className: "command" }, element("code", {}, task.command))]);
    } else if (task.ended && shownRuns[task.name] !== task.runs) {
      shownRuns[task.name] = task.runs;
      showOutput(task.name);
    }
  }
}

/// Results of an earlier run say nothing about this one.
function forgetTasks() {
  shownRuns = {};
  for (const target of all("[id^='task-']")) {
    target.hidden = true;
    target.replaceChildren();
    delete target.dataset.key;
  }
}

async function showOutput(name) {
  const target = byId(`task-${name}`);
  try {
    const { task, output } = await (await fetch(`/page/tasks/${name}`)).json();
    const good = task.ended?.code === 0;
    target.hidden = false;
    setChildren(target, ["ended", task.runs, run], () => [
      element("p", { className: "result", role: "status", "data-level": good ? "calm" : "problem" },
        element("span", { className: "mark", "aria-hidden": "true" }), RESULTS[name][good ? 0 : 1]),
      element("pre", { tabIndex: 0 }, output || "(no output)"),
      element("p", { className: "command" }, element("code", {}, task.command), ` (${duration(task.ended.seconds * 1000)})`),
    ]);
  } catch (failure) {
    delete shownRuns[name];
    console.info(`the output of ${name} will be read again: ${failure.message}`);
  }
}

async function startTask(button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  const target = byId(`task-${button.dataset.task}`);
  button.setAttribute("aria-disabled", "true");
  try {
    await post(`/page/tasks/${button.dataset.task}`);
  } catch (failure) {
    target.hidden = false;
    target.replaceChildren(element("p", { className: "error", role: "alert" }, `Not started: ${failure.message}`));
    delete target.dataset.key;
    button.setAttribute("aria-disabled", "false");
  }
}

// ---- The stream ---------------------------------------------------------------------------------------------------------

function drawStack() {
  for (const target of all("[data-stack]")) setText(target, known(view.figures[target.dataset.stack]));
  setText(byId("uptime"), `read at ${view.at.slice(11, 19)} UTC`);
  setText(byId("fold-age"), known(view.figures.fold_age_ms, duration));
  setText(byId("fold-iterator-age"), known(view.figures.fold_iterator_age_ms, duration));
  setText(byId("calls-so-far"), view.calls.so_far);
  drawSummary(view.summary);
  drawStackPath();
  drawStackBlocked();
  drawStackRejections();
  drawUsage();
  drawAlarms();
  drawTasks();
}

function drawRun() {
  for (const target of all("[data-figure]")) setText(target, whole.format(at(view.status, target.dataset.figure) ?? 0));
  setText(byId("uptime"), duration(view.status.seconds * 1000));
  setText(byId("fold-age"), view.status.fold?.waiting.oldest_age_ms ? duration(view.status.fold.waiting.oldest_age_ms) : "none");
  drawSummary(view.summary);
  drawPath();
  drawBlocked();
  drawShards(byId("source-shards"), view.source_shards, facts.lanes ?? 1);
  drawShards(byId("ledger-shards"), view.ledger_shards, 1);
  drawCauses();
  drawRejections();
  drawUsage();
  drawAlarms();
  drawFaults();
  drawTasks();
}

function onHello(message) {
  const hello = JSON.parse(message.data);
  if (run && run !== hello.run) forgetTasks();
  ({ run, token } = hello);
  facts = hello.facts ?? {};
  switches = hello.switches ?? [];
  Object.assign(history, hello.history);
  document.body.dataset.source = isStack() ? "stack" : "local";
  setText(byId("pipeline"), facts.pipeline ?? "usagectl");
  setText(byId("origin"), isStack() ? `usagectl watch · stack ${facts.stack}` : `usagectl local · ${facts.source ?? ""}`);
  if (!isStack()) return drawSwitches();
  setText(byId("path-note"), `Sums of the last ${duration(facts.span_seconds * 1000).replace(" 0 min", "").replace(" 0 s", "")}, from CloudWatch, which is a few minutes behind. A record that is delivered again counts again.`);
  setText(byId("calls-cost"), facts.cost);
  setText(byId("proof-cost"), facts.proof_cost);
  setChildren(byId("left-out"), facts.left_out, () => facts.left_out.map((text) => element("li", {}, ...withCode(text))));
}

function onView(message) {
  view = JSON.parse(message.data);
  lastEvent = Date.now();
  const { sample } = view;
  if (view.history) Object.assign(history, view.history);
  if (sample && sample.seconds > (history.seconds.at(-1) ?? -1)) {
    for (const column of Object.keys(history)) {
      history[column].push(sample[column]);
      if (history[column].length > HISTORY) history[column].shift();
    }
  }
  connected(true);
  if (isStack()) drawStack();
  else drawRun();
  drawCharts();
  document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
}

function connected(is) {
  const chip = byId("connection");
  chip.dataset.level = is ? "live" : "warning";
  setText(byId("connection-text"), is ? "Live" : "Reconnecting");
  if (is) return;
  byId("summary").dataset.level = "offline";
  setText(byId("summary-title"), isStack() ? "usagectl watch has ended or doesn’t answer" : "The run has ended or doesn't answer");
  const reasons = ["The figures below are the last that arrived.", "Start it again on the same port, and this page continues by itself."];
  setChildren(byId("summary-reasons"), reasons, () => reasons.map((reason) => element("li", {}, reason)));
}

let source;
function connect() {
  source?.close();
  source = new EventSource("/page/events");
  source.addEventListener("hello", onHello);
  source.addEventListener("view", onView);
  source.onerror = () => {
    connected(false);
    // A browser gives up after some errors.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  };
}

document.addEventListener("click", (event) => {
  const fault = event.target.closest("[data-fault]");
  const task = event.target.closest("[data-task]");
  if (fault) switchFault(fault);
  else if (task) startTask(task);
});
byId("measure").addEventListener("change", () => view && drawUsage());
// A connection can end without an error, for example while the machine sleeps.
const patience = () => Math.max(15000, (facts.interval_seconds ?? 1) * 3000);
setInterval(() => lastEvent && Date.now() - lastEvent > patience() && connect(), 5000);

startCharts();
connect();
