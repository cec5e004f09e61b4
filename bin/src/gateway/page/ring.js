let spots = [];
let hovered = null;

/** How long a round trip's bar is, from 0 to 1: 50 µs to 2 s. */
const reach = (us) => Math.max(0.04, Math.min(1, Math.log10(Math.max(us, 50) / 50) / Math.log10(2e6 / 50)));

function paintRing() {
  const [pen, width, height] = prepare($("ring"));
  const all = ordered();
  const few = all.length <= 40;
  const narrow = width < 480;
  const radius = Math.max(40, Math.min(width / 2 - (few ? (narrow ? 62 : 96) : 30), height / 2 - 44));
  const [x0, y0] = [width / 2, height / 2];
  const dot = Math.max(1.6, Math.min(10, (Math.PI * radius * 0.8) / Math.max(all.length, 1)));
  const inner = radius - dot - 7;
  const deepest = inner * 0.52;

  const scale = [[1_000, "1 ms"], [10_000, "10 ms"], [100_000, "100 ms"]];
  for (const [us] of scale) {
    circle(pen, x0, y0, inner - deepest * reach(us));
    pen.strokeStyle = hues.line;
    pen.lineWidth = 1;
    pen.stroke();
  }
  circle(pen, x0, y0, radius);
  pen.strokeStyle = hues.line;
  pen.lineWidth = 2;
  pen.stroke();

  spots = all.map((member, place) => {
    const angle = -Math.PI / 2 + (2 * Math.PI * place) / all.length;
    const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
    return { member, angle, dx, dy, x: x0 + dx * radius, y: y0 + dy * radius };
  });
  const at = new Map(spots.map((spot) => [spot.member.id, spot]));
  const faint = (spot) => (fits(spot.member) ? 1 : 0.18);

  pen.lineWidth = Math.max(0.7, Math.min(4, dot * 0.6));
  for (const spot of spots) {
    const { rtt_us: us, health } = spot.member;
    if (us === null || us === undefined || health === "departed") continue;
    const end = inner - deepest * reach(us);
    pen.globalAlpha = 0.5 * faint(spot);
    pen.strokeStyle = us > 100_000 ? hues.suspect : hues.accent;
    pen.beginPath();
    pen.moveTo(x0 + spot.dx * inner, y0 + spot.dy * inner);
    pen.lineTo(x0 + spot.dx * end, y0 + spot.dy * end);
    pen.stroke();
  }
  pen.globalAlpha = 1;
  for (const [us, text] of scale) {
    const y = y0 + inner - deepest * reach(us) - 7;
    if (narrow && us === 10_000) continue;
    pen.strokeStyle = hues.card;
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    write(pen, text, x0, y, 10, hues.card, "center");
    pen.strokeText(text, x0, y);
    write(pen, text, x0, y, 10, hues.soft, "center");
  }
  accusations(pen, at, x0, y0, dot);

  const order = (spot) => HEALTHS.indexOf(spot.member.health) % 3;
  for (const spot of [...spots].sort((a, b) => order(a) - order(b))) paintMember(pen, spot, dot, faint(spot), few);

  const alive = all.filter((it) => it.health === "alive").length;
  const expected = all.filter((it) => it.health !== "departed").length;
  write(pen, String(alive), x0, y0 - 8, narrow ? 34 : 42, alive === expected ? hues.alive : hues.ink, "center", 650);
  write(pen, all.length ? `of ${expected} alive` : "", x0, y0 + 22, 12, hues.soft, "center");
  const bad = all.filter(isBad).slice(0, 5).map((it) => `${it.shown} is ${it.health}`);
  label("ring", `Ring of ${plural(expected, "member")}, ${alive} alive. ${bad.join(", ")}`);
}

function accusations(pen, at, x0, y0, dot) {
  let most = 80;
  pen.lineWidth = 1.6;
  for (const spot of spots) {
    if (spot.member.health !== "suspect") continue;
    for (const id of spot.member.suspected_by) {
      const from = at.get(id);
      if (!from || most-- <= 0) continue;
      // It bends towards the middle, and ends at the suspect's edge.
      const [cx, cy] = [(from.x + spot.x) / 2 + (x0 - (from.x + spot.x) / 2) * 0.55, (from.y + spot.y) / 2 + (y0 - (from.y + spot.y) / 2) * 0.55];
      const turn = Math.atan2(spot.y - cy, spot.x - cx);
      const [ex, ey] = [spot.x - Math.cos(turn) * (dot + 7), spot.y - Math.sin(turn) * (dot + 7)];
      pen.strokeStyle = pen.fillStyle = hues.confirmed;
      pen.setLineDash([6, 5]);
      pen.lineDashOffset = calm.matches ? 0 : -tick() / 40;
      pen.beginPath();
      pen.moveTo(from.x, from.y);
      pen.quadraticCurveTo(cx, cy, ex, ey);
      pen.stroke();
      pen.setLineDash([]);
      pen.beginPath();
      pen.moveTo(ex, ey);
      for (const side of [0.45, -0.45]) pen.lineTo(ex - Math.cos(turn + side) * 9, ey - Math.sin(turn + side) * 9);
      pen.fill();
    }
  }
}

