"use strict";
// The inspector's page: a list that server-sent events keep up to date, and views chosen by the address's fragment.
//   #/requests/12/sql    #/routes    #/pipeline/NAME or /path    #/state
// Nothing of a request is ever read as HTML: `h` makes elements and text nodes only.

const BASE = "/-/inspector";
const NAMES = {
  hooks: "hooks", method: "handler", sql: "SQL", cache: "cache", template: "templates", commit: "commit",
  save: "session save", send: "sending", signal: "signals", other: "framework",
};
const KEYWORDS = new RegExp("\\b(SELECT|FROM|WHERE|AND|OR|NOT|IN|IS|NULL|LEFT|RIGHT|INNER|OUTER|JOIN|ON|AS|GROUP|ORDER|BY"
  + "|HAVING|LIMIT|OFFSET|INSERT|INTO|VALUES|UPDATE|SET|DELETE|RETURNING|UNION|ALL|DISTINCT|COUNT|CASE|WHEN|THEN|ELSE"
  + "|END|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|WITH|EXISTS|LIKE|BETWEEN|ASC|DESC)\\b", "gi");

const byId = id => document.getElementById(id);
const records = new Map();
let shown = null; // the record of the detail view
let asked = 0; // the number of the newest question to the server: answers to older ones are dropped

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter(child => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

function ms(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.005) return value > 0 ? "<0.01 ms" : "0 ms";
  if (value >= 1000) return (value / 1000).toFixed(2) + " s";
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) + " ms";
}

const plural = (count, noun) => count + " " + noun + (count === 1 ? "" : "s");
const chip = (text, kind) => h("span", {class: "chip " + (kind || "")}, text);
const place = text => text && h("code", {class: "at"}, text);

async function load(path) {
  const answer = await fetch(BASE + path);
  if (!answer.ok) throw new Error(answer.status === 404 ? "It is not here, or not kept any more." : "Answered " + answer.status);
  return answer.json();
}

// ---------------------------------------------------------------- the list

function statusClass(record) {
  if (record.ms === null) return "status sr";
  return "status s" + (record.status ? String(record.status)[0] : "0");
}

function listed(record) {
  const counts = record.counts;
  const isOpen = shown !== null && shown.id === record.id;
  return h("li", null, h("a", {href: "#/requests/" + record.id, "aria-current": isOpen && "true", class: record.isNew && "new"},
    h("span", {class: statusClass(record)}, record.ms === null ? "…" : record.status || "cut"),
    h("span", {class: "path", title: record.url}, record.method + " " + record.url),
    h("span", {class: "took"}, record.ms === null ? "running" : ms(record.ms)),
    h("span", {class: "sub"},
      record.route,
      counts.sql && h("span", null, counts.sql + " SQL, " + ms(record.sql_ms)),
      counts.cache && h("span", null, counts.cache + " cache"),
      record.repeated > 0 && chip(record.repeated + "× repeated", "warn"),
      counts.error && !(record.status < 500) && chip("exception", "bad"),
      record.warnings > 0 && chip(plural(record.warnings, "warning"), "warn"))));
}

function drawList() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [...records.values()].sort((one, other) => other.id - one.id);
  const fits = record => {
    const text = [record.method, record.url, record.status, record.route].join(" ").toLowerCase();
    return words.every(word => text.includes(word));
  };
  const found = all.filter(fits);
  const focused = document.activeElement && document.activeElement.closest("#requests a");
  const address = focused && focused.getAttribute("href");
  byId("requests").replaceChildren(...found.map(listed));
  if (address) {
    const again = byId("requests").querySelector('a[href="' + address + '"]');
    if (again) again.focus({preventScroll: true});
  }
  byId("count").textContent = words.length ? found.length + " of " + all.length : plural(all.length, "request");
  byId("none").hidden = all.length > 0;
}

