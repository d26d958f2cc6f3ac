/**
 * Elements, made and not parsed.
 *
 * Law: the only way to put anything on the page. Text becomes text nodes, whatever is
 * in it; nothing is ever read as HTML.
 */
export type Child = Node | string | null | readonly Child[];

export interface Properties {
  readonly class?: string;
  readonly id?: string;
  readonly title?: string;
  /** Attributes; null: left out. */
  readonly attributes?: Readonly<Record<string, string | null>>;
  readonly on?: Readonly<Record<string, (event: Event) => void>>;
}

/** An element with these children. */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Properties | null,
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  if (properties?.class !== undefined) element.className = properties.class;
  if (properties?.id !== undefined) element.id = properties.id;
  if (properties?.title !== undefined) element.title = properties.title;
  for (const [key, value] of Object.entries(properties?.attributes ?? {})) {
    if (value !== null) element.setAttribute(key, value);
  }
  for (const [type, listener] of Object.entries(properties?.on ?? {}))
    element.addEventListener(type, listener);
  append(element, children);
  return element;
}

/** Everything that was in it gives way to these. */
export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren();
  append(element, children);
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null) continue;
    if (typeof child === 'string' || child instanceof Node) element.append(child);
    else append(element, child);
  }
}

/** An element of index.html. @throws Error when it is not there */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}
