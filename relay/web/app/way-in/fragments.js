/** The fragments of links that lead into the page from elsewhere. */

/** An invitation's, and that of a new server's first user. */
export const LINK = /^#(setup|invite)=([\w-]+)$/;
/** For a new password, and to verify an address: these are followed whoever is signed in. */
export const ACTION = /^#(reset|mail)=([\w-]+)$/;
