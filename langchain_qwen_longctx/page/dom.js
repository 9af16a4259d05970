/** Elements made without markup: whatever a document, a model or a user wrote stays text. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.
 * @param {string} tag
 * @param {Object<string, unknown>} properties Attributes, without null and false; those named `on…` are listeners.
 * @param {...(Node|string|null|false)} children
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** One of the pictures that `index.html` defines; what it stands for is said by the text beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = svg.appendChild(document.createElementNS(SVG, "use"));
  use.setAttribute("href", `#icon-${name}`);
  return svg;
}

/** A button with a picture, a text, or both; a picture alone needs a label. */
export function button({ text, picture, label, ...properties }) {
  const named = label ? { "aria-label": label, title: label } : {};
  return element(
    "button",
    { type: "button", ...named, ...properties },
    picture && icon(picture),
    text && element("span", {}, text),
  );
}

/** Text whose parts between backticks are set as code. */
export const withCode = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));

/** The one element with this id. */
export const byId = (id) => document.getElementById(id);
