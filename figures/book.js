// A search over labels, headings, names of the code and the words of the text.
const kinds = [[".eq", e => e.id], ["h2, h3", () => ""], [".line:has(.d)", e => e.id.split("-")[0] + ".py"],
  [".text > p, aside p, .opening p, figcaption p, .exercises li > p", () => ""]];
const entries = kinds.flatMap(([which, name]) => [...document.querySelectorAll(which)].map(place => {
  const text = (place.querySelector("summary") || place).textContent.replace(/\s+/g, " ").trim();
  return {place, name: name(place), text, low: (name(place) + " " + text).toLowerCase()};
}));
const field = Object.assign(document.createElement("input"), {type: "search", placeholder: "Search"});
const list = document.createElement("ul");
field.setAttribute("aria-label", "Search labels, names and words");
document.getElementById("search").append(field, list);

function found(entry, word) {
  const item = document.createElement("li"), link = document.createElement("a");
  const at = Math.max(0, entry.low.indexOf(word) - entry.name.length - 30);
  link.href = entry.place.id ? "#" + entry.place.id : "";
  link.textContent = (entry.name ? entry.name + "  " : "") + entry.text.slice(at, at + 90);
  link.onclick = event => {
    if (!entry.place.id) event.preventDefault();
    for (let e = entry.place.parentElement; e; e = e.parentElement) if (e.tagName == "DETAILS") e.open = true;
    entry.place.scrollIntoView({block: "center"});
    entry.place.animate([{background: "var(--mark)"}, {}], 2500);
  };
  item.append(link);
  return item;
}

field.oninput = () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length ? entries.filter(entry => words.every(word => entry.low.includes(word))) : [];
  list.replaceChildren(...hits.slice(0, 30).map(entry => found(entry, words[0])));
};
