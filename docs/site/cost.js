// The tokens of a first sync, as `make plan` estimates them. STREAMS and WINDOWS come from the tap.
function callsOf(stream, records) {
  if (stream.kind === "list") return 1;
  if (stream.kind === "child") return Math.ceil(records / stream.perCall);
  const pages = Math.max(1, Math.ceil(records / stream.perCall));
  if (!stream.windows || WINDOWS.width <= 1 || pages <= WINDOWS.plainPages) return pages;
  const calls = pages + WINDOWS.width + Math.floor(pages / WINDOWS.pagesPerLoss) + 3;
  return stream.readAgain ? calls + pages - WINDOWS.plainPages : calls;
}

function tokensOf(records) {
  const found = {};
  for (const stream of STREAMS) {
    const calls = callsOf(stream, records[stream.records] || 0);
    found[stream.name] = calls * stream.cost + stream.otherLists;
  }
  return found;
}

function show(form) {
  const records = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, Number(value)]));
  const tokens = tokensOf(records);
  const history = tokens.deal_changelog;
  const all = Object.values(tokens).reduce((sum, each) => sum + each, 0);
  const days = records.tokens > 0 ? Math.ceil(history / records.tokens) : 0;
  const text = (number) => number.toLocaleString();
  form.querySelector("output").textContent =
    `A first sync costs at most ${text(all)} tokens: ${text(all - history)} for all records, and ` +
    `${text(history)} for the history of every deal` +
    (days ? `, which is read in ${text(days)} day(s), newest deals first.` : ".");
}

if (typeof document !== "undefined") {
  for (const form of document.querySelectorAll("form.cost")) {
    form.addEventListener("input", () => show(form));
    show(form);
  }
}
