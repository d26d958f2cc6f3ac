/**
 * A cache of judged texts in two generations: when the young one is full it
 * becomes the old one and the old one is forgotten, so that what is used stays
 * and no order is kept up on every hit.
 *
 * Keys are whole texts, byte for byte; never a fingerprint, which would drop the
 * literals that decide whether a WHERE is one.
 */
export interface TextCache<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
}

/**
 * @param entries how many texts a generation holds
 * @param characters how many characters of keys a generation holds
 */
export function createTextCache<Value>(entries: number, characters: number): TextCache<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();
  let size = 0;

  function add(key: string, value: Value): void {
    if (young.size >= entries || size + key.length > characters) {
      old = young;
      young = new Map();
      size = 0;
    }
    young.set(key, value);
    size += key.length;
  }

  return {
    get(key) {
      const value = young.get(key);
      if (value !== undefined) return value;
      const aged = old.get(key);
      if (aged !== undefined) add(key, aged);
      return aged;
    },
    set: add,
  };
}
