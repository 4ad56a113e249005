// Jobs, live: the list is read once the stream is open, then every event moves it on. An event that the list already
// holds (by the job's sequence) is left out, so nothing is missed and nothing is counted twice.
"use strict";

const jobs_max = 2000;  // shown at once; older ones are a page away
const final_states = ["COMPLETED", "FAILED", "CANCELLED", "REJECTED"];
const state_of = {
  "job.submitted": "SUBMITTED", "job.queued": "QUEUED", "job.running": "RUNNING", "job.retrying": "RETRYING", "job.paused": "PAUSED",
  "job.completed": "COMPLETED", "job.failed": "FAILED", "job.rejected": "REJECTED", "job.cancelled": "CANCELLED",
};
const jobs = new Map();  // id -> job, as GET /api/jobs/{id}
const rows = new Map();  // id -> { li, parts }
let chosen = null, next_page = null, early = [];

const $ = (id) => document.getElementById(id);
const make = (tag, cls, text) => Object.assign(document.createElement(tag), { className: cls || "", textContent: text ?? "" });
const say = (text) => { $("announce").textContent = text; };

async function ask(path, options) {
  const answer = await fetch(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail || body.title || `${answer.status}`);
  return body;
}
const post = (path, body) => ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// -- the list ----------------------------------------------------------------------------------------------------

function when(text) {
  if (!text) return "";
  const t = new Date(text);
  return t.toDateString() === new Date().toDateString() ? t.toLocaleTimeString() : t.toLocaleString();
}

const file_of = (uri) => (uri || "").split("/").pop();

function row_of(job) {
  let row = rows.get(job.job_id);
  if (row) return row;
  const li = make("li"), button = make("button", "job");
  button.type = "button";
  const parts = { button, id: make("span", "id"), status: make("span"), about: make("span", "about"), when: make("span", "when"), bar: make("progress") };
  parts.bar.max = 1;
  button.append(parts.id, parts.status, parts.about, parts.when, parts.bar);
  button.addEventListener("click", () => choose(job.job_id, true));
  li.append(button);
  row = { li, parts };
  rows.set(job.job_id, row);
  const later = [...rows.keys()].filter((id) => id !== job.job_id && (jobs.get(id).submitted_at || "") > (job.submitted_at || ""));
  if (later.length === rows.size - 1) $("jobs").append(li);
  else if (later.length === 0) $("jobs").prepend(li);
  else {
    const after = later.reduce((a, b) => ((jobs.get(a).submitted_at || "") < (jobs.get(b).submitted_at || "") ? a : b));
    rows.get(after).li.after(li);
  }
  return row;
}

function draw(job) {
  const { parts } = row_of(job);
  const progress = job.progress || 0, running = job.status === "RUNNING";
  parts.id.textContent = job.job_id;
  parts.status.textContent = running ? `RUNNING ${Math.floor(progress * 100)} %` : job.status;
  parts.status.className = `status ${job.status}`;
  parts.about.textContent = [job.agent, file_of(job.dataset), running ? job.stage : ""].filter(Boolean).join(" · ");
  parts.when.textContent = when(job.submitted_at);
  parts.bar.hidden = !running;
  parts.bar.value = progress;
  parts.bar.setAttribute("aria-label", `progress of ${job.job_id}`);
  parts.button.setAttribute("aria-pressed", String(job.job_id === chosen));
}

let count_soon = false;
function count() {  // at most once per frame, however many events come
  if (count_soon) return;
  count_soon = true;
  requestAnimationFrame(() => {
    count_soon = false;
    const by = {};
    for (const job of jobs.values()) by[job.status] = (by[job.status] || 0) + 1;
    $("counts").textContent = Object.entries(by).map(([s, n]) => `${n} ${s.toLowerCase()}`).join(" · ");
    $("none").hidden = jobs.size > 0;
  });
}

function keep(job) {
  const known = jobs.get(job.job_id);
  if (known && (known.last_sequence || 0) > (job.last_sequence || 0)) return;
  jobs.set(job.job_id, { ...known, ...job });
  draw(jobs.get(job.job_id));
  count();
}

async function load(more) {
  const page = await ask(`/api/jobs?page_size=100${more && next_page ? `&page_token=${encodeURIComponent(next_page)}` : ""}`);
  page.jobs.forEach(keep);
  next_page = page.next_page_token;
  $("more").hidden = !next_page || jobs.size >= jobs_max;
  count();
}

// -- events ------------------------------------------------------------------------------------------------------

