/** What the member that is asked knows. Times are its own, in milliseconds since 1970. */
let status = null;
/** How far its clock is ahead of this one's. */
let ahead = 0;
let startedAt = 0;
const now = () => Date.now() + ahead;
/** By id: the row as the gateway gives it, and what the page adds. */
const members = new Map();
/** By id: facts of the history; and events that the history has not told of yet. */
const facts = new Map();
let fresh = [];
/** By id of a member: its changes, the oldest first; made anew when facts change. */
let changes = new Map();
/** How late the member's loop was: `[time, microseconds]`. */
const lags = [];
const events = [];
let rumors = [];
/** By id of a member: why it is what it is. */
const reasons = new Map();
const MOST_EVENTS = 400;

let selected = null;
let query = "";
const wanted = new Set();

const nameOf = (id) => {
  const member = members.get(id);
  return member?.shown ?? (id ?? "").slice(0, 8);
};
const left = (member) => Math.max(0, (member.until ?? now()) - now());

/** Takes what the gateway says of these members; `all`: it knows no others. */
function takeMembers(rows, all) {
  const at = now();
  const seen = new Set();
  for (const row of rows) {
    seen.add(row.id);
    let member = members.get(row.id);
    if (!member) members.set(row.id, (member = { rtts: [] }));
    if (member.health && member.health !== row.health) member.pulse = tick();
    Object.assign(member, { suspected_by: [], evidence: null, suspicion_left_ms: null }, row);
    member.shown = visible(row.name || row.id.slice(0, 8));
    member.place = (row.address.includes(":") ? `[${row.address}]` : row.address) + `:${row.swim_port}`;
    member.text = `${member.shown} ${row.id} ${member.place}`.toLowerCase();
    member.changedAt = at - row.since_ms;
    if (row.suspicion_left_ms === null || row.suspicion_left_ms === undefined) {
      member.until = member.whole = null;
    } else {
      member.until = at + row.suspicion_left_ms;
      member.whole = Math.max(member.whole ?? 0, row.suspicion_left_ms + row.since_ms);
    }
    if (row.rtt_us !== null && row.rtt_us !== member.rtts.at(-1)) {
      member.rtts.push(row.rtt_us);
      if (member.rtts.length > 60) member.rtts.shift();
    }
  }
  if (all) for (const id of members.keys()) if (!seen.has(id)) members.delete(id);
  order = null;
}

let order = null;
const collator = new Intl.Collator("en", { numeric: true });
/** All members: this one, then the others by name. */
function ordered() {
  order ??= [...members.values()].sort(
    (a, b) => (b.self ?? 0) - (a.self ?? 0) || collator.compare(a.shown, b.shown) || (a.id < b.id ? -1 : 1),
  );
  return order;
}
const fits = (member) => (!wanted.size || wanted.has(member.health)) && (!query || member.text.includes(query));
const isBad = (member) => member.health === "suspect" || member.health === "confirmed";

function takeFacts(rows) {
  let last = 0;
  for (const row of rows) {
    if (facts.has(row.id)) continue;
    row.at = Date.parse(row.time);
    facts.set(row.id, row);
    last = Math.max(last, row.at);
    if (row.kind === "lagged") noteLag(row.at, row.ms * 1_000);
    if (row.kind === "probe_failed" && row.lag_ms > 20) noteLag(row.at, row.lag_ms * 1_000);
  }
  for (const id of facts.keys()) {
    if (facts.size <= 4_000) break;
    facts.delete(id);
  }
  // By then the history has what the events said before.
  fresh = fresh.filter((it) => it.at > last + 100);
  changes = new Map();
  for (const row of [...facts.values()].sort((a, b) => a.at - b.at).concat(fresh)) {
    const list = changes.get(row.member);
    if (!list) changes.set(row.member, [row]);
    else if (!fresh.includes(row) || list.at(-1).kind !== row.kind) list.push(row);
  }
}

function noteLag(at, us) {
  lags.push([at, us]);
  if (lags.length > 4_000) lags.shift();
}

/** Spans `[from, to, health, row]` of what a member was between two times. */
function spans(member, from, to) {
  const its = (changes.get(member.id) ?? []).filter((row) => HEALTHS.includes(row.kind));
  const found = [];
  let [at, health, row] = [null, null, null];
  if (its.length && its[0].from) [at, health] = [Math.min(from, its[0].at), its[0].from];
  for (const change of its) {
    if (health && change.at > from) found.push([Math.max(at, from), Math.min(change.at, to), health, row]);
    [at, health, row] = [change.at, change.kind, change];
  }
  // What the history does not know any more, or was not told yet, the member itself says.
  if (!health || (health !== member.health && member.changedAt > at)) {
    if (health && member.changedAt > from) found.push([Math.max(at, from), Math.min(member.changedAt, to), health, row]);
    [at, health, row] = [member.self ? startedAt : member.changedAt, member.health, null];
  }
  if (at < to) found.push([Math.max(at, from), to, health, row]);
  return found;
}

/** Who suspects it, and what speaks for that. */
function suspicion(member) {
  const by = member.suspected_by.map((id) => (id === status?.id ? "this member" : nameOf(id)));
  const names = by.length > 3 ? `${by.slice(0, 2).join(", ")} and ${by.length - 2} others` : by.join(" and ");
  const sees = { gone: "its system refuses pings", stalled: "its system answers for it", silent: "nothing answers" };
  const what = member.evidence ? `; ${sees[member.evidence] ?? member.evidence}` : "";
  return `Suspected${names ? ` by ${names}` : ""}${what}`;
}
