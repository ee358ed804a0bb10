// The types of this module are written by hand, in types.d.ts: applications can add only to interfaces.
export {};