function apply(e) {
  if (!e.event_type.startsWith("job.") || e.event_type === "job.metrics") return;
  const known = jobs.get(e.job_id), data = e.data || {};
  if (!known && e.event_type !== "job.submitted") return void ask(`/api/jobs/${encodeURIComponent(e.job_id)}`).then(keep, () => {});
  const job = known || { job_id: e.job_id, submitted_at: e.timestamp, last_sequence: 0 };
  if (e.sequence && e.sequence <= (job.last_sequence || 0)) return;
  const change = { last_sequence: e.sequence || job.last_sequence };
  if (e.event_type === "job.submitted") Object.assign(change, { agent: data.agent, dataset: data.dataset, priority: data.priority, user_id: e.user_id });
  if (e.event_type === "job.progress") Object.assign(change, { progress: data.progress, stage: data.stage });
  if (e.event_type === "job.resumed") change.status = data.new_status;
  if (state_of[e.event_type]) change.status = data.new_status || state_of[e.event_type];
  if (e.event_type === "job.running") Object.assign(change, { progress: 0, attempt: data.attempt });
  if (data.error) change.error = data.error;
  if (data.reason !== undefined) change.reason = data.reason;
  if (e.event_type === "job.completed") Object.assign(change, { progress: 1, results: (data.results || []).map((r) => r.name) });
  jobs.set(e.job_id, { ...job, ...change });
  draw(jobs.get(e.job_id));
  count();
  if (e.job_id === chosen) {
    show(jobs.get(e.job_id));
    add_event(e);
  }
  if (final_states.includes(change.status)) {
    say(`Job ${e.job_id} ${change.status.toLowerCase()}`);
    ask(`/api/jobs/${encodeURIComponent(e.job_id)}`).then((full) => { keep(full); if (chosen === full.job_id) show(jobs.get(full.job_id)); }, () => {});
  }
}

function listen() {
  const stream = new EventSource("/api/stream");
  stream.onopen = async () => {
    $("connection").textContent = "live";
    $("connection").className = "live";
    early = [];
    try { await load(false); } catch (problem) { $("connection").textContent = problem.message; $("connection").className = ""; }
    const waiting = early;
    early = null;
    waiting.forEach(apply);
  };
  stream.onmessage = (message) => {
    const e = JSON.parse(message.data);
    if (early) early.push(e); else apply(e);
  };
  stream.onerror = () => {
    $("connection").className = "";
    $("connection").textContent = "reconnecting";
    if (stream.readyState === EventSource.CLOSED) {  // refused: find out why, then try again
      ask("/api/jobs?page_size=1").catch((problem) => { $("connection").textContent = problem.message; });
      setTimeout(listen, 3000);
    }
  };
}

// -- details -----------------------------------------------------------------------------------------------------

function show(job) {
  $("details-title").textContent = job.job_id;
  $("cancel").hidden = final_states.includes(job.status);
  const facts = [
    ["Status", job.status + (job.status === "RUNNING" ? `, ${Math.floor((job.progress || 0) * 100)} %${job.stage ? `, ${job.stage}` : ""}` : "")],
    ["Reason", job.reason], ["Error", job.error && `${job.error.title}: ${job.error.detail}`], ["Waiting for", job.waiting_for],
    ["Agent", job.agent], ["Dataset", job.dataset], ["Parameters", job.params && Object.keys(job.params).length ? JSON.stringify(job.params) : ""],
    ["Attempts", job.attempt], ["Priority", job.priority], ["User", job.user_id],
    ["Submitted", when(job.submitted_at)], ["Started", when(job.started_at)], ["Finished", when(job.finished_at)],
  ];
  $("facts").replaceChildren(...facts.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== 0).flatMap(([name, value]) => {
    const dd = make("dd", name === "Error" ? "problem" : name === "Status" ? job.status : "", String(value));
    return [make("dt", "", name), dd];
  }));
  const base = `/api/jobs/${encodeURIComponent(job.job_id)}/results/`;
  const names = job.results || [];
  $("results").replaceChildren(...(names.length ? names : [null]).map((name) => {
    const li = make("li", "", name ? "" : final_states.includes(job.status) ? "none" : "none yet");
    if (name) li.append(Object.assign(make("a", "", name), { href: base + encodeURIComponent(name) }));
    return li;
  }));
  const has_picture = names.includes("preview.png");
  $("picture").hidden = !has_picture;
  if (has_picture && $("picture").getAttribute("href") !== `${base}preview.png`) {
    $("picture").href = `${base}preview.png`;
    $("picture").firstElementChild.src = `${base}preview.png`;
  }
}

