// Which page is shown, and the keys.

const main = document.getElementById("main");
const top_ = document.getElementById("top");
let overview = null;
let scrolled = null;

function showOverview() {
  if (!overview) overview = [gatesOf(), cardsOf(), sidesOf(), failuresOf(), flipsOf(), anchorsOf(), slicesOf(), J.trace.length ? tableSection() : null, factsOf(), foot()].filter(Boolean);
  if (overview[0].isConnected) return refreshTable();
  top_.replaceChildren(...topOf().flat().filter(Boolean));
  main.replaceChildren(...overview);
  document.title = data.title;
  refreshTable(true);
  if (scrolled && view.scroller) {
    view.scroller.scrollTop = scrolled.table;
    scrollTo(0, scrolled.page);
    renderRows(true);
    view.body.querySelector(`a[href$="${CSS.escape(new URLSearchParams([["trace", scrolled.trace]]).toString())}"]`)?.focus({ preventScroll: true });
    scrolled = null;
  }
}

function showTrace() {
  if (view.scroller?.isConnected) scrolled = { table: view.scroller.scrollTop, page: scrollY, trace: state.trace };
  else if (scrolled) scrolled.trace = state.trace;
  top_.replaceChildren();
  main.replaceChildren(...tracePage(state.trace).flat());
  document.title = `${state.trace} · ${data.title}`;
  scrollTo(0, 0);
  document.getElementById("trace-title")?.focus({ preventScroll: true });
}

function foot() {
  return h("footer", { class: "quiet small" }, "Keys: ", h("kbd", {}, "/"), " search, ", h("kbd", {}, "↑"), " ", h("kbd", {}, "↓"), " move through judgments, ", h("kbd", {}, "←"), " ", h("kbd", {}, "→"), " previous and next trace, ", h("kbd", {}, "r"), " raw JSON, ", h("kbd", {}, "Esc"), " back. ",
    h("label", {}, h("input", { type: "checkbox", checked: true, id: "letters", change: (event) => { lettersWork = event.target.checked; } }), " keys that are letters or signs"));
}

let lettersWork = true;

function show() {
  if (location.hash === "#judgments" || location.hash === "#top") return;
  read();
  if (state.trace === null) showOverview();
  else whenRead(showTrace);
}

addEventListener("hashchange", show);
// The traces come last in the file, so that the overview need not wait for them.
const whenRead = (work) => (document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", work) : work());
// Links to the judgments lead there once they are shown.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-to]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const id = link.dataset.to;
  const back = link.classList.contains("back");
  setTimeout(() => {
    if (back && scrollY > 0) return;
    const target = document.getElementById(id);
    target?.scrollIntoView();
    target?.querySelector("h2")?.focus({ preventScroll: true });
  });
});

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = event.target.closest?.("input, select, textarea");
  if (typing && event.key === "Escape" && event.target === view.search) return view.search.blur();
  if (typing) return;
  const isLetter = event.key.length === 1;
  if (isLetter && !lettersWork) return;
  if (state.trace !== null) {
    if (event.key === "Escape") location.hash = address({ trace: null });
    else [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === event.key)?.click();
  } else if (event.key === "/") {
    event.preventDefault();
    view.search.scrollIntoView({ block: "center" });
    view.search.focus();
  }
});

// Paper does not scroll: print the first rows of the view.
addEventListener("beforeprint", () => {
  if (!view.scroller?.isConnected) return;
  document.querySelectorAll("#facts details").forEach((details) => { details.open = true; });
  view.body.style.transform = "";
  view.space.style.height = "auto";
  view.body.replaceChildren(...shown.slice(0, 100).map(rowOf));
  if (shown.length > 100) view.found.textContent = `The first 100 of ${counted(shown.length, "judgment")}`;
});
addEventListener("afterprint", () => refreshTable(true));

show();
whenRead(() => (window.requestIdleCallback ?? setTimeout)(() => haystack ?? makeHaystack()));
