/** What is in the tiles: the id, its name, and what it says now with a unit, and whether that is bad. */
const TILES = [
  ...HEALTHS.map((health) => [health, health, () => [String([...members.values()].filter((it) => it.health === health).length)]]),
  ["local", "local health", () => [String(status?.local_health ?? "–"), "of 8, 0 is best", status?.local_health > 2]],
  ["late", "own loop late by", () => [rtt(status?.loop_lag_us), "", status?.loop_lag_us > 20_000]],
  ["rumors", "rumors", () => [(status?.rumors.count ?? 0).toLocaleString("en"), `${status?.rumors.hot ?? 0} hot`]],
  ["up", "running for", () => [status ? ago(status.uptime_ms) : "–"]],
];
const tiles = TILES.map(([id, label]) => {
  const number = el("b", { class: HEALTHS.includes(id) ? id : null });
  const make = HEALTHS.includes(id) ? ["button", { click: () => toggleHealth(id), "data-health": id }] : ["div", {}];
  const tile = el(make[0], { ...make[1], class: "tile", id: `tile-${id}` }, number, el("span", {}, label));
  $("tiles").append(tile);
  return [tile, number, el("small")];
});

function showTiles() {
  TILES.forEach(([id, , says], place) => {
    const [tile, number, unit] = tiles[place];
    const [text, more, bad] = says();
    if (number.firstChild?.data !== text || unit.textContent !== (more ?? "")) {
      setText(unit, more ?? "");
      number.replaceChildren(text, more ? " " : "", unit);
    }
    tile.classList.toggle("zero", text === "0" && HEALTHS.includes(id));
    tile.classList.toggle("bad", Boolean(bad));
  });
}

function toggleHealth(health) {
  if (health === null) wanted.clear();
  else if (!wanted.delete(health)) wanted.add(health);
  for (const button of document.querySelectorAll("[data-health]")) {
    const its = button.dataset.health;
    button.setAttribute("aria-pressed", String(its ? wanted.has(its) : !wanted.size));
  }
  $("table").scrollTop = 0;
  paint();
}
$("healths").append(...["", ...HEALTHS].map((it) => el("button", { "data-health": it, "aria-pressed": String(!it), click: () => toggleHealth(it || null) }, it || "all")));

const because = (reason) => (!reason || reason.likely === "nothing" ? "" : `Most likely, ${visible(reason.because)}.`);
function note(member) {
  const notes = [];
  if (member.self) notes.push("this member");
  if (member.health === "suspect") notes.push(`${suspicion(member)}; ${ago(left(member))} left`);
  if (status?.blocked.includes(member.id)) notes.push("ignored by this member");
  if (member.persistent) notes.push("permanent peer");
  if (member.health === "confirmed") notes.push(because(reasons.get(member.id)));
  return notes.filter(Boolean).join(", ");
}

/** Columns: name, width, what it says, what it is sorted by. */
const COLUMNS = [
  ["Name", "22%", (it) => it.shown, (it) => it.shown],
  ["Health", "104px", (it) => it.health, (it) => HEALTHS.indexOf(it.health)],
  ["Address", "172px", (it) => it.place, (it) => it.place, "wide"],
  ["Round trip", "92px", (it) => rtt(it.rtt_us), (it) => it.rtt_us ?? -1],
  ["Since", "78px", (it) => ago(now() - it.changedAt), (it) => -it.changedAt],
  ["Note", "", note, note, "wide"],
  ["Id", "92px", (it) => it.id.slice(0, 8), (it) => it.id, "wide"],
];
const ROW = 35;
let sortBy = 1;
let sortDown = false;
let shownRows = [];

COLUMNS.forEach(([name, width, , , kind], place) => {
  const head = el("th", { scope: "col", class: kind }, el("button", { click: () => {
    [sortBy, sortDown] = [place, sortBy === place && !sortDown];
    showTable();
  } }, name));
  head.style.width = width;
  $("heads").append(head);
});
const space = () => el("tr", { class: "space", "aria-hidden": "true" }, el("td", { colspan: COLUMNS.length }));
const [above, below] = [space(), space()];
$("body").append(above, below);

function chooseRows() {
  const key = COLUMNS[sortBy][3];
  // Of the same health, those in trouble and this one first, then by name: as all are ordered already, sorting keeps that.
  const rank = (member) => (isBad(member) ? 0 : member.health === "alive" ? 1 : 2);
  const compare = sortBy === 1 ? (a, b) => rank(a) - rank(b) || key(a) - key(b) : (a, b) => {
    const [one, other] = [key(a), key(b)];
    return typeof one === "number" ? one - other : collator.compare(one, other);
  };
  return ordered().filter(fits).sort((a, b) => (sortDown ? -compare(a, b) : compare(a, b)));
}