function add_event(e) {
  if ([...$("events").children].some((li) => li.dataset.position === String(e.position))) return;
  const li = make("li");
  li.dataset.position = e.position;
  const data = e.data || {};
  const what = e.event_type === "job.progress" ? `${Math.floor(data.progress * 100)} % ${data.stage || ""}`
    : [data.reason, data.error && data.error.title, data.device, data.by].filter(Boolean).join(", ");
  li.append(Object.assign(make("time", "", new Date(e.timestamp).toLocaleTimeString()), { dateTime: e.timestamp }), make("span", "", `${e.event_type.slice(4)}${what ? `: ${what}` : ""}`));
  $("events").append(li);
  if ($("events").children.length > 500) $("events").firstElementChild.remove();
}

async function choose(id, move_focus) {
  const before = chosen;
  chosen = id;
  if (before && jobs.has(before)) draw(jobs.get(before));
  draw(jobs.get(id));
  $("details").hidden = false;
  document.querySelector("main").classList.add("split");
  $("details-problem").textContent = "";
  $("events").replaceChildren();
  $("picture").removeAttribute("href");
  show(jobs.get(id));
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  if (move_focus) $("details-title").focus();
  try {
    const path = `/api/jobs/${encodeURIComponent(id)}`;
    const [full, events] = await Promise.all([ask(path), ask(`${path}/events?page_size=500`)]);
    keep(full);
    if (chosen !== id) return;
    show(jobs.get(id));
    events.events.forEach(add_event);
  } catch (problem) { if (chosen === id) $("details-problem").textContent = problem.message; }
}

function close_details() {
  const before = chosen;
  chosen = null;
  $("details").hidden = true;
  document.querySelector("main").classList.remove("split");
  history.replaceState(null, "", location.pathname);
  if (before && jobs.has(before)) { draw(jobs.get(before)); rows.get(before).parts.button.focus(); }
}

$("close").addEventListener("click", close_details);
document.addEventListener("keydown", (e) => { if (e.key === "Escape" && chosen) close_details(); });
$("more").addEventListener("click", () => load(true).catch((problem) => say(problem.message)));
$("cancel").addEventListener("click", async () => {
  $("cancel").disabled = true;
  $("details-problem").textContent = "";
  try { keep(await post(`/api/jobs/${encodeURIComponent(chosen)}/cancel`, {})); show(jobs.get(chosen)); }
  catch (problem) { $("details-problem").textContent = problem.message; }
  $("cancel").disabled = false;
});

// -- submitting --------------------------------------------------------------------------------------------------

$("new-job").addEventListener("click", async () => {
  const form = $("submit");
  form.hidden = !form.hidden;
  $("new-job").setAttribute("aria-expanded", String(!form.hidden));
  if (form.hidden) return;
  if (!form.elements.agent.options.length) {
    const answer = await ask("/api/agents").catch(() => []);
    const agents = Array.isArray(answer) ? answer : answer.agents || [];
    form.elements.agent.append(...agents.map((agent) => new Option(agent.name, agent.name, agent.name === "image-reconstruction", agent.name === "image-reconstruction")));
  }
  form.querySelector("input").focus();
});

$("submit").addEventListener("submit", async (e) => {
  e.preventDefault();
  const given = new FormData(e.target), params = {};
  $("submit-problem").textContent = "";
  for (const pair of given.get("params").split(/\s+/).filter(Boolean)) {
    const [name, ...rest] = pair.split("=");
    if (!rest.length) return void ($("submit-problem").textContent = `${pair}: expected name=value`);
    try { params[name] = JSON.parse(rest.join("=")); } catch { params[name] = rest.join("="); }
  }
  const path = given.get("dataset").trim();
  const dataset = path.includes("://") ? path : `file://${path.startsWith("/") ? "" : "/"}${path}`;
  try {
    const job = await post("/api/jobs", { agent: given.get("agent"), dataset, priority: Number(given.get("priority")), params });
    keep(job);
    choose(job.job_id, true);
  } catch (problem) { $("submit-problem").textContent = problem.message; }
});

addEventListener("DOMContentLoaded", () => {
  listen();
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(wanted) && wanted !== "jobs-title") ask(`/api/jobs/${encodeURIComponent(wanted)}`).then((job) => { keep(job); choose(wanted, false); }, () => {});
});
