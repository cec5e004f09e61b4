const $ = (id) => document.getElementById(id);
const HEALTHS = ["alive", "suspect", "confirmed", "departed"];
const MINUTE = 60_000;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Text of others as people may see it: characters that do not show, or turn the line around, stand as their numbers. */
const visible = (text) =>
  String(text ?? "").replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (it) => `\\u{${it.codePointAt(0).toString(16)}}`);
const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

/** An element; strings among its children become text, never markup. */
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
const div = (kind, ...children) => el("div", { class: kind }, ...children);
const on = (id, kind, handle) => $(id).addEventListener(kind, handle);
const label = (id, text) => $(id).setAttribute("aria-label", text);
const tick = () => performance.now();
const setText = (node, text) => node.textContent !== text && (node.textContent = text);

const plural = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
function rtt(us) {
  if (us === null || us === undefined) return "–";
  return us < 1_000 ? `${us} µs` : us < 100_000 ? `${(us / 1_000).toFixed(us < 10_000 ? 2 : 1)} ms` : `${(us / 1e6).toFixed(2)} s`;
}
function ago(ms) {
  const s = Math.max(0, ms) / 1_000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7_200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} d`;
}
const bytes = (n) => (n < 10_000 ? `${n} B` : n < 1e6 ? `${Math.round(n / 1_024)} KiB` : `${(n / 1_048_576).toFixed(1)} MiB`);
const clock = (ms, digits = 0) => {
  const at = new Date(ms);
  const pad = (n, width = 2) => String(n).padStart(width, "0");
  const text = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return digits ? `${text}.${pad(at.getMilliseconds(), 3)}` : text;
};

/** The colours as the style has them now. */
let hues = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["card", "ink", "soft", "line", "accent", "lag", ...HEALTHS, ...HEALTHS.map((it) => it + "-bg")]) {
    hues[name] = style.getPropertyValue("--" + name).trim();
  }
  paint();
}

/** A canvas in the pixels of the screen, cleared. */
function prepare(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const scale = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return [pen, width, height];
}
const FONT = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
function write(pen, text, x, y, size, colour = hues.ink, align = "left", weight = 400) {
  pen.font = `${weight} ${size}px ${FONT}`;
  pen.fillStyle = colour;
  pen.textAlign = align;
  pen.textBaseline = "middle";
  pen.fillText(text, x, y);
}

function circle(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
}

/** Buttons of which one is pressed. */
function choice(box, names, first, choose) {
  const press = (name) => [...box.children].forEach((it) => it.setAttribute("aria-pressed", String(it.textContent === name)));
  box.append(...names.map((name) => el("button", { click: () => (press(name), choose(name)) }, name)));
  press(first);
  return press;
}

function showTip(text, x, y) {
  const tip = $("tip");
  tip.hidden = !text;
  if (!text) return;
  setText(tip, text);
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18}px`;
}

/** An answer that is no success, with the gateway's own words. */
class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let token = sessionStorage.getItem("butterfly-token");
let asking = null;

/** Asks for the token, once for all that want it. */
function askToken(why) {
  asking ??= new Promise((done) => {
    const dialog = $("token");
    if (why) setText($("token-why"), why);
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => {
      token = $("token-text").value.trim();
      $("token-text").value = "";
      asking = null;
      if (!token) return askToken(why).then(done);
      sessionStorage.setItem("butterfly-token", token);
      done();
    };
    dialog.showModal();
  });
  return asking;
}

/** Asks the gateway; with its token, if it wants one. */
async function call(path, options = {}) {
  for (;;) {
    if (asking) await asking;
    const used = token;
    const headers = { ...options.headers };
    if (used) headers.Authorization = `Bearer ${used}`;
    const answer = await fetch(path, { cache: "no-store", ...options, headers });
    if (answer.ok) return answer;
    const said = await answer.json().then((it) => it.error, () => `status ${answer.status}`);
    if (answer.status !== 401) throw new Refused(answer.status, said);
    if (used === token) await askToken(used ? "That is not its token: " + said : undefined);
  }
}
const get = async (path) => (await call(path, { signal: asking ? undefined : AbortSignal.timeout(8_000) })).json();
