/** Hexadecimal digits, with blanks where they help to read, as bytes. */
export function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
}