function take(summaries, isAll) {
  if (isAll) records.clear();
  for (const summary of summaries) {
    summary.isNew = !isAll && !records.has(summary.id);
    records.set(summary.id, summary);
  }
  for (const id of [...records.keys()].sort((one, other) => one - other).slice(0, Math.max(0, records.size - 100))) records.delete(id);
  drawList();
  if (shown !== null && shown.ms === null && summaries.some(summary => summary.id === shown.id)) draw();
}

function watch() {
  const source = new EventSource(BASE + "/events");
  const live = byId("live");
  source.addEventListener("open", () => { live.textContent = "live"; live.className = "on"; });
  source.addEventListener("error", () => { live.textContent = "reconnecting"; live.className = ""; });
  source.addEventListener("all", event => take(JSON.parse(event.data), true));
  source.addEventListener("changed", event => take(JSON.parse(event.data), false));
}

// ---------------------------------------------------------------- one request

function categoryOf(entry) {
  if (entry.kind !== "stage") return entry.kind;
  return {hook: "hooks", render: "template"}[entry.stage] || entry.stage;
}

// Each moment counts for the innermost entry that was going on: so the parts add up to the whole.
function shares(record) {
  const timed = record.entries.filter(entry => entry.ms !== null);
  const edges = [...new Set([0, record.ms, ...timed.flatMap(entry => [entry.at, entry.at + entry.ms])])]
    .filter(edge => edge >= 0 && edge <= record.ms).sort((one, other) => one - other);
  const sums = new Map();
  let next = 0;
  let active = [];
  for (let index = 0; index + 1 < edges.length; index += 1) {
    while (next < timed.length && timed[next].at <= edges[index]) active.push(timed[next++]);
    active = active.filter(entry => entry.at + entry.ms > edges[index]);
    const innermost = active.length ? active[active.length - 1] : null;
    const name = innermost === null ? "other" : categoryOf(innermost);
    sums.set(name, (sums.get(name) || 0) + edges[index + 1] - edges[index]);
    if (innermost !== null) innermost.own = (innermost.own || 0) + edges[index + 1] - edges[index];
  }
  return [...sums].sort((one, other) => other[1] - one[1]);
}

const slowestOf = record => record.entries.filter(entry => entry.own).sort((one, other) => other.own - one.own)[0];

function share(record) {
  if (!record.ms) return null;
  const parts = shares(record);
  const slowest = slowestOf(record);
  const percent = time => { const part = 100 * time / record.ms; return (part < 1 ? "<1" : Math.round(part)) + " %"; };
  const bar = h("div", {class: "share", role: "img", "aria-label": "Where the time went"});
  for (const [name, time] of parts) {
    const part = h("i", {class: "c-" + name, title: (NAMES[name] || name) + " " + ms(time)});
    part.style.flexGrow = String(time);
    bar.append(part);
  }
  const legend = parts.map(([name, time]) => h("li", null, h("i", {class: "dot c-" + name}), h("b", null, NAMES[name] || name),
    h("span", null, ms(time) + " · " + percent(time))));
  const rest = parts.find(([name]) => name === "other");
  const isRest = rest && (!slowest || rest[1] > slowest.own);
  const told = isRest ? ["the framework itself, " + ms(rest[1]) + " (" + percent(rest[1]) + ")", record.errors.length ? ": it made the error page." : "."]
    : [h("b", null, label(slowest)), ", " + ms(slowest.own) + " of its own (" + percent(slowest.own) + ")."];
  return [h("p", {class: "slow"}, "Slowest: ", told), bar, h("ul", {class: "legend"}, legend)];
}

function notes(record) {
  const errors = (record.errors || []).map(error => h("div", {class: "note bad"},
    h("p", null, h("strong", null, error.type), ": " + error.message)));
  const repeats = record.repeats.map(group => h("div", {class: "note"},
    h("p", null, h("strong", null, group.is_same ? "The same query ran " + group.count + " times" : "A query ran " + group.count + " times, once for each value"),
      ", " + ms(group.ms) + " in all. " + (group.is_same ? "Keep its answer." : "Ask once for all of them (N+1).")),
    h("pre", {class: "sql"}, sql(group.title)),
    h("div", {class: "head"}, group.places.filter(Boolean).slice(0, 3).map(text => h("code", null, text)))));
  const left = Object.entries(record.omitted || {}).map(([kind, count]) => h("div", {class: "note"},
    h("p", null, count + " further entries (" + kind + ") were left out: a record keeps 256 KiB.")));
  return [errors, repeats, left];
}

