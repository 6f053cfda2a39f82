// What is shown. It lives in the address, so that a view can be sent.

const LISTS = ["judge", "outcome", "code"];
const state = { q: "", judge: new Set(), outcome: new Set(), code: new Set(), slice: new Map(), sort: "", trace: null };

function read() {
  const fields = new URLSearchParams(location.hash.slice(1));
  state.q = fields.get("q") ?? "";
  for (const name of LISTS) state[name] = new Set(fields.getAll(name));
  state.slice = new Map(fields.getAll("slice").map((pair) => {
    const end = pair.indexOf("=");
    return [pair.slice(0, end), pair.slice(end + 1)];
  }));
  state.sort = fields.get("sort") ?? "";
  state.trace = fields.get("trace");
}

function address(changes = {}) {
  const next = { ...state, ...changes };
  const fields = new URLSearchParams();
  if (next.q) fields.set("q", next.q);
  for (const name of LISTS) for (const value of next[name]) fields.append(name, value);
  for (const [by, value] of next.slice) fields.append("slice", `${by}=${value}`);
  if (next.sort) fields.set("sort", next.sort);
  if (next.trace !== null) fields.set("trace", next.trace);
  const text = fields.toString();
  return text ? `#${text}` : "#all";
}

// Another look at the same view: no step in the browser's history.
function adjust(changes) {
  Object.assign(state, changes);
  history.replaceState(null, "", address());
  refreshTable();
}

function toggle(name, value) {
  const next = new Set(state[name]);
  if (!next.delete(value)) next.add(value);
  adjust({ [name]: next });
}

const unfiltered = () => ({ q: "", judge: new Set(), outcome: new Set(), code: new Set(), slice: new Map(), sort: "", trace: null });
const isFiltered = () => state.q !== "" || state.slice.size > 0 || LISTS.some((name) => state[name].size > 0);
// A link to the judgments that a figure counts.
const linkTo = (changes, attributes, ...children) =>
  h("a", { ...attributes, href: address({ ...unfiltered(), ...changes }), "data-to": "judgments" }, ...children);
