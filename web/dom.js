/** The few DOM gestures that this page repeats. */

export const byId = (id) => document.getElementById(id);

/** `h('p', {class: 'x', 'data-testid': 'y'}, 'text', child)` */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/** Writes only what differs, so that a selection or a focus inside survives a redraw. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of `parent` match `items`, reusing the element of each key.
 * `make()` builds one element, `fill(element, item)` writes an item into it.
 */
export function keyed(parent, items, key, make, fill) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const id = String(key(item));
    const element = old.get(id) ?? make();
    old.delete(id);
    element.dataset.key = id;
    fill(element, item);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
  for (const element of old.values()) element.remove();
}
