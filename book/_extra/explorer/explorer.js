"use strict";
/* The explorer's page. data.js, written by `reid explorer`, has every ranking's first images; nothing is fetched. */

const Explorer = (() => {
  const WINDOWS = [1, 2, 3, 4, 5, 10, 0]; // the slider's stops; 0: all members
  const DEFAULTS = { query: 0, window: 1, reference: false, reranked: true, sort: "number" };

  /* (m * first) image numbers from base64 of little-endian 16 bits */
  function decode(text) {
    const bytes = atob(text);
    const numbers = new Uint16Array(bytes.length / 2);
    for (let i = 0; i < numbers.length; i++) {
      numbers[i] = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
    }
    return numbers;
  }

  function windowName(window, reference) {
    return window === 0 ? "Global" : `Local-${window}${reference ? " w. ref" : ""}`;
  }

  /* The rankings that the page shows, top to bottom. Global has no version with reference: the query never leaves. */
  function shown(data, state) {
    const find = (wanted) =>
      data.rankings.find((ranking) => Object.entries(wanted).every(([name, value]) => ranking[name] === value));
    const on = state.reranked ? "re-ranked" : "plain";
    const walk = (window, reference) =>
      find({ method: "walk", reranked: state.reranked, window, reference: window !== 0 && reference });
    const rows = [
      { name: "Plain distance", ranking: find({ method: "distance", reranked: false }) },
      { name: "Re-ranked distance", ranking: find({ method: "distance", reranked: true }) },
      { name: `VTRM, ${windowName(state.window, state.reference)}, on ${on} distances`, ranking: walk(state.window, state.reference), chosen: true },
    ];
    if (state.window !== 0) rows.push({ name: `VTRM, Global, on ${on} distances`, ranking: walk(0, false) });
    for (const ranking of data.rankings.filter((ranking) => ranking.method === "vote")) {
      const { models, window, reranked } = ranking;
      const walks = `Each walks by ${windowName(window, false)} on ${reranked ? "re-ranked" : "plain"} distances`;
      rows.push({ name: `Fusion: the vote of ${models.length} models`, ranking, note: `${walks}: ${models.join("; ")}.` });
    }
    return rows;
  }

  /* The first images of a ranking for a query: their numbers, frames, and whether they show the query's person. */
  function strip(data, ranking, query) {
    ranking.images ??= decode(ranking.order);
    const images = ranking.images.subarray(query * data.first, (query + 1) * data.first);
    return Array.from(images, (image) => ({
      image,
      frame: data.gallery.frame[image],
      right: data.gallery.person[image] === data.query.person[query],
    }));
  }

  /* Numbers of the queries in the order asked for. */
  function sorted(data, state) {
    const rows = shown(data, state);
    const of = (row) => (query) => row.ranking.precision[query] ?? 0;
    const plain = of(rows[0]), walked = of(rows[2]);
    const before = of(rows[state.reranked ? 1 : 0]);
    const keys = {
      number: (query) => query,
      hardest: plain,
      gains: (query) => before(query) - walked(query),
      losses: (query) => walked(query) - before(query),
    };
    const key = keys[state.sort];
    return data.query.person.map((_, query) => query).sort((a, b) => key(a) - key(b) || a - b);
  }

  /* "#query=17&window=2&reference=1": what differs from the defaults. */
  function toLink(state) {
    const parts = [];
    for (const [name, value] of Object.entries(DEFAULTS)) {
      if (state[name] !== value) parts.push(`${name}=${typeof value === "boolean" ? Number(state[name]) : state[name]}`);
    }
    return "#" + (parts.join("&") || "query=0");
  }

  /* What a link asks for; whatever it asks for that there is not, is the default. */
  function fromLink(data, link) {
    const asked = new URLSearchParams(link.replace(/^#/, ""));
    const state = { ...DEFAULTS };
    const query = Number(asked.get("query"));
    if (Number.isInteger(query) && query >= 0 && query < data.query.person.length) state.query = query;
    if (asked.has("window") && WINDOWS.includes(Number(asked.get("window")))) state.window = Number(asked.get("window"));
    for (const name of ["reference", "reranked"]) if (asked.has(name)) state[name] = asked.get(name) === "1";
    if (["number", "hardest", "gains", "losses"].includes(asked.get("sort"))) state.sort = asked.get("sort");
    return state;
  }

  return { WINDOWS, decode, windowName, shown, strip, sorted, toLink, fromLink };
})();

if (typeof document !== "undefined") {
  const data = window.EXPLORER_DATA;
  const element = (id) => document.getElementById(id);
  const base = document.currentScript.src.replace(/explorer\.js.*$/, "");
  let state = Explorer.fromLink(data, location.hash);

  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  function picture(number, label) {
    const { height, width, across, down } = data.picture;
    const place = number % (across * down);
    const made = make("span", "explorer-picture");
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", label);
    const scale = 1.5;
    Object.assign(made.style, {
      width: `${scale * width}px`,
      height: `${scale * height}px`,
      backgroundImage: `url("${base}sheet-${Math.floor(number / (across * down))}.jpg")`,
      backgroundSize: `${scale * width * across}px auto`,
      backgroundPosition: `${-scale * width * (place % across)}px ${-scale * height * Math.floor(place / across)}px`,
    });
    return made;
  }

  const queryPicture = (query) => {
    const frame = data.query.frame[query];
    return picture(data.gallery.person.length + query, `query ${query}: person ${data.query.person[query]}, frame ${frame}`);
  };

  function drawQueries() {
    const list = element("explorer-queries");
    const order = Explorer.sorted(data, state);
    if (list.dataset.order !== order.join()) {
      list.dataset.order = order.join();
      list.replaceChildren(
        ...order.map((query) => {
          const option = make("li", "explorer-query");
          option.id = `explorer-query-${query}`;
          option.setAttribute("role", "option");
          option.append(queryPicture(query), make("span", "explorer-frame", String(query)));
          option.addEventListener("click", () => change({ query }));
          return option;
        }),
      );
    }
    for (const option of list.children) {
      option.setAttribute("aria-selected", String(option.id === `explorer-query-${state.query}`));
    }
    list.setAttribute("aria-activedescendant", `explorer-query-${state.query}`);
    const chosen = element(`explorer-query-${state.query}`);
    list.scrollLeft = chosen.offsetLeft - (list.clientWidth - chosen.offsetWidth) / 2;
  }

  function drawRow({ name, ranking, chosen, note }) {
    const row = make("section", "explorer-row" + (chosen ? " explorer-chosen" : ""));
    const precision = ranking.precision[state.query];
    const title = make("p", "explorer-title");
    title.append(make("strong", "", name), ` AP ${precision === null ? "–" : precision.toFixed(1)} `);
    if (ranking.record) {
      const link = make("a", "", "record");
      const [stage, key] = ranking.record.split("/");
      link.href = `runs/${stage === "fuse" ? "fusion" : "vtrm"}.html#${key.slice(0, 12)}`;
      title.append(link);
    }
    if (note) title.append(make("span", "explorer-note", note));
    const list = make("ol", "explorer-strip");
    Explorer.strip(data, ranking, state.query).forEach(({ image, frame, right }, place) => {
      const item = make("li", right ? "explorer-right" : "explorer-wrong");
      const label = `${place + 1}: ${right ? "the query's person" : "another person"}, frame ${frame}`;
      item.append(picture(image, label), make("span", "explorer-frame", right ? String(frame) : `× ${frame}`));
      list.append(item);
    });
    row.append(title, list);
    return row;
  }

  function draw() {
    drawQueries();
    element("explorer-window").value = Explorer.WINDOWS.indexOf(state.window);
    element("explorer-window-name").textContent = Explorer.windowName(state.window, state.reference);
    element("explorer-window").setAttribute("aria-valuetext", Explorer.windowName(state.window, state.reference));
    element("explorer-reference").checked = state.reference;
    element("explorer-reference").disabled = state.window === 0;
    element("explorer-reranked").checked = state.reranked;
    element("explorer-sort").value = state.sort;
    element("explorer-query-name").textContent =
      `Query ${state.query}: person ${data.query.person[state.query]}, frame ${data.query.frame[state.query]}`;
    const scrolled = element("explorer-rows").scrollLeft;
    element("explorer-rows").replaceChildren(...Explorer.shown(data, state).map(drawRow));
    element("explorer-rows").scrollLeft = scrolled;
  }

  function change(what) {
    state = { ...state, ...what };
    location.replace(Explorer.toLink(state));
    draw();
  }

  function step(by) {
    const order = Explorer.sorted(data, state);
    const place = Math.max(0, Math.min(order.length - 1, order.indexOf(state.query) + by));
    change({ query: order[place] });
  }

  element("explorer-window").max = Explorer.WINDOWS.length - 1;
  element("explorer-window").addEventListener("input", (event) => change({ window: Explorer.WINDOWS[event.target.value] }));
  element("explorer-reference").addEventListener("change", (event) => change({ reference: event.target.checked }));
  element("explorer-reranked").addEventListener("change", (event) => change({ reranked: event.target.checked }));
  element("explorer-sort").addEventListener("change", (event) => change({ sort: event.target.value }));
  element("explorer-before").addEventListener("click", () => step(-1));
  element("explorer-after").addEventListener("click", () => step(1));
  element("explorer-queries").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 };
    if (event.key in by && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      event.stopPropagation();
      step(by[event.key]);
    }
  });
  window.addEventListener("hashchange", () => {
    const asked = Explorer.fromLink(data, location.hash);
    if (Explorer.toLink(asked) !== Explorer.toLink(state)) {
      state = asked;
      draw();
    }
  });
  element("explorer-facts").textContent =
    `Profile ${data.profile}, seed ${data.seed}: ${data.query.person.length} queries, ` +
    `${data.gallery.person.length} gallery images, of which each strip shows the first ${data.first}.`;
  element("explorer-all").hidden = false;
  draw();
}