/** Only the rows in view are there. */
function showTable() {
  shownRows = chooseRows();
  const box = $("table");
  const first = Math.max(0, Math.min(Math.floor(box.scrollTop / ROW) - 4, shownRows.length));
  const count = Math.min(shownRows.length - first, Math.ceil((box.clientHeight || 470) / ROW) + 9);
  above.firstChild.style.height = `${first * ROW}px`;
  below.firstChild.style.height = `${(shownRows.length - first - count) * ROW}px`;
  const body = $("body");
  while (body.children.length - 2 > count) below.previousSibling.remove();
  while (body.children.length - 2 < count) {
    const row = el("tr", { role: "row", click: () => select(row.dataset.id) }, ...COLUMNS.map(([, , , , kind]) => el("td", { class: kind })));
    below.before(row);
  }
  for (let place = 0; place < count; place++) {
    const [member, row] = [shownRows[first + place], body.children[place + 1]];
    row.dataset.id = member.id;
    row.setAttribute("aria-selected", String(member.id === selected));
    row.setAttribute("aria-rowindex", String(first + place + 2));
    COLUMNS.forEach(([, , says], column) => {
      const cell = row.children[column];
      const text = says(member);
      if (cell.textContent !== text) {
        cell.textContent = text;
        cell.title = text;
      }
    });
    row.children[1].className = `dot ${member.health}`;
  }
  [...$("heads").children].forEach((head, place) => head.setAttribute("aria-sort", place !== sortBy ? "none" : sortDown ? "descending" : "ascending"));
  $("table").firstChild.setAttribute("aria-rowcount", String(shownRows.length + 1));
  setText($("shown"), shownRows.length === members.size ? plural(members.size, "member") : `${shownRows.length.toLocaleString("en")} of ${plural(members.size, "member")}`);
}
on("table", "scroll", () => paint());

/** Members beside the ring: the one that is selected, or those with trouble. What changes all the time is set by `moving`. */
let detailsKey = null;
let moving = [];
let isPressed = false;
on("details", "pointerdown", () => (isPressed = true));
addEventListener("pointerup", () => (isPressed = false));
function showDetails() {
  const member = members.get(selected);
  const key = member ? memberKey(member) : troubleKey();
  // What is being pressed stays where it is.
  if (key !== detailsKey && !isPressed) {
    detailsKey = key;
    moving = [];
    const box = $("details");
    const hadFocus = box.contains(document.activeElement) && document.activeElement.dataset.act;
    box.replaceChildren(...(member ? memberParts(member) : troubleParts()));
    if (hadFocus) box.querySelector(`[data-act=${hadFocus}]`)?.focus();
  }
  for (const move of moving) move();
}
function follow(node, says) {
  moving.push(() => setText(node, says()));
  setText(node, says());
  return node;
}

const troubled = () => ordered().filter(isBad).sort((a, b) => HEALTHS.indexOf(a.health) - HEALTHS.indexOf(b.health) || b.changedAt - a.changedAt);
const troubleKey = () => ["trouble", members.size, status?.isolated_ms ? 1 : 0, ...troubled().slice(0, 30).map((it) => [it.id, it.health, it.suspected_by, reasons.get(it.id)?.because])].join();

function troubleParts() {
  const bad = troubled();
  const alive = [...members.values()].filter((it) => it.health === "alive").length;
  const parts = [el("h2", {}, bad.length ? "Trouble now" : "All is well")];
  if (status?.isolated_ms) parts.push(el("p", { class: "because confirmed" }, "This member is isolated: it hears no other, so what it says of them is old."));
  if (!bad.length) parts.push(el("p", { class: "because" }, alive === 1 ? "This member knows no other that is alive." : `All ${plural(alive, "member")} answer.`));
  for (const member of bad.slice(0, 30)) {
    const reason = reasons.get(member.id);
    parts.push(el("div", { class: `because ${member.health}`, "data-member": member.id },
      div("head", el("b", {}, member.shown), el("span", { class: `badge ${member.health}` }, member.health),
        el("span", { class: "sub" }, follow(el("span"), () => (member.health === "suspect" ? `${ago(left(member))} left` : `for ${ago(now() - member.changedAt)}`)))),
      el("p", {}, member.health === "suspect" ? `${suspicion(member)}.` : because(reason)),
      el("p", {}, el("button", { "data-act": "show" + member.id.slice(0, 8), click: () => select(member.id) }, "Show why"))));
  }
  if (bad.length > 30) parts.push(sub(`and ${bad.length - 30} more`));
  const last = events.filter((it) => HEALTHS.includes(it.kind)).slice(0, 6);
  parts.push(sub("Select a member to see more of it, and why it is what it is."));
  if (last.length) parts.push(el("h3", {}, "Latest changes"), chain(last));
  return parts;
}