function sql(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(KEYWORDS)) {
    parts.push(text.slice(end, found.index), h("b", null, found[0]));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}

function label(entry) {
  if (entry.kind === "cache") return [h("span", null, entry.operation + " "), entry.title, h("span", null, " " + entry.outcome)];
  if (entry.kind === "session") return [h("span", null, "session " + entry.operation + " "), entry.title];
  if (entry.kind === "log") return [h("span", null, entry.level + " "), entry.title];
  if (entry.kind === "job") return [h("span", null, "job "), entry.title];
  if (entry.kind === "signal") return [h("span", null, "signal "), entry.title];
  if (entry.kind === "error") return [h("span", null, "raised "), entry.title];
  if (entry.kind === "sql") return [entry.role && h("span", null, entry.role + " "), entry.title.replace(/\s+/g, " ")];
  if (entry.stage === "hook" || entry.stage === "hooks" || entry.stage === "method") {
    const parts = entry.title.split(".");
    return [h("span", null, entry.stage === "method" ? "handler " : "hook "), parts.slice(-2).join(".")];
  }
  return [h("span", null, entry.stage === "render" ? "render " : ""), entry.title];
}

// Entries with their depth; like statements that follow each other are one line.
function lines(entries) {
  const open = [];
  const found = [];
  for (const entry of entries) {
    const end = entry.at + (entry.ms || 0);
    while (open.length && open[open.length - 1] < end - 0.0005) open.pop();
    const depth = open.length;
    const last = found[found.length - 1];
    if (entry.kind === "sql" && last && last.depth === depth && last.entries[0].kind === "sql" && alike(last.entries[0], entry)) {
      last.entries.push(entry);
    } else {
      found.push({depth, entries: [entry]});
    }
    if (entry.ms !== null && entry.kind !== "sql") open.push(end);
  }
  return found;
}

const alike = (one, other) => one.title.replace(/\d+/g, "?") === other.title.replace(/\d+/g, "?");

function timeline(record) {
  const found = lines(record.entries);
  if (!found.length) return h("p", {class: "empty"}, "Nothing was noted yet.");
  const last = Math.max(record.ms || 0, ...record.entries.map(entry => entry.at + (entry.ms || 0)), 0.01);
  const slowest = slowestOf(record);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(part => h("span", null, ms(last * part)));
  return h("ol", {class: "timeline"}, h("li", {class: "axis"}, h("div", {class: "what"}, "in order"), h("div", {class: "track"}, ticks)),
    found.map(line => timelineRow(line, last, slowest)));
}

function timelineRow(line, last, slowest) {
  const {entries, depth} = line;
  const first = entries[0];
  const total = entries.reduce((sum, entry) => sum + (entry.ms || 0), 0);
  const category = "c-" + categoryOf(first);
  const what = h("div", {class: "what", title: first.title}, h("i", {class: "dot " + category}),
    h("div", {class: "name"}, label(first)),
    entries.length > 2 ? chip(entries.length + "×", "warn") : entries.length > 1 && chip("2×"),
    h("span", {class: "took"}, first.ms === null ? "" : ms(total)));
  what.style.paddingLeft = 14 + Math.min(depth, 6) * 16 + "px";
  const bars = entries.map(entry => {
    const bar = h("i", {class: category + (entry.ms === null ? " point" : ""), title: label(entry).map(part => part.textContent || part).join("") + " " + ms(entry.ms)});
    bar.style.left = Math.min(100 * entry.at / last, 99.7) + "%";
    if (entry.ms !== null) bar.style.width = 100 * entry.ms / last + "%";
    return bar;
  });
  return h("li", {class: entries.includes(slowest) && "slowest"}, what, h("div", {class: "track"}, bars));
}

