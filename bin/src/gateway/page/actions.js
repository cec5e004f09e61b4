/** What changes something is asked for twice, and needs the full token; the gateway says so if it is not that. */
function confirmed(title, text, word, button) {
  return new Promise((done) => {
    const [dialog, input, yes] = [$("confirm"), $("confirm-input"), $("confirm-yes")];
    setText($("confirm-title"), title);
    setText($("confirm-text"), text);
    setText($("confirm-word"), word ?? "");
    setText(yes, button);
    $("confirm-label").hidden = !word;
    input.value = "";
    const check = () => (yes.disabled = Boolean(word) && input.value.trim() !== word);
    input.oninput = check;
    check();
    dialog.returnValue = "no";
    dialog.onclose = () => done(dialog.returnValue === "yes" && !yes.disabled);
    dialog.showModal();
  });
}

async function act(title, text, word, button, path, body) {
  if (!(await confirmed(title, text, word, button))) return;
  try {
    await call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    say(`${button}: done`);
    loadSoon();
  } catch (error) {
    showBanner(`${button}: ${error.message}`);
    setTimeout(() => showBanner(null), 12_000);
  }
}

function actions(member) {
  if (!token) return sub("To act from here, the member needs an --http-token-file.");
  const { id, shown } = member;
  const button = (name, title, text, word, path, body) => el("button", { "data-act": name.toLowerCase().replace(/\W/g, ""), class: "danger", click: () => act(title, text, word, name, path, body) }, `${name} …`);
  if (member.self) return div("acts", button("Leave", `${shown} leaves the ring?`, "The program ends. The member may come back later.", shown, "/v1/leave", {}));
  const isBlocked = status?.blocked.includes(id);
  return div("acts", 
    isBlocked
      ? button("Unblock", `Listen to ${shown} again?`, "This member hears it again.", null, "/v1/unblock", { id })
      : button("Block", `Ignore ${shown}?`, "This member, and no other, ignores what it says until you unblock it or this member is started again.", null, "/v1/block", { id }),
    button("Depart for good", `${shown} departs for good?`, "It stops, and its id can never come back to this ring. This cannot be undone.", shown, "/v1/depart", { id }));
}
on("leave", "click", () => {
  const me = members.get(status?.id);
  if (me) act(`${me.shown} leaves the ring?`, "The program ends. The member may come back later.", me.shown, "Leave", "/v1/leave", {});
});

function select(id) {
  selected = id;
  if (id) explain(id);
  detailsKey = null;
  paint();
}
async function explain(id) {
  try {
    const reason = await get(`/v1/explain?member=${encodeURIComponent(id)}`);
    reason.seen = `${reason.likely} ${reason.because} ${reason.chain.length}`;
    reasons.set(id, reason);
    paint();
  } catch (error) {
    // It is asked for again when something changes.
    if (!(error instanceof Refused) && error.name !== "TimeoutError" && error.name !== "TypeError") throw error;
  }
}

/** The next or previous one of what is shown. */
function step(by) {
  const rows = chooseRows();
  if (!rows.length) return;
  const place = rows.findIndex((it) => it.id === selected);
  const next = place < 0 ? (by > 0 ? 0 : rows.length - 1) : (place + by + rows.length) % rows.length;
  select(rows[next].id);
  const box = $("table");
  if (next * ROW < box.scrollTop || (next + 2) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = next * ROW - box.clientHeight / 2;
  const at = lanes.indexOf(rows[next]) * lane;
  if (at < $("rows").scrollTop || at + lane > $("rows").scrollTop + 430) $("rows").scrollTop = at - 200;
  say(`${rows[next].shown}, ${rows[next].health}`);
}

const say = (text) => setText($("say"), text);
function showBanner(text) {
  $("banner").hidden = !text;
  setText($("banner"), text ?? "");
}

addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target instanceof HTMLInputElement;
  const inCanvas = ["ring", "rows", "table"].includes(event.target.id);
  if (event.key === "Escape") {
    $("search").value = query = "";
    $("search").blur();
    toggleHealth(null);
    select(null);
  } else if (isTyping) {
    if (event.key === "Enter" && chooseRows().length) select(chooseRows()[0].id);
  } else if (event.key === "/") {
    event.preventDefault();
    $("search").focus();
  } else if (event.key === "?") $("keys").showModal();
  else if (event.key === "j" || (inCanvas && ["ArrowDown", "ArrowRight"].includes(event.key))) event.preventDefault(), step(1);
  else if (event.key === "k" || (inCanvas && ["ArrowUp", "ArrowLeft"].includes(event.key))) event.preventDefault(), step(-1);
  else if (event.key >= "1" && event.key <= "6") {
    const place = ["ring", "rows", "table", "rumors", "elections", "events"][event.key - 1];
    $(place).closest("section").scrollIntoView();
    $(place).focus({ preventScroll: true });
  }
});
on("search", "input", () => {
  query = $("search").value.trim().toLowerCase();
  $("table").scrollTop = $("rows").scrollTop = 0;
  paint();
});
on("help", "click", () => $("keys").showModal());