const chain = (rows) => el("ol", { class: "chain" }, ...rows.map((row) => el("li", {}, el("time", {}, clock(row.at ?? Date.parse(row.time))), visible(row.text))));
const servicesOf = (id) => rumors.filter((it) => it.kind === "service" && it.member === id && !it.withdrawn);
const memberKey = (it) => [it.id, it.shown, it.health, it.place, it.gossip_port, it.incarnation, JSON.stringify(it.tags), it.suspected_by, it.evidence, reasons.get(it.id)?.seen, servicesOf(it.id).map((row) => row.group), status?.blocked.includes(it.id), Boolean(token)].join();

function memberParts(member) {
  const spark = el("canvas", { class: "spark", role: "img" });
  moving.push(() => paintSpark(spark, member));
  const reason = reasons.get(member.id);
  const services = servicesOf(member.id);
  const tags = Object.entries(member.tags ?? {});
  const row = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];
  const parts = [
    div("head", el("h2", {}, member.shown), el("span", { class: `badge ${member.health}` }, member.health), el("button", { "data-act": "close", "aria-label": "Close", click: () => select(null) }, "✕")),
    el("dl", { class: "facts" },
      ...row("since", follow(el("span"), () => `${clock(member.changedAt)}, for ${ago(now() - member.changedAt)}`)),
      ...row("address", `${member.place} · gossip ${member.gossip_port}`),
      ...row("round trip", follow(el("span"), () => (member.self ? "–" : rtt(member.rtt_us)))),
      ...row("incarnation", String(member.incarnation)),
      ...row("id", el("span", { class: "id" }, member.id)),
      ...(tags.length ? row("tags", tags.map((it) => visible(it.join("="))).join(", ")) : []),
      ...(services.length ? row("services", services.map((it) => visible(it.group)).join(", ")) : [])),
    member.self ? null : spark,
  ];
  if (member.health === "suspect") parts.push(el("p", { class: "because suspect" }, `${suspicion(member)}; `, follow(el("b"), () => `${ago(left(member))} left`), " to refute it."));
  if (reason) {
    parts.push(el("h3", {}, "Why"), el("p", { class: `because ${member.health}`, id: "because" }, because(reason) || "No trouble of it is known."));
    const rows = reason.chain.slice(-40);
    if (rows.length) parts.push(el("h3", {}, "What led to it, as this member saw it"), chain(rows));
  }
  parts.push(actions(member));
  return parts.filter(Boolean);
}

function paintSpark(canvas, member) {
  if (!canvas.isConnected) return;
  const [pen, width, height] = prepare(canvas);
  const its = member.rtts;
  canvas.setAttribute("aria-label", `Latest round trips: ${its.slice(-5).map(rtt).join(", ")}`);
  if (its.length < 2) return write(pen, "round trips appear here as they are measured", 0, height / 2, 11, hues.soft);
  const most = Math.max(...its);
  const y = (us) => height - 4 - (us / most) * (height - 18);
  const x = (place) => (place / (its.length - 1)) * (width - 2);
  pen.beginPath();
  its.forEach((us, place) => pen.lineTo(x(place), y(us)));
  pen.strokeStyle = hues.accent;
  pen.lineWidth = 1.8;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(width - 2, height);
  pen.lineTo(0, height);
  pen.globalAlpha = 0.12;
  pen.fillStyle = hues.accent;
  pen.fill();
  pen.globalAlpha = 1;
  write(pen, `${rtt(most)} at most`, width - 2, 7, 10.5, hues.soft, "right");
}

