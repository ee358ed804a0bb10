// What this module exports are types, written by hand in types.d.ts: only interfaces can be augmented.
export {};