function rows(record, kind, draw, none) {
  const found = record.entries.filter(entry => entry.kind === kind);
  if (!found.length) return h("p", {class: "empty"}, none);
  return h("ol", {class: "rows"}, found.map(entry => h("li", null, draw(entry))));
}

function gauge(entry, record) {
  const part = h("i", {class: "c-" + entry.kind});
  part.style.width = 100 * entry.ms / (record.ms || entry.ms || 1) + "%";
  return h("div", {class: "gauge"}, part);
}

const VIEWS = {
  timeline: {title: "Timeline", draw: timeline},
  sql: {
    title: "SQL", kind: "sql", draw: record => rows(record, "sql", entry => [
      h("div", {class: "head"}, h("span", {class: "took"}, ms(entry.ms)),
        entry.role && chip(entry.role, entry.role), h("span", null, [entry.database, entry.server].filter(Boolean).join(" on ")),
        entry.error && chip(entry.error, "bad"), place(entry.place)),
      entry.ms !== null && gauge(entry, record),
      h("pre", {class: "sql"}, sql(entry.title)),
      entry.parameters && entry.parameters !== "()" && entry.parameters !== "[]" && h("pre", {class: "values"}, entry.parameters)], "No statement was sent."),
  },
  cache: {
    title: "Cache", kind: "cache", draw: record => rows(record, "cache", entry => h("div", {class: "head"},
      h("span", {class: "took"}, ms(entry.ms)), h("b", null, entry.operation), h("code", null, entry.title),
      entry.outcome && chip(entry.outcome, entry.outcome), entry.error && chip(entry.error, "bad"), h("span", null, "in " + entry.alias), place(entry.place)), "No cache was asked."),
  },
  session: {
    title: "Session", kind: "session", draw: record => rows(record, "session", entry => h("div", {class: "head"},
      chip(entry.is_change ? "change" : "read", entry.is_change && "warn"), h("b", null, entry.operation),
      h("code", null, entry.title + (entry.value ? " = " + entry.value : "")), place(entry.place)), "The session was not used."),
  },
  signals: {
    title: "Signals", kind: "signal", draw: record => rows(record, "signal", entry => h("div", {class: "head"},
      h("span", {class: "took"}, ms(entry.ms)), h("b", null, entry.title), h("span", null, "to " + entry.receivers)), "No signal reached a receiver."),
  },
  jobs: {
    title: "Jobs", kind: "job", isRare: true, draw: record => rows(record, "job", entry => [h("div", {class: "head"},
      h("b", null, entry.title), h("span", null, "on " + entry.queue), entry.key && chip("key " + entry.key), h("span", null, "at " + ms(entry.at)), place(entry.place)),
    entry.arguments.length > 0 && h("pre", {class: "values"}, entry.arguments.join("\n"))], "No job was enqueued."),
  },
  log: {
    title: "Log", kind: "log", draw: record => rows(record, "log", entry => [h("div", {class: "head"},
      chip(entry.level, entry.is_bad && "warn"), h("span", null, entry.logger), h("span", null, "at " + ms(entry.at)), place(entry.place)),
    h("pre", null, entry.title)], "No line was logged."),
  },
  route: {title: "Route", draw: route},
  request: {
    title: "Request", draw: record => Object.entries(record.request || {}).map(([name, items]) => [h("h3", null, name), pairs(items)]),
  },
  exception: {title: "Exception", kind: "error", isRare: true, draw: exception},
};

const pairs = items => h("table", null, h("tbody", null, items.map(([name, value]) => h("tr", null, h("th", {scope: "row"}, name), h("td", null, value)))));

