const SPANS = { "1 min": MINUTE, "5 min": 5 * MINUTE, "15 min": 15 * MINUTE, "1 h": 60 * MINUTE, "6 h": 360 * MINUTE };
let span = MINUTE;
let isSpanChosen = false;
let lanes = [];
let lane = 20;

const labelWidth = (width) => Math.min(150, Math.max(86, width * 0.16));

/** The members whose lanes are shown, those with trouble in this span first. */
function chooseLanes(from) {
  const troubled = (member) =>
    isBad(member) || (changes.get(member.id) ?? []).some((row) => row.at > from && (row.kind === "suspect" || row.kind === "confirmed" || row.kind === "departed"));
  const those = ordered().filter(fits);
  const first = those.filter((it) => it.self || troubled(it));
  const chosen = new Set(first);
  return first.concat(those.filter((it) => !chosen.has(it)));
}

function paintTimeline() {
  const to = now();
  const from = to - span;
  const box = $("rows");
  lanes = chooseLanes(from);
  lane = lanes.length > 40 ? 17 : 23;
  const whole = Math.max(1, lanes.length) * lane;
  const shownHeight = Math.min(whole, 430);
  $("timeline").style.height = `${shownHeight}px`;
  $("rows-space").style.height = `${whole - shownHeight}px`;
  const [pen, width, height] = prepare($("timeline"), box.clientWidth, shownHeight);
  const start = labelWidth(width);
  const x = (time) => start + ((time - from) / span) * (width - start);
  const ticks = marks(from, to, width - start);

  pen.fillStyle = hues.line;
  for (const [time] of ticks) pen.fillRect(Math.round(x(time)), 0, 1, height);
  const top = box.scrollTop;
  const first = Math.floor(top / lane);
  for (let place = first; place < lanes.length && place * lane - top < height; place++) {
    const member = lanes[place];
    const y = place * lane - top;
    const isChosen = member.id === selected;
    if (isChosen) {
      pen.fillStyle = hues.accent;
      pen.globalAlpha = 0.12;
      pen.fillRect(0, y, width, lane);
      pen.globalAlpha = 1;
    }
    circle(pen, 7, y + lane / 2, 3.5);
    pen.fillStyle = hues[member.health];
    pen.fill();
    write(pen, short(member.shown, Math.floor((start - 24) / 7)), 17, y + lane / 2, lanes.length > 40 ? 11 : 12.5, hues.ink, "left", isChosen || member.self ? 650 : 400);
    for (const [begin, end, health] of spans(member, from, to)) {
      const bx = Math.max(start, x(begin));
      pen.fillStyle = hues[health + "-bg"];
      pen.fillRect(bx, y + 3, Math.max(health === "alive" ? 0.5 : 2, x(end) - bx), lane - 6);
    }
    for (const row of changes.get(member.id) ?? []) {
      if (row.at < from || !MARKS[row.kind]) continue;
      write(pen, MARKS[row.kind], x(row.at), y + lane / 2 + 0.5, 11, hues.ink, "center", 700);
    }
  }
  if (startedAt > from) {
    pen.fillStyle = hues.accent;
    for (let y = 0; y < height; y += 7) pen.fillRect(x(startedAt), y, 1.5, 4);
  }
  box.setAttribute("aria-label", `Timeline of ${plural(lanes.length, "member")} over ${ago(span)}`);
  paintLag(from, to, start, ticks);
}
const MARKS = { restarted: "↻", refuted: "◆", isolated: "⊘" };

/** Times that are marked, with their labels. */
function marks(from, to, width) {
  const step = [5_000, 10_000, 15_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE].find((it) => (it / span) * width > 72) ?? 120 * MINUTE;
  const found = [];
  const zone = new Date(from).getTimezoneOffset() * MINUTE;
  for (let time = Math.ceil((from - zone) / step) * step + zone; time < to; time += step) found.push([time, step < MINUTE ? clock(time) : clock(time).slice(0, 5)]);
  return found;
}

/** How late the loop of the member that is asked was: 100 µs to 10 s, logarithmic. */
function paintLag(from, to, start, ticks) {
  const [pen, width] = prepare($("lag"));
  const x = (time) => start + ((time - from) / span) * (width - start);
  const base = 48;
  const high = (us) => 40 * Math.max(0.02, Math.min(1, Math.log10(Math.max(us, 100) / 100) / 5));
  write(pen, "our own loop", 0, 22, 12, hues.lag);
  write(pen, "late by", 0, 37, 10.5, hues.soft);
  pen.fillStyle = hues.line;
  pen.fillRect(start, base, width - start, 1);
  for (const [time, label] of ticks) {
    pen.fillRect(Math.round(x(time)), 0, 1, base + 5);
    const at = Math.max(start + 18, Math.min(width - 24, x(time)));
    write(pen, label, at, base + 15, 11, hues.soft, "center");
    pen.fillStyle = hues.line;
  }
  for (const [us, label] of [[10_000, "10 ms"], [1e6, "1 s"]]) {
    const y = base - high(us);
    pen.globalAlpha = 0.7;
    pen.fillRect(start, y, width - start, 1);
    pen.globalAlpha = 1;
    write(pen, label, start + 3, y - 6, 9.5, hues.soft);
    pen.fillStyle = hues.line;
  }
  let worst = 0;
  for (const [time, us] of lags) {
    if (time < from) continue;
    worst = Math.max(worst, us);
    pen.fillStyle = us > 20_000 ? hues.confirmed : hues.lag;
    pen.fillRect(Math.max(start, x(time) - 1), base - high(us), 2.5, high(us));
  }
  label("lag", `This member's own loop was late by ${rtt(worst)} at most`);
}

function factAt(event) {
  const box = $("rows").getBoundingClientRect();
  const member = lanes[Math.floor((event.clientY - box.top + $("rows").scrollTop) / lane)];
  if (!member) return null;
  const width = $("rows").clientWidth;
  const start = labelWidth(width);
  const time = now() - span + ((event.clientX - box.left - start) / (width - start)) * span;
  if (event.clientX - box.left < start) return [member, describe(member)];
  const near = (changes.get(member.id) ?? []).filter((row) => Math.abs(row.at - time) < (span / (width - start)) * 5);
  if (near.length) return [member, near.slice(-4).map((row) => `${clock(row.at, 3)}  ${visible(row.text)}`).join("\n")];
  const during = spans(member, now() - span, now()).find(([begin, end]) => begin <= time && time <= end);
  if (!during) return [member, `${member.shown}: not known yet`];
  const [begin, end, health, row] = during;
  return [member, `${member.shown} · ${health} ${row ? `since ${clock(begin)}` : ""}${row?.text ? `\n${visible(row.text)}` : ""}\n${ago(end - begin)} in view`];
}
on("rows", "pointermove", (event) => {
  const found = factAt(event);
  showTip(found && found[1], event.clientX, event.clientY);
});
on("rows", "pointerleave", () => showTip(null));
on("rows", "click", (event) => select(factAt(event)?.[0].id ?? null));
on("rows", "scroll", () => paint());
const pressSpan = choice($("spans"), Object.keys(SPANS), "1 min", (name) => {
  span = SPANS[name];
  isSpanChosen = true;
  paint();
});

/** Until somebody chooses, it reaches back to the start of the member, or to the first that is known. */
function fitSpan() {
  if (isSpanChosen || !status) return;
  const [name] = Object.entries(SPANS).find(([, length]) => length >= status.uptime_ms && length <= 15 * MINUTE) ?? ["15 min"];
  span = SPANS[name];
  pressSpan(name);
}
