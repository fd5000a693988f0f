// A lesson's code as people type and read it.

export const CODE_LENGTH = 8;

/** The digits of what was typed, full-width ones too, at most as many as a code has. */
export function digitsOf(typed: string): string {
  const plain = typed.replace(/[０-９]/g, (digit) =>
    String.fromCharCode(digit.charCodeAt(0) - 0xfee0),
  );
  return plain.replace(/\D/g, "").slice(0, CODE_LENGTH);
}

/** `8362 7419`. */
export function shownCode(code: string): string {
  return code.length > 4 ? `${code.slice(0, 4)} ${code.slice(4)}` : code;
}