function route(record) {
  const rows = record.candidates.map(each => h("tr", {class: each.is_taken && "taken"},
    h("td", null, each.pattern), h("td", null, each.name || each.handler), h("td", null, each.reason)));
  return [
    h("p", null, record.pattern ? ["Taken: ", h("a", {href: "#/pipeline/" + encodeURIComponent(record.path)}, h("code", null, record.pattern)), ", see its pipeline."]
      : "No route was taken. These are most like the path:"),
    h("table", {class: "wide"}, h("thead", null, h("tr", null, ["Pattern", "Name", "Why, or why not"].map(text => h("th", {scope: "col"}, text)))), h("tbody", null, rows)),
  ];
}

function exception(record) {
  return (record.errors || []).map(error => [
    h("div", {class: "note bad"}, h("p", null, h("strong", null, error.type)), h("pre", null, error.message)),
    h("ol", {class: "rows"}, error.frames.map(frame => h("li", {class: frame.is_own ? "own" : "dimmed"},
      h("div", {class: "mono"}, frame.function + "  " + frame.file + ":" + frame.line), frame.source && h("pre", {class: "mono"}, frame.source)))),
  ]);
}

function detail(record, wanted) {
  const counts = record.counts;
  const has = view => !view.isRare || counts[view.kind];
  const view = VIEWS[wanted] && has(VIEWS[wanted]) ? wanted : "timeline";
  const time = share(record);
  const tabs = Object.entries(VIEWS).filter(([, each]) => has(each)).map(([name, each]) =>
    h("a", {href: "#/requests/" + record.id + "/" + name, "aria-current": name === view && "true"}, each.title,
      each.kind && counts[each.kind] && h("small", null, counts[each.kind])));
  return [
    h("a", {class: "back", href: "#/requests"}, "← all requests"),
    h("h2", null, record.method + " " + record.url),
    h("p", {class: "facts"},
      h("span", {class: statusClass(record)}, record.ms === null ? "running" : record.status || "the connection was cut"),
      h("span", null, h("b", null, ms(record.ms)), counts.sql ? ", " + counts.sql + " SQL in " + ms(record.sql_ms) : ""),
      record.handler && h("span", null, record.handler), record.route && h("span", null, "route " + record.route),
      h("span", null, new Date(record.started_at * 1000).toLocaleTimeString())),
    h("div", {class: "summary" + (view === "timeline" ? "" : " is-aside")}, notes(record), time),
    h("nav", {class: "tabs", "aria-label": "Parts of the request"}, tabs),
    VIEWS[view].draw(record),
  ];
}

// ---------------------------------------------------------------- other views

function routesView(routes) {
  const rows = routes.map(each => h("tr", null,
    h("td", null, h("a", {href: "#/pipeline/" + encodeURIComponent(each.name || each.sample || each.pattern)}, (each.host ? each.host + " " : "") + each.pattern),
      each.shadowed_by && h("span", {class: "shadowed"}, "never reached: " + each.shadowed_by + " comes first")),
    h("td", null, each.name), h("td", null, each.handler, h("div", {class: "dimmed"}, each.place)),
    h("td", null, each.modules.join(", "), each.is_foreign && chip("plain Tornado"))));
  return [h("a", {class: "back", href: "#/requests"}, "← all requests"), h("h2", null, plural(routes.length, "route")),
    h("p", {class: "facts"}, "In the order in which they are tried. A pattern leads to its pipeline."),
    h("table", {class: "wide"}, h("thead", null, h("tr", null, ["Pattern", "Name", "Handler", "Modules"].map(text => h("th", {scope: "col"}, text)))), h("tbody", null, rows))];
}

function pipelineView(found) {
  return [h("a", {class: "back", href: "#/routes"}, "← routes"), h("h2", null, found.path),
    h("p", {class: "facts"}, found.pattern ? "Everything that a request goes through, in order." : "No route: answered 404 after these hooks."),
    h("ol", {class: "rows"}, found.steps.map(step => h("li", {class: "step"},
      h("b", null, step.stage, step.when && h("div", {class: "dimmed"}, step.when)),
      h("ol", null, step.lines.map(line => h("li", null, h("span", {class: "mono"}, line.name), " ", h("span", {class: "mono dimmed"}, line.place)))))))];
}

