/** How long the stream may be silent: the gateway says something every 15 s. */
const SILENT = 40_000;
/** From so many rumors on, only those that spread are asked for. */
const MANY_RUMORS = 2_000;
let heardAt = tick();
let isLive = false;
let isStreaming = false;

/** Paints what has changed, at the next frame: all that is in view. */
let due = false;
function paint() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (!hues.card) return;
    paintRing();
    paintTimeline();
    showTiles();
    showTable();
    showDetails();
    if (isMoving()) setTimeout(paint, 33);
  });
}
const isMoving = () => !document.hidden && [...members.values()].some((it) => it.health === "suspect" || (it.pulse && tick() - it.pulse < 1_500));

function showLive() {
  const state = isLive ? (isStreaming ? "live" : "polling") : "no answer";
  $("live").className = `live ${isLive ? "on" : "off"}`;
  setText($("live"), state);
  document.body.classList.toggle("stale", !isLive);
}
function heard() {
  heardAt = tick();
  if (isLive) return;
  isLive = true;
  showBanner(null);
  showLive();
}
function unheard() {
  const name = status ? visible(status.name || status.id.slice(0, 8)) : "The member";
  const seconds = Math.round((tick() - heardAt) / 1_000);
  isLive = isStreaming = false;
  showBanner(`${name} does not answer${status ? ` for ${seconds} s; what is shown is as old` : ""}. Asking again …`);
  showLive();
}

async function loadStatus() {
  const before = tick();
  const next = await get("/v1/status");
  heard();
  ahead = Date.parse(next.time) + (tick() - before) / 2 - Date.now();
  const isOther = !status || status.id !== next.id || next.uptime_ms < status.uptime_ms;
  const had = status?.rumors;
  status = next;
  startedAt = Date.parse(next.time) - next.uptime_ms;
  fitSpan();
  noteLag(now(), next.loop_lag_us);
  const name = visible(next.name || next.id.slice(0, 8));
  setText($("title"), `${name}’s view${next.ring ? ` of ${visible(next.ring)}` : " of its ring"}`);
  document.title = `${name} · Butterfly`;
  setText($("subtitle"), `${next.address} · version ${next.version}${next.sealed ? " · sealed" : " · not sealed"}${next.leaving ? " · leaving" : ""}`);
  $("leave").hidden = !token;
  if (isOther) await load();
  else if (!had || had.checksum !== next.rumors.checksum || had.count !== next.rumors.count || had.hot || next.rumors.hot) await loadRumors();
}
async function loadMembers() {
  takeMembers(await get("/v1/members"), true);
}
async function loadHistory() {
  takeFacts(await get("/v1/history"));
}
async function loadRumors() {
  rumors = await get(`/v1/rumors?bodies=false${status?.rumors.count > MANY_RUMORS ? "&hot=true" : ""}`);
  showRumors();
}
async function load() {
  await Promise.all([loadMembers(), loadHistory(), loadRumors()]);
  for (const member of troubled().slice(0, 5)) if (member.health === "confirmed") explain(member.id);
  if (selected) explain(selected);
  paint();
}

/** Soon, and not too often: large rings less often. */
let isSoon = false;
async function loadSoon() {
  if (isSoon) return;
  isSoon = true;
  await sleep(120);
  try {
    await Promise.all([loadMembers(), loadHistory(), rumors.length && loadRumors()]);
    for (const member of troubled().slice(0, 5)) if (member.health === "confirmed" && !reasons.get(member.id)) explain(member.id);
    paint();
  } catch {
    // The next look says what is wrong.
  }
  await sleep(members.size > 200 ? 1_500 : 300);
  isSoon = false;
}

/** An event, as it happens or happened lately. */
function happened(it) {
  if (it.kind === "lost") Object.assign(it, { time: new Date(now()).toISOString(), text: `${it.lost ?? "some"} events are missing here: they are kept no more` });
  it.at = Date.parse(it.time);
  events.unshift(it);
  if (events.length > MOST_EVENTS) events.pop();
  listEvent(it);
  if (it.kind === "lagged") loadSoon();
  if (!it.member || now() - it.at > 10_000) return;
  if (HEALTHS.includes(it.kind)) {
    const member = members.get(it.member);
    fresh.push(it);
    reasons.delete(it.member);
    if (member) {
      Object.assign(member, { health: it.kind, changedAt: it.at, pulse: tick() });
      if (it.kind !== "suspect") Object.assign(member, { until: null, whole: null, suspected_by: [] });
    }
    takeFacts([]);
    if (it.kind === "suspect" || it.kind === "confirmed") say(visible(it.text));
    if (it.member === selected || it.kind === "confirmed") setTimeout(() => explain(it.member), 200);
  }
  loadSoon();
  paint();
}

/** The parts of server-sent events: an id, and maybe what happened. */
async function* parts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const part = {};
      for (const line of block.split("\n")) {
        const [, name, says] = /^(id|data): ?(.*)$/.exec(line) ?? [];
        if (name) part[name] = says;
      }
      yield part;
    }
  }
}

/** Follows the events for ever, behind the last one that was heard: through restarts of the member, too. */
async function followEvents() {
  let last = null;
  let pause = 250;
  for (;;) {
    const control = new AbortController();
    const watch = setInterval(() => tick() - heardAt > SILENT && control.abort(), 5_000);
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const answer = await call(last ? "/v1/events" : "/v1/events?since=15m", { headers, signal: control.signal });
      isStreaming = true;
      pause = 250;
      heard();
      showLive();
      for await (const part of parts(answer.body)) {
        last = part.id ?? last;
        if (part.data) happened(JSON.parse(part.data));
      }
    } catch (error) {
      // An id that the gateway does not take is forgotten.
      if (error.status === 400) last = null;
    }
    clearInterval(watch);
    isStreaming = false;
    showLive();
    await sleep(pause);
    pause = Math.min(5_000, pause * 2);
  }
}

/** Looks at what no event tells of: round trips, the own loop, how rumors spread, who else accuses a suspect. */
async function look() {
  for (let turn = 0; ; turn++) {
    const began = tick();
    try {
      if (!document.hidden || !status) {
        const suspects = [...members.values()].some((it) => it.health === "suspect");
        const every = members.size > 200 ? 15 : 5;
        if (turn % 2 === 0 || status?.rumors.hot) await loadStatus();
        if (turn && turn % every === 0) await loadMembers();
        else if (suspects) takeMembers(await get("/v1/members?health=suspect"), false);
      }
    } catch (error) {
      if (error instanceof Refused) showBanner(error.message);
      else unheard();
    }
    showTiles();
    await sleep(Math.max(200, 1_000 - (tick() - began)));
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
new ResizeObserver(() => paint()).observe(document.body);
document.addEventListener("visibilitychange", () => document.hidden || paint());
setInterval(() => document.hidden || paint(), 500);
readColours();
listEvents();
look();
followEvents();