const MOST = 200;
function showRumors() {
  const all = rumors.filter((it) => !it.kind.startsWith("election"));
  const what = (it) => (it.kind === "service_file" ? visible(it.filename) : it.member ? nameOf(it.member) : "");
  const kinds = { service: "service", service_config: "configuration", service_file: "file", departure: "departed for good" };
  all.sort((a, b) => b.hot - a.hot || collator.compare(a.group ?? "", b.group ?? "") || collator.compare(a.kind, b.kind));
  $("rumors").replaceChildren(...all.slice(0, MOST).map((it) => {
    const { sent = 0, heard = 0, enough = 1 } = it.spread ?? {};
    const state = it.withdrawn || it.removed ? "removed" : it.provisional ? "from disk" : null;
    const meter = div("meter", el("i"), el("i"));
    meter.children[0].style.width = `${(100 * sent) / enough}%`;
    meter.children[1].style.width = `${(100 * heard) / enough}%`;
    return div("item", 
      div("head", el("b", {}, [visible(it.group), what(it)].filter(Boolean).join(" · ")), state && el("span", { class: "sub" }, state), el("span", { class: "sub" }, kinds[it.kind] ?? it.kind)),
      sub(`${it.incarnation === undefined ? "" : `incarnation ${it.incarnation}, `}${bytes(it.size)} · ${it.hot ? `spreading: sent ${sent}, heard back ${heard}; ${enough} are enough` : "spread"}`),
      it.hot ? meter : null);
  }));
  if (!all.length) $("rumors").append(sub("No services, configurations or files."));
  const { count = 0, hot = 0, bytes: size = 0, limit = 0, checksum = 0 } = status?.rumors ?? {};
  const more = all.length > MOST ? ` The first ${MOST} are listed.` : "";
  setText($("rumors-sub"), `${plural(count, "rumor")}, ${bytes(size)} of ${bytes(limit)}; ${hot ? `${hot} still spreading` : "all spread"}. Members that hold the same show ${checksum.toString(16).padStart(8, "0")}.${more}`);
  showElections();
}

function showElections() {
  const badges = { finished: ["decided", "alive"], no_quorum: ["no quorum", "confirmed"], running: ["running", "suspect"] };
  const all = rumors.filter((it) => it.kind.startsWith("election"));
  $("elections").replaceChildren(...all.slice(0, MOST).map((it) => {
    const [text, colour] = badges[it.status] ?? [it.status, "departed"];
    const voters = rumors.filter((row) => row.kind === "service" && row.group === it.group && !row.withdrawn).map((row) => row.member);
    const title = it.status === "finished" ? `${nameOf(it.candidate)} ${it.kind === "election" ? "leads" : "updates first"}` : `${nameOf(it.candidate)} is ahead`;
    return el("div", { class: "item", "data-group": it.group },
      div("head", el("b", {}, `${visible(it.group)} · ${title}`), el("span", { class: `badge ${colour}` }, text)),
      el("p", {}, visible(it.reason)),
      sub(`term ${it.term}${it.kind === "election" ? "" : ", for updates"}`),
      div("votes", ...voters.slice(0, 60).map((id) => el("i", { class: it.votes.includes(id) ? "yes" : null, title: `${nameOf(id)} ${it.votes.includes(id) ? "voted so" : "did not vote so"}` }))));
  }));
  if (!all.length) $("elections").append(sub("No elections: butterfly election start GROUP starts one."));
}

const sub = (...text) => el("p", { class: "sub" }, ...text);
const GROUPS = {
  all: null,
  members: [...HEALTHS, "moved", "renamed", "restarted", "conflict", "tags"],
  rumors: ["service", "config", "file", "election", "leader", "departure", "gone", "overruled"],
  "this member": ["isolated", "reconnected", "refuted", "lagged", "address", "rejected", "other_ring", "new_id", "expelled", "left", "lost"],
};
let group = "all";
const eventRow = (it) => el("li", { "data-kind": it.kind }, el("time", {}, clock(it.at, 3)), el("b", { class: HEALTHS.includes(it.kind) ? it.kind : null }, it.kind.replace("_", " ")), el("span", {}, visible(it.text)));
const isListed = (it) => !GROUPS[group] || GROUPS[group].includes(it.kind);
function listEvents() {
  $("events").replaceChildren(...events.filter(isListed).map(eventRow));
  if (!$("events").children.length) $("events").append(sub("Nothing lately."));
}
function listEvent(it) {
  const list = $("events");
  if (!isListed(it)) return;
  if (list.firstChild?.tagName === "P") list.replaceChildren();
  list.prepend(eventRow(it));
  while (list.children.length > MOST_EVENTS) list.lastChild.remove();
}
choice($("kinds"), Object.keys(GROUPS), group, (name) => {
  group = name;
  listEvents();
});