function stateView(state) {
  const sockets = state.sockets.map(each => h("tr", null, h("td", null, each.record ? h("a", {href: "#" + each.record}, each.url) : each.url),
    h("td", null, each.handler), h("td", null, each.peer), h("td", null, ms(each.seconds * 1000))));
  const tasks = state.tasks.map(each => h("tr", null, h("td", null, each.name, " ", each.is_background && chip("background", "hit")),
    h("td", null, each.coroutine), h("td", null, each.place)));
  const titled = names => h("thead", null, h("tr", null, names.map(text => h("th", {scope: "col"}, text))));
  const jobs = state.jobs.map(each => h("tr", null, h("td", null, each.name), h("td", null, chip(each.outcome, each.outcome === "succeeded" ? "hit" : "bad"), each.attempt > 1 && " attempt " + each.attempt),
    h("td", null, ms(each.ms)), h("td", null, new Date(each.ended_at * 1000).toLocaleTimeString()), h("td", null, each.error)));
  return [h("a", {class: "back", href: "#/requests"}, "← all requests"), h("h2", null, plural(state.sockets.length, "open socket")),
    sockets.length ? h("table", {class: "wide"}, titled(["Address", "Handler", "Peer", "Open for"]), h("tbody", null, sockets)) : h("p", {class: "facts"}, "No WebSocket is open."),
    h("h3", null, "The last jobs of this process"),
    jobs.length ? h("table", {class: "wide"}, titled(["Job", "Ended", "Took", "At", "Error"]), h("tbody", null, jobs)) : h("p", {class: "facts"}, "No job has run here."),
    h("h3", null, plural(state.tasks.length, "task") + " of the loop"),
    h("table", {class: "wide"}, titled(["Name", "Coroutine", "Waits at"]), h("tbody", null, tasks))];
}

// ---------------------------------------------------------------- where we are

async function draw() {
  const [view = "requests", ...rest] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  const question = ++asked;
  const main = view === "" ? "requests" : view;
  document.body.classList.toggle("has-detail", main !== "requests" || rest.length > 0);
  document.body.classList.toggle("is-wide", main !== "requests");
  for (const link of document.querySelectorAll("header nav a")) {
    const isHere = link.getAttribute("href") === "#/" + (main === "pipeline" ? "routes" : main);
    isHere ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  let drawn;
  let record = null;
  try {
    if (main === "routes") drawn = routesView(await load("/routes"));
    else if (main === "pipeline") drawn = pipelineView(await load("/pipeline?of=" + encodeURIComponent(rest.join("/"))));
    else if (main === "state") drawn = stateView(await load("/state"));
    else if (rest.length) {
      record = await load("/requests/" + encodeURIComponent(rest[0]));
      drawn = detail(record, rest[1]);
    } else drawn = [h("p", {class: "empty"}, "Choose a request. Keys: / filters, j and k go through the list, Esc returns to it.")];
  } catch (error) {
    drawn = [h("a", {class: "back", href: "#/requests"}, "← all requests"), h("p", {class: "empty"}, error.message)];
  }
  if (question !== asked) return;
  const isOther = record === null || shown === null || shown.id !== record.id;
  shown = record;
  byId("detail").replaceChildren(...drawn.flat(3).filter(Boolean));
  if (isOther) byId("detail").scrollTop = 0;
  document.title = (record ? record.method + " " + record.url + " · " : "") + "Inspector";
  drawList();
}

function step(forward) {
  const links = [...byId("requests").querySelectorAll("a")];
  const at = links.findIndex(link => link.hasAttribute("aria-current"));
  const next = links[at < 0 ? 0 : at + forward];
  if (next) {
    next.focus();
    location.hash = next.getAttribute("href");
  }
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    location.hash = "#/requests";
  } else if (event.target.tagName !== "INPUT") {
    if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else if (event.key === "/") { event.preventDefault(); byId("filter").focus(); }
  }
});
byId("filter").addEventListener("input", drawList);
window.addEventListener("hashchange", draw);
draw();
watch();