function paintMember(pen, spot, dot, alpha, few) {
  const { member, x, y, dx, dy } = spot;
  const isChosen = member.id === selected;
  const size = isBad(member) || member.self || isChosen ? Math.max(dot, 5) : dot;
  pen.globalAlpha = alpha;
  const grown = member.pulse ? (tick() - member.pulse) / 1_400 : 1;
  if (grown < 1 && !calm.matches) {
    pen.strokeStyle = hues[member.health];
    pen.globalAlpha = alpha * (1 - grown);
    pen.lineWidth = 2;
    circle(pen, x, y, size + 26 * grown);
    pen.stroke();
    pen.globalAlpha = alpha;
  }
  circle(pen, x, y, size);
  pen.fillStyle = member.health === "departed" ? hues.card : hues[member.health];
  pen.fill();
  if (member.health === "departed" || member.self) {
    pen.lineWidth = Math.min(2, size / 2);
    pen.strokeStyle = member.self ? hues.card : hues.departed;
    circle(pen, x, y, member.self ? size * 0.5 : size);
    pen.stroke();
  }
  if (member.health === "confirmed" && size >= 5) {
    const arm = size * 0.42;
    pen.strokeStyle = hues.card;
    pen.lineWidth = 2;
    pen.beginPath();
    for (const side of [1, -1]) {
      pen.moveTo(x - arm, y - arm * side);
      pen.lineTo(x + arm, y + arm * side);
    }
    pen.stroke();
  }
  if (member.health === "suspect" && member.until) {
    const share = left(member) / Math.max(1, member.whole);
    pen.strokeStyle = hues.suspect;
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(x, y, size + 5, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * Math.min(1, share));
    pen.stroke();
  }
  if (isChosen || member === hovered) {
    pen.strokeStyle = hues.accent;
    pen.lineWidth = 2;
    circle(pen, x, y, size + 9);
    pen.stroke();
  }
  if (few || isChosen || member.health === "suspect") {
    const away = size + (isChosen ? 18 : 14);
    const align = Math.abs(dx) < 0.3 ? "center" : dx < 0 ? "right" : "left";
    const [tx, ty] = [x + dx * away, y + dy * (away + (align === "center" ? 6 : 2))];
    write(pen, short(member.shown, align === "center" ? 20 : 13), tx, ty - 6, 12, hues.ink, align, member.self || isChosen ? 650 : 500);
    const under = member.health === "suspect" && member.until ? `${(left(member) / 1_000).toFixed(1)} s left` : isBad(member) || member.health === "departed" ? member.health : member.self ? "this member" : rtt(member.rtt_us);
    write(pen, under, tx, ty + 8, 10.5, isBad(member) ? hues[member.health] : hues.soft, align);
  }
  pen.globalAlpha = 1;
}

function memberAt(event) {
  const box = $("ring").getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let best = null;
  let least = 18;
  for (const spot of spots) {
    const far = Math.hypot(spot.x - x, spot.y - y);
    if (far < least) [best, least] = [spot.member, far];
  }
  return best;
}

function describe(member) {
  const lines = [`${member.shown} · ${member.health}`];
  lines.push(member.health === "suspect" ? `${suspicion(member)}; ${ago(left(member))} left` : `for ${ago(now() - member.changedAt)}`);
  lines.push(`${member.place} · round trip ${rtt(member.rtt_us)}`);
  return lines.join("\n");
}

on("ring", "pointermove", (event) => {
  const member = memberAt(event);
  $("ring").style.cursor = member ? "pointer" : "";
  if (member !== hovered) paint();
  hovered = member;
  showTip(member && describe(member), event.clientX, event.clientY);
});
on("ring", "pointerleave", () => ((hovered = null), showTip(null), paint()));
on("ring", "click", (event) => select(memberAt(event)?.id ?? null));
